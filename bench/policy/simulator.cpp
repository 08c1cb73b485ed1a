#include "bench/policy/simulator.hpp"

#include "bench/policy/limit_counter.hpp"

#include <algorithm>
#include <cassert>
#include <queue>
#include <random>

namespace vorrang::bench {
namespace {

/// Events of one instant happen in this order.
enum class event_kind : std::uint8_t {
  room_returns,
  brown_out_changes,
  head,
  attempt_ends,
  deadline,
  arrival,
  asks_again,
  wake,
};

struct event {
  time_point at;
  event_kind kind;
  std::uint64_t number; ///< of equal ones, the earlier made is first
  std::uint64_t what;

  friend bool operator>(const event& a, const event& b) noexcept {
    return std::tie(a.at, a.kind, a.number) > std::tie(b.at, b.kind, b.number);
  }
};

/// Where a request is.
enum class whereabouts : std::uint8_t { to_come, held, running, pausing, ended };

class simulator : public stage {
public:
  simulator(const scenario& plan, std::string_view name, const world_rules& rules)
      : plan_(plan), rules_(rules), meter_(plan), requests_(plan.requests.size()),
        providers_(plan.each.deployments, limit_counter(plan.each)),
        browns_out_(plan.each.deployments, 0) {
    result_.ends.resize(requests_.size());
    result_.times_ended.resize(requests_.size());
    policy_ = make_policy(name, *this);
    assert(policy_);
  }

  time_point now() const override { return now_; }
  const scenario& plan() const override { return plan_; }

  void send(request_index which, std::size_t deployment) override {
    auto& its = requests_[which];
    assert(its.at == whereabouts::held);
    its.at = whereabouts::running;
    its.attempt = result_.attempts.size();
    auto& made = result_.attempts.emplace_back();
    made.which = which;
    made.deployment = static_cast<std::uint32_t>(deployment);
    made.begin = now_;
    auto& provider = providers_[deployment];
    made.taken = provider.has_room(now_);
    auto takes = rules_.refusal;
    if (made.taken) {
      provider.take(now_);
      if (plan_.each.rpm != 0)
        schedule(now_ + std::chrono::seconds(60), event_kind::room_returns, 0);
      takes = browns_out_[deployment] ? rules_.failure : plan_.requests[which].service;
    }
    made.status = !made.taken ? 429 : browns_out_[deployment] ? 503 : 200;
    schedule(now_ + takes, event_kind::attempt_ends, its.attempt);
    if (made.status == 200) {
      meter_.served(now_, which);
      schedule(now_ + std::min(rules_.head, takes), event_kind::head, its.attempt);
    }
  }

  void refuse(request_index which, std::optional<duration> retry_after) override {
    auto& its = requests_[which];
    assert(its.at == whereabouts::held);
    its.at = whereabouts::pausing;
    meter_.refused(which);
    const auto pause =
        client_back_off(rules_, plan_.seed, which, its.refusals++, std::move(retry_after));
    schedule(now_ + pause, event_kind::asks_again, which);
  }

  void wake_at(time_point at, std::uint64_t token) override {
    if (at != never)
      schedule(at, event_kind::wake, token);
  }

  run_result run() {
    if (requests_.empty())
      return std::move(result_);
    for (request_index i = 0; i < requests_.size(); ++i) {
      const auto& each = plan_.requests[i];
      schedule(beginning + each.arrival, event_kind::arrival, i);
      if (each.deadline)
        schedule(beginning + each.arrival + *each.deadline, event_kind::deadline, i);
    }
    for (std::size_t i = 0; i < plan_.brown_outs.size(); ++i) {
      schedule(beginning + plan_.brown_outs[i].begin, event_kind::brown_out_changes, 2 * i);
      schedule(beginning + plan_.brown_outs[i].end, event_kind::brown_out_changes, 2 * i + 1);
    }
    first_ = beginning + plan_.requests.front().arrival;
    last_ = beginning + plan_.requests.back().arrival;
    for (left_ = requests_.size(); left_ > 0;) {
      assert(!events_.empty());
      const auto next = events_.top();
      events_.pop();
      pass(next.at);
      happen(next);
    }
    return finish();
  }

private:
  struct standing {
    whereabouts at = whereabouts::to_come;
    std::uint32_t refusals = 0;
    std::size_t attempt = 0;
  };

  void schedule(time_point at, event_kind kind, std::uint64_t what) {
    events_.push({at, kind, next_number_++, what});
  }

  /// Time passes in which nothing changes.
  void pass(time_point until) {
    const auto from = std::max(now_, first_);
    const auto to = std::min(until, last_);
    if (to > from && meter_.anyone_waits()) {
      for (std::size_t i = 0; i < providers_.size(); ++i)
        if (!browns_out_[i] && providers_[i].has_room(now_)) {
          result_.idle_while_waited_seconds += in_seconds(to - from);
          break;
        }
    }
    now_ = until;
  }

