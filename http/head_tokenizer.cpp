#include "http/head_tokenizer.hpp"

#include "http/head_text.hpp"

#include <cstddef>

namespace vorrang::http {

namespace {

/// `HTTP/1.0` or `HTTP/1.1`, the whole text.
bool read_version(std::string_view text, first_line& line) noexcept {
  constexpr std::string_view name = "HTTP/1.";
  if (text.size() != name.size() + 1 || text.substr(0, name.size()) != name)
    return false;
  line.version_minor = static_cast<unsigned>(text.back() - '0');
  return line.version_minor <= 1;
}

/// Up to the next CRLF, which is taken too. Readers let no other CR in.
std::string_view take_line(std::string_view& rest) noexcept {
  const auto end = rest.find('\r');
  const auto line = rest.substr(0, end);
  rest.remove_prefix(end == rest.npos ? rest.size() : end + 2);
  return line;
}

/// Up to the next blank, which is taken too.
std::string_view take_word(std::string_view& rest) noexcept {
  const auto end = rest.find(' ');
  const auto word = rest.substr(0, end);
  rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  return word;
}

/// The lines after the first, up to the empty one, with which the text ends.
bool add_fields(std::string_view rest, head_fields& fields) {
  for (;;) {
    const auto line = take_line(rest);
    if (line.empty())
      return rest.empty();
    const auto colon = line.find(':');
    if (colon == line.npos)
      return false;
    const auto name = line.substr(0, colon);
    const auto value = trimmed(line.substr(colon + 1));
    // No blank is part of a name, so neither a folded line nor one before the colon gets in.
    if (!is_field_name(name) || !is_field_value(value))
      return false;
    fields.add(name, value);
  }
}

} // namespace

bool tokenize_request(head_fields& fields, first_line& line) {
  auto rest = fields.text();
  auto first = take_line(rest);
  line.method = take_word(first);
  line.target = take_word(first);
  return is_field_name(line.method) && !line.target.empty() && read_version(first, line) &&
         add_fields(rest, fields);
}

bool tokenize_answer(head_fields& fields, first_line& line) {
  auto rest = fields.text();
  auto first = take_line(rest);
  const auto version = take_word(first);
  const auto status = take_word(first); // what is left is the reason
  line.status = 0;
  for (const char digit : status) {
    if (digit < '0' || digit > '9')
      return false;
    line.status = line.status * 10 + static_cast<unsigned>(digit - '0');
  }
  return read_version(version, line) && status.size() == 3 && is_field_value(first) &&
         add_fields(rest, fields);
}

length_reading read_lengths(const head_fields& fields, unsigned version_minor) {
  length_reading out;
  const auto codings = fields.count("transfer-encoding");
  const auto lengths = fields.count("content-length");
  if (codings > 0 && lengths > 0) {
    out.fault = "Transfer-Encoding together with Content-Length";
  } else if (codings > 0 && version_minor == 0) {
    out.fault = "Transfer-Encoding on HTTP/1.0";
  } else if (codings > 1) {
    out.fault = "more than one Transfer-Encoding field";
  } else if (codings == 1) {
    out.chunked = equal_ignoring_case(*fields.find("transfer-encoding"), "chunked");
    out.fault = out.chunked ? nullptr : "a Transfer-Encoding other than chunked";
  } else if (lengths > 1) {
    out.fault = "more than one Content-Length field";
  } else if (lengths == 1) {
    const auto digits = *fields.find("content-length");
    // 18 digits cannot overflow 64 bits, and no body is that long.
    if (digits.empty() || digits.size() > 18 ||
        digits.find_first_not_of("0123456789") != std::string_view::npos) {
      out.fault = "a malformed Content-Length";
      return out;
    }
    out.has_length = true;
    for (const char digit : digits) {
      out.length = out.length * 10 + static_cast<std::uint64_t>(digit - '0');
    }
  }
  return out;
}

bool any_list_holds(const head_fields& fields, std::string_view name, std::string_view word) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields.is_named(i, name) && list_holds(fields[i].value, word)) {
      return true;
    }
  }
  return false;
}

} // namespace vorrang::http
