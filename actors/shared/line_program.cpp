#include "actors/shared/line_program.hpp"

#include <openssl/evp.h>

namespace vorrang {

/// line.lua, made by the build.
extern const char* const line_script;

namespace {

std::string sha1_of(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha1(), nullptr);
  std::string result;
  for (unsigned int i = 0; i < length; ++i) {
    result += "0123456789abcdef"[digest[i] >> 4];
    result += "0123456789abcdef"[digest[i] & 15];
  }
  return result;
}

bool begins(std::string_view text, std::string_view with) noexcept {
  return text.substr(0, with.size()) == with;
}

bool holds(std::string_view text, std::string_view what) noexcept {
  return text.find(what) != text.npos;
}

} // namespace

line_program::line_program() : function_name_("vorrang_" + sha1_of(line_script)) {
  library_ = "#!lua name=" + function_name_ + "\n" + line_script + "\nredis.register_function('" +
             function_name_ + "', call)\n";
  script_ = std::string(line_script) + "\nreturn call(KEYS, ARGV)\n";
  script_name_ = sha1_of(script_);
}

std::vector<std::string> line_program::words(line_form form, const line_call& what) const {
  std::vector<std::string> result;
  switch (form) {
  case line_form::load:
    return {"FUNCTION", "LOAD", library_};
  case line_form::function:
  case line_form::loaded:
    result = {"FCALL", function_name_};
    break;
  case line_form::script:
    result = {"EVALSHA", script_name_};
    break;
  case line_form::whole_script:
    result = {"EVAL", script_};
    break;
  }
  result.insert(result.end(), {"1", what.key});
  result.insert(result.end(), what.arguments.begin(), what.arguments.end());
  return result;
}

std::optional<line_form> line_program::next(line_form form, std::string_view error) noexcept {
  const bool has_none = holds(error, "unknown command") || begins(error, "NOPERM");
  switch (form) {
  case line_form::function:
    if (holds(error, "Function not found"))
      return line_form::load;
    return has_none ? std::optional(line_form::script) : std::nullopt;
  case line_form::load:
    // Somebody else may have been quicker.
    if (error.empty() || holds(error, "already exists"))
      return line_form::loaded;
    return has_none ? std::optional(line_form::script) : std::nullopt;
  case line_form::script:
    return begins(error, "NOSCRIPT") ? std::optional(line_form::whole_script) : std::nullopt;
  case line_form::loaded:
  case line_form::whole_script:
    break;
  }
  return std::nullopt;
}

} // namespace vorrang
