// Slots and calls a minute, counted exactly.
#pragma once

#include "bench/policy/trace.hpp"

#include <deque>

namespace vorrang::bench {

/// What one deployment has in flight and has begun in the last 60 s. The provider has one for each
/// deployment, and so has each policy that knows these limits. Written apart from the engine's
/// books, which it is to check.
class limit_counter {
public:
  explicit limit_counter(const limits& each) : slots_(each.slots), rpm_(each.rpm) {}

  bool has_room(time_point now) {
    forget(now);
    return in_flight_ < slots_ && (rpm_ == 0 || begun_.size() < rpm_);
  }
  void take(time_point now) {
    ++in_flight_;
    if (rpm_ != 0)
      begun_.push_back(now);
  }
  void release() { --in_flight_; }

  std::uint32_t in_flight() const noexcept { return in_flight_; }
  bool has_slot() const noexcept { return in_flight_ < slots_; }

  /// When a call of the last 60 s leaves the window, if that holds the next one back; else `never`.
  time_point window_return(time_point now) {
    forget(now);
    return rpm_ != 0 && begun_.size() >= rpm_ ? begun_.front() + std::chrono::seconds(60) : never;
  }

private:
  void forget(time_point now) {
    while (!begun_.empty() && begun_.front() + std::chrono::seconds(60) <= now)
      begun_.pop_front();
  }

  std::uint32_t slots_;
  std::uint32_t rpm_;
  std::uint32_t in_flight_ = 0;
  std::deque<time_point> begun_;
};

} // namespace vorrang::bench
