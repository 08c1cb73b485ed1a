// Whether a deployment is left alone, tried out, or used: cooldown, probes, re-opening.
#pragma once

#include "actors/failure_kind.hpp"

#include <deque>

namespace vorrang {

/// The longest Retry-After that is believed (spec, "Cooldown").
inline constexpr duration retry_after_max = std::chrono::seconds(3600);

/// The health of one deployment, from the outcomes of its attempts. A deployment cools down after
/// a 429, a refusal (401, 403, 404), a 503 with Retry-After, or too many failures in a minute.
/// While it cools for failures it may be probed, ever less often; once it has cooled it opens
/// again one grant at a time, doubling with each success.
///
/// Passive: takes the time, which must not run backwards.
class health {
public:
  health(const group_settings& group, const deployment_settings& deployment);

  /// A reload: other rules from now on. A cooldown that runs keeps its end.
  void follow(const group_settings& group, const deployment_settings& deployment);

  /// What an attempt must remember of the state it was granted in.
  struct stamp {
    std::uint32_t phase = 0;
    bool probe = false;
    /// A probe whose 2xx head has already been counted as the success it is.
    bool healed = false;
  };

  /// An attempt was granted.
  stamp take(time_point now, bool probe);

  /// The 2xx head of a probe arrived.
  void head(time_point now, stamp& attempt);

  /// The attempt is over.
  void settle(time_point now, const stamp& attempt, const outcome& result);

  /// Ends a cooldown whose time has come.
  void tick(time_point now);

  bool cooling() const noexcept { return cooling_; }
  /// The end of the running cooldown; meaningless if not cooling.
  time_point cooling_until() const noexcept { return until_; }
  /// Until when an upstream's Retry-After keeps everybody away; in the past if none does.
  time_point retry_after_until() const noexcept { return retry_after_until_; }
  /// When the next probe is due; `never` if none may be sent.
  time_point probe_at() const noexcept;
  /// What may still be granted before re-opening is over.
  std::uint32_t reopening_room() const noexcept;
  bool reopening() const noexcept { return reopening_limit_ != 0; }
  /// Re-opening has seen a success: it is over as soon as it holds nobody back.
  bool may_open() const noexcept { return reopening() && reopening_limit_ > 1; }
  /// Which cooldown or opening this is; rises with each begin and end.
  std::uint32_t phase() const noexcept { return phase_; }
  /// Re-opening held nobody back; nothing if that was said of an earlier phase.
  void open_fully(std::uint32_t phase) noexcept {
    if (phase == phase_ && !cooling_)
      reopening_limit_ = 0;
  }

private:
  struct failure {
    time_point at;
    failure_kind kind;
  };

  void cool(time_point now, const outcome& result, bool may_probe);
  void reopen(std::uint32_t limit);
  void succeed(const stamp& attempt);
  void fail(time_point now, const outcome& result);
  bool stale(const stamp& attempt) const noexcept { return attempt.phase < began_; }

  duration cooldown_time_{};
  duration first_spacing_{};
  std::uint32_t allowed_fails_ = 0;
  allowed_fails_policy policy_;

  /// Rises by one whenever a cooldown begins or ends; `began_` is its value at the last begin.
  std::uint32_t phase_ = 0;
  std::uint32_t began_ = 0;
  bool cooling_ = false;
  time_point until_{};
  time_point no_probe_until_{};
  time_point retry_after_until_{};
  bool probe_running_ = false;
  duration spacing_{};
  time_point probe_at_{};
  /// 0: open; else what may be in flight of the grants made since the cooldown ended.
  std::uint32_t reopening_limit_ = 0;
  std::uint32_t reopening_in_flight_ = 0;
  std::deque<failure> failures_;
};

} // namespace vorrang
