// How a server is told to run line.lua: as a function of its own, or as a script.
#pragma once

#include "actors/shared/line_link.hpp"

#include <optional>
#include <string_view>

namespace vorrang {

/// The ways to one call. Functions are made once and keep what they have taken apart, but are there
/// from Redis 7 on; in a script all of the text is made anew in each call (1.6 times the work).
enum class line_form : std::uint8_t {
  function,    ///< FCALL, of a library that carries the text's digest in its name
  load,        ///< FUNCTION LOAD, for a server that does not know it; then `loaded`
  loaded,      ///< FCALL once more
  script,      ///< EVALSHA, for a server without functions, or a user who may not have them
  whole_script ///< EVAL, where the script is not known
};

/// What is sent for a call, and what to try after an answer. Without state but for its names.
class line_program {
public:
  line_program();

  /// The words of a command.
  std::vector<std::string> words(line_form form, const line_call& what) const;

  /// The form in which a server that answered `form` with this error (or, for `load`, with success:
  /// an empty text) is asked next; nothing: the answer is what it is.
  static std::optional<line_form> next(line_form form, std::string_view error) noexcept;

private:
  std::string function_name_;
  std::string library_;
  std::string script_;
  std::string script_name_;
};

} // namespace vorrang
