// What a ticket has been through: where it may still go, when, and whether it may at all.
#pragma once

#include "actors/deployment.hpp"
#include "actors/deployment_set.hpp"
#include "actors/failure_kind.hpp"

#include <array>
#include <random>

namespace vorrang {

/// Made when a ticket's first attempt goes wrong. Answers spec §3's questions: is another attempt
/// left, where may it not go, and until when.
///
/// Passive: takes the time, and random numbers for the jitter.
class attempt_history {
public:
  /// What becomes of the ticket.
  enum class verdict : std::uint8_t { waits_again, exhausted, rejected };

  /// `own_retries`: what the request says in place of the settings. `deployment_answered_since`:
  /// that deployment answered another request after this ticket's last 429 (see last_rate_limit()).
  verdict record(time_point now, deployment_index where, const attempt_result& result,
                 const group_settings& group, std::optional<std::uint32_t> own_retries,
                 bool deployment_answered_since, std::minstd_rand& random);

  /// Takes from `eligible` what refused the ticket for good.
  void subtract_refused(deployment_set& eligible) const;

  /// Takes from `eligible` where the ticket's own back-off is running at `now`.
  void subtract_backing_off(time_point now, deployment_set& eligible) const;

  /// The earliest end of a running back-off; `never` if none runs.
  time_point next_return(time_point now) const;

  /// Until when the ticket stays away from `where` because it was asked to by a Retry-After; in
  /// the past if it was not.
  time_point asked_to_wait_until(deployment_index where) const;

  std::uint32_t retries() const noexcept { return retries_; }
  std::uint16_t last_status() const noexcept { return last_status_; }
  bool last_timed_out() const noexcept { return last_timed_out_; }
  std::optional<duration> last_retry_after() const noexcept { return last_retry_after_; }
  bool context_window() const noexcept { return context_window_; }
  bool content_policy() const noexcept { return content_policy_; }

  /// A number of the queue's own that orders events; 0 before the first 429.
  std::uint64_t last_rate_limit = 0;

private:
  struct place {
    deployment_index where;
    bool refused = false;
    bool asked_to_wait = false;
    /// It stays away for pass_time more than it was asked to.
    bool lets_pass = false;
    std::uint32_t back_offs = 0;
    time_point back_off_until{};
  };

  place& at(deployment_index where);
  void back_off(time_point now, place& here, const outcome& result, const group_settings& group,
                std::minstd_rand& random);
  /// Takes one of the attempts that are left after such a failure; false if none is.
  bool use_one(const counted_failure& failure, std::uint32_t limit);

  std::vector<place> places_;
  std::uint32_t retries_ = 0;
  /// Attempts after a failure, by kind.
  std::array<std::uint32_t, failure_kinds> used_{};
  std::uint32_t rate_limits_ = 0;
  std::uint32_t strikes_ = 0;
  std::uint16_t last_status_ = 0;
  bool last_timed_out_ = false;
  bool context_window_ = false;
  bool content_policy_ = false;
  std::optional<duration> last_retry_after_;
};

} // namespace vorrang
