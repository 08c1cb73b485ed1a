// `router_settings`, and what `litellm_settings` holds of it; the former wins.
#include "config/reading.hpp"

#include "config/redis_url.hpp"

#include <algorithm>
#include <array>

namespace vorrang::config {

namespace {

constexpr const char* strategies =
    "`simple-shuffle`, `usage-based-routing-v2`, `least-busy` or `latency-based-routing`";

void read_strategy(fields& from, router_settings& into) {
  const auto name = from.text("routing_strategy");
  if (!name) {
    return;
  }
  if (*name == "usage-based-routing") {
    from.warning("routing_strategy", "`usage-based-routing` means `usage-based-routing-v2` here");
    into.routing_strategy = routing_strategy::usage_based_v2;
    return;
  }
  if (*name == "cost-based-routing") {
    from.warning("routing_strategy", "`cost-based-routing` means `simple-shuffle` here: Vorrang "
                                     "knows no prices");
    into.routing_strategy = routing_strategy::simple_shuffle;
    return;
  }
  for (const auto each : {routing_strategy::simple_shuffle, routing_strategy::usage_based_v2,
                          routing_strategy::least_busy, routing_strategy::latency_based}) {
    if (*name == to_string(each)) {
      into.routing_strategy = each;
      return;
    }
  }
  from.error("routing_strategy",
             std::string("expected ") + strategies + ", found \"" + excerpt(*name) + "\"");
}

/// `[[host, port], …]`, as LiteLLM has it.
void read_sentinels(fields& from, diagnostics& out, redis_settings& made) {
  const auto service = from.text("service_name");
  auto password = from.secret_text("sentinel_password", true);
  const auto* list = from.sequence("sentinel_nodes");
  if (list == nullptr) {
    if (service || password) {
      from.warning(service ? "service_name" : "sentinel_password",
                   "has no effect without `sentinel_nodes`");
    }
    return;
  }
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const auto& item = *list->items[i];
    const auto path = from.path_to("sentinel_nodes") + "[" + std::to_string(i) + "]";
    const auto port = item.type == node_type::sequence && item.items.size() == 2
                          ? parse_port(item.items[1]->text)
                          : std::nullopt;
    if (!port || item.items[0]->text.empty()) {
      out.error(item.at, path, "expected a host and a port, such as `[\"host\", 26379]`");
      continue;
    }
    made.sentinels.emplace_back(item.items[0]->text, *port);
  }
  if (!service || service->empty()) {
    from.error("sentinel_nodes", "expected `service_name` beside it: the name of the master");
  } else {
    made.service = *service;
  }
  if (password) {
    made.sentinel_password = std::move(*password);
  }
}

void read_redis(fields& from, reading& to) {
  redis_settings made;
  read_sentinels(from, to.found, made);
  auto host = from.text("redis_host");
  const auto port = from.whole("redis_port", 1, 65535);
  auto password = from.secret_text("redis_password", true);
  auto user = from.text("redis_username");
  const auto database = from.whole("redis_db", 0, 1'000'000);
  const auto tls = from.boolean("redis_ssl");
  const auto url = from.secret_text("redis_url");
  // Empty is no null: somebody meant to share the queue.
  if ((host && host->empty()) || (url && url->empty())) {
    from.error(host && host->empty() ? "redis_host" : "redis_url",
               "expected a value, found an empty text");
    return;
  }
  if (!made.sentinels.empty()) {
    for (const char* key : {"redis_host", "redis_url", "redis_port"}) {
      if (from.take(key) != nullptr) {
        from.warning(key, "has no effect, since `sentinel_nodes` is set");
      }
    }
  } else if (url) {
    if (const auto problem = parse_redis_url(url->reveal(), made)) {
      from.error("redis_url", *problem);
      return;
    }
    if (host) {
      from.warning("redis_host", "has no effect, since `redis_url` is set");
    }
  } else if (host) {
    const bool is_ipv6 = host->find(':') != host->rfind(':');
    if (host->find("://") != std::string::npos) {
      from.error("redis_host", "expected a host, found a URL: that is `redis_url`");
      return;
    }
    if (host->find('@') != std::string::npos) { // before it may stand a password
      from.error("redis_host", "expected a host alone, found an `@`; user and password stand under "
                               "`redis_username` and `redis_password`");
      return;
    }
    if (!is_ipv6 && host->find_first_of(": /") != std::string::npos) {
      from.error("redis_host", "expected a host alone, found \"" + excerpt(*host) +
                                   "\"; the port stands under `redis_port`");
      return;
    }
    made.host = std::move(*host);
  } else {
    for (const char* key :
         {"redis_port", "redis_password", "redis_db", "redis_username", "redis_ssl"}) {
      if (from.take(key) != nullptr && !from.names_unset_variable("redis_host") &&
          !from.names_unset_variable("redis_url")) {
        from.warning(key, "has no effect without `redis_host` or `redis_url`");
      }
    }
    return;
  }
  // What stands apart fills what the URL does not say.
  if (port && !url) {
    made.port = static_cast<std::uint16_t>(*port);
  }
  if (password && made.password.empty()) {
    made.password = std::move(*password);
  }
  if (user && made.username.empty()) {
    made.username = std::move(*user);
  }
  if (database && (!url || made.database == 0)) {
    made.database = static_cast<std::uint32_t>(*database);
  }
  made.tls = made.tls || tls.value_or(false);
  to.all.router.redis = std::move(made);
}

/// `[{a: [b, c]}, {"*": d}]`, the later rule for one name wins.
std::optional<std::vector<fallback_rule>> read_rules(fields& from, std::string_view key,
                                                     diagnostics& out) {
  const auto* list = from.sequence(key);
  if (list == nullptr) {
    return std::nullopt;
  }
  std::vector<fallback_rule> rules;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const auto& item = *list->items[i];
    const auto path = from.path_to(key) + "[" + std::to_string(i) + "]";
    if (item.type != node_type::mapping) {
      out.error(item.at, path,
                "expected a mapping such as `{model: [other, …]}`, found " + describe(item));
      continue;
    }
    for (const auto& each : item.entries) {
      const auto each_path = path + "." + each.key;
      if (auto names = read_texts(*each.value, each.at, each_path, out)) {
        rules.push_back({each.key, std::move(*names), each.at, each_path});
      }
    }
  }
  return rules;
}

