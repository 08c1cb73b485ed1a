// The JSON schema for editors.
#include "config/settings_reference.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>

namespace vorrang::config {

namespace {

using json = nlohmann::ordered_json;

constexpr const char* from_variable = "os\\.environ/.+";

/// JSON's `type`; null counts as absent everywhere.
json types(std::initializer_list<const char*> names) {
  json out = json::array();
  for (const auto* each : names) {
    out.push_back(each);
  }
  out.push_back("null");
  return {{"type", std::move(out)}};
}

json text() {
  return types({"string"});
}

json value() {
  return types({"string", "number", "boolean"});
}

json texts() {
  return {{"anyOf", {text(), {{"type", "array"}, {"items", text()}}}}};
}

/// Editors read YAML 1.2, where `yes` and `1_000` are texts.
json boolean() {
  auto out = types({"boolean", "string"});
  out["pattern"] = std::string("^(") + from_variable +
                   "|[Yy]es|YES|[Nn]o|NO|[Tt]rue|TRUE|[Ff]alse|FALSE|[Oo]n|ON|[Oo]ff|OFF)$";
  return out;
}

json number(const setting& row, const char* type) {
  auto out = types({type, "string"});
  out["pattern"] = std::string("^(") + from_variable + "|\\s*[-+0-9.][-+0-9._:xXa-fA-F]*\\s*)$";
  const auto bound = [](double at) {
    return at == static_cast<double>(static_cast<std::int64_t>(at))
               ? json(static_cast<std::int64_t>(at))
               : json(at);
  };
  out[row.above_least ? "exclusiveMinimum" : "minimum"] = bound(row.least);
  out["maximum"] = bound(row.most);
  return out;
}

json reference(section where) {
  return {{"$ref", "#/definitions/" + std::string(name_of(where))}};
}

json mapping_or_null(json inner) {
  return {{"anyOf", {std::move(inner), {{"type", "null"}}}}};
}

json list_of(json items) {
  auto out = types({"array"});
  out["items"] = std::move(items);
  return out;
}

json mapping_of(json values) {
  auto out = types({"object"});
  out["additionalProperties"] = std::move(values);
  return out;
}

json words(const setting& row) {
  auto out = text();
  std::string pattern = std::string("^(") + from_variable;
  std::string_view rest = row.words;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(' '), rest.size());
    pattern += "|" + std::string(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  out["pattern"] = pattern + ")$";
  return out;
}

json address() {
  return {{"type", "array"}, {"items", value()}, {"minItems", 2}, {"maxItems", 2}};
}

json shape(const setting& row) {
  switch (row.type) {
  case setting_type::text:
  case setting_type::secret:
    return text();
  case setting_type::text_or_number:
  case setting_type::secret_or_number:
    return value();
  case setting_type::word:
    return words(row);
  case setting_type::boolean:
    return boolean();
  case setting_type::boolean_or_file:
    return types({"boolean", "string"});
  case setting_type::whole:
    return number(row, "integer");
  case setting_type::number:
  case setting_type::seconds:
    return number(row, "number");
  case setting_type::texts:
    return texts();
  case setting_type::numbers:
    return list_of(types({"integer", "string"}));
  case setting_type::values:
    return mapping_of(value());
  case setting_type::anything:
    return types({"object"});
  case setting_type::mapping:
    return mapping_or_null(reference(row.inner));
  case setting_type::mapping_list:
    return list_of(reference(row.inner));
  case setting_type::text_or_mapping_list:
    return list_of({{"anyOf", {text(), reference(row.inner)}}});
  case setting_type::fallbacks:
    return list_of({{"type", "object"}, {"additionalProperties", texts()}});
  case setting_type::aliases:
    return mapping_of({{"anyOf", {text(), reference(row.inner)}}});
  case setting_type::policies:
    return mapping_of(reference(row.inner));
  case setting_type::addresses:
    return list_of(address());
  }
  return json::object();
}

/// A default as JSON: a number, a boolean or a list where it reads as one.
json default_of(const setting& row) {
  const auto parsed = json::parse(row.default_value, nullptr, false);
  return parsed.is_discarded() || row.type == setting_type::text
             ? json(std::string(row.default_value))
             : parsed;
}

/// Links are for the page.
std::string without_links(std::string_view markdown) {
  std::string out;
  while (!markdown.empty()) {
    const auto open = markdown.find('[');
    const auto middle = markdown.find("](", open);
    const auto close = markdown.find(')', middle);
    if (open == std::string_view::npos || middle == std::string_view::npos ||
        close == std::string_view::npos) {
      break;
    }
    out += markdown.substr(0, open);
    out += markdown.substr(open + 1, middle - open - 1);
    markdown.remove_prefix(close + 1);
  }
  out += markdown;
  return out;
}

std::string description_of(const setting& row) {
  auto out = without_links(row.meaning);
  if (!row.unit.empty()) {
    out += " (" + std::string(row.unit) + ")";
  }
  return out + (row.is_litellms ? "" : " [Vorrang's own]");
}

/// Where LiteLLM has no keys, one that is not there is a slip.
bool is_closed(section where) {
  return where == section::vorrang_settings || where == section::key || where == section::alias ||
         where == section::retry_policy || where == section::allowed_fails_policy;
}

std::vector<const char*> required_in(section where) {
  switch (where) {
  case section::model:
    return {"model_name", "litellm_params"};
  case section::litellm_params:
  case section::alias:
    return {"model"};
  case section::key:
    return {"key"};
  default:
    return {};
  }
}

json mapping_schema(section where) {
  json out = {{"type", "object"}};
  auto& properties = out["properties"] = json::object();
  for (const auto& row : settings_of(where)) {
    auto& made = properties[std::string(row.key)];
    if (row.state == setting_state::unsupported) {
      const auto why = "Not supported by Vorrang, no effect: " + without_links(row.meaning);
      made = {{"description", why}, {"deprecationMessage", why}};
      continue;
    }
    made = shape(row);
    made["description"] = description_of(row);
    if (!row.default_value.empty()) {
      made["default"] = default_of(row);
    }
  }
  if (const auto required = required_in(where); !required.empty()) {
    out["required"] = required;
  }
  out["additionalProperties"] = !is_closed(where);
  return out;
}

} // namespace

std::string json_schema() {
  json out = {{"$schema", "http://json-schema.org/draft-07/schema#"},
              {"title", "Vorrang's configuration"},
              {"description", "LiteLLM's config.yaml as Vorrang reads it. Made by "
                              "vorrang_settings_reference; do not edit."}};
  out.update(mapping_schema(section::top));
  auto& definitions = out["definitions"] = json::object();
  for (const auto where : all_sections) {
    if (where != section::top && where != section::environment_variables) {
      definitions[std::string(name_of(where))] = mapping_schema(where);
    }
  }
  return out.dump(2) + "\n";
}

} // namespace vorrang::config
