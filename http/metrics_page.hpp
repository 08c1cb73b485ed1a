// GET /metrics: what was counted, as text for Prometheus.
#pragma once

#include "actors/snapshot.hpp"
#include "http/loop_metrics.hpp"
#include "http/process_figures.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vorrang {
struct link_counts;
}

namespace vorrang::http {

/// What a reload has removed is told of for so long: the last of its requests end meanwhile, and
/// are scraped. What is told of for ever would be one series more for each key that is changed.
inline constexpr std::chrono::hours removed_told_for{1};

/// All that one scrape tells of.
struct metrics_facts {
  std::shared_ptr<const metrics_plan> plan;
  /// Any number for each loop; what belongs together is summed.
  std::vector<std::shared_ptr<const loop_metrics>> sets;
  /// Of the groups that answered in time.
  std::vector<queue_view> views;
  const link_counts* link = nullptr; ///< null: lines are not shared
  bool redis_is_up = false;
  bool is_draining = false;
  std::uint64_t requests_in_flight = 0;
  std::uint64_t body_bytes = 0;
  std::uint64_t body_bytes_max = 0;
  std::uint64_t connections = 0;
  std::uint64_t connections_max = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t log_lines_lost = 0;
  std::uint64_t access_lines_lost = 0;
  std::uint64_t spans_exported = 0;
  std::uint64_t spans_dropped = 0;
  process_figures process;
  std::string version;
  /// When this is so: a loop may have been handed something that it has not come to yet.
  time_point at{};
};

/// In Prometheus' text format 0.0.4. Each series that can be there is there from the beginning,
/// with 0: rates need that; those of what was removed go after removed_told_for. docs/metrics.md
/// tells what each means.
std::string metrics_text(const metrics_facts& facts);

inline constexpr const char* metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

} // namespace vorrang::http
