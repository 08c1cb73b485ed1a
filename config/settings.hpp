// The whole configuration, read, checked and resolved. Plain values: no YAML, no clock.
#pragma once

#include "config/deployment.hpp"
#include "config/secret.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {

/// How a deployment is chosen among the healthy ones of a group.
enum class routing_strategy : std::uint8_t {
  simple_shuffle = 0,
  usage_based_v2 = 1,
  least_busy = 2,
  latency_based = 3
};

/// The name as it is written in a configuration, e.g. "simple-shuffle".
std::string_view to_string(routing_strategy value) noexcept;

/// Where the shared line lives. `redis_url` is taken apart into these.
struct redis_settings {
  std::string host;
  std::string unix_socket; ///< `unix:///path`: in place of host and port
  std::uint16_t port = 6379;
  std::string username; ///< empty: none
  secret password;      ///< empty: none
  std::uint32_t database = 0;
  bool tls = false; ///< `rediss://`, or `redis_ssl: true`
  /// `sentinel_nodes`, or `redis+sentinel://`: these know where `service` is, and no host is set.
  std::vector<std::pair<std::string, std::uint16_t>> sentinels;
  std::string service; ///< `service_name`
  secret sentinel_password;
};

/// Groups that a request may fall back to: five are visited (spec, "Fallbacks"), the first
/// included.
inline constexpr std::uint32_t fallbacks_max = 4;

/// `router_settings`, with the keys that `litellm_settings` may hold too already merged.
struct router_settings {
  config::routing_strategy routing_strategy = config::routing_strategy::simple_shuffle;
  milliseconds timeout{600'000}; ///< the deadline: covers waiting and attempts
  /// `request_timeout` where `timeout` is set as well: bounds one attempt.
  std::optional<milliseconds> attempt_timeout;
  std::optional<milliseconds> stream_timeout; ///< between chunks; absent: the deadline's length
  milliseconds polling_interval{30};          ///< first spacing of probes; fallback for Redis
  std::int32_t default_priority = 255;
  std::uint32_t num_retries = 2;
  std::uint32_t max_fallbacks = fallbacks_max;
  std::uint32_t allowed_fails = 3; ///< failures in a sliding minute before a cooldown
  milliseconds cooldown_time{5'000};
  bool disable_cooldowns = false;
  milliseconds retry_after{0}; ///< the least back-off
  std::optional<failure_policy> retry_policy;
  std::optional<failure_policy> allowed_fails_policy;
  bool enable_pre_call_checks = false;
  bool enable_tag_filtering = false;
  std::optional<std::uint32_t> default_max_parallel_requests; ///< applied to deployments already
  std::optional<redis_settings> redis;                        ///< set: the queue is shared
};

/// One of `vorrang_settings.keys`.
struct client_key {
  secret key;
  std::string name; ///< for logs and metrics; "key <n>" where none is given
  std::optional<std::int32_t> default_priority;
  std::optional<std::int32_t> best_priority; ///< better ones are lowered to it
  std::vector<std::string> models;           ///< names or patterns; empty: all

  /// Whether this key may ask for `model`, a client-facing name.
  bool may_use(std::string_view model) const;
};

/// What happens when the shared line does not answer.
enum class redis_unavailable_mode : std::uint8_t { local = 0, hold = 1 };

/// Each class is a series more for each group, in each of several metrics.
inline constexpr std::size_t metrics_priority_classes_max = 10;

/// `vorrang_settings` and `general_settings`.
struct gateway_settings {
  std::optional<secret> master_key; ///< file, else LITELLM_MASTER_KEY, else VORRANG_MASTER_KEY
  std::vector<client_key> keys;
  std::uint64_t max_queue_size = 10'000; ///< waiting in a group; 0: grant now or 429
  std::uint64_t max_queue_bytes = std::uint64_t{1} << 30; ///< bodies until the first byte
  std::optional<std::int32_t> min_priority;               ///< lower values are raised to it
  milliseconds drain_timeout{30'000};
  std::string admin_host = "127.0.0.1";
  std::uint16_t admin_port = 4001; ///< 0: no admin port
  /// Priorities are told apart in metrics by these classes: one begins at each, and one is below
  /// the first. Rising, metrics_priority_classes_max at most; none: all are one.
  std::vector<std::int32_t> metrics_priority_classes = {0, 10, 100, 1000};
  milliseconds stream_keepalive{15'000}; ///< 0: none
  redis_unavailable_mode redis_unavailable = redis_unavailable_mode::local;
  std::string redis_namespace = "vorrang"; ///< first part of every key
  bool strict = false;                     ///< a deployment that cannot be served is an error
  std::uint64_t max_request_size_bytes = std::uint64_t{64} << 20; ///< `max_request_size_mb`
  bool forward_client_headers_to_llm_api = false;
  std::string https_proxy; ///< HTTPS_PROXY of the environment: for https upstreams
  std::string no_proxy;    ///< NO_PROXY: hosts and domains that are asked directly
  bool always_include_stream_usage = true;
  bool dangerously_allow_mock_testing_request_params = false;

  /// Whether any key is asked for; without one everybody who reaches the port is let in.
  bool has_keys() const { return master_key.has_value() || !keys.empty(); }
};

/// One entry of `model_group_alias`: joins its target's queue.
struct alias {
  std::string name;
  std::string model;   ///< the name it stands for
  bool hidden = false; ///< left out of the list of models
  config::target target;
  location where;
};

/// The configuration. Built by read_file() or read_text(), or by hand for embedded use: then the
/// indices must fit and index_names() must be called, or resolve() searches everything.
struct settings {
  std::vector<config::deployment> deployments; ///< all can be served
  std::vector<config::deployment> left_out;    ///< those that cannot, each with its reason
  std::vector<config::group> groups;           ///< in order of first appearance
  std::vector<config::alias> aliases;
  config::router_settings router;
  config::gateway_settings gateway;
  /// `environment_variables` as configured, in order; already seen by every `os.environ/NAME`.
  std::vector<std::pair<std::string, secret>> environment;
  std::string log_level; ///< from `set_verbose` ("debug"), else empty
  bool json_logs = false;

  /// Exact names, aliases and pins; filled by index_names().
  std::map<std::string, target, std::less<>> names;
  /// Groups that are patterns, the longest first; filled by index_names().
  std::vector<std::size_t> patterns;
};

/// Fills `names` and `patterns`. Exact group names win over aliases, those over pins. What is
/// retired has no name.
void index_names(settings& all);

/// What a client-facing name means: an exact group name, an alias, a deployment's id (pins to
/// it, queues in its group), or the longest pattern that matches. Nothing if it is unknown. A
/// group that is found may be `unservable`.
std::optional<target> resolve(const settings& all, std::string_view model);

/// Whether `text` fits `pattern`, where each `*` matches any text, also none. With `matched` it
/// gets one text for each `*`: the shortest for all but the last.
bool matches_pattern(std::string_view pattern, std::string_view text,
                     std::vector<std::string>* matched = nullptr);

} // namespace vorrang::config