/// The value under `key`, where router_settings wins over litellm_settings. Both are checked.
template <typename Read>
auto from_either(fields& router, fields& lite, std::string_view key, Read read) {
  auto first = read(router, key);
  auto second = read(lite, key);
  return first ? first : second;
}

void read_fallbacks(fields& router, fields& lite, reading& to) {
  const auto rules = [&](fields& from, std::string_view key) {
    return read_rules(from, key, to.found);
  };
  const auto take = [&](std::string_view key) {
    return from_either(router, lite, key, rules).value_or(std::vector<fallback_rule>());
  };
  to.fallbacks = take("fallbacks");
  to.context_window_fallbacks = take("context_window_fallbacks");
  to.content_policy_fallbacks = take("content_policy_fallbacks");
  for (auto* from : {&lite, &router}) {
    if (auto names = from->texts("default_fallbacks")) {
      to.default_fallbacks =
          fallback_rule{"*", std::move(*names), from->place_of("default_fallbacks"),
                        from->path_to("default_fallbacks")};
    }
  }
  if (const auto most = router.count("max_fallbacks")) {
    if (*most > fallbacks_max) {
      router.warning("max_fallbacks", "at most 5 groups are visited, the first one included");
    }
    to.max_fallbacks = std::min(*most, fallbacks_max);
  }
  to.all.router.max_fallbacks = to.max_fallbacks;
}

void read_policies(fields& router, fields& lite, reading& to) {
  const auto policy = [&](std::string_view key, const char* suffix) {
    std::optional<failure_policy> result;
    for (auto* from : {&lite, &router}) {
      if (const auto* map = from->mapping(key)) {
        result = read_failure_policy(map, from->path_to(key), suffix, to.found);
      }
    }
    return result;
  };
  to.all.router.retry_policy = policy("retry_policy", "Retries");
  to.all.router.allowed_fails_policy = policy("allowed_fails_policy", "AllowedFails");
  to.group_retry_policy_path = router.path_to("model_group_retry_policy");
  if (const auto* map = router.mapping("model_group_retry_policy")) {
    for (const auto& each : map->entries) {
      const auto path = to.group_retry_policy_path + "." + each.key;
      if (each.value->type != node_type::mapping) {
        to.found.error(each.at, path,
                       "expected a mapping such as `RateLimitErrorRetries: 3`, found " +
                           describe(*each.value));
        continue;
      }
      to.group_retry_policies.emplace_back(
          each, read_failure_policy(each.value.get(), path, "Retries", to.found));
    }
  }
}

