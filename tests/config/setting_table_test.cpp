// The table of settings says what the reader does: every row is tried on the reader itself.
#include "config/setting_table.hpp"

#include "config/fields.hpp"
#include "config/printer.hpp"
#include "read.hpp"

#include <catch.hpp>

#include <algorithm>
#include <cstdint>
#include <set>
#include <sstream>
#include <stdexcept>

using namespace vorrang::config;
using namespace vorrang::config::test;

namespace {

std::vector<setting> supported() {
  std::vector<setting> out;
  for (const auto where : all_sections) {
    for (const auto& row : settings_of(where)) {
      if (row.state == setting_state::supported)
        out.push_back(row);
    }
  }
  return out;
}

/// What stands before a key of the section in messages.
std::string path_to(section where) {
  switch (where) {
  case section::top:
    return {};
  case section::model:
    return "model_list[0].";
  case section::litellm_params:
  case section::model_info:
    return "model_list[0]." + std::string(name_of(where)) + ".";
  case section::key:
    return "vorrang_settings.keys[0].";
  case section::alias:
    return "router_settings.model_group_alias.other.";
  case section::retry_policy:
  case section::allowed_fails_policy:
    return "router_settings." + std::string(name_of(where)) + ".";
  default:
    return std::string(name_of(where)) + ".";
  }
}

/// One mock, and beside the setting what it needs to have an effect. Of a key that is there twice
/// the last counts.
std::string document(const setting& row, const std::string& value) {
  const auto line = std::string(row.key) + ": " + value + "\n";
  const auto only = [&](section where, const std::string& text) {
    return row.where == where ? text : std::string();
  };
  std::string out = "model_list:\n"
                    "  - model_name: fake\n" +
                    only(section::model_info, "    model_info:\n      " + line) +
                    "    litellm_params:\n"
                    "      model: openai/fake\n"
                    "      mock_response: hello\n" +
                    only(section::litellm_params, "      " + line) +
                    only(section::model, "    " + line);
  switch (row.where) {
  case section::top:
    return out + line;
  case section::key:
    return out + "vorrang_settings:\n  keys:\n    - key: sk-one\n      " + line;
  case section::alias:
    return out + "router_settings:\n  model_group_alias:\n    other:\n      model: fake\n      " +
           line;
  case section::retry_policy:
  case section::allowed_fails_policy:
    return out + "router_settings:\n  " + std::string(name_of(row.where)) + ":\n    " + line;
  case section::litellm_settings:
  case section::general_settings:
  case section::vorrang_settings:
    return out + std::string(name_of(row.where)) + ":\n  " + line;
  case section::router_settings:
    return out + "router_settings:\n" +
           (row.key.substr(0, 6) == "redis_" ? "  redis_host: here\n" : "") + "  " + line;
  default:
    return out;
  }
}

bool has_error_at(const read_result& result, const std::string& path) {
  return std::any_of(result.diagnostics.begin(), result.diagnostics.end(), [&](const auto& each) {
    return each.level == severity::error && each.path == path;
  });
}

/// All that the settings say which have a default.
std::string fingerprint(const settings& all) {
  std::ostringstream out;
  print_settings(out, all);
  const auto& gateway = all.gateway;
  out << all.log_level << all.json_logs << gateway.strict << gateway.redis_namespace
      << static_cast<int>(gateway.redis_unavailable) << gateway.forward_client_headers_to_llm_api
      << gateway.always_include_stream_usage
      << gateway.dangerously_allow_mock_testing_request_params;
  for (const auto each : gateway.metrics_priority_classes)
    out << "," << each;
  for (const auto& each : all.deployments)
    out << each.ssl_verify << each.drop_params;
  return out.str();
}

std::string whole(double value) {
  return std::to_string(static_cast<std::int64_t>(value));
}

bool is_number(const setting& row) {
  return row.type == setting_type::whole || row.type == setting_type::number ||
         row.type == setting_type::seconds;
}

/// Some other value that is good too.
std::string other_than_default(const setting& row) {
  if (row.type == setting_type::boolean || row.type == setting_type::boolean_or_file)
    return row.default_value == "true" ? "false" : "true";
  if (row.type == setting_type::numbers)
    return "[1]";
  if (row.type == setting_type::word)
    return row.key == "redis_unavailable" ? "hold" : "least-busy";
  if (is_number(row)) {
    const auto value = std::stod(std::string(row.default_value));
    return whole(value >= 1 ? value - 1 : value + 1);
  }
  return row.key == "admin_host" ? "127.0.0.2" : "else"; // elsewhere it wants the master key
}

} // namespace

TEST_CASE("each setting is there once, and its row is whole") {
  std::set<std::pair<section, std::string_view>> seen;
  for (const auto where : all_sections) {
    for (const auto& row : settings_of(where)) {
      INFO(name_of(where) << "." << row.key);
      CHECK(row.where == where);
      CHECK(seen.emplace(where, row.key).second);
      CHECK_FALSE(row.meaning.empty());
      CHECK((row.meaning.empty() || row.meaning.back() != '.'));
      CHECK(row.meaning.find_first_of("|\n") == std::string_view::npos);
      CHECK((row.type == setting_type::word) == !row.words.empty());
      if (row.state == setting_state::supported && is_number(row))
        CHECK(row.most > row.least);
      CHECK(find_setting(where, row.key) != nullptr);
      CHECK(why_unsupported(where, row.key).has_value() ==
            (row.state == setting_state::unsupported));
    }
  }
  CHECK(seen.size() > 300);
}

