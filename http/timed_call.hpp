// Deadlines of one loop, kept in a heap so that all of them share one timer.
#pragma once

#include "actors/types.hpp"

#include <cstddef>
#include <vector>

namespace vorrang::http {

class timed_calls;

/// A call at a time. Stands in at most one heap and leaves it when it is destroyed. Belongs to one
/// thread.
class timed_call {
public:
  using function = void (*)(void* owner);

  timed_call(void* owner, function ring) noexcept : owner_(owner), ring_(ring) {}
  timed_call(const timed_call&) = delete;
  timed_call& operator=(const timed_call&) = delete;
  ~timed_call() { cancel(); }

  bool is_set() const noexcept { return heap_ != nullptr; }
  time_point due() const noexcept { return due_; }

  /// Takes it out of the heap, if it is in one.
  void cancel() noexcept;

private:
  friend class timed_calls;

  void* owner_;
  function ring_;
  timed_calls* heap_ = nullptr;
  std::size_t place_ = 0;
  time_point due_{};
};

/// A binary heap of timed calls, the earliest first. Must outlive none of its timed calls: what is
/// still set when it dies is taken out.
class timed_calls {
public:
  timed_calls() = default;
  ~timed_calls();
  timed_calls(const timed_calls&) = delete;
  timed_calls& operator=(const timed_calls&) = delete;

  bool empty() const noexcept { return heap_.empty(); }
  std::size_t size() const noexcept { return heap_.size(); }
  /// When the first one rings; `never` if there is none.
  time_point first() const noexcept { return heap_.empty() ? never : heap_.front()->due_; }

  /// Sets `which` to ring at `due`, instead of any time it was set to. `never` takes it out.
  void set(timed_call& which, time_point due);

  /// Rings those that are due at `now`, earliest first; one that sets itself again to a time that
  /// is due rings again. A call may set, cancel or destroy any other, or itself.
  void ring_due(time_point now);

private:
  friend class timed_call;

  void remove(timed_call& which) noexcept;
  void put(std::size_t place, timed_call* which) noexcept;
  void sift_up(std::size_t place) noexcept;
  void sift_down(std::size_t place) noexcept;

  std::vector<timed_call*> heap_;
};

inline void timed_call::cancel() noexcept {
  if (heap_ != nullptr)
    heap_->remove(*this);
}

} // namespace vorrang::http
