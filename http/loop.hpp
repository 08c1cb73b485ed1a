// One event loop: an io_context, the thread that runs it, its timeouts.
#pragma once

#include "actors/types.hpp"
#include "http/call_list.hpp"
#include "http/timed_call.hpp"

#include <array>
#include <cstddef>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace vorrang::http {

class hangup_watch;

/// The constant times that connections are given; each has one list in a loop.
enum class patience : std::uint8_t {
  head = 0,        ///< until a request's head is complete
  body = 1,        ///< between two reads of a body
  idle = 2,        ///< between two requests of a connection
  write_stall = 3, ///< until a client takes the next byte
  linger = 4,      ///< after our last byte, until the client closes
  pooled = 5,      ///< of an upstream connection that waits for its next request
};
inline constexpr std::size_t patience_count = 6;

/// How long each patience is, and how often it is looked at.
struct loop_times {
  std::array<duration, patience_count> patience = {
      std::chrono::seconds(10), std::chrono::seconds(30), std::chrono::seconds(75),
      std::chrono::seconds(60), std::chrono::seconds(2),  std::chrono::seconds(30)};
  duration tick = std::chrono::milliseconds(100);
};

/// An io_context that one thread runs. Everything but post(), context() and index() is for that
/// thread alone (or for any one thread while none runs it).
class loop {
public:
  explicit loop(std::size_t index, loop_times times = {});
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  boost::asio::io_context& context() noexcept;
  std::size_t index() const noexcept { return index_; }

  /// The loop whose thread calls; nullptr on any other thread.
  static loop* current() noexcept;

  /// Runs `work` on this loop, from any thread, never inside the call.
  void post(std::function<void()> work);

  /// Runs `call` once the handlers that are ready now have run: what they have gathered can go out
  /// at once. A call that is already waiting stays where it is. What such a call puts off itself
  /// runs right after it, a few times, before sockets are looked at.
  void run_soon(waiting_call& call);

  /// Runs `call` unless it is unlinked or watched anew within the time of `kind`, up to one tick
  /// later. Time in which the loop stood still (a stopped process, a suspended machine) counts as
  /// two ticks: what others sent meanwhile has not been looked at.
  void watch(waiting_call& call, patience kind);

  /// Rings `which` at `due`. To cancel: which.cancel().
  void run_at(timed_call& which, time_point due);

  /// For connections that cannot be read from; made when it is first asked for.
  hangup_watch& hangups();

  /// Runs handlers until stop(); exceptions of handlers are counted, logged and survived.
  void run();
  /// From any thread. What has not run by then is dropped by the destructor.
  void stop();

private:
  struct parts; // Asio stays out of this header

  void post_soon();
  void arm_timer();
  void start_tick();
  void tick();

  std::size_t index_;
  loop_times times_;
  std::unique_ptr<parts> parts_;
  call_list soon_;
  bool soon_posted_ = false;
  std::array<call_list, patience_count> patience_;
  time_point coarse_now_{}; ///< of a clock that runs while the loop does
  time_point ticked_at_{};
  bool ticking_ = false;
  timed_calls timed_;
  time_point armed_for_ = never;
};

} // namespace vorrang::http
