// Roughly what the last minute took, where no limit asks for it exactly.
#pragma once

#include "actors/windows.hpp"

#include <array>

namespace vorrang {

/// A sum for each second of the last minute, at the cost of an addition. Where a reload brings a
/// limit, it holds for what was granted before as well. Time must not run backwards.
class recent_use {
public:
  void add(time_point now, std::uint32_t requests, std::int64_t tokens) noexcept {
    advance(second_of(now));
    auto& here = sums_[place_of(newest_)];
    here.requests += requests;
    here.tokens += tokens;
  }

  /// Calls `visit(date, requests, tokens)` for each second that has seen something, oldest first.
  /// The date is the second's end, or `now`: nothing comes back early, and up to 1 s late.
  template <class Visit>
  void for_each(time_point now, Visit&& visit) {
    const auto last = second_of(now);
    advance(last);
    for (auto second = last - seconds_kept + 1; second <= last; ++second)
      if (const auto& found = sums_[place_of(second)]; found.requests != 0 || found.tokens != 0)
        visit(std::min(now, time_point(std::chrono::seconds(second + 1)) - duration(1)),
              found.requests, found.tokens);
  }

private:
  /// The running second, and the 60 before it.
  static constexpr std::int64_t seconds_kept = 61;
  struct sum {
    std::int64_t tokens = 0;
    std::uint32_t requests = 0;
  };

  static std::int64_t second_of(time_point at) noexcept {
    return std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count();
  }
  static std::size_t place_of(std::int64_t second) noexcept {
    return static_cast<std::size_t>((second % seconds_kept + seconds_kept) % seconds_kept);
  }

  void advance(std::int64_t to) noexcept {
    if (to <= newest_)
      return;
    if (to - newest_ >= seconds_kept)
      sums_.fill({});
    else
      for (auto second = newest_ + 1; second <= to; ++second)
        sums_[place_of(second)] = {};
    newest_ = to;
  }

  std::array<sum, seconds_kept> sums_{};
  std::int64_t newest_ = 0;
};

} // namespace vorrang
