// What the engine is told: groups, deployments, limits, rules. Plain values, C++17.
#pragma once

#include "actors/types.hpp"

namespace vorrang {

/// How one of several healthy deployments is chosen (spec, "Choice among the healthy").
enum class routing_strategy : std::uint8_t {
  simple_shuffle = 1,
  usage_based = 2,
  least_busy = 3,
  latency_based = 4,
};

/// A number by kind of failure (LiteLLM's names); absent: the general setting counts that kind.
struct counts_by_kind {
  /// 400, 413, 422 and whatever else is not retried.
  std::optional<std::uint32_t> bad_request;
  /// A 400 for the content policy; without a number it is a bad request.
  std::optional<std::uint32_t> content_policy;
  /// 401, 403.
  std::optional<std::uint32_t> authentication;
  /// 408, and an attempt's own timeout.
  std::optional<std::uint32_t> timeout;
  /// 429.
  std::optional<std::uint32_t> rate_limit;
  /// 5xx, and a connection that gave no HTTP answer.
  std::optional<std::uint32_t> internal_server_error;
  /// 503; without a number it is one of the 5xx.
  std::optional<std::uint32_t> service_unavailable;
};

/// Retries of a ticket (LiteLLM's retry_policy); else num_retries.
using retry_policy = counts_by_kind;

/// Failures of a deployment in a minute before it cools (allowed_fails_policy); else
/// allowed_fails. bad_request and content_policy mean nothing here: they are no deployment's
/// failure.
using allowed_fails_policy = counts_by_kind;

/// One place that can answer for its group.
struct deployment_settings {
  /// Shown to people and in `x-litellm-model-id`.
  std::string id;
  /// Attempts granted in any 60 s; absent: no limit; 0: takes nothing.
  std::optional<std::uint64_t> rpm;
  /// Tokens in any 60 s; absent: no limit; 0: takes nothing.
  std::optional<std::uint64_t> tpm;
  /// Attempts in flight; absent: no limit; 0: takes nothing.
  std::optional<std::uint32_t> max_parallel_requests;
  /// For simple_shuffle; absent: not given (see choice.hpp).
  std::optional<double> weight;
  /// Only the lowest healthy order is a candidate; absent counts as the highest.
  std::optional<std::int32_t> order;
  std::vector<std::string> tags;
  /// Bits of `endpoint`.
  std::uint8_t endpoints = 0xff;
  /// Compared with ask::prompt_estimate when pre-call checks are on; absent: no limit.
  std::optional<std::uint64_t> max_input_tokens;
  /// 0 turns cooldowns off here; absent: group_settings::cooldown_time.
  std::optional<duration> cooldown_time;
  /// Retries of a ticket after its failure here; absent: group_settings::num_retries.
  std::optional<std::uint32_t> num_retries;
  /// Absent: group_settings::allowed_fails.
  std::optional<std::uint32_t> allowed_fails;
  /// Absent: group_settings::fails; else nothing is taken from there.
  std::optional<allowed_fails_policy> fails;
  /// A reload has removed it: it takes nothing, and finishes its calls.
  bool retired = false;
};

/// A model group: one queue, its deployments, its rules.
struct group_settings {
  std::string name;
  std::vector<deployment_settings> deployments;
  /// Groups tried in this order once this one has failed for good; at most 4 are.
  std::vector<fallback_target> fallbacks;
  /// The same for prompts that are longer than the model's context; empty: `fallbacks`.
  std::vector<fallback_target> context_window_fallbacks;
  /// The same for what is against the provider's content policy; empty: `fallbacks`.
  std::vector<fallback_target> content_policy_fallbacks;
  routing_strategy strategy = routing_strategy::simple_shuffle;
  std::uint32_t num_retries = 2;
  retry_policy retries;
  /// More failures than this in a sliding minute cool a deployment down.
  std::uint32_t allowed_fails = 3;
  allowed_fails_policy fails;
  /// 0: no cooldowns.
  duration cooldown_time = std::chrono::seconds(5);
  /// The least back-off of a ticket after a failure (LiteLLM's retry_after).
  duration least_back_off{};
  /// First spacing of probes.
  duration probe_spacing = std::chrono::milliseconds(30);
  /// Waiting tickets at most; 0: grant now or refuse.
  std::uint32_t max_queue_size = 10000;
  bool tag_filtering = false;
  bool pre_call_checks = false;
  /// A reload has removed it: what waits or comes ends with `unknown_group`.
  bool retired = false;
};

/// A Redis (or Valkey) server.
struct redis_settings {
  std::string host;
  std::uint16_t port = 6379;
  /// Set: a socket in the file system, in place of host and port.
  std::string unix_socket;
  /// Empty: none.
  std::string username;
  std::string password;
  std::uint32_t database = 0;
  bool tls = false;
  /// Judge the server's certificate (by tls_ca_file, else the system's store).
  bool tls_verify = true;
  std::string tls_ca_file;
  /// Set: these say which server is the master of `service`, in place of host and port.
  std::vector<std::pair<std::string, std::uint16_t>> sentinels;
  std::string service;
  std::string sentinel_password;
};

/// Several instances share each group's queue in Redis (spec §6).
struct shared_settings {
  redis_settings server;
  /// First part of every key.
  std::string name_space = "vorrang";
  /// This process among them; without '/' and ':', and never used twice. Empty: the engine makes
  /// one of the host's name and something random.
  std::string instance;
  /// While Redis is away nothing is granted; else each instance goes on with its share of the
  /// limits.
  bool hold_when_away = false;
};

/// Everything the engine is told.
struct engine_settings {
  /// At least one.
  std::vector<group_settings> groups;
  /// For jitter and for simple_shuffle; the same seed and the same events give the same grants.
  std::uint64_t seed = 0x9e3779b97f4a7c15;
  /// Absent: the queues are this process' own.
  std::optional<shared_settings> shared;
};

} // namespace vorrang
