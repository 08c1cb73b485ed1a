#include "http/json_string.hpp"

#if defined(__SSE2__)
#  include <emmintrin.h>
#endif

namespace vorrang::http {

namespace {

std::uint32_t hex4(std::string_view digits) noexcept {
  std::uint32_t value = 0;
  for (const char digit : digits.substr(0, 4)) {
    value = value * 16 + static_cast<std::uint32_t>(hex_digit(digit));
  }
  return value;
}

constexpr std::uint32_t replacement = 0xFFFD;

constexpr bool is_surrogate(std::uint32_t value) noexcept {
  return value >= 0xD800 && value <= 0xDFFF;
}

/// The low surrogate that `text` begins with, escaped; 0 if it does not.
std::uint32_t low_surrogate(std::string_view text) noexcept {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u')
    return 0;
  const auto value = hex4(text.substr(2));
  return value >= 0xDC00 && value <= 0xDFFF ? value : 0;
}

/// Walks over the parts of a valid string: runs of plain bytes, and single points.
template <class Run, class Point>
void walk(std::string_view text, Run&& run, Point&& point) {
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const auto slash = text.find('\\');
    if (slash != 0) {
      run(text.substr(0, slash));
      if (slash == std::string_view::npos) {
        return;
      }
      text.remove_prefix(slash);
    }
    if (text.size() < 2) {
      return;
    }
    const char kind = text[1];
    text.remove_prefix(2);
    switch (kind) {
    case 'b':
      point(0x08);
      break;
    case 'f':
      point(0x0C);
      break;
    case 'n':
      point(0x0A);
      break;
    case 'r':
      point(0x0D);
      break;
    case 't':
      point(0x09);
      break;
    case 'u': {
      const auto value = hex4(text);
      text.remove_prefix(text.size() < 4 ? text.size() : 4);
      if (!is_surrogate(value)) {
        point(value);
      } else if (const auto low = low_surrogate(text); value < 0xDC00 && low != 0) {
        point(0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00));
        text.remove_prefix(6);
      } else {
        point(replacement);
      }
      break;
    }
    default:
      point(static_cast<unsigned char>(kind));
      break;
    }
  }
}

} // namespace

std::string unescaped(std::string_view quoted) {
  std::string out;
  out.reserve(quoted.size());
  walk(
      quoted, [&](std::string_view run) { out += run; },
      [&](std::uint32_t point) { append_utf8(out, point); });
  return out;
}

std::uint64_t unescaped_size(std::string_view quoted) noexcept {
  std::uint64_t size = 0;
  walk(
      quoted, [&](std::string_view run) { size += run.size(); },
      [&](std::uint32_t point) { size += utf8_size(point); });
  return size;
}

bool escaped_string_is(std::string_view quoted, std::string_view name) {
  return quoted.find('\\') != quoted.npos && unescaped(quoted) == name;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto size = utf8_sequence(text);
    if (size == 0) {
      return false;
    }
    text.remove_prefix(size);
  }
  return true;
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) {
    out.push_back(static_cast<char>(byte));
  };
  switch (utf8_size(point)) {
  case 1:
    put(point);
    break;
  case 2:
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
    break;
  case 3:
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
    break;
  default:
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
    break;
  }
}

std::size_t plain_size(std::string_view text) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
#if defined(__SSE2__)
  const auto quote = _mm_set1_epi8('"');
  const auto slash = _mm_set1_epi8('\\');
  const auto space = _mm_set1_epi8(0x20);
  while (end - at >= 16) {
    const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    // As signed numbers, control characters and all bytes from 0x80 are below a space.
    const auto special =
        _mm_or_si128(_mm_cmplt_epi8(bytes, space),
                     _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special));
    if (mask != 0)
      return static_cast<std::size_t>(at - text.data()) +
             static_cast<std::size_t>(__builtin_ctz(mask));
    at += 16;
  }
#endif
  const auto is_plain = [](char byte) {
    const auto code = static_cast<unsigned char>(byte);
    return code >= 0x20 && code < 0x80 && byte != '"' && byte != '\\';
  };
  while (at != end && is_plain(*at))
    ++at;
  return static_cast<std::size_t>(at - text.data());
}

std::string json_quoted(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size() + 2);
  out.push_back('"');
  while (!text.empty()) {
    if (const auto plain = plain_size(text); plain > 0) {
      out.append(text.substr(0, plain));
      text.remove_prefix(plain);
      continue;
    }
    const auto byte = static_cast<unsigned char>(text[0]);
    std::size_t size = 1;
    if (byte == '"' || byte == '\\') {
      out.push_back('\\');
      out.push_back(text[0]);
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out.push_back(hex[byte >> 4]);
      out.push_back(hex[byte & 0xF]);
    } else if (size = utf8_sequence(text); size == 0) {
      out += "\xEF\xBF\xBD";
      size = 1;
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  out.push_back('"');
  return out;
}

} // namespace vorrang::http
