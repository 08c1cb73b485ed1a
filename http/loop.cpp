#include "http/loop.hpp"

#include "http/hangup_watch.hpp"
#include "http/log.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <exception>

namespace vorrang::http {

namespace asio = boost::asio;

namespace {

using steady = std::chrono::steady_clock;
using timer =
    asio::basic_waitable_timer<steady, asio::wait_traits<steady>, asio::io_context::executor_type>;

thread_local loop* current_loop = nullptr;

/// What calls put off until later runs right after them so many times before sockets are looked at.
/// A ticket takes five from the ask to the request on its way: the message, the actors, the
/// verdict, the wake-up, and what the woken says. A look between them finds nothing in a loop that
/// is idle.
constexpr int rounds_in_a_go_max = 5;

/// Runs `last` when it goes, also when a call throws: a list whose flag stays set never runs again.
template <class Function>
class finally {
public:
  explicit finally(Function last) : last_(std::move(last)) {}
  ~finally() { last_(); }
  finally(const finally&) = delete;
  finally& operator=(const finally&) = delete;

private:
  Function last_;
};

} // namespace

struct loop::parts {
  // Its sockets are touched by its own thread alone; posts from others still lock.
  asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  timer deadline{context};
  timer tick{context};
  std::unique_ptr<hangup_watch> hangups;
};

loop::loop(std::size_t index, loop_times times)
    : index_(index), times_(times), parts_(std::make_unique<parts>()) {}

loop::~loop() = default;

asio::io_context& loop::context() noexcept {
  return parts_->context;
}

loop* loop::current() noexcept {
  return current_loop;
}

void loop::post(std::function<void()> work) {
  asio::post(parts_->context, std::move(work));
}

void loop::run_soon(waiting_call& call) {
  if (call.is_linked())
    return;
  soon_.push_back(call);
  post_soon();
}

void loop::post_soon() {
  if (soon_posted_ || soon_.empty())
    return;
  soon_posted_ = true;
  asio::post(parts_->context, [this] {
    const finally again([this] {
      soon_posted_ = false;
      post_soon();
    });
    for (int round = 0; round < rounds_in_a_go_max && !soon_.empty(); ++round)
      soon_.run_all();
  });
}

void loop::watch(waiting_call& call, patience kind) {
  if (!ticking_) {
    ticked_at_ = steady::now();
    start_tick();
  }
  patience_[static_cast<std::size_t>(kind)].push_back(call, coarse_now_);
}

void loop::start_tick() {
  ticking_ = true;
  parts_->tick.expires_at(ticked_at_ + times_.tick);
  parts_->tick.async_wait([this](const boost::system::error_code& error) {
    if (!error)
      tick();
  });
}

void loop::tick() {
  const time_point now = steady::now();
  coarse_now_ += std::min<duration>(now - ticked_at_, 2 * times_.tick);
  ticked_at_ = now;
  const finally again([this] {
    ticking_ = false;
    for (const call_list& each : patience_) {
      if (!each.empty())
        return start_tick();
    }
  });
  for (std::size_t kind = 0; kind < patience_count; ++kind)
    patience_[kind].run_older(coarse_now_ - times_.patience[kind]);
}

void loop::run_at(timed_call& which, time_point due) {
  timed_.set(which, due);
  // An timed_call that was cancelled leaves the timer as it is: it then wakes once for nothing,
  // which is cheaper than to set it for each request.
  if (timed_.first() < armed_for_)
    arm_timer();
}

void loop::arm_timer() {
  armed_for_ = timed_.first();
  if (armed_for_ == never)
    return;
  parts_->deadline.expires_at(armed_for_);
  parts_->deadline.async_wait([this](const boost::system::error_code& error) {
    if (error)
      return;                       // set anew meanwhile
    armed_for_ = time_point::min(); // what is set by the calls is armed once, at the end
    const finally again([this] { arm_timer(); });
    timed_.ring_due(steady::now());
  });
}

hangup_watch& loop::hangups() {
  if (!parts_->hangups)
    parts_->hangups = std::make_unique<hangup_watch>(parts_->context);
  return *parts_->hangups;
}

void loop::run() {
  current_loop = this;
  const auto guard = asio::make_work_guard(parts_->context);
  for (;;) {
    try {
      parts_->context.run();
      break;
    } catch (const std::exception& error) {
      log_bounded(log_cause::handler_exception, describe(error),
                  "a handler threw: " + describe(error), {}, log_level::error);
    }
  }
  current_loop = nullptr;
}

void loop::stop() {
  parts_->context.stop();
}

} // namespace vorrang::http
