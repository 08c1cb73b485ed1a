// From the configuration to the engine's settings: places, defaults, and what each key becomes.
#include "actors/from_config.hpp"
#include "catch.hpp"

using namespace vorrang;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

std::size_t add_group(config::settings& to, const std::string& name) {
  config::group fresh;
  fresh.name = name;
  to.groups.push_back(std::move(fresh));
  return to.groups.size() - 1;
}

std::size_t add_deployment(config::settings& to, std::size_t group, const std::string& id) {
  config::deployment fresh;
  fresh.id = id;
  fresh.group = group;
  fresh.provider = "openai";
  to.deployments.push_back(std::move(fresh));
  to.groups[group].deployments.push_back(to.deployments.size() - 1);
  return to.deployments.size() - 1;
}

config::target to_group(std::size_t group) {
  config::target result;
  result.group = group;
  return result;
}

bool speaks(const config::deployment& which, endpoint api) {
  return (spoken_endpoints(which) & static_cast<std::uint8_t>(api)) != 0;
}

} // namespace

TEST_CASE("from config: the contract's defaults") {
  config::settings from;
  add_deployment(from, add_group(from, "a"), "d");
  const auto to = to_engine_settings(from);
  REQUIRE(to.groups.size() == 1);
  const auto& group = to.groups[0];
  CHECK(group.name == "a");
  CHECK(group.strategy == routing_strategy::simple_shuffle);
  CHECK(group.num_retries == 2);
  CHECK(group.allowed_fails == 3);
  CHECK(group.cooldown_time == seconds(5));
  CHECK(group.probe_spacing == milliseconds(30));
  CHECK(group.max_queue_size == 10000);
  CHECK(group.least_back_off == duration::zero());
  CHECK_FALSE(group.tag_filtering);
  CHECK_FALSE(group.pre_call_checks);
  CHECK_FALSE(group.retries.rate_limit);
  CHECK_FALSE(group.fails.rate_limit);
  REQUIRE(group.deployments.size() == 1);
  const auto& deployment = group.deployments[0];
  CHECK(deployment.id == "d");
  CHECK_FALSE(deployment.rpm);
  CHECK_FALSE(deployment.tpm);
  CHECK_FALSE(deployment.max_parallel_requests);
  CHECK_FALSE(deployment.cooldown_time);
  CHECK_FALSE(deployment.num_retries);
}

TEST_CASE("from config: what a deployment is told, zeros kept as zeros") {
  config::settings from;
  auto& d = from.deployments[add_deployment(from, add_group(from, "a"), "d")];
  d.rpm = 0;
  d.tpm = 7;
  d.max_parallel_requests = 0;
  d.weight = 0.0;
  d.order = -2;
  d.tags = {"x"};
  d.max_input_tokens = 99;
  d.cooldown_time = milliseconds(0);
  d.num_retries = 0;
  const auto to = to_engine_settings(from).groups[0].deployments[0];
  CHECK(to.rpm == 0u);
  CHECK(to.tpm == 7u);
  CHECK(to.max_parallel_requests == 0u);
  CHECK(to.weight == 0.0);
  CHECK(to.order == -2);
  CHECK(to.tags == std::vector<std::string>{"x"});
  CHECK(to.max_input_tokens == 99u);
  CHECK(to.cooldown_time == duration::zero());
  CHECK(to.num_retries == 0u);
}

TEST_CASE("from config: what a group is told") {
  config::settings from;
  add_deployment(from, add_group(from, "a"), "d");
  from.router.num_retries = 9;
  from.router.allowed_fails = 0;
  from.router.cooldown_time = milliseconds(1500);
  from.router.retry_after = milliseconds(700);
  from.router.polling_interval = milliseconds(3);
  from.router.enable_tag_filtering = true;
  from.router.enable_pre_call_checks = true;
  from.gateway.max_queue_size = 0;
  const auto group = to_engine_settings(from).groups[0];
  CHECK(group.num_retries == 9);
  CHECK(group.allowed_fails == 0);
  CHECK(group.cooldown_time == milliseconds(1500));
  CHECK(group.least_back_off == milliseconds(700));
  CHECK(group.probe_spacing == milliseconds(3));
  CHECK(group.tag_filtering);
  CHECK(group.pre_call_checks);
  CHECK(group.max_queue_size == 0);
  from.gateway.max_queue_size = std::uint64_t{1} << 40;
  CHECK(to_engine_settings(from).groups[0].max_queue_size ==
        std::numeric_limits<std::uint32_t>::max());
}

