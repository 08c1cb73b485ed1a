// What is counted for metrics: arrays of one loop, and the index spaces that they have.
#pragma once

#include "actors/priority_class.hpp"
#include "actors/tally.hpp"
#include "http/attempt.hpp"
#include "http/growing_array.hpp"
#include "http/our_error.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {
struct settings;
}

namespace vorrang::http {

/// Where a request waits: for a moment, or until its deadline.
inline constexpr std::array<duration, 13> wait_bounds = {
    std::chrono::milliseconds(5),   std::chrono::milliseconds(25), std::chrono::milliseconds(100),
    std::chrono::milliseconds(500), std::chrono::seconds(1),       std::chrono::milliseconds(2500),
    std::chrono::seconds(5),        std::chrono::seconds(10),      std::chrono::seconds(30),
    std::chrono::seconds(60),       std::chrono::seconds(120),     std::chrono::seconds(300),
    std::chrono::seconds(600)};
/// How long upstreams take: mocks for nothing, models for minutes.
inline constexpr std::array<duration, 13> call_bounds = {
    std::chrono::milliseconds(10),  std::chrono::milliseconds(50), std::chrono::milliseconds(250),
    std::chrono::milliseconds(500), std::chrono::seconds(1),       std::chrono::milliseconds(2500),
    std::chrono::seconds(5),        std::chrono::seconds(10),      std::chrono::seconds(20),
    std::chrono::seconds(40),       std::chrono::seconds(80),      std::chrono::seconds(160),
    std::chrono::seconds(600)};
inline constexpr std::array<duration, 10> first_byte_bounds = {
    std::chrono::milliseconds(10),   std::chrono::milliseconds(50),  std::chrono::milliseconds(100),
    std::chrono::milliseconds(250),  std::chrono::milliseconds(500), std::chrono::seconds(1),
    std::chrono::milliseconds(2500), std::chrono::seconds(5),        std::chrono::seconds(10),
    std::chrono::seconds(30)};
/// What a loop is late by: a turn of handlers takes well below a millisecond.
inline constexpr std::array<duration, 8> lag_bounds = {
    std::chrono::microseconds(500), std::chrono::milliseconds(1),   std::chrono::milliseconds(5),
    std::chrono::milliseconds(10),  std::chrono::milliseconds(50),  std::chrono::milliseconds(100),
    std::chrono::milliseconds(500), std::chrono::milliseconds(2500)};

/// Labels of statuses: those that mean something of their own here, and the rest by their class.
inline constexpr std::array<std::string_view, 17> status_labels = {
    "200", "400", "401", "403", "404", "408", "413", "429",  "500",
    "502", "503", "504", "2xx", "3xx", "4xx", "5xx", "other"};
/// The place of a status there.
std::size_t status_place(unsigned status) noexcept;

/// How requests end: answered, or with a code of the engine's (its number is the place; `cancelled`
/// is a client that hung up), or with the deadline in the middle of a call.
inline constexpr std::array<std::string_view, 13> end_labels = {"answered",
                                                                "timed-out",
                                                                "queue-full",
                                                                "rate-limited-beyond-deadline",
                                                                "attempts-exhausted",
                                                                "rejected",
                                                                "no-deployment",
                                                                "unknown-group",
                                                                "cancelled-by-operator",
                                                                "draining",
                                                                "hung-up",
                                                                "all-cooling-down",
                                                                "timed-out-calling"};
inline constexpr std::size_t answered_place = 0;
inline constexpr std::size_t timed_out_calling_place = 12;

/// As transport_error, less 1; not_sent is no upstream's fault, and is not counted.
inline constexpr std::array<std::string_view, 5> upstream_error_labels = {
    "not-connected", "broken", "not-http", "timed-out", "deadline"};

/// The names of what is counted, taken from the configuration alone: no label comes from a request.
/// Groups and deployments have the indices of engine_settings.
struct metrics_plan {
  struct group {
    std::string name;
    std::vector<std::string> deployments; ///< their ids
    std::vector<std::size_t> places;      ///< theirs in the settings, which are for good
    /// When a reload has removed it, or one of them.
    std::optional<time_point> gone;
    std::vector<std::optional<time_point>> deployments_gone;
    bool operator==(const group&) const = default;
  };

  metrics_plan() = default;
  /// What the settings have no more is gone since it was so in `before`, or since `now`.
  metrics_plan(const config::settings& settings, const metrics_plan& before, time_point now);

  std::size_t class_of(std::int32_t priority) const noexcept {
    return priority_class(boundaries, priority);
  }

