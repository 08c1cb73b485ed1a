#include "config/settings_reference.hpp"

#include "config/providers.hpp"

#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

namespace vorrang::config {

namespace {

std::string shown(double value) {
  std::ostringstream out;
  out << std::setprecision(16) << value;
  return value >= limit_max ? "10^15" : out.str();
}

bool is_priority(const setting& row) {
  return row.least < 0;
}

std::string between(const setting& row) {
  if (row.most == 0) {
    return {};
  }
  if (row.above_least) {
    return ", above " + shown(row.least) + ", up to " + shown(row.most);
  }
  return ", " + shown(row.least) + " to " + shown(row.most);
}

std::string code(std::string_view text) {
  return "`" + std::string(text) + "`";
}

/// Words between blanks, as a list.
std::string words_of(std::string_view text) {
  std::istringstream words{std::string(text)};
  std::string out;
  for (std::string word; words >> word;) {
    out += (out.empty() ? "" : ", ") + code(word);
  }
  return out;
}

/// To the heading above the section's table.
std::string link(section inner) {
  const std::string name(name_of(inner));
  switch (inner) {
  case section::model:
    return "[model_list](#model_list)";
  case section::general_settings:
  case section::vorrang_settings:
    return "[" + name + "](#" + name + ")";
  default:
    return "[" + name + "](#keys-of-" + name + ")";
  }
}

/// What a setting takes, in words.
std::string takes(const setting& row) {
  switch (row.type) {
  case setting_type::text:
    return "text";
  case setting_type::secret:
    return "text, never shown";
  case setting_type::text_or_number:
    return "text or number";
  case setting_type::secret_or_number:
    return "text or number, never shown";
  case setting_type::word:
    return words_of(row.words);
  case setting_type::boolean:
    return "boolean";
  case setting_type::boolean_or_file:
    return "boolean or file";
  case setting_type::whole:
    return is_priority(row) ? "32-bit whole number" : "whole number" + between(row);
  case setting_type::number:
    return "number" + between(row) + (row.unit.empty() ? "" : ", in " + std::string(row.unit));
  case setting_type::seconds:
    return row.above_least ? "seconds, above 0" : "seconds";
  case setting_type::texts:
    return "list of texts, or one";
  case setting_type::numbers:
    return "list of whole numbers";
  case setting_type::values:
    return "mapping of names to values";
  case setting_type::anything:
    return "mapping";
  case setting_type::mapping:
    return "mapping, " + link(row.inner);
  case setting_type::mapping_list:
    return "list of mappings, " + link(row.inner);
  case setting_type::text_or_mapping_list:
    return "list of texts or mappings, " + link(row.inner);
  case setting_type::fallbacks:
    return "list of `{name: [name, …]}`";
  case setting_type::aliases:
    return "mapping of names to a name, or a mapping, " + link(row.inner);
  case setting_type::policies:
    return "mapping of groups to mappings, " + link(row.inner);
  case setting_type::addresses:
    return "list of `[host, port]`";
  }
  return {};
}

/// For a section's key in front of others' of the same name.
std::string_view title_of(section where) {
  return where == section::top ? "the file itself" : name_of(where);
}

} // namespace

std::string markdown_of(section where) {
  std::string out = "| key | takes | default | meaning |\n|---|---|---|---|\n";
  for (const auto& row : settings_of(where)) {
    if (row.state != setting_state::supported) {
      continue;
    }
    out += "| " + code(row.key) + " | " + takes(row) + " | " +
           (row.default_value.empty() ? std::string() : code(row.default_value)) + " | " +
           std::string(row.meaning) +
           (row.type == setting_type::whole && !row.unit.empty()
                ? " (in " + std::string(row.unit) + ")"
                : "") +
           " |\n";
  }
  return out;
}

std::string markdown_of_unsupported() {
  std::string out = "| where | keys | why, and what instead |\n|---|---|---|\n";
  for (const auto where : all_sections) {
    std::vector<std::pair<std::string_view, std::string>> by_reason;
    const auto note = [&](std::string_view why, const std::string& key) {
      const auto same = std::find_if(by_reason.begin(), by_reason.end(),
                                     [&](const auto& each) { return each.first == why; });
      if (same == by_reason.end()) {
        by_reason.emplace_back(why, key);
      } else {
        same->second += ", " + key;
      }
    };
    for (const auto& row : settings_of(where)) {
      if (row.state == setting_state::unsupported) {
        note(row.meaning, code(row.key));
      }
    }
    if (where == section::litellm_params) {
      for (const auto& each : unsupported_families()) {
        note(each.meaning, code((each.begins ? "" : "…") + std::string(each.part) + "…"));
      }
    }
    for (const auto& [why, keys] : by_reason) {
      out += "| " + std::string(title_of(where)) + " | " + keys + " | " + std::string(why) + " |\n";
    }
  }
  return out;
}

std::string markdown_of_providers() {
  std::string out =
      "| provider | `api_base` if none is given | variable for the key | variable for the base | "
      "speaks beyond chat, completions and embeddings |\n|---|---|---|---|---|\n";
  for (const auto name : provider_names()) {
    const auto& each = *find_provider(name);
    out += "| " + code(name) + " | " +
           (each.default_base.empty() ? std::string("(none)") : code(each.default_base)) + " | " +
           words_of(each.key_variables) + (each.needs_key ? "" : " (needs none)") + " | " +
           words_of(each.base_variables) + " | " + (each.speaks_messages ? "`/v1/messages`" : "") +
           (each.speaks_responses ? "`/v1/responses`" : "") + " |\n";
  }
  return out;
}

} // namespace vorrang::config