TEST_CASE("from config: each strategy") {
  config::settings from;
  add_deployment(from, add_group(from, "a"), "d");
  const std::pair<config::routing_strategy, routing_strategy> pairs[] = {
      {config::routing_strategy::simple_shuffle, routing_strategy::simple_shuffle},
      {config::routing_strategy::usage_based_v2, routing_strategy::usage_based},
      {config::routing_strategy::least_busy, routing_strategy::least_busy},
      {config::routing_strategy::latency_based, routing_strategy::latency_based}};
  for (const auto& [told, expected] : pairs) {
    from.router.routing_strategy = told;
    CHECK(to_engine_settings(from).groups[0].strategy == expected);
  }
}

TEST_CASE("from config: disable_cooldowns goes before every cooldown_time") {
  config::settings from;
  const auto d = add_deployment(from, add_group(from, "a"), "d");
  from.deployments[d].cooldown_time = seconds(9);
  from.router.disable_cooldowns = true;
  const auto group = to_engine_settings(from).groups[0];
  CHECK(group.cooldown_time == duration::zero());
  CHECK(group.deployments[0].cooldown_time.value_or(group.cooldown_time) == duration::zero());
}

TEST_CASE("from config: policies by kind, each number in its place") {
  config::settings from;
  add_deployment(from, add_group(from, "a"), "d");
  config::failure_policy all;
  all.bad_request = 1;
  all.authentication = 2;
  all.timeout = 3;
  all.rate_limit = 4;
  all.content_policy = 5;
  all.internal_server_error = 6;
  all.service_unavailable = 7;
  const auto in_place = [](const counts_by_kind& to) {
    return to.bad_request == 1u && to.authentication == 2u && to.timeout == 3u &&
           to.rate_limit == 4u && to.content_policy == 5u && to.internal_server_error == 6u &&
           to.service_unavailable == 7u;
  };
  from.router.retry_policy = all;
  auto to = to_engine_settings(from).groups[0];
  CHECK(in_place(to.retries));
  CHECK_FALSE(in_place(to.fails));
  from.router.allowed_fails_policy = all;
  to = to_engine_settings(from).groups[0];
  CHECK(in_place(to.fails));
  CHECK_FALSE(to.deployments[0].fails);
}

TEST_CASE("from config: the group's retry policy before the router's") {
  config::settings from;
  add_deployment(from, add_group(from, "a"), "d");
  add_deployment(from, add_group(from, "b"), "e");
  config::failure_policy general;
  general.timeout = 1;
  general.rate_limit = 2;
  config::failure_policy own;
  own.rate_limit = 8;
  from.router.retry_policy = general;
  from.groups[1].retry_policy = own;
  const auto to = to_engine_settings(from);
  CHECK(to.groups[0].retries.timeout == 1u);
  CHECK(to.groups[0].retries.rate_limit == 2u);
  CHECK(to.groups[1].retries.rate_limit == 8u);
  CHECK_FALSE(to.groups[1].retries.timeout);
}

TEST_CASE("from config: a deployment's own failures allowed go along with it") {
  config::settings from;
  const auto group = add_group(from, "a");
  const auto own = add_deployment(from, group, "own");
  add_deployment(from, group, "plain");
  from.router.allowed_fails = 6;
  config::failure_policy fails;
  fails.rate_limit = 5;
  from.deployments[own].allowed_fails = 0;
  from.deployments[own].allowed_fails_policy = fails;
  const auto to = to_engine_settings(from).groups[0];
  CHECK(to.allowed_fails == 6);
  CHECK(to.deployments[0].allowed_fails == 0u);
  REQUIRE(to.deployments[0].fails);
  CHECK(to.deployments[0].fails->rate_limit == 5u);
  CHECK_FALSE(to.deployments[0].fails->timeout);
  CHECK_FALSE(to.deployments[1].allowed_fails);
  CHECK_FALSE(to.deployments[1].fails);
}