TEST_CASE("a key that is not in the table cannot be read") {
  diagnostics found;
  fields from(nullptr, section::router_settings, "router_settings", found);
  CHECK(from.is_known("redis_host"));
  CHECK_FALSE(from.text("redis_host"));
  CHECK_THROWS_AS(from.text("redis_hots"), std::logic_error);
  CHECK_THROWS_AS(from.boolean("max_queue_size"), std::logic_error); // of another section
  CHECK_THROWS_AS(from.boolean("cache_responses"), std::logic_error);
  fields free(nullptr, section::environment_variables, "environment_variables", found);
  CHECK_FALSE(free.text("ANYTHING"));
}

TEST_CASE("each setting of the table is read, and refuses what is not of its type") {
  for (const auto& row : supported()) {
    const bool is_scalar =
        is_number(row) || row.type == setting_type::text ||
        row.type == setting_type::text_or_number || row.type == setting_type::secret ||
        row.type == setting_type::secret_or_number || row.type == setting_type::word ||
        row.type == setting_type::boolean || row.type == setting_type::boolean_or_file ||
        row.type == setting_type::texts;
    const auto text = document(row, is_scalar ? "{a: [b]}" : "7");
    const auto result = read(text);
    INFO(text << join(errors(result)));
    CHECK(has_error_at(result, path_to(row.where) + std::string(row.key)));
  }
}

TEST_CASE("texts refuse numbers, unless the table says that they take them") {
  for (const auto& row : supported()) {
    const bool refuses = row.type == setting_type::text || row.type == setting_type::secret;
    const bool takes =
        row.type == setting_type::text_or_number || row.type == setting_type::secret_or_number;
    if (!refuses && !takes)
      continue;
    const auto text = document(row, "12");
    const auto result = read(text);
    INFO(text << join(errors(result)));
    CHECK(has_error_at(result, path_to(row.where) + std::string(row.key)) == refuses);
  }
}

TEST_CASE("each setting keeps the bounds of the table") {
  for (const auto& row : supported()) {
    if (!is_number(row))
      continue;
    const auto path = path_to(row.where) + std::string(row.key);
    const auto is_refused = [&](const std::string& value) {
      return has_error_at(read(document(row, value)), path);
    };
    INFO(path);
    CHECK_FALSE(is_refused(whole(row.most)));
    CHECK(is_refused(whole(row.most + 1)));
    CHECK(is_refused(whole(row.least)) == row.above_least);
    CHECK(is_refused(whole(row.least - 1)));
    CHECK(is_refused(row.type == setting_type::whole ? "1.5" : "many"));
  }
}

TEST_CASE("each word of the table is accepted, and no other") {
  for (const auto& row : supported()) {
    if (row.type != setting_type::word)
      continue;
    const auto path = path_to(row.where) + std::string(row.key);
    INFO(path);
    std::istringstream words{std::string(row.words)};
    for (std::string word; words >> word;)
      CHECK_FALSE(has_error_at(read(document(row, word)), path));
    CHECK(has_error_at(read(document(row, "nonsense")), path));
  }
}

TEST_CASE("each default of the table is what the reader does without the setting") {
  std::size_t tried = 0;
  for (const auto& row : supported()) {
    if (row.default_value.empty())
      continue;
    const auto without = read(document(row, "null"));
    const auto with = read(document(row, std::string(row.default_value)));
    const auto changed = read(document(row, other_than_default(row)));
    INFO(path_to(row.where) << row.key << "\n" << join(errors(with)) << join(errors(changed)));
    CHECK_FALSE(without.has_errors());
    CHECK_FALSE(with.has_errors());
    CHECK_FALSE(changed.has_errors());
    CHECK(fingerprint(with.settings) == fingerprint(without.settings));
    // Else the line above would say nothing.
    CHECK(fingerprint(changed.settings) != fingerprint(without.settings));
    ++tried;
  }
  CHECK(tried > 30);
}

TEST_CASE("each unsupported key is a warning that says why") {
  for (const auto where : all_sections) {
    for (const auto& row : settings_of(where)) {
      if (row.state != setting_state::unsupported)
        continue;
      const auto result = read(document(row, "1"));
      INFO(path_to(where) << row.key << "\n" << join(warnings(result)) << join(errors(result)));
      CHECK_FALSE(result.has_errors());
      const auto found = warnings(result);
      CHECK(std::any_of(found.begin(), found.end(), [&](const std::string& line) {
        return line.find(": " + path_to(where) + std::string(row.key) + ": LiteLLM's") !=
                   std::string::npos &&
               line.find(std::string("; ") + std::string(row.meaning)) != std::string::npos;
      }));
    }
  }
  for (const auto& each : unsupported_families()) {
    const auto key = (each.begins ? "" : "x") + std::string(each.part) + "y";
    CHECK(why_unsupported(section::litellm_params, key) == each.meaning);
    CHECK_FALSE(why_unsupported(section::router_settings, key));
  }
}
