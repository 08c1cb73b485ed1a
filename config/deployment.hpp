// One entry of `model_list`, and the group it answers for.
#pragma once

#include "config/secret.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vorrang::config {

using milliseconds = std::chrono::milliseconds;

/// Where in the configuration something stands; line and column count from 1, 0 means nowhere.
struct location {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

/// Counts by kind of failure: retries (`retry_policy`) or allowed failures a minute
/// (`allowed_fails_policy`). A kind without a value follows the general setting.
struct failure_policy {
  std::optional<std::uint32_t> bad_request;           ///< 400, 413, 422
  std::optional<std::uint32_t> authentication;        ///< 401, 403
  std::optional<std::uint32_t> timeout;               ///< 408, and an attempt's timeout
  std::optional<std::uint32_t> rate_limit;            ///< 429
  std::optional<std::uint32_t> content_policy;        ///< 400 for the content policy
  std::optional<std::uint32_t> internal_server_error; ///< 5xx, and no HTTP answer at all
  std::optional<std::uint32_t> service_unavailable;   ///< 503; else as any 5xx
};

/// What a mock ends with.
enum class mock_outcome : std::uint8_t {
  answer = 0,
  rate_limit_error = 1,             ///< 429
  internal_server_error = 2,        ///< 500
  context_window_exceeded_error = 3 ///< 400
};

/// A deployment that answers without any upstream (`mock_response` and its kin).
struct mock {
  std::string text;                            ///< the exact content of the answer
  mock_outcome outcome = mock_outcome::answer; ///< an error instead of `text`
  milliseconds delay{0};                       ///< `mock_delay`: before the first byte
  bool timeout = false;                        ///< `mock_timeout`: never answers
};

using header_list = std::vector<std::pair<std::string, std::string>>;

/// A place that can answer for its group. Limits: absent is no limit, 0 takes nothing.
struct deployment {
  /// `model_info.id`, else a hash of group, model, base, version and key; never of its limits.
  std::string id;
  bool id_is_given = false; ///< by `model_info.id`
  std::size_t group = 0;    ///< index into `settings::groups`
  std::string group_name;   ///< `model_name` as written

  std::string model;          ///< `litellm_params.model` as written
  std::string provider;       ///< key of the table in providers.hpp, e.g. "openai"
  std::string upstream_model; ///< without the provider; may hold `*`, see upstream_model_for()
  std::string api_base;       ///< resolved URL without trailing `/`; empty for mocks
  secret api_key;             ///< empty: sends none
  std::string api_version;    ///< azure: never empty
  std::string organization;   ///< header `openai-organization`
  header_list extra_headers;  ///< sent with each request; values may be secrets

  std::optional<std::uint64_t> rpm;                   ///< attempts in any 60 s
  std::optional<std::uint64_t> tpm;                   ///< tokens in any 60 s
  std::optional<std::uint32_t> max_parallel_requests; ///< attempts in flight (default applied)
  std::optional<double> weight;                       ///< for `simple-shuffle`, ≥ 0
  std::optional<std::int32_t> order;                  ///< only the lowest healthy is a candidate
  std::vector<std::string> tags;

  std::optional<milliseconds> timeout;          ///< bounds one attempt
  std::optional<milliseconds> stream_timeout;   ///< between two chunks
  std::optional<milliseconds> stream_keepalive; ///< `keepalive_seconds`; 0: none
  std::optional<std::uint32_t> num_retries;     ///< `num_retries`, else `max_retries`
  std::optional<milliseconds> cooldown_time;    ///< 0: never cools
  std::optional<std::uint32_t> allowed_fails;   ///< failures in a sliding minute
  std::optional<failure_policy> allowed_fails_policy;

  std::optional<config::mock> mock;
  std::string body_defaults = "{}"; ///< JSON object: added where a request lacks the key
  std::string extra_body = "{}";    ///< JSON object: merged into each request
  std::vector<std::string> additional_drop_params;
  bool drop_params = false; ///< `litellm_settings.drop_params` applied

  std::optional<std::uint64_t> max_input_tokens; ///< `model_info`, for pre-call checks
  std::vector<std::string> supported_endpoints;  ///< `model_info`, e.g. "/v1/responses"
  std::string mode;                              ///< `model_info.mode`, e.g. "embedding"
  std::string model_info = "{}";                 ///< JSON object as configured, for /model/info
  bool ssl_verify = true;
  std::string ssl_ca_file;     ///< `ssl_verify: <path>`: trusted instead of the system's store
  std::string ssl_certificate; ///< PEM file of our own certificate, or empty

  /// Why Vorrang cannot serve it; it stands in `settings::left_out` then, in no group.
  std::optional<std::string> unsupported;
  /// A reload has removed it: it has no name, takes nothing, and finishes its calls.
  bool retired = false;
  location where;
};

/// What a client-facing name means, see resolve().
struct target {
  std::string name;                      ///< as asked for
  std::size_t group = 0;                 ///< index into `settings::groups`
  std::optional<std::size_t> deployment; ///< pinned by `model_info.id`
  std::vector<std::string> matched;      ///< the text each `*` of the group's name matched
};

/// A model group: the client-facing `model_name`; each has one queue.
struct group {
  std::string name;                     ///< may be a pattern with `*`
  std::vector<std::size_t> deployments; ///< indices into `settings::deployments`, as written
  /// Its own, else those of `*`, else `default_fallbacks`; never the group itself, at most
  /// `fallbacks_max`.
  std::vector<target> fallbacks;
  std::vector<target> context_window_fallbacks; ///< its own, else those of `*`
  std::vector<target> content_policy_fallbacks; ///< its own, else those of `*`
  std::optional<failure_policy> retry_policy;   ///< `model_group_retry_policy`, else `retry_policy`
  /// Set when every deployment was left out: requests get 400 with this sentence.
  std::optional<std::string> unservable;
  /// A reload has removed it: it has no name, and what waits there ends.
  bool retired = false;
  location where;

  bool is_pattern() const { return name.find('*') != std::string::npos; }
};

/// The model to ask for upstream: each `*` takes its matched text; one `*` more than there are
/// texts takes the last.
std::string upstream_model_for(const deployment& from, const std::vector<std::string>& matched);

} // namespace vorrang::config
