// Fields of answers that may lack them, or hold something else: these never throw.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace vorrang::terminal {

using json = nlohmann::ordered_json;

/// The field, or null.
inline const json& part_of(const json& from, const char* name) {
  static const json none;
  if (!from.is_object())
    return none;
  const auto found = from.find(name);
  return found == from.end() ? none : *found;
}

/// A text, or an empty one. Not printable().
inline std::string text_of(const json& from, const char* name) {
  const auto& found = part_of(from, name);
  return found.is_string() ? found.get<std::string>() : std::string();
}

/// A whole number, if it is one.
inline std::optional<std::int64_t> number_of(const json& from, const char* name) {
  const auto& found = part_of(from, name);
  return found.is_number_integer() ? std::optional(found.get<std::int64_t>()) : std::nullopt;
}

inline bool flag_of(const json& from, const char* name) {
  const auto& found = part_of(from, name);
  return found.is_boolean() && found.get<bool>();
}

/// The entries of a list; none if it is no list.
inline const json& list_of(const json& from, const char* name) {
  static const json none = json::array();
  const auto& found = part_of(from, name);
  return found.is_array() ? found : none;
}

} // namespace vorrang::terminal
