#include "http/models_page.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace vorrang::http {

namespace {

using json = nlohmann::ordered_json;

std::string text_of(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool may_see(const config::client_key* key, std::string_view model) {
  return key == nullptr || key->may_use(model);
}

/// Names in the order of the configuration: groups, then visible aliases.
std::vector<std::string> names_for(const config::settings& all, const config::client_key* key) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& name) {
    if (may_see(key, name) && std::find(out.begin(), out.end(), name) == out.end()) {
      out.push_back(name);
    }
  };
  for (const auto& group : all.groups) {
    if (!group.retired) {
      add(group.name);
    }
  }
  for (const auto& alias : all.aliases) {
    if (!alias.hidden) {
      add(alias.name);
    }
  }
  return out;
}

std::string date_text(std::int64_t unix_s) {
  using namespace std::chrono;
  const auto at = sys_seconds(seconds(unix_s));
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  char out[40];
  std::snprintf(out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return out;
}

json entry(const std::string& name, models_form form, std::int64_t created_s) {
  json out;
  if (form == models_form::anthropic) {
    out["type"] = "model";
    out["id"] = name;
    out["display_name"] = name;
    out["created_at"] = date_text(created_s);
  } else {
    out["id"] = name;
    out["object"] = "model";
    out["created"] = created_s;
    out["owned_by"] = "vorrang";
  }
  return out;
}

template <class Value>
void put(json& object, const char* name, const std::optional<Value>& value) {
  if (value) {
    object[name] = *value;
  }
}

json info_of(const config::deployment& each) {
  auto info = json::parse(each.model_info, nullptr, false);
  if (!info.is_object()) {
    info = json::object();
  }
  info["id"] = each.id;
  if (!each.mode.empty()) {
    info["mode"] = each.mode;
  }
  return info;
}

/// What of a URL may be shown: not its query, which may hold a key.
std::string shown_url(const std::string& url) {
  return url.substr(0, url.find_first_of("?#"));
}

/// Calls `visit(name, what it means)` for groups, then visible aliases.
template <class Visit>
void each_name(const config::settings& all, const config::client_key* key, Visit&& visit) {
  for (const auto& name : names_for(all, key))
    if (const auto means = config::resolve(all, name))
      visit(name, *means);
}

json info_entry(const std::string& name, const config::deployment& each) {
  json params;
  params["model"] = each.model;
  if (!each.api_base.empty()) {
    params["api_base"] = shown_url(each.api_base);
  }
  if (!each.api_version.empty()) {
    params["api_version"] = each.api_version;
  }
  put(params, "rpm", each.rpm);
  put(params, "tpm", each.tpm);
  put(params, "max_parallel_requests", each.max_parallel_requests);
  put(params, "weight", each.weight);
  put(params, "order", each.order);
  if (!each.tags.empty()) {
    params["tags"] = each.tags;
  }
  json one;
  one["model_name"] = name;
  one["litellm_params"] = std::move(params);
  one["model_info"] = info_of(each);
  return one;
}

json group_entry(const std::string& name, const config::settings& all, const config::group& group) {
  std::vector<std::string> providers;
  std::string mode = "chat";
  std::optional<std::uint64_t> rpm = 0, tpm = 0;
  bool has_any = false;
  for (const auto index : group.deployments) {
    const auto& each = all.deployments[index];
    if (each.retired) {
      continue;
    }
    has_any = true;
    if (std::find(providers.begin(), providers.end(), each.provider) == providers.end()) {
      providers.push_back(each.provider);
    }
    mode = each.mode.empty() ? mode : each.mode;
    // A deployment without a limit leaves its group without one.
    rpm = rpm && each.rpm ? std::optional(*rpm + *each.rpm) : std::nullopt;
    tpm = tpm && each.tpm ? std::optional(*tpm + *each.tpm) : std::nullopt;
  }
  json one;
  one["model_group"] = name;
  one["providers"] = providers;
  one["mode"] = mode;
  one["tpm"] = tpm && has_any ? json(*tpm) : json(nullptr);
  one["rpm"] = rpm && has_any ? json(*rpm) : json(nullptr);
  return one;
}

} // namespace

std::string models_page(const config::settings& all, models_form form, std::int64_t created_s,
                        const config::client_key* key) {
  const auto names = names_for(all, key);
  json data = json::array();
  for (const auto& name : names) {
    data.push_back(entry(name, form, created_s));
  }
  json out;
  if (form == models_form::anthropic) {
    out["data"] = std::move(data);
    out["has_more"] = false;
    out["first_id"] = names.empty() ? json(nullptr) : json(names.front());
    out["last_id"] = names.empty() ? json(nullptr) : json(names.back());
  } else {
    out["object"] = "list";
    out["data"] = std::move(data);
  }
  return text_of(out);
}

std::optional<std::string> model_page(const config::settings& all, std::string_view id,
                                      models_form form, std::int64_t created_s,
                                      const config::client_key* key) {
  if (!may_see(key, id) || !config::resolve(all, id)) {
    return std::nullopt;
  }
  return text_of(entry(std::string(id), form, created_s));
}

std::string model_info_page(const config::settings& all, const config::client_key* key) {
  json data = json::array();
  each_name(all, key, [&](const std::string& name, const config::target& means) {
    for (const auto index : all.groups[means.group].deployments)
      if (!all.deployments[index].retired && (!means.deployment || *means.deployment == index))
        data.push_back(info_entry(name, all.deployments[index]));
  });
  return text_of(json{{"data", std::move(data)}});
}

std::string model_group_info_page(const config::settings& all, const config::client_key* key) {
  json data = json::array();
  each_name(all, key, [&](const std::string& name, const config::target& means) {
    data.push_back(group_entry(name, all, all.groups[means.group]));
  });
  return text_of(json{{"data", std::move(data)}});
}

std::string liveliness_page() {
  return "\"I'm alive!\"";
}

std::string readiness_page(bool ready, std::string_view reason, std::string_view version) {
  json out;
  out["status"] = ready ? "healthy" : "unhealthy";
  if (!reason.empty()) {
    out["reason"] = reason;
  }
  out["version"] = version;
  return text_of(out);
}

} // namespace vorrang::http
