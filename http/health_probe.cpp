#include "http/health_probe.hpp"

#include "actors/request_gate.hpp"
#include "config/settings.hpp"
#include "http/exchange.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace vorrang::http {

using steady = std::chrono::steady_clock;

namespace {

/// Asks one deployment after the other.
class inquiry final : public waiter, public request_listener {
public:
  explicit inquiry(data_loop& home) : waiter(home.runs_on()), home_(home) { home_.add(*this); }
  ~inquiry() override {
    leave();
    wake_at(never);
    home_.remove(*this);
  }

  bool is_unwanted() const noexcept override { return home_.current_stage() != stage::serving; }
  parking::pause changed() override { return place.wait(); }

  void on_grant(const grant&) override {
    is_granted_ = true;
    place.wake_soon();
  }
  void on_waiting_again() override {}
  void on_end(const ending& end) override {
    ticket_.reset();
    ended_ = end.code;
    place.wake_soon();
  }
  void on_position(std::uint32_t) override {}

  awaitable<> ask(const probe_plan& plan, probe_finding& found) {
    is_granted_ = false;
    ended_.reset();
    ticket_ = home_.gate().open(plan.wanted, *this);
    wake_at(plan.wanted.deadline);
    while (!is_granted_ && !ended_ && !is_unwanted() && !rang())
      co_await changed();
    if (is_unwanted())
      found = finding_of(end_code::draining);
    else if (ended_)
      found = finding_of(*ended_);
    else if (is_granted_)
      co_await call(plan, found);
    // A grant is settled as cancelled: neither a success nor a failure.
    leave();
  }

private:
  awaitable<> call(const probe_plan& plan, probe_finding& found) {
    upstream_request request;
    request.deployment = plan.deployment;
    request.address = plan.address;
    request.head = plan.head;
    request.until = plan.wanted.deadline;
    exchange upstream(home_.upstreams(), *this);
    time_point began = steady::now();
    auto may_send = [this, &began] {
      began = steady::now();
      return home_.gate().begin_sending(*ticket_);
    };
    std::function<bool()> permission(may_send);
    const bool answered = co_await upstream.ask(request, std::move(permission));
    // Its list of models is of no interest: the exchange closes the connection.
    if (answered)
      found =
          finding_of(static_cast<std::uint16_t>(upstream.head().status),
                     std::chrono::duration_cast<std::chrono::milliseconds>(steady::now() - began));
    else if (upstream.was_unwanted())
      found = finding_of(end_code::draining);
    else
      found = finding_of(upstream.error());
  }

  void leave() {
    if (ticket_)
      home_.gate().cancel(*std::exchange(ticket_, std::nullopt));
  }

  data_loop& home_;
  std::optional<ticket_id> ticket_; ///< while the gate knows it, and would call us
  bool is_granted_ = false;
  std::optional<end_code> ended_;
};

} // namespace

void health_probe::ask(told done) {
  home_.runs_on().post([this, done = std::move(done)]() mutable {
    waiting_.push_back(std::move(done));
    if (waiting_.size() == 1)
      begin();
  });
}

void health_probe::begin() {
  found_.assign(home_.rules().settings().deployments.size(), probe_finding{});
  next_ = 0;
  until_ = steady::now() + all_time_max;
  const auto workers = std::min(found_.size(), at_once_max);
  working_ = workers;
  for (std::size_t i = 0; i < workers; ++i)
    home_.run(work());
  if (workers == 0)
    finish();
}

void health_probe::finish() {
  const auto all = std::make_shared<const std::vector<probe_finding>>(std::move(found_));
  for (const auto& done : std::exchange(waiting_, {}))
    done(all);
}

awaitable<> health_probe::work() {
  struct at_the_end {
    health_probe& own;
    ~at_the_end() {
      if (--own.working_ == 0)
        own.finish();
    }
  } const guard{*this};
  inquiry asks(home_);
  while (next_ < found_.size()) {
    const std::size_t place = next_++;
    const auto now = steady::now();
    const auto plan = home_.rules().plan_probe(place, std::min(now + one_time_max, until_));
    if (asks.is_unwanted())
      found_[place] = finding_of(end_code::draining);
    else if (plan.address == nullptr)
      found_[place].said = plan.not_asked;
    else if (now < until_)
      co_await asks.ask(plan, found_[place]);
  }
}

} // namespace vorrang::http