  void happen(const event& what) {
    const auto which = static_cast<request_index>(what.what);
    switch (what.kind) {
    case event_kind::room_returns:
      break; // the counters see it by the time
    case event_kind::brown_out_changes:
      browns_out_[plan_.brown_outs[what.what / 2].deployment] += what.what % 2 == 0 ? 1 : -1;
      break;
    case event_kind::head:
      if (const auto& of = result_.attempts[what.what]; runs(what.what))
        policy_->head(of.which, of.deployment);
      break;
    case event_kind::attempt_ends:
      if (runs(what.what))
        end_attempt(what.what);
      break;
    case event_kind::deadline:
      hang_up(which);
      break;
    case event_kind::arrival:
      meter_.arrived(now_, which);
      requests_[which].at = whereabouts::held;
      policy_->ask(which);
      break;
    case event_kind::asks_again:
      if (requests_[which].at != whereabouts::pausing)
        break;
      requests_[which].at = whereabouts::held;
      policy_->ask(which);
      break;
    case event_kind::wake:
      policy_->woken(what.what);
      break;
    }
  }

  bool runs(std::size_t number) const {
    const auto& its = requests_[result_.attempts[number].which];
    return its.at == whereabouts::running && its.attempt == number;
  }

  void end_attempt(std::size_t number) {
    auto& done = result_.attempts[number];
    done.end = now_;
    answer heard{done.status, std::nullopt};
    auto& provider = providers_[done.deployment];
    if (done.taken) {
      provider.release();
    } else {
      ++result_.beyond_limits;
      // In whole seconds, as the field is.
      if (const auto at = provider.window_return(now_); at != never)
        heard.retry_after = std::chrono::ceil<std::chrono::seconds>(at - now_);
    }
    const auto which = done.which;
    const std::size_t deployment = done.deployment;
    if (heard.success()) {
      const auto seconds = within(done);
      result_.useful_slot_seconds += seconds;
      meter_.answered(which, seconds);
      end(which, final_state::answered);
    } else {
      requests_[which].at = whereabouts::held;
    }
    policy_->over(which, deployment, heard);
  }

  void hang_up(request_index which) {
    auto& its = requests_[which];
    const auto was = its.at;
    if (was == whereabouts::ended)
      return;
    meter_.missed(now_, which);
    end(which, final_state::missed);
    if (was == whereabouts::held)
      policy_->gone(which);
    if (was != whereabouts::running)
      return;
    auto& left = result_.attempts[its.attempt];
    left.end = now_;
    left.status = 0;
    if (left.taken)
      providers_[left.deployment].release();
    result_.wasted_slot_seconds += within(left);
    policy_->cut(which, left.deployment);
  }

  void end(request_index which, final_state how) {
    requests_[which].at = whereabouts::ended;
    result_.ends[which] = how;
    ++result_.times_ended[which];
    --left_;
  }

  /// Seconds of a slot between the first and the last arrival.
  double within(const attempt& of) const {
    if (!of.taken)
      return 0;
    return std::max(0.0, in_seconds(std::min(of.end, last_) - std::max(of.begin, first_)));
  }

  run_result finish() {
    result_.classes = std::move(meter_).results();
    result_.length_seconds = in_seconds(last_ - first_);
    result_.slot_seconds =
        result_.length_seconds * plan_.each.slots * static_cast<double>(plan_.each.deployments);
    result_.own_inversions = policy_->own_inversions();
    return std::move(result_);
  }

  const scenario& plan_;
  world_rules rules_;
  meter meter_;
  std::vector<standing> requests_;
  std::vector<limit_counter> providers_;
  std::vector<int> browns_out_;
  std::unique_ptr<policy> policy_;
  std::priority_queue<event, std::vector<event>, std::greater<>> events_;
  std::uint64_t next_number_ = 0;
  std::size_t left_ = 0;
  time_point now_ = beginning;
  time_point first_{};
  time_point last_{};
  run_result result_;
};

} // namespace

duration client_back_off(const world_rules& rules, std::uint64_t seed, request_index which,
                         std::uint32_t refusals, std::optional<duration> retry_after) {
  if (retry_after && *retry_after > duration::zero() && *retry_after <= rules.believed_retry_after)
    return *retry_after;
  const auto pause =
      std::min(rules.back_off_max, rules.first_back_off * (1 << std::min(refusals, 10U)));
  std::seed_seq mixed{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                      which, refusals};
  std::uint32_t chance = 0;
  mixed.generate(&chance, &chance + 1);
  return seconds_of(in_seconds(pause) * (1 - 0.25 * chance / 4294967296.0));
}

run_result play(const scenario& plan, std::string_view name, const world_rules& rules) {
  return simulator(plan, name, rules).run();
}

} // namespace vorrang::bench