TEST_CASE("from config: places correspond, also with groups that lost their deployments") {
  config::settings from;
  const auto a = add_group(from, "a");
  add_group(from, "lost");
  const auto c = add_group(from, "c");
  add_deployment(from, c, "c0");
  const auto a0 = add_deployment(from, a, "a0");
  const auto c1 = add_deployment(from, c, "c1");
  const auto to = to_engine_settings(from);
  REQUIRE(to.groups.size() == 3);
  CHECK(to.groups[1].deployments.empty());
  REQUIRE(to.groups[2].deployments.size() == 2);
  for (group_index g = 0; g < 3; ++g)
    for (deployment_index d = 0; d < to.groups[g].deployments.size(); ++d) {
      const auto* configured = find_deployment(from, g, d);
      REQUIRE(configured);
      CHECK(configured->id == to.groups[g].deployments[d].id);
    }
  CHECK(place_in_group(from, a, a0) == 0);
  CHECK(place_in_group(from, c, c1) == 1);
  CHECK(place_in_group(from, a, c1) == no_index);
  CHECK(place_in_group(from, 99, c1) == no_index);
  CHECK(find_deployment(from, 0, 1) == nullptr);
  CHECK(find_deployment(from, 1, 0) == nullptr);
  CHECK(find_deployment(from, 99, 0) == nullptr);
  CHECK(find_deployment(from, 0, no_index) == nullptr);
}

TEST_CASE("from config: fallbacks once each, at most four, never oneself nor an empty group") {
  config::settings from;
  for (const auto* name : {"a", "b", "c", "empty", "d", "e", "f"})
    add_group(from, name);
  for (const std::size_t group : {0u, 1u, 2u, 4u, 5u, 6u})
    add_deployment(from, group, "x" + std::to_string(group));
  auto& group = from.groups[0];
  for (const std::size_t target : {0u, 3u, 2u, 2u, 1u, 4u, 5u, 6u})
    group.fallbacks.push_back(to_group(target));
  group.context_window_fallbacks = {to_group(6), to_group(3)};
  group.content_policy_fallbacks = {to_group(5)};
  auto to = to_engine_settings(from);
  CHECK(to.groups[0].fallbacks == std::vector<fallback_target>{2, 1, 4, 5});
  CHECK(to.groups[0].context_window_fallbacks == std::vector<fallback_target>{6});
  CHECK(to.groups[0].content_policy_fallbacks == std::vector<fallback_target>{5});
  CHECK(to.groups[1].fallbacks.empty());
  from.router.max_fallbacks = 1;
  to = to_engine_settings(from);
  CHECK(to.groups[0].fallbacks == std::vector<fallback_target>{2});
}

TEST_CASE("from config: a fallback to a deployment is pinned to its place in its group") {
  config::settings from;
  const auto a = add_group(from, "a");
  const auto b = add_group(from, "b");
  add_deployment(from, b, "b0");
  add_deployment(from, a, "a0");
  const auto b1 = add_deployment(from, b, "b1");
  auto pinned = to_group(b);
  pinned.deployment = b1;
  from.groups[a].fallbacks = {pinned, to_group(b)};
  from.groups[a].context_window_fallbacks = {to_group(b)};
  const auto to = to_engine_settings(from);
  CHECK(to.groups[a].fallbacks == std::vector<fallback_target>{{1, 1}});
  CHECK(to.groups[a].context_window_fallbacks == std::vector<fallback_target>{{1, no_index}});
}

TEST_CASE("from config: who speaks which endpoint") {
  config::deployment d;
  d.provider = "openai";
  for (const auto api : {endpoint::chat, endpoint::completions, endpoint::embeddings})
    CHECK(speaks(d, api));
  CHECK(speaks(d, endpoint::responses));
  CHECK_FALSE(speaks(d, endpoint::messages));
  d.provider = "azure";
  CHECK(speaks(d, endpoint::responses));
  d.provider = "anthropic";
  CHECK(speaks(d, endpoint::messages));
  CHECK_FALSE(speaks(d, endpoint::responses));
  d.provider = "hosted_vllm";
  CHECK_FALSE(speaks(d, endpoint::messages));
  CHECK_FALSE(speaks(d, endpoint::responses));
  for (const auto* written : {"/v1/responses", "/responses", "responses"}) {
    d.supported_endpoints = {"/v1/chat/completions", written};
    CHECK(speaks(d, endpoint::responses));
    CHECK_FALSE(speaks(d, endpoint::messages));
  }
  d.supported_endpoints = {"/v1/messages"};
  CHECK(speaks(d, endpoint::messages));
  d.supported_endpoints.clear();
  d.mock.emplace();
  CHECK(speaks(d, endpoint::messages));
  CHECK(speaks(d, endpoint::responses));
}
