// router_settings, litellm_settings, general_settings, vorrang_settings.
#include "catch.hpp"
#include "read.hpp"

#include "config/printer.hpp"

#include <sstream>

using namespace vorrang::config;
using namespace vorrang::config::test;
using std::chrono::milliseconds;

namespace {

settings good(const std::string& rest, variables set = {}) {
  auto result = read(with_mock(rest), std::move(set));
  INFO(join(errors(result)));
  REQUIRE_FALSE(result.has_errors());
  return std::move(result.settings);
}

/// Whether there is exactly one error, in line 8 (the first below a section), at this path.
bool is_refused(const std::string& rest, const std::string& path, variables set = {}) {
  const auto found = errors(read(with_mock(rest), std::move(set)));
  return found.size() == 1 && has_line(found, "config.yaml:8:3: " + path + ": ");
}

} // namespace

TEST_CASE("defaults") {
  const auto all = good("");
  CHECK(all.router.routing_strategy == routing_strategy::simple_shuffle);
  CHECK(all.router.timeout == milliseconds(600'000));
  CHECK_FALSE(all.router.attempt_timeout.has_value());
  CHECK(all.router.polling_interval == milliseconds(30));
  CHECK(all.router.default_priority == 255);
  CHECK(all.router.num_retries == 2);
  CHECK(all.router.allowed_fails == 3);
  CHECK(all.router.cooldown_time == milliseconds(5'000));
  CHECK(all.router.max_fallbacks == 4);
  CHECK(all.gateway.max_queue_size == 10'000);
  CHECK(all.gateway.max_queue_bytes == 1'073'741'824);
  CHECK(all.gateway.max_request_size_bytes == 64ULL * 1024 * 1024);
  CHECK(all.gateway.drain_timeout == milliseconds(30'000));
  CHECK(all.gateway.admin_host == "127.0.0.1");
  CHECK(all.gateway.admin_port == 4001);
  CHECK(all.gateway.stream_keepalive == milliseconds(15'000));
  CHECK(all.gateway.redis_unavailable == redis_unavailable_mode::local);
  CHECK(all.gateway.always_include_stream_usage);
  CHECK_FALSE(all.gateway.has_keys());
  CHECK_FALSE(all.gateway.strict);
}

TEST_CASE("router_settings wins over litellm_settings") {
  const auto all = good("litellm_settings:\n"
                        "  num_retries: 1\n"
                        "  allowed_fails: 1\n"
                        "  fallbacks: [{fake: [a]}]\n"
                        "router_settings:\n"
                        "  num_retries: 4\n"
                        "  fallbacks: []\n");
  CHECK(all.router.num_retries == 4);
  CHECK(all.router.allowed_fails == 1);
  CHECK(all.groups[0].fallbacks.empty());
}

TEST_CASE("the deadline, and the timeout of one attempt") {
  auto all = good("litellm_settings: {request_timeout: 7}\n");
  CHECK(all.router.timeout == milliseconds(7'000));
  CHECK_FALSE(all.router.attempt_timeout.has_value());
  all = good("litellm_settings: {request_timeout: 7}\nrouter_settings: {timeout: 60}\n");
  CHECK(all.router.timeout == milliseconds(60'000));
  CHECK(all.router.attempt_timeout == milliseconds(7'000));
  all = good("router_settings: {request_timeout: 8, stream_timeout: 9}\n");
  CHECK(all.router.timeout == milliseconds(8'000));
  CHECK(all.router.stream_timeout == milliseconds(9'000));
  CHECK(is_refused("router_settings:\n  timeout: 0\n", "router_settings.timeout"));
  CHECK(is_refused("router_settings:\n  timeout: .inf\n", "router_settings.timeout"));
  CHECK(is_refused("router_settings:\n  timeout: .nan\n", "router_settings.timeout"));
}

TEST_CASE("polling_interval: 0 and null are the default") {
  CHECK(good("router_settings: {polling_interval: 0}\n").router.polling_interval ==
        milliseconds(30));
  CHECK(good("router_settings: {polling_interval: null}\n").router.polling_interval ==
        milliseconds(30));
  CHECK(good("router_settings: {polling_interval: 0.003}\n").router.polling_interval ==
        milliseconds(3));
}

TEST_CASE("priorities are any 32-bit integer") {
  CHECK(good("router_settings: {default_priority: 0}\n").router.default_priority == 0);
  CHECK(good("router_settings: {default_priority: -2147483648}\n").router.default_priority ==
        -2147483647 - 1);
  CHECK(is_refused("router_settings:\n  default_priority: 2147483648\n",
                   "router_settings.default_priority"));
}

TEST_CASE("routing strategies") {
  const auto strategy = [](const std::string& name) {
    return good("router_settings: {routing_strategy: " + name + "}\n").router.routing_strategy;
  };
  CHECK(strategy("simple-shuffle") == routing_strategy::simple_shuffle);
  CHECK(strategy("usage-based-routing-v2") == routing_strategy::usage_based_v2);
  CHECK(strategy("least-busy") == routing_strategy::least_busy);
  CHECK(strategy("latency-based-routing") == routing_strategy::latency_based);
  CHECK(strategy("usage-based-routing") == routing_strategy::usage_based_v2);
  CHECK(strategy("cost-based-routing") == routing_strategy::simple_shuffle);
  for (const std::string name : {"usage-based-routing", "cost-based-routing"}) {
    CHECK(warnings(read(with_mock("router_settings: {routing_strategy: " + name + "}\n"))).size() ==
          1);
  }
  const auto found = errors(read(with_mock("router_settings:\n  routing_strategy: fastest\n")));
  CHECK(has_line(found, "config.yaml:8:3: router_settings.routing_strategy: ",
                 {"simple-shuffle", "usage-based-routing-v2", "least-busy", "latency-based-routing",
                  "fastest"}));
}

TEST_CASE("policies by kind of failure") {
  const auto all = good("router_settings:\n"
                        "  retry_after: 1.5\n"
                        "  retry_policy: {RateLimitErrorRetries: 3, BadRequestErrorRetries: 0}\n"
                        "  allowed_fails_policy: {TimeoutErrorAllowedFails: 12}\n"
                        "  model_group_retry_policy: {fake: {InternalServerErrorRetries: 5}}\n"
                        "  enable_pre_call_checks: true\n"
                        "  enable_tag_filtering: true\n"
                        "  disable_cooldowns: true\n"
                        "  cooldown_time: 0\n");
  CHECK(all.router.retry_after == milliseconds(1'500));
  CHECK(all.router.retry_policy->rate_limit == 3U);
  CHECK(all.router.retry_policy->bad_request == 0U);
  CHECK_FALSE(all.router.retry_policy->timeout.has_value());
  CHECK(all.router.allowed_fails_policy->timeout == 12U);
  CHECK(all.groups[0].retry_policy->internal_server_error == 5U);
  CHECK_FALSE(all.groups[0].retry_policy->rate_limit.has_value());
  CHECK(all.router.enable_pre_call_checks);
  CHECK(all.router.enable_tag_filtering);
  CHECK(all.router.disable_cooldowns);
  CHECK(all.router.cooldown_time == milliseconds(0));
  const auto result = read(with_mock("router_settings:\n"
                                     "  retry_policy:\n"
                                     "    RateLimitErorRetries: 3\n"
                                     "  model_group_retry_policy: {fke: {}}\n"));
  CHECK(has_line(warnings(result), "config.yaml:9:5: router_settings.retry_policy.RateLimitEror",
                 {"`RateLimitErrorRetries`"}));
  CHECK(has_line(warnings(result), "config.yaml:10:30: ", {"did you mean `fake`?"}));
}

TEST_CASE("allowed_fails_policy: what never cools a deployment down says so") {
  const auto result = read(with_mock("router_settings:\n"
                                     "  retry_policy: {BadRequestErrorRetries: 1}\n"
                                     "  allowed_fails_policy:\n"
                                     "    BadRequestErrorAllowedFails: 1\n"
                                     "    ContentPolicyViolationErrorAllowedFails: 1\n"
                                     "    TimeoutErrorAllowedFails: 1\n"));
  CHECK(has_line(warnings(result), "config.yaml:10:5: ", {"BadRequest", "no effect"}));
  CHECK(has_line(warnings(result), "config.yaml:11:5: ", {"ContentPolicy", "no effect"}));
  CHECK(warnings(result).size() == 2);
}

/// What one line of `router_settings` says of Redis.
std::optional<redis_settings> redis(const std::string& text) {
  return good("router_settings: {" + text + "}\n").router.redis;
}

TEST_CASE("redis: host or URL share the queue") {
  CHECK_FALSE(redis("redis_port: 6379").has_value());
  CHECK(redis("redis_host: h")->port == 6379);
  CHECK(redis("redis_host: h, redis_port: '7000', redis_db: 2")->port == 7000);
  CHECK(redis("redis_host: h, redis_password: 12345")->password.reveal() == "12345");
  CHECK(redis("redis_host: '::1'")->host == "::1");
  const auto by_url = redis("redis_url: 'rediss://me:p%40ss@h:7001/3'");
  CHECK(by_url->tls);
  CHECK(by_url->username == "me");
  CHECK(by_url->password.reveal() == "p@ss");
  CHECK(by_url->host == "h");
  CHECK(by_url->port == 7001);
  CHECK(by_url->database == 3);
  CHECK(redis("redis_url: 'redis://[::1]'")->host == "::1");
  CHECK(redis("redis_url: 'redis://:pw@h'")->password.reveal() == "pw");
  CHECK(redis("redis_url: 'redis://h', redis_password: pw")->password.reveal() == "pw");
}

TEST_CASE("seconds: what is none says that seconds are wanted") {
  for (const std::string value : {"10m", "-1", "0", "2592001"}) {
    INFO(value);
    const auto result = read(with_mock("router_settings:\n  timeout: " + value + "\n"));
    CHECK(has_line(errors(result),
                   "config.yaml:8:3: router_settings.timeout: expected a number of seconds above "
                   "0, up to 2592000, found "));
  }
}

TEST_CASE("redis: what has no effect without a host is a warning") {
  for (const std::string key : {"redis_port", "redis_password", "redis_db", "redis_username",
                                "redis_ssl", "service_name", "sentinel_password"}) {
    INFO(key);
    const auto value = key == "redis_ssl" ? "true" : key == "redis_port" ? "7000" : "'5'";
    const auto result = read(with_mock("router_settings:\n  " + key + ": " + value + "\n"));
    CHECK(errors(result).empty());
    CHECK(
        has_line(warnings(result), "config.yaml:8:3: router_settings." + key + ": has no effect"));
  }
}

TEST_CASE("redis: a socket, and sentinels") {
  const auto socket = redis("redis_url: 'unix://:pw@/run/redis.sock?db=2'");
  CHECK(socket->unix_socket == "/run/redis.sock");
  CHECK(socket->database == 2);
  CHECK(socket->password.reveal() == "pw");
  const auto url = redis("redis_url: 'rediss+sentinel://:pw@a:1,b/main/3'");
  CHECK(url->tls);
  CHECK(url->service == "main");
  CHECK(url->database == 3);
  CHECK(url->sentinels ==
        std::vector<std::pair<std::string, std::uint16_t>>{{"a", 1}, {"b", 26379}});
  const auto keys = redis("sentinel_nodes: [[a, 1], [b, 2]], service_name: main, "
                          "sentinel_password: pw, redis_password: other");
  CHECK(keys->sentinels == std::vector<std::pair<std::string, std::uint16_t>>{{"a", 1}, {"b", 2}});
  CHECK(keys->sentinel_password.reveal() == "pw");
  CHECK(keys->password.reveal() == "other");
  CHECK(is_refused("router_settings:\n  sentinel_nodes: [[a, 1]]\n",
                   "router_settings.sentinel_nodes"));
  CHECK(has_line(errors(read(with_mock("router_settings:\n  sentinel_nodes: [[a]]\n"
                                       "  service_name: m\n"))),
                 "config.yaml:8:20: router_settings.sentinel_nodes[0]: "));
}

TEST_CASE("redis: what is no address is an error that never shows a password") {
  for (const std::string url :
       {"h:6379", "http://h", "redis://", "redis://h:0", "redis://h:x", "redis://:hunter22@h/x",
        "redis://:hunter22%@h", "redis://[::1", "redis://h?a=b", "unix://tmp/s",
        "unix:///tmp/s?a=b", "unix://:hunter22%@/s", "redis+sentinel://h", "redis+sentinel:///m",
        "redis+sentinel://:hunter22@h:x/m", "redis+sentinel://h/m/x"}) {
    INFO(url);
    const auto result = read(with_mock("router_settings:\n  redis_url: '" + url + "'\n"));
    CHECK(has_line(errors(result), "config.yaml:8:3: router_settings.redis_url: expected"));
    CHECK(join(errors(result)).find("hunter22") == std::string::npos);
  }
  CHECK(is_refused("router_settings:\n  redis_host: h:6379\n", "router_settings.redis_host"));
  for (const std::string host : {"hunter22@h", ":hunter22@h:6379", "me:hunter22@h:6379"}) {
    INFO(host);
    const auto result = read(with_mock("router_settings:\n  redis_host: '" + host + "'\n"));
    CHECK(has_line(errors(result), "config.yaml:8:3: router_settings.redis_host: expected"));
    CHECK(join(errors(result)).find("hunter22") == std::string::npos);
  }
  CHECK(is_refused("router_settings:\n  redis_host: redis://h\n", "router_settings.redis_host"));
  CHECK(is_refused("router_settings:\n  redis_host: ''\n", "router_settings.redis_host"));
  CHECK(is_refused("router_settings:\n  redis_port: 0\n", "router_settings.redis_port"));
}

TEST_CASE("the master key: file, then LITELLM_MASTER_KEY, then VORRANG_MASTER_KEY") {
  const std::string in_file = "general_settings: {master_key: sk-file}\n";
  const variables both = {{"LITELLM_MASTER_KEY", "sk-l"}, {"VORRANG_MASTER_KEY", "sk-v"}};
  CHECK(good(in_file, both).gateway.master_key->reveal() == "sk-file");
  CHECK(good("", both).gateway.master_key->reveal() == "sk-l");
  CHECK(good("", {{"VORRANG_MASTER_KEY", "sk-v"}}).gateway.master_key->reveal() == "sk-v");
  CHECK(good("environment_variables: {LITELLM_MASTER_KEY: sk-e}\n").gateway.master_key->reveal() ==
        "sk-e");
  CHECK(is_refused("general_settings:\n  master_key: ''\n", "general_settings.master_key"));
  CHECK(is_refused("general_settings:\n  master_key: \"a\\nb\"\n", "general_settings.master_key"));
  CHECK(is_refused("general_settings:\n  master_key: os.environ/X\n", "general_settings.master_key",
                   {{"X", ""}}));
  CHECK(read(with_mock(""), {{"LITELLM_MASTER_KEY", ""}}).has_errors());
}

TEST_CASE("keys with priorities and models") {
  const auto all = good("vorrang_settings:\n"
                        "  keys:\n"
                        "    - key: sk-team-a\n"
                        "      name: team a\n"
                        "      default_priority: 100\n"
                        "      best_priority: -5\n"
                        "      models: [fake]\n"
                        "    - sk-plain\n"
                        "    - {key: sk-other, models: 'fa*'}\n");
  REQUIRE(all.gateway.keys.size() == 3);
  CHECK(all.gateway.keys[0].key.reveal() == "sk-team-a");
  CHECK(all.gateway.keys[0].name == "team a");
  CHECK(all.gateway.keys[0].default_priority == 100);
  CHECK(all.gateway.keys[0].best_priority == -5);
  CHECK(all.gateway.keys[0].may_use("fake"));
  CHECK_FALSE(all.gateway.keys[0].may_use("other"));
  CHECK(all.gateway.keys[1].key.reveal() == "sk-plain");
  CHECK(all.gateway.keys[1].name == "key 2");
  CHECK(all.gateway.keys[1].may_use("anything"));
  CHECK(all.gateway.keys[2].may_use("fast"));
  CHECK(all.gateway.has_keys());
}

TEST_CASE("keys that are wrong") {
  const auto found = errors(read(with_mock("general_settings: {master_key: sk-master}\n"
                                           "vorrang_settings:\n"
                                           "  keys:\n"
                                           "    - {name: x}\n"
                                           "    - sk-master\n"
                                           "    - {key: 5}\n"
                                           "    - {key: ''}\n"
                                           "    - []\n"
                                           "    - {key: sk-1, models: []}\n"
                                           "    - {key: sk-2, best_priority: high}\n")));
  INFO(join(found));
  CHECK(found.size() == 7);
  CHECK(has_line(found, "config.yaml:10:7: vorrang_settings.keys[0].key: expected a key"));
  CHECK(has_line(found, "config.yaml:11:7: vorrang_settings.keys[1]: ", {"already"}));
  CHECK(has_line(found, "config.yaml:12:8: vorrang_settings.keys[2].key: expected text"));
  CHECK(has_line(found, "config.yaml:13:8: vorrang_settings.keys[3].key: "));
  CHECK(has_line(found, "config.yaml:14:7: vorrang_settings.keys[4]: "));
  CHECK(has_line(found, "config.yaml:15:19: vorrang_settings.keys[5].models: "));
  CHECK(has_line(found, "config.yaml:16:19: vorrang_settings.keys[6].best_priority: "));
  CHECK(has_line(warnings(read(with_mock("vorrang_settings:\n"
                                         "  keys: [{key: sk-1, models: [fqke]}]\n"))),
                 "config.yaml:8:10: ", {"did you mean `fake`?"}));
}

TEST_CASE("the rest of general_settings and vorrang_settings") {
  const auto all = good("general_settings:\n"
                        "  max_request_size_mb: 0.5\n"
                        "  forward_client_headers_to_llm_api: true\n"
                        "  always_include_stream_usage: false\n"
                        "  dangerously_allow_mock_testing_request_params: true\n"
                        "vorrang_settings:\n"
                        "  max_queue_size: 0\n"
                        "  max_queue_bytes: 1_000\n"
                        "  min_priority: -1\n"
                        "  drain_timeout: 0\n"
                        "  admin_host: 0.0.0.0\n"
                        "  admin_port: 0\n"
                        "  stream_keepalive: 0\n"
                        "  redis_unavailable: hold\n"
                        "  redis_namespace: mine\n");
  CHECK(all.gateway.max_request_size_bytes == 512 * 1024);
  CHECK(all.gateway.forward_client_headers_to_llm_api);
  CHECK_FALSE(all.gateway.always_include_stream_usage);
  CHECK(all.gateway.dangerously_allow_mock_testing_request_params);
  CHECK(all.gateway.max_queue_size == 0);
  CHECK(all.gateway.max_queue_bytes == 1'000);
  CHECK(all.gateway.min_priority == -1);
  CHECK(all.gateway.drain_timeout == milliseconds(0));
  CHECK(all.gateway.admin_host == "0.0.0.0");
  CHECK(all.gateway.admin_port == 0);
  CHECK(all.gateway.stream_keepalive == milliseconds(0));
  CHECK(all.gateway.redis_unavailable == redis_unavailable_mode::hold);
  CHECK(all.gateway.redis_namespace == "mine");
  CHECK(is_refused("vorrang_settings:\n  admin_port: 65536\n", "vorrang_settings.admin_port"));
  CHECK(is_refused("vorrang_settings:\n  redis_unavailable: x\n",
                   "vorrang_settings.redis_unavailable"));
  CHECK(is_refused("vorrang_settings:\n  redis_namespace: 'a{b}'\n",
                   "vorrang_settings.redis_namespace"));
  CHECK(is_refused("general_settings:\n  max_request_size_mb: 0\n",
                   "general_settings.max_request_size_mb"));
}

TEST_CASE("vorrang_settings.metrics_priority_classes") {
  const auto read_classes = [](const std::string& list) {
    return good("vorrang_settings:\n  metrics_priority_classes: " + list + "\n")
        .gateway.metrics_priority_classes;
  };
  CHECK(good("vorrang_settings: {}\n").gateway.metrics_priority_classes ==
        std::vector<std::int32_t>{0, 10, 100, 1000});
  CHECK(read_classes("[-5, 0, '7', 1000]") == std::vector<std::int32_t>{-5, 0, 7, 1000});
  CHECK(read_classes("[]").empty());
  CHECK(read_classes("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]").size() == 10);
  for (const auto* wrong : {"[1, 1]", "[2, 1]", "[1.5]", "[a]", "[true]", "[3000000000]", "[[1]]",
                            "[~]", "7", "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]"})
    CHECK(is_refused("vorrang_settings:\n  metrics_priority_classes: " + std::string(wrong) + "\n",
                     "vorrang_settings.metrics_priority_classes"));
}

TEST_CASE("an admin port beyond loopback wants the master key") {
  const std::string open = "vorrang_settings:\n  admin_host: 0.0.0.0\n";
  CHECK(has_line(errors(read(with_mock(open))), "config.yaml:8:3: vorrang_settings.admin_host: "));
  CHECK(read(with_mock(open + "general_settings: {master_key: sk-m}\n")).diagnostics.empty());
  CHECK(read(with_mock(open + "  admin_port: 0\n")).diagnostics.empty());
  CHECK(read(with_mock("vorrang_settings: {admin_host: 127.0.0.2}\n")).diagnostics.empty());
}

TEST_CASE("a stream's keep-alive also by LiteLLM's names") {
  CHECK(good("litellm_settings: {sse_keepalive_ping_interval_seconds: 3}\n")
            .gateway.stream_keepalive == milliseconds(3'000));
  CHECK(good("general_settings: {keepalive_seconds: 4}\n").gateway.stream_keepalive ==
        milliseconds(4'000));
  CHECK(good("litellm_settings: {sse_keepalive_ping_interval_seconds: 3}\n"
             "vorrang_settings: {stream_keepalive: 5}\n")
            .gateway.stream_keepalive == milliseconds(5'000));
}

TEST_CASE("litellm_settings: logs and drop_params") {
  const auto all =
      good("litellm_settings: {drop_params: true, set_verbose: true, json_logs: true}\n");
  CHECK(all.deployments[0].drop_params);
  CHECK(all.log_level == "debug");
  CHECK(all.json_logs);
}

TEST_CASE("the check prints what was understood, without a secret") {
  const auto result = read(
      "model_list:\n"
      "  - model_name: chat\n"
      "    litellm_params: {model: openai/gpt-4o, api_key: sk-secret-upstream, rpm: 60,\n"
      "      extra_headers: {X-Token: header-secret-1}}\n"
      "  - model_name: spare\n"
      "    litellm_params: {model: azure/d, api_base: 'https://r', api_key: az-secret-upstream}\n"
      "  - model_name: lost\n"
      "    litellm_params: {model: bedrock/x}\n"
      "environment_variables: {TOKEN: env-secret-000}\n"
      "router_settings: {fallbacks: [{chat: spare}], model_group_alias: {gpt: chat},\n"
      "  redis_url: 'redis://:redis-secret@h'}\n"
      "general_settings: {master_key: sk-master-secret}\n"
      "vorrang_settings: {keys: [{key: sk-team-secret, name: team}], max_quue_size: 5}\n");
  std::ostringstream out;
  CHECK_FALSE(print_check(out, result));
  const auto text = out.str();
  INFO(text);
  for (const char* part :
       {"chat", "openai at https://api.openai.com/v1", "rpm 60", "fallbacks: spare",
        "gpt means chat", "left out: lost", "error: config.yaml:8:", "warning: config.yaml:13:",
        "api-version 2025-02-01-preview", "header X-Token", "1 error, 1 warning"}) {
    INFO(part);
    CHECK(text.find(part) != std::string::npos);
  }
  for (const char* hidden : {"secret-upstream", "header-secret", "env-secret", "redis-secret",
                             "master-secret", "team-secret"}) {
    INFO(hidden);
    CHECK(text.find(hidden) == std::string::npos);
  }
}

TEST_CASE("secrets print masked") {
  std::ostringstream out;
  out << secret("sk-1234567890abcd") << ' ' << secret("short") << ' ' << secret();
  CHECK(out.str() == "****abcd **** ");
}