  std::vector<group> groups;
  std::size_t deployments_count = 0; ///< of all groups
  /// Rising; a class begins at each, and one is below the first.
  std::vector<std::int32_t> boundaries;
  std::vector<std::string> classes;
};

/// `below 0`, `0-9`, `10-99`, `100 and above`; ` to ` where a class begins below 0; `all`.
std::vector<std::string> names_of_classes(const std::vector<std::int32_t>& boundaries);

/// The counts of one loop: written by its thread, read by any. They stay where they are when a
/// reload brings more of them, so that a request counts what it meets later than it came. An index
/// beyond the plan is counted where nobody looks. Costs a request a few additions: no lock, no
/// memory, no look-up by text.
class loop_metrics {
public:
  struct by_class {
    tally requests;
    tally grants; ///< by the group that granted, and the priority then; for the live page
    level waiting;
    time_histogram<wait_bounds> wait;
    time_histogram<call_bounds> call;
    time_histogram<first_byte_bounds> first_byte;
  };
  struct by_group {
    std::array<tally, end_labels.size()> ended;
    std::array<tally, status_labels.size()> answers;
    tally retries;
    tally fallbacks;
    tally streams;
    tally broken_streams;
    level open_streams;
  };
  struct by_deployment {
    std::array<tally, 2> grants; ///< as grant_reason, less 1
    std::array<tally, 2> probes; ///< those that failed, those that healed
    std::array<tally, status_labels.size()> answers;
    std::array<tally, upstream_error_labels.size()> errors;
    tally tokens;
  };

  loop_metrics(std::shared_ptr<const metrics_plan> plan, std::size_t loop);

  // Its own thread's.

  /// There are more groups or deployments at the end of their lists.
  void follow(std::shared_ptr<const metrics_plan> plan);
  const metrics_plan& plan() const noexcept { return *plan_; }
  by_group& of(group_index group) noexcept {
    return group < plan_->groups.size() ? groups_[group] : unknown_group_;
  }
  by_class& of(group_index group, std::size_t priority_class) noexcept {
    return group < plan_->groups.size() ? classes_[group * plan_->classes.size() + priority_class]
                                        : unknown_class_;
  }
  by_deployment& deployment(group_index group, deployment_index which) noexcept {
    if (group >= plan_->groups.size() || which >= plan_->groups[group].places.size())
      return unknown_deployment_;
    return deployments_[plan_->groups[group].places[which]];
  }

  // Any thread's, which has a plan of its own; null: nothing has been counted there yet.

  std::size_t loop_index() const noexcept { return loop_; }
  const by_group* find_group(group_index group) const noexcept { return groups_.find(group); }
  const by_class* find_class(const metrics_plan& by, group_index group,
                             std::size_t priority_class) const noexcept {
    return classes_.find(group * by.classes.size() + priority_class);
  }
  const by_deployment* find_deployment(const metrics_plan& by, group_index group,
                                       deployment_index which) const noexcept {
    return deployments_.find(by.groups[group].places[which]);
  }

  /// An answer's head is about to go out.
  void answered(unsigned status, our_error why) noexcept {
    answers[status_place(status)].add();
    refused(why);
  }
  void refused(our_error why) noexcept {
    if (why != our_error::none)
      refusals[static_cast<std::size_t>(why)].add();
  }

  std::array<tally, status_labels.size()> answers;
  std::array<tally, 128> refusals; ///< by our_error
  tally connections;
  level idle_upstream_connections; ///< as it was up to a second ago
  time_histogram<lag_bounds> lag;
  /// When somebody handed the loop something to see when it comes to it; 0: it is not out.
  std::atomic<duration::rep> lag_asked_at{0};

private:
  std::shared_ptr<const metrics_plan> plan_;
  std::size_t loop_;
  growing_array<by_group> groups_;
  growing_array<by_class> classes_;
  growing_array<by_deployment> deployments_;
  by_group unknown_group_;
  by_class unknown_class_;
  by_deployment unknown_deployment_;
};

/// The sets of all loops. Any thread.
class metrics_board {
public:
  explicit metrics_board(const config::settings& settings);

  /// The configuration has grown at the end of its lists, or something is gone or has come back:
  /// sets that are made from now on have it, and the others follow plan(), each on its own thread.
  /// False: there is nothing new.
  bool follow(const config::settings& settings, time_point now);
  std::shared_ptr<loop_metrics> make_set(std::size_t loop);

  std::shared_ptr<const metrics_plan> plan() const;
  std::vector<std::shared_ptr<const loop_metrics>> sets() const;

private:
  mutable std::mutex mutex_;
  std::shared_ptr<const metrics_plan> plan_;
  std::vector<std::shared_ptr<const loop_metrics>> sets_;
};

} // namespace vorrang::http
