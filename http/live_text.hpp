// What the live page is told once a second, as JSON text. Passive.
#pragma once

#include "actors/snapshot.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace vorrang::http {

/// What the last minutes brought one group, by priority class.
struct history_series {
  /// One class in one step.
  struct point {
    std::uint32_t grants = 0;
    /// Waits that ended, in a grant or without one.
    std::uint32_t waits = 0;
    /// Of those; estimated within the buckets of the metrics. Absent if there were none.
    std::optional<std::uint32_t> median_ms;
    std::optional<std::uint32_t> p90_ms;
  };
  struct step {
    time_point end{};
    duration length{};
    std::vector<point> classes; ///< as `classes` below
  };
  std::vector<std::string> classes;
  std::vector<step> steps; ///< the oldest first
};

/// Tickets of a line that one look at it reads; those behind are only counted.
inline constexpr std::size_t live_tickets_max = 50'000;
/// Priorities that are shown as lanes, and tickets of each.
inline constexpr std::size_t live_lanes_max = 24;
inline constexpr std::size_t live_lane_tickets_max = 10;

/// All that one moment tells of.
struct live_facts {
  /// Of each group with its head at least; the one in question with all that was read of its line.
  const std::vector<queue_view>* views = nullptr;
  std::vector<std::string> late; ///< groups that did not answer in time
  std::chrono::system_clock::time_point wall;
  bool is_draining = false;
  std::optional<bool> redis_reachable; ///< absent: lines are not shared
  std::string version;
};

/// `{"at","version","draining","redis_reachable","queues":[{"model","waiting","in_flight",
/// "oldest_wait_ms","state","inversions","cooling","deployments","retired","blocked"}],"late":[…],
/// "line":{…},"history":{…}}`. `line` is of `model`, null if there is no such group: `lanes` of one
/// priority each (its count, the place of its first, its first tickets), what they leave out, and
/// all deployments. A ticket has, beside what /queue tells, whom it `overtook` and by how many it
/// was `overtaken`: of those that were read.
std::string live_text(const live_facts& facts, const std::string& model,
                      const history_series& history);

/// Of each ticket of a line in order: how many stand behind it that came before it, and how many
/// before it that came after. O(n log n).
struct overtaking {
  std::uint32_t overtook = 0;
  std::uint32_t overtaken = 0;
};
std::vector<overtaking> find_overtaking(const std::vector<ticket_report>& line);

} // namespace vorrang::http
