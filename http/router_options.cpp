#include "http/router_options.hpp"

#include "config/reader.hpp"

#include <nlohmann/json.hpp>

namespace vorrang {

namespace {

using nlohmann::json;

constexpr const char* name_of_text = "router";

void set_text(json& into, const char* key, const std::string& value) {
  if (!value.empty())
    into[key] = value;
}

template <class Value>
void set_value(json& into, const char* key, const std::optional<Value>& value) {
  if (value)
    into[key] = *value;
}

/// Adds the members of an object given as text; those that are there already win.
void set_more(json& into, const std::string& more, const std::string& name,
              std::vector<std::string>& problems) {
  if (more.empty())
    return;
  const auto read = json::parse(more, nullptr, false);
  if (!read.is_object()) {
    problems.push_back(name + ": expected a JSON object");
    return;
  }
  for (const auto& [key, value] : read.items())
    if (!into.contains(key))
      into[key] = value;
}

json render(const model_entry& entry, std::size_t index, std::vector<std::string>& problems) {
  const std::string name = "model_list[" + std::to_string(index) + "]";
  const auto& from = entry.litellm_params;
  json params = json::object();
  set_text(params, "model", from.model);
  set_text(params, "api_key", from.api_key);
  set_text(params, "api_base", from.api_base);
  set_text(params, "api_version", from.api_version);
  set_value(params, "mock_response", from.mock_response);
  set_value(params, "rpm", from.rpm);
  set_value(params, "tpm", from.tpm);
  set_value(params, "max_parallel_requests", from.max_parallel_requests);
  set_value(params, "timeout", from.timeout);
  set_more(params, from.more_json, name + ".litellm_params.more_json", problems);
  json info = json::object();
  set_more(info, entry.model_info_json, name + ".model_info_json", problems);
  json made = {{"model_name", entry.model_name}, {"litellm_params", std::move(params)}};
  if (!info.empty())
    made["model_info"] = std::move(info);
  return made;
}

json render_router(const router_options& options, std::vector<std::string>& problems) {
  json made = json::object();
  set_value(made, "timeout", options.timeout);
  set_value(made, "routing_strategy", options.routing_strategy);
  set_value(made, "polling_interval", options.polling_interval);
  set_value(made, "num_retries", options.num_retries);
  set_value(made, "default_priority", options.default_priority);
  set_value(made, "redis_host", options.redis_host);
  set_value(made, "redis_port", options.redis_port);
  set_value(made, "redis_password", options.redis_password);
  set_value(made, "redis_url", options.redis_url);
  set_more(made, options.more_json, "more_json", problems);
  return made;
}

/// The arguments as a configuration's text. JSON is YAML too.
std::string render(const router_options& options, std::vector<std::string>& problems) {
  json models = json::array();
  for (std::size_t index = 0; index < options.model_list.size(); ++index)
    models.push_back(render(options.model_list[index], index, problems));
  json all = {{"model_list", std::move(models)}};
  if (auto router = render_router(options, problems); !router.empty())
    all["router_settings"] = std::move(router);
  // Text that is no UTF-8 becomes U+FFFD, which then fails by the rules of its key.
  return all.dump(1, ' ', false, json::error_handler_t::replace);
}

bool has_arguments(const router_options& options) {
  std::vector<std::string> unread;
  return !options.model_list.empty() || !options.more_json.empty() ||
         !render_router(options, unread).empty();
}

/// Without the place, where nobody wrote anything.
std::string sentence(const config::diagnostic& found, bool has_place) {
  if (has_place)
    return config::to_text(found);
  constexpr std::string_view section = "router_settings.";
  std::string path = found.path;
  if (path.rfind(section, 0) == 0)
    path.erase(0, section.size());
  return path.empty() ? found.message : path + ": " + found.message;
}

void read(const router_options& options, understood_options& result) {
  const auto variables = config::process_environment();
  const bool is_whole = !options.config_file.empty() || !options.config_text.empty();
  config::read_result found;
  if (!options.config_file.empty())
    found = config::read_file(options.config_file, variables);
  else if (!options.config_text.empty())
    found = config::read_text(options.config_text, name_of_text, variables);
  else
    found = config::read_text(render(options, result.problems), name_of_text, variables);
  for (const auto& each : found.diagnostics) {
    auto& list = each.level == config::severity::error ? result.problems : result.warnings;
    list.push_back(sentence(each, is_whole));
  }
  if (result.problems.empty())
    result.settings = std::make_shared<const config::settings>(std::move(found.settings));
}

} // namespace

understood_options understand(const router_options& options) {
  understood_options result;
  const int whole = int(!options.config_file.empty()) + int(!options.config_text.empty()) +
                    int(options.settings != nullptr);
  if (whole > 1 || (whole == 1 && has_arguments(options))) {
    result.problems.emplace_back("expected either arguments (`model_list` …) or one of "
                                 "`config_file`, `config_text` and `settings`, found more");
    return result;
  }
  if (options.settings)
    result.settings = options.settings;
  else
    read(options, result);
  return result;
}

} // namespace vorrang