void read_times(fields& router, fields& lite, reading& to) {
  auto& into = to.all.router;
  const auto seconds = [](fields& from, std::string_view key) {
    return from.seconds(key, false);
  };
  const auto seconds_or_0 = [](fields& from, std::string_view key) {
    return from.seconds(key, true);
  };
  const auto request_timeout = from_either(router, lite, "request_timeout", seconds);
  if (const auto timeout = router.seconds("timeout", false)) {
    into.timeout = *timeout;
    into.attempt_timeout = request_timeout;
  } else {
    into.timeout = request_timeout.value_or(into.timeout);
  }
  into.stream_timeout = from_either(router, lite, "stream_timeout", seconds);
  into.retry_after = router.seconds("retry_after", true).value_or(into.retry_after);
  into.cooldown_time =
      from_either(router, lite, "cooldown_time", seconds_or_0).value_or(into.cooldown_time);
  if (const auto interval = router.seconds("polling_interval", true)) {
    // LiteLLM takes 0 for its default.
    if (interval->count() == 0) {
      router.warning("polling_interval", "0 means the default, 0.03 s");
    } else {
      into.polling_interval = *interval;
    }
  }
}

} // namespace

failure_policy read_failure_policy(const node* map, const std::string& path,
                                   const std::string& suffix, diagnostics& out) {
  const std::array<std::string, 7> names = {"BadRequestError" + suffix,
                                            "AuthenticationError" + suffix,
                                            "TimeoutError" + suffix,
                                            "RateLimitError" + suffix,
                                            "ContentPolicyViolationError" + suffix,
                                            "InternalServerError" + suffix,
                                            "ServiceUnavailableError" + suffix};
  fields from(map, suffix == "Retries" ? section::retry_policy : section::allowed_fails_policy,
              path, out);
  failure_policy made;
  made.bad_request = from.count(names[0]);
  made.authentication = from.count(names[1]);
  made.timeout = from.count(names[2]);
  made.rate_limit = from.count(names[3]);
  made.content_policy = from.count(names[4]);
  made.internal_server_error = from.count(names[5]);
  made.service_unavailable = from.count(names[6]);
  from.finish();
  if (suffix == "AllowedFails") {
    // The request's failures, never a deployment's.
    const auto no_effect = [&](const std::string& name, const std::optional<std::uint32_t>& value) {
      if (value) {
        from.warning(name, "has no effect: such an answer never cools a deployment down");
      }
    };
    no_effect(names[0], made.bad_request);
    no_effect(names[4], made.content_policy);
  }
  return made;
}

void read_ssl_verify(fields& from, bool& verify, std::string& ca_file) {
  const auto* entry = from.take("ssl_verify");
  if (entry == nullptr) {
    return;
  }
  if (const auto flag = parse_boolean(entry->value->text); flag && entry->value->is_scalar()) {
    verify = *flag;
    ca_file.clear();
    if (!verify) {
      from.warning("ssl_verify", "the upstream's certificate is not checked: whoever stands "
                                 "between reads and changes everything, the key included");
    }
  } else if (entry->value->type == node_type::text && !entry->value->text.empty()) {
    verify = true;
    ca_file = entry->value->text;
  } else {
    from.error("ssl_verify",
               "expected true, false or a file of certificates, found " + describe(*entry->value));
  }
}

void read_router(const node* router_map, const node* litellm_map, reading& to) {
  fields router(router_map, section::router_settings, "router_settings", to.found);
  fields lite(litellm_map, section::litellm_settings, "litellm_settings", to.found);
  auto& into = to.all.router;
  read_strategy(router, into);
  read_times(router, lite, to);
  const auto count = [](fields& from, std::string_view key) {
    return from.count(key);
  };
  into.num_retries = from_either(router, lite, "num_retries", count).value_or(into.num_retries);
  into.allowed_fails =
      from_either(router, lite, "allowed_fails", count).value_or(into.allowed_fails);
  into.default_priority = router.int32("default_priority").value_or(into.default_priority);
  into.disable_cooldowns = router.boolean("disable_cooldowns").value_or(false);
  into.enable_pre_call_checks = router.boolean("enable_pre_call_checks").value_or(false);
  into.enable_tag_filtering = router.boolean("enable_tag_filtering").value_or(false);
  into.default_max_parallel_requests = router.count("default_max_parallel_requests");
  read_policies(router, lite, to);
  read_fallbacks(router, lite, to);
  read_redis(router, to);
  for (auto* from : {&router, &lite}) {
    if (const auto* map = from->mapping("model_group_alias")) {
      to.alias_maps.push_back(map);
      to.alias_paths.push_back(from->path_to("model_group_alias"));
    }
  }

  to.drop_params = lite.boolean("drop_params").value_or(false);
  read_ssl_verify(lite, to.ssl_verify, to.ssl_ca_file);
  to.ssl_certificate = lite.text("ssl_certificate").value_or("");
  if (lite.boolean("set_verbose").value_or(false)) {
    to.all.log_level = "debug";
  }
  to.all.json_logs = lite.boolean("json_logs").value_or(false);
  router.finish();
  lite.finish();
}

} // namespace vorrang::config
