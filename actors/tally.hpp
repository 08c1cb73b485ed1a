// Counts that one thread keeps and any thread reads.
#pragma once

#include "actors/types.hpp"

#include <algorithm>
#include <array>
#include <atomic>

namespace vorrang {

/// A count that only rises. One thread at a time adds, so that this is an ordinary addition: no
/// bus is locked, and a reader may be one behind.
class tally {
public:
  void add(std::uint64_t more = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::uint64_t> value_{0};
};

/// One that rises and falls, in the same way. Below 0 where what one thread has begun another ends;
/// the sum over all of them is what is there.
class level {
public:
  void change(std::int64_t by) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  void set(std::int64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::int64_t> value_{0};
};

/// How often something took how long. `Bounds` are the upper bounds of the buckets, rising; what is
/// longer than the last falls into one more.
template <const auto& Bounds>
class time_histogram {
public:
  static constexpr std::size_t buckets_count = Bounds.size() + 1;

  void observe(duration length) noexcept {
    length = std::max(length, duration::zero());
    std::size_t place = 0;
    while (place < Bounds.size() && length > Bounds[place])
      ++place;
    buckets_[place].add();
    sum_.add(static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(length).count()));
  }

  /// Of one bucket alone.
  std::uint64_t count(std::size_t bucket) const noexcept { return buckets_[bucket].value(); }
  std::uint64_t sum_ns() const noexcept { return sum_.value(); }

private:
  std::array<tally, buckets_count> buckets_;
  tally sum_;
};

} // namespace vorrang
