// One request's part of the metrics: told what happens to it, it counts.
#pragma once

#include "http/loop_metrics.hpp"

namespace vorrang::http {

/// Belongs to the loop whose counts it raises. Passive: takes the time. What is told of the request
/// as a whole (waits, answers, ends, streams) is counted for the group that was asked for; a place
/// in line for the group whose line it is, and an attempt for the group of its deployment.
class request_meter {
public:
  /// `counts` outlives it. `since`: when the request was read whole.
  request_meter(loop_metrics& counts, const ask& wanted, time_point since) noexcept
      : counts_(counts), asked_(wanted.group), class_(counts.plan().class_of(wanted.priority)),
        since_(since) {}
  /// Leaves the line.
  ~request_meter();
  request_meter(const request_meter&) = delete;
  request_meter& operator=(const request_meter&) = delete;

  // Its ticket. What has none is counted as a call alone.
  void opened() noexcept;
  void granted(const grant& given) noexcept;
  void waits_again() noexcept { stand_in(line_); }
  void falls_back(group_index to) noexcept;
  void ended(const ending& how) noexcept;
  /// The deadline came in the middle of a call.
  void timed_out_calling() noexcept { end(timed_out_calling_place); }
  /// Its client hung up (`cancelled`), or the gateway ends (`draining`).
  void given_up(end_code why, time_point now) noexcept;

  // An attempt.
  void attempt_begins(const grant& given, time_point now) noexcept;
  void upstream_answered(unsigned status) noexcept;
  void upstream_failed(transport_error error) noexcept;
  /// The first event of a stream is about to go to the client.
  void stream_begins(time_point now) noexcept;
  void stream_ends(bool is_broken) noexcept;
  void settled(const outcome& result, time_point now) noexcept;

  /// What the client is about to be told.
  void answered(unsigned status) noexcept;
  /// … by an upstream.
  void answered_well() noexcept { end(answered_place); }

private:
  void stand_in(group_index group) noexcept;
  void leave_line() noexcept { stand_in(no_index); }
  void end(std::size_t place) noexcept;
  void observe_wait(std::size_t priority_class, duration waited) noexcept;

  loop_metrics& counts_;
  group_index asked_;
  group_index line_ = no_index;   ///< whose line it stands in, or stood in last
  group_index stands_ = no_index; ///< no_index: in none
  std::size_t class_;
  time_point since_;
  std::uint32_t retries_ = 0;
  bool has_ticket_ = false;
  bool has_waited_ = false; ///< and its wait was counted
  bool is_over_ = false;
  bool streams_ = false;

  // The attempt.
  group_index group_ = 0;
  deployment_index deployment_ = no_index;
  std::size_t attempt_class_ = 0;
  bool is_probe_ = false;
  bool is_fault_counted_ = false;
  time_point began_{};
};

} // namespace vorrang::http
