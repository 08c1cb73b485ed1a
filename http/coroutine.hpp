// Where a coroutine waits.
//
// GCC 12 destroys some temporaries of an expression with co_await twice: aggregates, arrays and
// capturing lambdas get a name on the line before, and no ?: holds a co_await. Coroutines are free
// functions with value parameters, or members of an object that outlives them.
#pragma once

#include "http/awaitable.hpp"
#include "http/loop.hpp"

namespace vorrang::http {

/// Where one coroutine waits for whatever comes next: bytes, the end of a connection, a grant, a
/// timer. Each of them changes some state and calls wake(); the coroutine looks at the state and
/// decides. So nothing is ever cancelled that waits, and a wait costs nothing.
///
///     while (!something_happened())
///       co_await place.wait();
class parking {
public:
  explicit parking(loop& runs)
      : runs_(runs), soon_(this, [](void* self) { static_cast<parking*>(self)->wake(); }) {}

  /// Parks the coroutine that awaits it until the next wake; at most one.
  class pause {
  public:
    explicit pause(parking& at) noexcept : at_(at) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> parked) const noexcept { at_.parked_ = parked; }
    void await_resume() const noexcept {}

  private:
    parking& at_;
  };

  pause wait() noexcept { return pause(*this); }

  /// Resumes the coroutine inside the call, if one is parked. For handlers that the loop itself
  /// called; others use wake_soon().
  void wake() {
    soon_.unlink();
    if (parked_)
      std::exchange(parked_, nullptr).resume();
  }

  /// Resumes it from the loop, soon.
  void wake_soon() {
    if (parked_)
      runs_.run_soon(soon_);
  }

private:
  loop& runs_;
  waiting_call soon_;
  std::coroutine_handle<> parked_;
};

/// A coroutine's place, its timer, and whether anybody still wants what it does.
class waiter {
public:
  explicit waiter(loop& runs)
      : place(runs), runs_(runs), timer_(this, [](void* self) {
          auto& own = *static_cast<waiter*>(self);
          own.rang_ = true;
          own.place.wake();
        }) {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// The result is of no use any more: the client hung up, or the gateway ends at once. Whoever
  /// waits stops waiting.
  virtual bool is_unwanted() const noexcept = 0;
  /// As place.wait(), with the client's next bytes or end being waited for as well.
  virtual parking::pause changed() = 0;

  /// Wakes the coroutine at `due`; rang() is true from then on, until the next call.
  void wake_at(time_point due) {
    rang_ = false;
    runs_.run_at(timer_, due);
  }
  bool rang() const noexcept { return rang_; }

  parking place;

protected:
  ~waiter() = default;
  loop& runs_;

private:
  timed_call timer_;
  bool rang_ = false;
};

} // namespace vorrang::http
