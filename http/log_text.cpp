#include "http/log_text.hpp"

#include "http/json_string.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace vorrang::http {

namespace {

void append_hex(std::string& out, std::uint32_t value, std::size_t digits_min) {
  std::array<char, 8> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  const auto size = static_cast<std::size_t>(end - digits.data());
  out.append(size < digits_min ? digits_min - size : 0, '0');
  out.append(digits.data(), size);
}

std::uint32_t point_of(std::string_view sequence) {
  const auto byte = [&](std::size_t at) {
    return std::uint32_t{static_cast<unsigned char>(sequence[at])};
  };
  switch (sequence.size()) {
  case 1:
    return byte(0);
  case 2:
    return ((byte(0) & 0x1FU) << 6) | (byte(1) & 0x3FU);
  case 3:
    return ((byte(0) & 0xFU) << 12) | ((byte(1) & 0x3FU) << 6) | (byte(2) & 0x3FU);
  default:
    return ((byte(0) & 7U) << 18) | ((byte(1) & 0x3FU) << 12) | ((byte(2) & 0x3FU) << 6) |
           (byte(3) & 0x3FU);
  }
}

/// Whether a terminal, or a reader that looks for lines, acts on it instead of showing it.
bool acts(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x061C ||
         (point >= 0x200E && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
         (point >= 0x2066 && point <= 0x2069);
}

bool is_plain(char byte) {
  return byte >= 0x20 && byte < 0x7F;
}

/// At most log_value_bytes_max, and no half of a character at the end.
std::string_view cut(std::string_view value) {
  if (value.size() <= log_value_bytes_max)
    return value;
  std::size_t size = log_value_bytes_max;
  while (size > log_value_bytes_max - 4 &&
         (static_cast<unsigned char>(value[size]) & 0xC0U) == 0x80)
    --size;
  return value.substr(0, size);
}

bool needs_quotes(std::string_view value) {
  return value == "-" || std::any_of(value.begin(), value.end(), [](char each) {
           return each == ' ' || each == '"' || each == '=' || each == '\\';
         });
}

} // namespace

void append_harmless(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto plain = static_cast<std::size_t>(
        std::find_if_not(text.begin(), text.end(), is_plain) - text.begin());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty())
      break;
    const std::size_t size = utf8_sequence(text);
    if (size == 0) {
      out += "\\x";
      append_hex(out, static_cast<unsigned char>(text.front()), 2);
      text.remove_prefix(1);
      continue;
    }
    const auto point = point_of(text.substr(0, size));
    if (!acts(point)) {
      out += text.substr(0, size);
    } else if (point < 0x80) {
      out += "\\x";
      append_hex(out, point, 2);
    } else {
      out += "\\u{";
      append_hex(out, point, 4);
      out += '}';
    }
    text.remove_prefix(size);
  }
}

void append_field(std::string& out, log_format format, const log_field& field) {
  const bool is_json = format == log_format::json;
  if (is_json) {
    out += '"';
    out += field.name();
    out += "\":";
  } else {
    out += field.name();
    out += '=';
  }
  if (field.is_number()) {
    out += std::to_string(field.number());
    return;
  }
  if (field.is_absent()) {
    out += is_json ? "null" : "-";
    return;
  }
  const auto value = cut(field.text());
  const bool is_cut = value.size() != field.text().size();
  if (is_json) {
    std::string harmless;
    append_harmless(harmless, value);
    if (is_cut)
      harmless += "...";
    out += json_quoted(harmless);
    return;
  }
  const bool quoted = needs_quotes(value);
  if (quoted)
    out += '"';
  const std::size_t begin = out.size();
  append_harmless(out, value);
  if (is_cut)
    out += "...";
  if (quoted) {
    // What append_harmless() has written itself is told apart by nothing: `\` is doubled there too.
    for (std::size_t at = begin; at < out.size(); ++at)
      if (out[at] == '"' || out[at] == '\\')
        out.insert(at++, 1, '\\');
    out += '"';
  }
}

} // namespace vorrang::http
