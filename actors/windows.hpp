// What the last 60 seconds took from a deployment: requests and tokens.
#pragma once

#include "actors/types.hpp"

#include <deque>

namespace vorrang {

/// The length of both windows, as providers count them.
inline constexpr duration window_length = std::chrono::seconds(60);

/// More entries than this, and neighbours within a second share one: memory stays bounded, and
/// what they took comes back up to 1 s late, never early.
inline constexpr std::size_t window_entries_exact = 1000;

/// Counts what was taken in (now − 60 s, now]. Each amount keeps the date it was taken at, and
/// leaves exactly 60 s later (up to 1 s later than that where more than `window_entries_exact`
/// entries are alive). Time must not run backwards between calls.
class sliding_window {
public:
  /// Names the entry an amount was written to.
  using entry_number = std::uint64_t;

  /// Enters `amount` (0 is fine: it may be corrected later) at `now`.
  entry_number add(time_point now, std::int64_t amount) {
    expire(now);
    const bool crowded = entries_.size() >= window_entries_exact;
    if (!crowded || now - entries_.back().first >= std::chrono::seconds(1))
      entries_.push_back({now, now, 0});
    auto& newest = entries_.back();
    newest.last = now;
    newest.amount += amount;
    total_ += amount;
    return base_ + entries_.size() - 1;
  }

  /// Adds `delta` (may be negative) to an entry. False if it has left the window already.
  bool correct(time_point now, entry_number number, std::int64_t delta) {
    expire(now);
    if (number < base_)
      return false;
    entries_[number - base_].amount += delta;
    total_ += delta;
    return true;
  }

  /// The sum of what is in the window.
  std::int64_t used(time_point now) {
    expire(now);
    return total_;
  }

  /// When the oldest entry leaves; `never` if there is none.
  time_point next_return() const noexcept {
    return entries_.empty() ? never : entries_.front().last + window_length;
  }

private:
  struct entry {
    time_point first;
    time_point last;
    std::int64_t amount;
  };

  void expire(time_point now) {
    while (!entries_.empty() && entries_.front().last + window_length <= now) {
      total_ -= entries_.front().amount;
      entries_.pop_front();
      ++base_;
    }
  }

  std::deque<entry> entries_;
  entry_number base_ = 0;
  std::int64_t total_ = 0;
};

} // namespace vorrang
