// The one kind of coroutine of the gateway. It belongs to the thread that runs it.
//
// Asio's awaitable asks for memory at each wait and hands every step to an executor; here a wait
// is a pointer, and the frames of one request are the ones that the last has left behind.
#pragma once

#include "http/frame_memory.hpp"

#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace vorrang::http {

template <class Value>
class awaitable;

/// What promises of all values share: who goes on afterwards, and how it ended.
class awaitable_promise_base {
public:
  static void* operator new(std::size_t size) { return frame_memory::take(size); }
  static void operator delete(void* frame, std::size_t size) noexcept {
    frame_memory::give(frame, size);
  }

  std::suspend_always initial_suspend() const noexcept { return {}; }

  /// Goes on with the coroutine that awaits this one. While that one still stands in
  /// await_suspend, it sees by itself that this one is done: so coroutines that never wait do not
  /// pile up on the stack.
  struct final_step {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> done) const noexcept {
      const auto next = done.promise().awaiting_;
      if (next)
        next.resume(); // `done` may be gone now
    }
    void await_resume() const noexcept {}
  };
  final_step final_suspend() const noexcept { return {}; }

  void unhandled_exception() noexcept { error_ = std::current_exception(); }

protected:
  void rethrow() {
    if (error_)
      std::rethrow_exception(error_);
  }

private:
  template <class Value>
  friend class awaitable;
  std::coroutine_handle<> awaiting_; ///< null while it runs inside await_suspend
  std::exception_ptr error_;
};

template <class Value>
class awaitable_promise final : public awaitable_promise_base {
public:
  awaitable<Value> get_return_object() noexcept;
  template <class Given>
  void return_value(Given&& value) {
    value_.emplace(std::forward<Given>(value));
  }
  Value take() {
    rethrow();
    return std::move(*value_);
  }

private:
  std::optional<Value> value_;
};

template <>
class awaitable_promise<void> final : public awaitable_promise_base {
public:
  awaitable<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() { rethrow(); }
};

/// Begins when it is awaited; owns its frame. Exceptions reach whoever awaits it.
template <class Value = void>
class [[nodiscard]] awaitable {
public:
  using promise_type = awaitable_promise<Value>;
  using handle = std::coroutine_handle<promise_type>;

  explicit awaitable(handle frame) noexcept : frame_(frame) {}
  awaitable(awaitable&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  awaitable& operator=(awaitable&&) = delete;
  ~awaitable() {
    if (frame_)
      frame_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    frame_.resume();
    if (frame_.done())
      return false;
    frame_.promise().awaiting_ = awaiting;
    return true;
  }
  Value await_resume() { return frame_.promise().take(); }

private:
  handle frame_;
};

template <class Value>
awaitable<Value> awaitable_promise<Value>::get_return_object() noexcept {
  return awaitable<Value>(std::coroutine_handle<awaitable_promise>::from_promise(*this));
}

inline awaitable<void> awaitable_promise<void>::get_return_object() noexcept {
  return awaitable<void>(std::coroutine_handle<awaitable_promise>::from_promise(*this));
}

/// Runs `story` to its end, beginning inside the call; `ended` hears what it threw, or null.
void start(awaitable<> story, std::function<void(std::exception_ptr)> ended);

} // namespace vorrang::http
