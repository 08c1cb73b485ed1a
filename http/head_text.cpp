#include "http/head_text.hpp"

#include "http/head_fields.hpp"

#include <algorithm>
#include <array>
#include <utility>

#if defined(__SSE2__)
#  include <emmintrin.h>
#endif

namespace vorrang::http {

namespace {

constexpr bool is_token_char(unsigned char byte) noexcept {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z') || marks.find(static_cast<char>(byte)) != marks.npos;
}

constexpr auto token_table = [] {
  std::array<bool, 256> table{};
  for (unsigned byte = 1; byte < 256; ++byte) {
    table[byte] = is_token_char(static_cast<unsigned char>(byte));
  }
  return table;
}();

constexpr auto value_table = [] {
  std::array<bool, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte)
    table[byte] = (byte >= 0x20 || byte == '\t') && byte != 0x7F;
  return table;
}();

/// How many bytes from the beginning on are surely ASCII that can be printed, 16 at a time.
std::size_t printable_size(std::string_view text) noexcept {
  std::size_t at = 0;
#if defined(__SSE2__)
  const auto space = _mm_set1_epi8(0x20);
  const auto deleted = _mm_set1_epi8(0x7F);
  for (; text.size() - at >= 16; at += 16) {
    const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    // As signed numbers, control characters and all bytes from 0x80 are below a space.
    if (_mm_movemask_epi8(
            _mm_or_si128(_mm_cmplt_epi8(bytes, space), _mm_cmpeq_epi8(bytes, deleted))) != 0)
      break;
  }
#endif
  return at;
}

} // namespace

bool is_field_name(std::string_view name) noexcept {
  for (const char byte : name) {
    if (!token_table[static_cast<unsigned char>(byte)]) {
      return false;
    }
  }
  return !name.empty();
}

bool is_field_value(std::string_view value) noexcept {
  // Most are ASCII that can be printed.
  for (const char each : value.substr(printable_size(value))) {
    if (!value_table[static_cast<unsigned char>(each)])
      return false;
  }
  return true;
}

bool is_hop_by_hop(std::string_view name) noexcept {
  static constexpr std::string_view names[] = {"connection",
                                               "keep-alive",
                                               "proxy-authenticate",
                                               "proxy-authorization",
                                               "proxy-connection",
                                               "te",
                                               "trailer",
                                               "transfer-encoding",
                                               "upgrade",
                                               "http2-settings"};
  for (const auto each : names) {
    if (equal_ignoring_case(name, each)) {
      return true;
    }
  }
  return false;
}

std::string_view reason_phrase(unsigned status) noexcept {
  static constexpr std::pair<unsigned, std::string_view> phrases[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {402, "Payment Required"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {424, "Failed Dependency"},
      {425, "Too Early"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {529, "Overloaded"},
  };
  for (const auto& [number, phrase] : phrases) {
    if (number == status) {
      return phrase;
    }
  }
  return {};
}

void append_field_line(std::string& to, std::string_view prefix, std::string_view name,
                       std::string_view value) {
  // In one go: an append of each part costs more than the bytes do.
  const std::size_t before = to.size();
  to.resize(before + prefix.size() + name.size() + value.size() + 4);
  char* at = to.data() + before;
  at = std::copy(prefix.begin(), prefix.end(), at);
  at = std::copy(name.begin(), name.end(), at);
  *at++ = ':';
  *at++ = ' ';
  at = std::copy(value.begin(), value.end(), at);
  *at++ = '\r';
  *at = '\n';
}

head_text head_text::of_answer(unsigned status) {
  if (status < 100 || status > 999) {
    status = 500;
  }
  head_text out;
  out.text_.reserve(512);
  out.text_ += "HTTP/1.1 ";
  out.text_ += std::to_string(status);
  out.text_ += ' ';
  out.text_ += reason_phrase(status);
  out.text_ += "\r\n";
  return out;
}

head_text head_text::of_request(std::string_view method, std::string_view target) {
  bool target_is_good = !target.empty();
  for (const char each : target) {
    const auto byte = static_cast<unsigned char>(each);
    target_is_good = target_is_good && byte > 0x20 && byte < 0x7F;
  }
  head_text out;
  out.text_.reserve(512);
  out.text_ += is_field_name(method) ? method : "POST";
  out.text_ += ' ';
  out.text_ += target_is_good ? target : "/";
  out.text_ += " HTTP/1.1\r\n";
  return out;
}

bool head_text::add(std::string_view name, std::string_view value) {
  if (!is_field_name(name) || !is_field_value(value)) {
    return false;
  }
  add_known(name, value);
  return true;
}

void head_text::add_known(std::string_view name, std::string_view value) {
  append_field_line(text_, {}, name, value);
}

void head_text::add_known(std::string_view name, std::uint64_t value) {
  add_known(name, std::string_view(std::to_string(value)));
}

std::string head_text::finish() && {
  text_ += "\r\n";
  return std::move(text_);
}

} // namespace vorrang::http
