// How tickets, times and numbers are written in the script's JSON.
#pragma once

#include "actors/types.hpp"

#include <nlohmann/json.hpp>

#include <charconv>

namespace vorrang::line_json {

inline std::int64_t micros(duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

inline std::string hex(std::uint64_t number) {
  char text[16];
  const auto end = std::to_chars(text, text + sizeof text, number, 16).ptr;
  return {text, end};
}

/// The ticket that `what` names. Throws what nlohmann::json throws where there is none.
inline ticket_id ticket_in(const nlohmann::json& what) {
  const auto& text = what.at("ticket").get_ref<const std::string&>();
  ticket_id result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result, 16);
  return result;
}

/// A number, which may be written as a text; 0 where there is none. Throws std::invalid_argument or
/// std::out_of_range for a text that is no number.
inline std::int64_t number_in(const nlohmann::json& what, const char* name) {
  const auto found = what.find(name);
  if (found == what.end() || found->is_null())
    return 0;
  return found->is_string() ? std::stoll(found->get<std::string>()) : found->get<std::int64_t>();
}

} // namespace vorrang::line_json
