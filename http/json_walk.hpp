// Walks over JSON that is known to be valid. Copies nothing.
#pragma once

#include "http/body_scanner.hpp"

#include <cstddef>
#include <string_view>

namespace vorrang::http {

/// Position after the blanks from `at` on.
std::size_t after_blanks(std::string_view json, std::size_t at) noexcept;
/// Position after the value that begins at `at`.
std::size_t after_value(std::string_view json, std::size_t at) noexcept;
/// What a value is, by its first byte.
json_kind kind_of(std::string_view value) noexcept;

/// Calls `visit(key with its quotes, value)` for each member of an object.
template <class Visit>
void each_member(std::string_view object, Visit&& visit) {
  std::size_t at = after_blanks(object, 1);
  while (at < object.size() && object[at] == '"') {
    const auto key_end = after_value(object, at);
    const auto begin = after_blanks(object, after_blanks(object, key_end) + 1);
    const auto end = after_value(object, begin);
    visit(object.substr(at, key_end - at), object.substr(begin, end - begin));
    at = after_blanks(object, end);
    if (at < object.size() && object[at] == ',') {
      at = after_blanks(object, at + 1);
    }
  }
}

/// Calls `visit(element)` for each element of an array.
template <class Visit>
void each_element(std::string_view array, Visit&& visit) {
  std::size_t at = after_blanks(array, 1);
  while (at < array.size() && array[at] != ']') {
    const auto end = after_value(array, at);
    visit(array.substr(at, end - at));
    at = after_blanks(array, end);
    if (at < array.size() && array[at] == ',') {
      at = after_blanks(array, at + 1);
    }
  }
}

} // namespace vorrang::http
