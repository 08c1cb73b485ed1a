#include "actors/from_config.hpp"

#include "config/providers.hpp"

#include <algorithm>

namespace vorrang {

namespace {

constexpr std::uint8_t bit(endpoint api) {
  return static_cast<std::uint8_t>(api);
}

routing_strategy strategy_of(config::routing_strategy from) {
  switch (from) {
  case config::routing_strategy::simple_shuffle:
    return routing_strategy::simple_shuffle;
  case config::routing_strategy::usage_based_v2:
    return routing_strategy::usage_based;
  case config::routing_strategy::least_busy:
    return routing_strategy::least_busy;
  case config::routing_strategy::latency_based:
    return routing_strategy::latency_based;
  }
  return routing_strategy::simple_shuffle;
}

/// `/v1/responses`, `/responses` and `responses` name the same endpoint.
bool names_endpoint(std::string_view written, std::string_view name) {
  if (!written.empty() && written.front() == '/')
    written.remove_prefix(1);
  if (written.substr(0, 3) == "v1/")
    written.remove_prefix(3);
  return written == name;
}

bool supports(const config::deployment& which, std::string_view name) {
  return std::any_of(which.supported_endpoints.begin(), which.supported_endpoints.end(),
                     [&](const std::string& written) { return names_endpoint(written, name); });
}

counts_by_kind counts_from(const config::failure_policy& from) {
  counts_by_kind to;
  to.bad_request = from.bad_request;
  to.content_policy = from.content_policy;
  to.authentication = from.authentication;
  to.timeout = from.timeout;
  to.rate_limit = from.rate_limit;
  to.internal_server_error = from.internal_server_error;
  to.service_unavailable = from.service_unavailable;
  return to;
}

deployment_settings deployment_from(const config::deployment& from,
                                    const config::router_settings& router) {
  deployment_settings to;
  to.id = from.id;
  to.rpm = from.rpm;
  to.tpm = from.tpm;
  to.max_parallel_requests = from.max_parallel_requests;
  to.weight = from.weight;
  to.order = from.order;
  to.tags = from.tags;
  to.endpoints = spoken_endpoints(from);
  to.max_input_tokens = from.max_input_tokens;
  if (router.disable_cooldowns)
    to.cooldown_time = duration::zero();
  else if (from.cooldown_time)
    to.cooldown_time = *from.cooldown_time;
  to.num_retries = from.num_retries;
  to.allowed_fails = from.allowed_fails;
  if (from.allowed_fails_policy)
    to.fails = counts_from(*from.allowed_fails_policy);
  to.retired = from.retired;
  return to;
}

shared_settings shared_from(const config::settings& from) {
  const auto& server = *from.router.redis;
  shared_settings to;
  to.server.host = server.host;
  to.server.port = server.port;
  to.server.unix_socket = server.unix_socket;
  to.server.username = server.username;
  to.server.password = server.password.reveal();
  to.server.database = server.database;
  to.server.tls = server.tls;
  to.server.sentinels = server.sentinels;
  to.server.service = server.service;
  to.server.sentinel_password = server.sentinel_password.reveal();
  to.name_space = from.gateway.redis_namespace;
  to.hold_when_away = from.gateway.redis_unavailable == config::redis_unavailable_mode::hold;
  return to;
}

group_settings group_from(const config::settings& from, std::size_t index) {
  const auto& group = from.groups[index];
  const auto& router = from.router;
  group_settings to;
  to.name = group.name;
  to.deployments.reserve(group.deployments.size());
  for (const auto place : group.deployments)
    to.deployments.push_back(deployment_from(from.deployments.at(place), router));
  to.fallbacks = fallbacks_of(group.fallbacks, from, index);
  to.context_window_fallbacks = fallbacks_of(group.context_window_fallbacks, from, index);
  to.content_policy_fallbacks = fallbacks_of(group.content_policy_fallbacks, from, index);
  to.strategy = strategy_of(router.routing_strategy);
  to.num_retries = router.num_retries;
  const auto& retries = group.retry_policy ? group.retry_policy : router.retry_policy;
  if (retries)
    to.retries = counts_from(*retries);
  to.allowed_fails = router.allowed_fails;
  if (router.allowed_fails_policy)
    to.fails = counts_from(*router.allowed_fails_policy);
  to.cooldown_time = router.disable_cooldowns ? duration::zero() : duration(router.cooldown_time);
  to.least_back_off = router.retry_after;
  to.probe_spacing = router.polling_interval;
  to.max_queue_size = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      from.gateway.max_queue_size, std::numeric_limits<std::uint32_t>::max()));
  to.tag_filtering = router.enable_tag_filtering;
  to.pre_call_checks = router.enable_pre_call_checks;
  to.retired = group.retired;
  return to;
}

} // namespace

engine_settings to_engine_settings(const config::settings& from) {
  engine_settings to;
  to.groups.reserve(from.groups.size());
  for (std::size_t index = 0; index < from.groups.size(); ++index)
    to.groups.push_back(group_from(from, index));
  if (from.router.redis)
    to.shared = shared_from(from);
  return to;
}

const config::deployment* find_deployment(const config::settings& in, group_index group,
                                          deployment_index deployment) {
  if (group >= in.groups.size() || deployment >= in.groups[group].deployments.size())
    return nullptr;
  const auto place = in.groups[group].deployments[deployment];
  return place < in.deployments.size() ? &in.deployments[place] : nullptr;
}

std::vector<fallback_target> fallbacks_of(const std::vector<config::target>& targets,
                                          const config::settings& from, std::size_t self) {
  const std::size_t count_max = std::min(config::fallbacks_max, from.router.max_fallbacks);
  std::vector<fallback_target> to;
  for (const auto& target : targets) {
    if (to.size() >= count_max)
      break;
    const auto index = static_cast<group_index>(target.group);
    if (target.group == self || target.group >= from.groups.size() ||
        from.groups[target.group].deployments.empty() || from.groups[target.group].unservable ||
        std::any_of(to.begin(), to.end(), [&](const auto& t) { return t.group == index; }))
      continue;
    to.emplace_back(index, target.deployment
                               ? place_in_group(from, target.group, *target.deployment)
                               : no_index);
  }
  return to;
}

deployment_index place_in_group(const config::settings& in, std::size_t group,
                                std::size_t deployment) {
  if (group >= in.groups.size())
    return no_index;
  const auto& all = in.groups[group].deployments;
  const auto found = std::find(all.begin(), all.end(), deployment);
  return found == all.end() ? no_index : static_cast<deployment_index>(found - all.begin());
}

std::uint8_t spoken_endpoints(const config::deployment& which) {
  std::uint8_t all = bit(endpoint::chat) | bit(endpoint::completions) | bit(endpoint::embeddings);
  const auto* provider = config::find_provider(which.provider);
  if (which.mock || (provider && provider->speaks_responses) || supports(which, "responses"))
    all |= bit(endpoint::responses);
  if (which.mock || (provider && provider->speaks_messages) || supports(which, "messages"))
    all |= bit(endpoint::messages);
  return all;
}

} // namespace vorrang
