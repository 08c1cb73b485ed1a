#include "bench/policy/engine_policy.hpp"

#include <algorithm>
#include <cassert>

namespace vorrang::bench {
namespace {

group_settings settings_for(const scenario& plan) {
  group_settings result;
  result.name = plan.name;
  result.max_queue_size = 1'000'000; // a longer line than any trace makes
  result.deployments.resize(plan.each.deployments);
  for (auto& each : result.deployments) {
    each.max_parallel_requests = plan.each.slots;
    if (plan.each.rpm != 0)
      each.rpm = plan.each.rpm;
  }
  return result;
}

outcome outcome_of(const answer& heard) {
  outcome result;
  result.status = heard.status;
  result.retry_after = heard.retry_after;
  result.kind = heard.success()       ? outcome_kind::success
                : heard.status == 429 ? outcome_kind::rate_limited
                                      : outcome_kind::failed;
  return result;
}

} // namespace

engine_policy::engine_policy(stage& where)
    : stage_(where), settings_(settings_for(where.plan())),
      queue_(settings_, 0, where.plan().seed, board_), standings_(where.plan().requests.size()) {
  for (const auto& each : settings_.deployments)
    books_.emplace_back(settings_, each, false);
  for (deployment_index i = 0; i < books_.size(); ++i)
    report(i, {});
}

void engine_policy::ask(request_index which) {
  const auto& wanted = stage_.plan().requests[which];
  ticket_offer offer;
  offer.id = next_++;
  offer.since = stage_.now();
  offer.wanted.priority = wanted.priority;
  if (wanted.deadline)
    offer.wanted.deadline = beginning + wanted.arrival + *wanted.deadline;
  requests_[offer.id] = which;
  standings_[which] = {offer.id, 0};
  queue_.offer(stage_.now(), 0, std::move(offer));
  serve();
}

void engine_policy::gone(request_index which) {
  queue_.cancel(standings_[which].ticket);
  requests_.erase(standings_[which].ticket);
  serve();
}

void engine_policy::head(request_index which, std::size_t deployment) {
  if (!books_[deployment].head(stage_.now(), standings_[which].held))
    return;
  report(static_cast<deployment_index>(deployment), {});
  serve();
}

void engine_policy::over(request_index which, std::size_t deployment, const answer& heard) {
  if (heard.success())
    requests_.erase(standings_[which].ticket);
  settle(which, deployment, outcome_of(heard));
}

void engine_policy::cut(request_index which, std::size_t deployment) {
  requests_.erase(standings_[which].ticket);
  queue_.cancel(standings_[which].ticket);
  settle(which, deployment, outcome{});
}

void engine_policy::settle(request_index which, std::size_t deployment, const outcome& result) {
  const auto over = books_[deployment].settle(stage_.now(), standings_[which].held, result);
  assert(over);
  report(static_cast<deployment_index>(deployment), {&*over, 1});
  serve();
}

void engine_policy::report(deployment_index which, std::span<const attempt_result> results) {
  const auto now = stage_.now();
  queue_.room_changed(now, which, books_[which].current(now), results);
}

void engine_policy::woken(std::uint64_t) {
  if (armed_ <= stage_.now())
    armed_ = never;
  for (deployment_index i = 0; i < books_.size(); ++i)
    if (books_[i].next_event() <= stage_.now())
      report(i, {});
  serve();
}

void engine_policy::serve() {
  for (;;) {
    queue_.serve(stage_.now());
    const auto caused = std::exchange(queue_.output(), {});
    for (const auto& [which, made] : caused.takes)
      books_[which].take_grant(made);
    for (const auto& [owner, what] : caused.verdicts)
      hear(what);
    for (const auto& [which, phase] : caused.opened) {
      books_[which].open_fully(phase);
      report(which, {});
    }
    if (caused.opened.empty())
      break;
  }
  arm();
}

void engine_policy::hear(const verdict& what) {
  if (const auto* given = std::get_if<grant>(&what)) {
    const auto which = requests_.at(given->ticket);
    standings_[which].held = given->id;
    stage_.send(which, given->deployment);
  } else if (const auto* end = std::get_if<ended>(&what)) {
    const auto found = requests_.find(end->end.ticket);
    if (found == requests_.end())
      return; // its client has gone
    const auto which = found->second;
    requests_.erase(found);
    stage_.refuse(which, end->end.retry_after);
  }
}

void engine_policy::arm() {
  auto at = queue_.next_event(stage_.now());
  for (const auto& each : books_)
    at = std::min(at, each.next_event());
  if (at >= armed_)
    return;
  armed_ = at;
  stage_.wake_at(std::max(at, stage_.now()), 0);
}

} // namespace vorrang::bench
