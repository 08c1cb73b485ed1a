// Grants and waits of the last minutes, by group and priority class.
#pragma once

#include "http/live_text.hpp"
#include "http/loop_metrics.hpp"

#include <array>
#include <deque>
#include <memory>
#include <mutex>

namespace vorrang::http {

/// Looks at the loops' counts now and then and keeps what has come since the look before. Memory:
/// 24 bytes for each class of a group in which something happened in a step. Any thread.
class live_history {
public:
  static constexpr std::chrono::seconds step_length{5};
  static constexpr std::size_t steps_max = 120;

  /// Call it often: it looks where a step has passed. Asks nobody and wakes nobody.
  void sample(time_point now, const metrics_board& board);

  /// Of one group, all steps.
  history_series of(group_index group) const;

private:
  struct counts {
    std::uint64_t grants = 0;
    std::array<std::uint64_t, wait_bounds.size() + 1> waits{};
  };
  struct entry {
    group_index group;
    std::uint32_t priority_class;
    history_series::point what;
  };
  struct step {
    time_point end;
    duration length;
    std::vector<entry> entries; ///< by group, then class
  };

  mutable std::mutex mutex_;
  time_point last_{};
  std::vector<std::string> classes_;
  std::vector<counts> seen_; ///< by group, then class
  std::deque<step> steps_;
};

/// The value below which `part` (0 … 1) of what fell into these buckets of wait_bounds lies, even
/// within a bucket, as Prometheus' histogram_quantile estimates it; the last bound for what is
/// longer. Nothing if the buckets are empty.
std::optional<std::uint32_t>
estimate_ms(const std::array<std::uint64_t, wait_bounds.size() + 1>& buckets, double part);

} // namespace vorrang::http
