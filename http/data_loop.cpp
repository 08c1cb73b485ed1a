#include "http/data_loop.hpp"

#include "http/answer_headers.hpp"
#include "http/connection.hpp"
#include "http/log.hpp"
#include "http/upstream_pool.hpp"

#include <exception>
#include <random>

namespace vorrang::http {

using steady = std::chrono::steady_clock;

namespace {

std::uint64_t random_seed() {
  std::random_device random;
  return (std::uint64_t{random()} << 32) | random();
}

} // namespace

data_loop::data_loop(loop& runs, data_port& port, std::unique_ptr<request_gate> gate)
    : runs_(runs), port_(port), gate_(std::move(gate)),
      upstreams_(std::make_unique<upstream_pool>(runs)),
      metrics_(port.metrics.make_set(runs.index())), ids_(random_seed()) {}

data_loop::~data_loop() = default;

const std::string& data_loop::date(time_point now) {
  if (now >= date_until_) {
    const auto wall = std::chrono::system_clock::now();
    const auto second = std::chrono::floor<std::chrono::seconds>(wall);
    date_ = http_date(second);
    date_until_ =
        now + std::chrono::duration_cast<duration>(second + std::chrono::seconds(1) - wall);
  }
  return date_;
}

const gateway_state& data_loop::state(bool with_queues, probe_findings findings) {
  state_.draining = stage_ != stage::serving;
  state_.requests_in_flight = port_.requests_in_flight;
  if (port_.redis_reachable)
    state_.redis_reachable = port_.redis_reachable();
  if (with_queues && port_.queues)
    state_.queues = port_.queues();
  state_.findings = std::move(findings);
  return state_;
}

void data_loop::take(int descriptor, bool is_ipv6) {
  auto made = std::make_shared<connection>(*this, descriptor, is_ipv6);
  metrics_->connections.add();
  ++running_;
  start(connection::serve(std::move(made)), [this](const std::exception_ptr& error) {
    --port_.connections;
    --load;
    one_ended(error);
  });
}

void data_loop::run(awaitable<> work) {
  ++running_;
  start(std::move(work), [this](const std::exception_ptr& error) { one_ended(error); });
}

void data_loop::one_ended(const std::exception_ptr& error) {
  --running_;
  if (error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& thrown) {
      log_bounded(log_cause::handler_exception, describe(thrown),
                  "a connection ended by an exception: " + describe(thrown), {}, log_level::error);
    }
  }
  tell_if_empty();
}

void data_loop::measure_lag(time_point now) {
  duration::rep not_out = 0;
  if (!metrics_->lag_asked_at.compare_exchange_strong(not_out, now.time_since_epoch().count()))
    return;
  // The loop's last handler has run when this object dies.
  runs_.post([this] {
    const duration asked_at(metrics_->lag_asked_at.exchange(0));
    metrics_->lag.observe(steady::now().time_since_epoch() - asked_at);
    metrics_->idle_upstream_connections.set(static_cast<std::int64_t>(upstreams_->idle_count()));
  });
}

void data_loop::advance(stage next) {
  if (next <= stage_)
    return;
  stage_ = next;
  for (waiter* each : waiters_)
    each->place.wake_soon();
}

void data_loop::when_empty(std::function<void()> done) {
  when_empty_ = std::move(done);
  tell_if_empty();
}

void data_loop::tell_if_empty() {
  if (!when_empty_ || !is_empty())
    return;
  upstreams_->close();
  gate_.reset();
  const auto done = std::move(when_empty_);
  when_empty_ = nullptr;
  done();
}

} // namespace vorrang::http
