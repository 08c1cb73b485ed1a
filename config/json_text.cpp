#include "config/json_text.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace vorrang::config {

namespace {

std::string quote(std::string_view text) {
  // A variable's value may be no UTF-8: such bytes are replaced instead of throwing.
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string number(const node& value) {
  if (const auto whole = parse_integer(value.text)) {
    return std::to_string(*whole);
  }
  auto real = parse_real(value.text);
  if (!real && value.type == node_type::integer) {
    real = std::strtod(value.text.c_str(), nullptr);
  }
  return real && std::isfinite(*real) ? nlohmann::json(*real).dump() : "null";
}

} // namespace

std::string to_json_text(const node& value) {
  switch (value.type) {
  case node_type::null:
    return "null";
  case node_type::boolean:
    return parse_boolean(value.text).value_or(false) ? "true" : "false";
  case node_type::integer:
  case node_type::real:
    return number(value);
  case node_type::text:
    return quote(value.text);
  case node_type::sequence: {
    std::string out;
    for (const auto& each : value.items) {
      out += (out.empty() ? "" : ",") + to_json_text(*each);
    }
    return "[" + out + "]";
  }
  case node_type::mapping: {
    json_object out;
    for (const auto& each : value.entries) {
      out.add(each.key, *each.value);
    }
    return out.text();
  }
  }
  return "null";
}

void json_object::add(std::string_view key, const node& value) {
  if (!text_.empty()) {
    text_ += ',';
  }
  text_ += quote(key) + ":" + to_json_text(value);
}

} // namespace vorrang::config
