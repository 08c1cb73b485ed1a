#include "terminal/printable.hpp"

#include <langinfo.h>
#include <wchar.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace vorrang::terminal {

namespace {

struct character {
  char32_t code = 0;
  std::size_t bytes = 1;
};

/// The character at the beginning of `text`; nothing: its first byte begins none (RFC 3629).
std::optional<character> first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80)
    return character{lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes)
    return std::nullopt;
  char32_t code = lead & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80)
      return std::nullopt;
    code = (code << 6) | (next & 0x3F);
  }
  constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[bytes] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
    return std::nullopt;
  return character{code, bytes};
}

/// Those that nobody sees: they would make two names look the same, or one read backwards.
bool is_invisible(char32_t code) {
  constexpr std::pair<char32_t, char32_t> ranges[] = {
      {0x00AD, 0x00AD}, {0x061C, 0x061C}, {0x115F, 0x1160},   {0x17B4, 0x17B5},
      {0x180B, 0x180F}, {0x200B, 0x200F}, {0x2028, 0x202E},   {0x2060, 0x206F},
      {0x3164, 0x3164}, {0xE000, 0xF8FF}, {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},
      {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0x1D173, 0x1D17A}, {0xE0000, 0x10FFFF}};
  return std::any_of(std::begin(ranges), std::end(ranges), [code](const auto& range) {
    return code >= range.first && code <= range.second;
  });
}

/// Of ASCII and of Latin 1: a terminal may obey them.
bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0);
}

bool is_harmless(char32_t code, bool is_utf8) {
  if (code < 0x80)
    return !is_control(code);
  return is_utf8 && !is_invisible(code) && ::wcwidth(static_cast<wchar_t>(code)) >= 0;
}

/// With `?` in the place of each character that `is_good` does not like.
template <class IsGood>
std::string cleaned(std::string_view text, IsGood is_good) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const auto next = first_of(text);
    if (next && is_good(next->code))
      result += text.substr(0, next->bytes);
    else
      result += '?';
    text.remove_prefix(next ? next->bytes : 1);
  }
  return result;
}

std::size_t width_of(char32_t code) {
  return static_cast<std::size_t>(std::max(0, ::wcwidth(static_cast<wchar_t>(code))));
}

/// How many bytes of `text` fit into `columns`, and the columns that these take.
std::pair<std::size_t, std::size_t> fitting(std::string_view text, std::size_t columns) {
  std::size_t at = 0, taken = 0;
  while (at < text.size()) {
    const auto next = first_of(text.substr(at)).value_or(character{'?', 1});
    const auto width = width_of(next.code);
    if (taken + width > columns)
      break;
    taken += width;
    at += next.bytes;
  }
  return {at, taken};
}

} // namespace

bool locale_is_utf8() {
  return std::strcmp(::nl_langinfo(CODESET), "UTF-8") == 0;
}

std::string printable(std::string_view text) {
  return cleaned(
      text, [is_utf8 = locale_is_utf8()](char32_t code) { return is_harmless(code, is_utf8); });
}

std::string printable_lines(std::string_view text) {
  return cleaned(text, [](char32_t code) {
    return code == '\n' || (!is_control(code) && !is_invisible(code));
  });
}

std::size_t columns_of(std::string_view text) {
  return fitting(text, text.size() * 2).second;
}

std::string cut_to(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns)
    return std::string(text);
  if (columns == 0)
    return {};
  return std::string(text.substr(0, fitting(text, columns - 1).first)) +
         (locale_is_utf8() ? "…" : "~");
}

std::string fit_to(std::string_view text, std::size_t columns) {
  auto result = cut_to(text, columns);
  result.append(columns - std::min(columns, columns_of(result)), ' ');
  return result;
}

} // namespace vorrang::terminal
