// How fast a group's line moves, for an honest Retry-After.
#pragma once

#include "actors/types.hpp"

#include <array>

namespace vorrang {

/// Counts grants by second over the last minute.
class grant_rate {
public:
  void count(time_point now) {
    advance(now);
    ++seconds_[second_ % seconds_.size()];
    ++total_;
  }

  /// When `ahead` more grants will have been made at the rate of the last minute, as a whole
  /// number of seconds from 1 to 60; 60 if the line has not moved.
  duration time_for(time_point now, std::size_t ahead) {
    advance(now);
    const auto age = std::min<std::uint64_t>(second_ - first_second_ + 1, seconds_.size());
    if (total_ == 0)
      return std::chrono::seconds(60);
    const auto seconds = (ahead * age + total_ - 1) / total_;
    return std::chrono::seconds(std::min<std::uint64_t>(std::max<std::uint64_t>(seconds, 1), 60));
  }

private:
  void advance(time_point now) {
    const auto second = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
    if (first_second_ == 0)
      first_second_ = second_ = second;
    if (second >= second_ + seconds_.size()) {
      seconds_.fill(0);
      total_ = 0;
      second_ = second;
    }
    while (second_ < second) {
      ++second_;
      auto& oldest = seconds_[second_ % seconds_.size()];
      total_ -= oldest;
      oldest = 0;
    }
  }

  std::array<std::uint64_t, 60> seconds_{};
  std::uint64_t total_ = 0;
  std::uint64_t second_ = 0;
  std::uint64_t first_second_ = 0;
};

} // namespace vorrang
