// Sends spans to a collector.
#pragma once

#include "http/otlp_json.hpp"
#include "http/trace_settings.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace vorrang::http {

/// OTLP/HTTP with JSON, in batches, by a thread of its own. A collector that is slow or away costs
/// requests nothing: what it does not take in time is left out, counted and logged. From any
/// thread.
class trace_exporter {
public:
  /// `settings` are enabled.
  trace_exporter(trace_settings settings, std::string version);
  /// As stop(), without patience.
  ~trace_exporter();
  trace_exporter(const trace_exporter&) = delete;
  trace_exporter& operator=(const trace_exporter&) = delete;

  const trace_sampler& sampler() const noexcept;

  /// Never waits for the collector.
  void take(std::unique_ptr<request_trace> done);

  /// Sends what is left, each request to the collector once. False: that took longer than
  /// `patience`; its thread is left to itself, and the process has to end by _Exit().
  bool stop(duration patience);

  /// Since the start.
  std::uint64_t spans_exported() const noexcept;
  std::uint64_t spans_dropped() const noexcept;

private:
  struct parts;
  std::shared_ptr<parts> parts_;
};

} // namespace vorrang::http
