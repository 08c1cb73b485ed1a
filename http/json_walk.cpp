#include "http/json_walk.hpp"

#include <algorithm>

namespace vorrang::http {

namespace {

/// Looks for quotes alone, which is memchr's speed: a string may be an image of many megabytes.
std::size_t after_string(std::string_view json, std::size_t at) noexcept {
  const auto begin = at + 1;
  for (auto from = begin;;) {
    const auto quote = json.find('"', from);
    if (quote == json.npos) {
      return json.size();
    }
    auto slash = quote;
    while (slash > begin && json[slash - 1] == '\\') {
      --slash;
    }
    if ((quote - slash) % 2 == 0) {
      return quote + 1;
    }
    from = quote + 1;
  }
}

} // namespace

std::size_t after_blanks(std::string_view json, std::size_t at) noexcept {
  while (at < json.size() &&
         (json[at] == ' ' || json[at] == '\n' || json[at] == '\r' || json[at] == '\t')) {
    ++at;
  }
  return at;
}

std::size_t after_value(std::string_view json, std::size_t at) noexcept {
  if (at >= json.size()) {
    return json.size();
  }
  if (json[at] == '"') {
    return after_string(json, at);
  }
  if (json[at] != '{' && json[at] != '[') {
    return std::min(json.find_first_of(",}] \n\r\t", at), json.size());
  }
  std::size_t depth = 0;
  while (at < json.size()) {
    const char byte = json[at];
    if (byte == '"') {
      at = after_string(json, at);
      continue;
    }
    ++at;
    if (byte == '{' || byte == '[') {
      ++depth;
    } else if ((byte == '}' || byte == ']') && --depth == 0) {
      break;
    }
  }
  return at;
}

json_kind kind_of(std::string_view value) noexcept {
  switch (value.empty() ? 'n' : value[0]) {
  case '{':
    return json_kind::object;
  case '[':
    return json_kind::array;
  case '"':
    return json_kind::string;
  case 't':
  case 'f':
    return json_kind::boolean;
  case 'n':
    return json_kind::null;
  default:
    return json_kind::number;
  }
}

} // namespace vorrang::http
