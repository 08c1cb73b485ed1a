#include "http/router_loop.hpp"

#include "http/coroutine.hpp"
#include "http/exchange.hpp"
#include "http/log.hpp"
#include "http/upstream_pool.hpp"

#include <algorithm>
#include <exception>

namespace vorrang::http {

using steady = std::chrono::steady_clock;

namespace {

/// Kept ready for a whole answer that says how long it is; a longer one grows as it comes.
constexpr std::uint64_t reserved_max = std::uint64_t{1} << 20;

/// Where the coroutine of an attempt waits; a job that is over wakes it.
class attempt_waiter final : public waiter {
public:
  attempt_waiter(loop& runs, router_job& job) : waiter(runs), job_(job) {
    job_.when_over = [this] {
      place.wake_soon();
    };
  }
  ~attempt_waiter() { job_.when_over = nullptr; }

  bool is_unwanted() const noexcept override { return job_.is_over(); }
  parking::pause changed() override { return place.wait(); }

private:
  router_job& job_;
};

/// What became of an exchange that has ended by then, so that the next attempt may begin.
struct news {
  std::optional<transport_error> error;
  std::optional<answer_head> head; ///< of a whole answer
  std::string body;
  std::string what_came; ///< beside `error`
  bool is_told = false;  ///< a stream, or nobody wants to hear
};

transport_error named(transport_error error, bool until_is_the_deadline) {
  return error == transport_error::timed_out && until_is_the_deadline ? transport_error::deadline
                                                                      : error;
}

awaitable<> read_stream(exchange& from, router_job& job, const upstream_request& request) {
  for (;;) {
    std::string_view piece;
    const bool had_begun = job.stream_begun();
    const time_point until = had_begun ? steady::now() + request.between_chunks : request.until;
    const bool came = co_await from.read(piece, until);
    if (!came) {
      if (!from.was_unwanted())
        job.stream_ended(named(from.error(), !had_begun && request.until_is_the_deadline));
      co_return;
    }
    if (piece.empty()) {
      job.stream_ended(std::nullopt);
      co_return;
    }
    if (!job.piece_arrived(piece))
      co_return;
  }
}

awaitable<news> exchange_once(router_loop& home, router_job& job, const upstream_request& request) {
  news told;
  attempt_waiter by(home.runs_on(), job);
  exchange upstream(home.upstreams(), by);
  auto may_send = [&job] {
    return job.may_send();
  };
  std::function<bool()> permission(may_send);
  const bool answered = co_await upstream.ask(request, std::move(permission));
  if (!answered) {
    told.is_told = upstream.was_unwanted();
    told.error = named(upstream.error(), request.until_is_the_deadline);
    told.what_came = upstream.what_came();
    co_return told;
  }
  const head_verdict verdict = job.head_arrived(upstream.head());
  if (verdict == head_verdict::stream) {
    told.is_told = true;
    co_await read_stream(upstream, job, request);
    co_return told;
  }
  if (verdict == head_verdict::no_use) {
    told.head = upstream.take_head();
    co_return told;
  }
  if (upstream.head().framing == body_framing::length)
    told.body.reserve(std::min<std::uint64_t>(upstream.head().content_length, reserved_max));
  for (;;) {
    std::string_view piece;
    const bool came = co_await upstream.read(piece, request.until);
    if (!came) {
      told.is_told = upstream.was_unwanted();
      told.error = named(upstream.error(), request.until_is_the_deadline);
      told.what_came = upstream.what_came();
      co_return told;
    }
    if (piece.empty())
      break;
    told.body.append(piece);
  }
  told.head = upstream.take_head();
  co_return told;
}

awaitable<> carry_attempt(router_loop& home, std::shared_ptr<router_job> job,
                          upstream_request request) {
  news told = co_await exchange_once(home, *job, request);
  if (told.is_told)
    co_return;
  if (told.head)
    job->answered(std::move(*told.head), std::move(told.body));
  else
    job->failed(*told.error, std::move(told.what_came));
}

} // namespace

router_loop::router_loop(loop& runs, std::unique_ptr<request_gate> gate)
    : runs_(runs), gate_(std::move(gate)), upstreams_(std::make_unique<upstream_pool>(runs)) {}

router_loop::~router_loop() = default;

time_point router_loop::now() const {
  return steady::now();
}

void router_loop::take(router::call_number number, router_order order) {
  order.done = [this, number, told = std::move(order.done)](completion_result result) {
    const auto kept = jobs_.extract(number);
    told(std::move(result));
    tell_if_empty();
  };
  const auto job = std::make_shared<router_job>(*this, std::move(order));
  jobs_.emplace(number, job);
  if (ends_)
    job->drain();
  else
    job->start();
}

void router_loop::cancel(router::call_number number) {
  if (const auto found = jobs_.find(number); found != jobs_.end()) {
    const auto kept = found->second;
    kept->cancel();
  }
}

void router_loop::end(std::function<void()> done) {
  ends_ = true;
  when_empty_ = std::move(done);
  while (!jobs_.empty()) {
    const auto kept = jobs_.begin()->second;
    kept->drain();
  }
  tell_if_empty();
}

void router_loop::carry(std::shared_ptr<router_job> job, upstream_request request) {
  ++carried_;
  auto ended = [this, job](std::exception_ptr error) {
    if (error) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& thrown) {
        log_bounded(log_cause::handler_exception, describe(thrown),
                    "a call ended by an exception: " + describe(thrown), {}, log_level::error);
      }
      job->failed(transport_error::broken);
    }
    --carried_;
    tell_if_empty();
  };
  // Not from inside the gate, which may have called.
  runs_.post([this, job, request = std::move(request), ended = std::move(ended)]() mutable {
    start(carry_attempt(*this, std::move(job), std::move(request)), std::move(ended));
  });
}

void router_loop::tell_if_empty() {
  if (!when_empty_ || carried_ > 0 || !jobs_.empty())
    return;
  const auto done = std::exchange(when_empty_, nullptr);
  // Not from inside the gate: a callback of it may have ended the last job.
  runs_.post([this, done] {
    upstreams_->close();
    gate_.reset();
    done();
  });
}

} // namespace vorrang::http
