// Strings as JSON writes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vorrang::http {

/// The text of a JSON string given with its quotes, which must be valid. A surrogate without its
/// other half becomes U+FFFD.
std::string unescaped(std::string_view quoted);
/// Bytes of that text, without building it.
std::uint64_t unescaped_size(std::string_view quoted) noexcept;
/// The same as string_is(), of one that is longer than `name`: only with escapes can it be equal.
bool escaped_string_is(std::string_view quoted, std::string_view name);
/// Whether a valid string (with its quotes) is `name` once unescaped.
inline bool string_is(std::string_view quoted, std::string_view name) {
  const std::size_t size = quoted.size() - 2;
  if (size == name.size()) // an escape is longer than what it stands for
    return quoted.substr(1, size) == name;
  if (size < name.size() || name.empty() || (quoted[1] != name[0] && quoted[1] != '\\'))
    return false;
  return escaped_string_is(quoted, name);
}
/// `text` as a JSON string with its quotes, in ASCII but for valid UTF-8; invalid bytes become
/// U+FFFD.
std::string json_quoted(std::string_view text);

/// How many bytes `text` begins with that a JSON string holds as they are and that need no thought:
/// ASCII, no control character, quote or backslash.
std::size_t plain_size(std::string_view text) noexcept;

/// Length of the valid UTF-8 sequence that `text` begins with, 0 if there is none.
inline std::size_t utf8_sequence(std::string_view text) noexcept {
  if (text.empty()) {
    return 0;
  }
  const auto byte = [&](std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
  };
  const auto follows = [&](std::size_t at) {
    return (byte(at) & 0xC0U) == 0x80U;
  };
  const auto first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return follows(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    const auto low = first == 0xE0 ? 0xA0U : 0x80U;
    const auto high = first == 0xED ? 0x9FU : 0xBFU;
    return byte(1) >= low && byte(1) <= high && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const auto low = first == 0xF0 ? 0x90U : 0x80U;
    const auto high = first == 0xF4 ? 0x8FU : 0xBFU;
    return byte(1) >= low && byte(1) <= high && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}
/// Valid UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text) noexcept;
/// What a hexadecimal digit stands for, or −1 if it is none.
constexpr int hex_digit(char digit) noexcept {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  const char lower = static_cast<char>(digit | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
/// Bytes of a point of Unicode as UTF-8.
constexpr std::size_t utf8_size(std::uint32_t point) noexcept {
  return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}
/// Appends a point of Unicode, which must be valid, as UTF-8.
void append_utf8(std::string& out, std::uint32_t point);

} // namespace vorrang::http
