// How traces are exported, from OpenTelemetry's variables.
#pragma once

#include "config/environment.hpp"
#include "http/trace_context.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace vorrang::http {

/// What OpenTelemetry's environment says
/// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
/// …/specs/otel/protocol/exporter/). docs/logging.md has the variables that are read.
struct trace_settings {
  bool enabled = false;
  std::string base; ///< `https://host:port`, for the client
  std::string path; ///< `/v1/traces`
  /// Names and values; may hold keys: never logged.
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::pair<std::string, std::string>> resource; ///< attributes, service.name too
  std::string ca_file;                                       ///< empty: the system's store
  bool gzip = false;
  std::chrono::milliseconds timeout{10'000};
  trace_sampler sampler;
  /// Spans that wait at most, in one request at most, and how long at most.
  std::size_t spans_max = 2048;
  std::size_t batch_spans_max = 512;
  std::chrono::milliseconds delay{5000};

  /// What was ignored or cannot be done, a sentence each.
  std::vector<std::string> warnings;
};

/// Never throws. Variables that are empty count as not set.
trace_settings read_trace_settings(const config::environment& variables);

} // namespace vorrang::http
