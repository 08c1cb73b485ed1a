// Calls that wait in a loop's lists: until the end of the drain, or for a constant time.
#pragma once

#include "actors/types.hpp"

namespace vorrang::http {

/// A call that stands in at most one call_list, without memory of its own. It leaves the list when
/// it is destroyed. Belongs to one thread.
class waiting_call {
public:
  using function = void (*)(void* owner);

  waiting_call(void* owner, function run) noexcept : owner_(owner), run_(run) {}
  waiting_call(const waiting_call&) = delete;
  waiting_call& operator=(const waiting_call&) = delete;
  ~waiting_call() { unlink(); }

  bool is_linked() const noexcept { return next_ != nullptr; }

  /// Takes the call out of its list, if it is in one.
  void unlink() noexcept {
    if (next_ == nullptr)
      return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

private:
  friend class call_list;

  void* owner_;
  function run_;
  waiting_call* previous_ = nullptr;
  waiting_call* next_ = nullptr;
  time_point since_{};
};

/// First in, first out. Adding, removing and taking are O(1).
class call_list {
public:
  call_list() noexcept : ends_(nullptr, nullptr) { ends_.previous_ = ends_.next_ = &ends_; }
  ~call_list() {
    while (!empty())
      ends_.next_->unlink();
    ends_.previous_ = ends_.next_ = nullptr;
  }
  call_list(const call_list&) = delete;
  call_list& operator=(const call_list&) = delete;

  bool empty() const noexcept { return ends_.next_ == &ends_; }

  /// Puts `call` at the end, out of any list it was in.
  void push_back(waiting_call& call, time_point now = {}) noexcept {
    call.unlink();
    call.since_ = now;
    call.previous_ = ends_.previous_;
    call.next_ = &ends_;
    ends_.previous_->next_ = &call;
    ends_.previous_ = &call;
  }

  /// Runs those that are here now, oldest first; those that are added meanwhile stay. A call may
  /// unlink or destroy others, or itself.
  void run_all() {
    if (empty())
      return;
    waiting_call mark(nullptr, nullptr);
    push_back(mark);
    while (ends_.next_ != &mark)
      run_first();
  }

  /// Runs those that were added at or before `then`, oldest first.
  void run_older(time_point then) {
    while (!empty() && ends_.next_->since_ <= then)
      run_first();
  }

private:
  void run_first() {
    waiting_call& first = *ends_.next_;
    first.unlink();
    first.run_(first.owner_);
  }

  waiting_call ends_;
};

} // namespace vorrang::http
