// Spans, and how OTLP/HTTP writes them as JSON.
#pragma once

#include "actors/types.hpp"
#include "http/trace_context.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vorrang::http {

/// As OTLP numbers them.
enum class span_kind : std::uint8_t { internal = 1, server = 2, client = 3 };

struct span_attribute {
  std::string_view name; ///< a literal of ours
  std::variant<std::string, std::int64_t> value;
};

struct span_record {
  std::string name;
  span_kind kind = span_kind::internal;
  std::uint64_t id = 0;
  std::uint64_t parent = 0; ///< 0: a root
  time_point begins{};
  time_point ends{};
  bool failed = false;
  std::vector<span_attribute> attributes;
};

/// The spans of one request.
struct request_trace {
  trace_id id;
  std::string state; ///< `tracestate`, as it came; several as one list; empty beyond 4 KiB
  /// Of the steady clock's zero, in Unix time: all spans of a request are placed by one reading of
  /// the time of day, so that they nest whatever is done to that.
  std::chrono::nanoseconds zero{};
  std::vector<span_record> spans;
};

/// An ExportTraceServiceRequest
/// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): ids in hexadecimal, 64-bit
/// numbers as texts.
std::string otlp_json(const std::vector<std::pair<std::string, std::string>>& resource,
                      std::string_view version,
                      std::span<const std::unique_ptr<request_trace>> traces);

} // namespace vorrang::http
