// The Router's arguments, by the names that LiteLLM gives them.
//
// All members have initializers: designated ones may leave out any of them without a warning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vorrang {

namespace config {
struct settings;
}

/// What a deployment is called with, and its limits. Values may be `os.environ/NAME`.
struct litellm_params {
  /// E.g. `openai/gpt-4o`, `azure/my-deployment`; a name without a provider is OpenAI's.
  std::string model{};
  std::string api_key{};
  std::string api_base{};
  std::string api_version{};
  /// The deployment answers this, without any upstream.
  std::optional<std::string> mock_response{};
  std::optional<std::uint64_t> rpm{};
  std::optional<std::uint64_t> tpm{};
  std::optional<std::uint32_t> max_parallel_requests{};
  /// Seconds; bounds one attempt.
  std::optional<double> timeout{};
  /// A JSON object: every other key of `litellm_params`.
  std::string more_json{};
};

/// One entry of `model_list`.
struct model_entry {
  std::string model_name{};
  vorrang::litellm_params litellm_params{};
  /// A JSON object, e.g. `{"id": "east"}`.
  std::string model_info_json{};
};

/// Arguments left out have the defaults of a configuration file. Either `model_list` and what
/// follows it, or one whole configuration.
struct router_options {
  std::vector<model_entry> model_list{};
  /// Seconds; covers waiting and attempts.
  std::optional<double> timeout{};
  /// `simple-shuffle`, `usage-based-routing-v2`, `least-busy`, `latency-based-routing`.
  std::optional<std::string> routing_strategy{};
  /// Seconds; the first spacing of probes. Nothing is polled.
  std::optional<double> polling_interval{};
  std::optional<std::uint32_t> num_retries{};
  std::optional<std::int32_t> default_priority{};
  /// Where the host or the URL is set, the queue is one with all processes that name the same
  /// Redis.
  std::optional<std::string> redis_host{};
  std::optional<std::uint16_t> redis_port{};
  std::optional<std::string> redis_password{};
  std::optional<std::string> redis_url{};
  /// A JSON object: every other key of `router_settings`, such as `fallbacks`.
  std::string more_json{};

  /// A whole configuration: a file …
  std::string config_file{};
  /// … or its text …
  std::string config_text{};
  /// … or read already, without errors.
  std::shared_ptr<const config::settings> settings{};

  /// Threads that carry the calls. With one, calls queue in the order they were made.
  std::size_t threads = 1;
};

/// What the arguments mean, or what is wrong with them.
struct understood_options {
  /// Null if there are problems.
  std::shared_ptr<const config::settings> settings;
  std::vector<std::string> problems;
  std::vector<std::string> warnings;
};

/// By the rules of the configuration, so that an argument and the same key in a file mean the same.
/// Reads files and variables of the process; never throws for what is in them.
understood_options understand(const router_options& options);

} // namespace vorrang
