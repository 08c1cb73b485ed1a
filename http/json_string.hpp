// Strings as JSON writes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vorrang::http {

/// The text of a JSON string given with its quotes, which must be valid.
std::string unescaped(std::string_view quoted);
/// Bytes of that text, without building it.
std::uint64_t unescaped_size(std::string_view quoted) noexcept;
/// Whether a valid string (with its quotes) is `name` once unescaped.
bool string_is(std::string_view quoted, std::string_view name);
/// `text` as a JSON string with its quotes, in ASCII but for valid UTF-8; invalid bytes become
/// U+FFFD.
std::string json_quoted(std::string_view text);

/// Length of the valid UTF-8 sequence that `text` begins with, 0 if there is none.
std::size_t utf8_sequence(std::string_view text) noexcept;
/// Valid UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text) noexcept;
/// Appends a point of Unicode, which must be valid, as UTF-8.
void append_utf8(std::string& out, std::uint32_t point);

} // namespace vorrang::http
