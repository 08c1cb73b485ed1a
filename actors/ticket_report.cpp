#include "actors/ticket_report.hpp"

#include "actors/queue_report.hpp"

#include <algorithm>

namespace vorrang {
namespace {

std::uint64_t not_negative(std::int64_t value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, value));
}

std::optional<duration> time_until(time_point at, time_point now) {
  return at == never ? std::nullopt : std::optional(std::max(at - now, duration::zero()));
}

obstacle obstacle_at(const group_queue& queue, deployment_index which, std::uint32_t tokens,
                     bool may_go_now, time_point now) {
  const auto& told = queue.settings().deployments[which];
  const auto& figures = queue.view(which).figures();
  obstacle found;
  found.deployment = told.id;
  if (!may_go_now) {
    found.kind = obstacle_kind::not_now;
    return found;
  }
  if (figures.cooling) {
    found.kind = obstacle_kind::cooling;
    found.until = time_until(figures.cooling_until, now);
    return found;
  }
  const auto lacks = missing_at(queue, which, tokens);
  const auto misses = [lacks](missing what) {
    return (lacks & static_cast<std::uint8_t>(what)) != 0;
  };
  const auto tell = [&](obstacle_kind kind, std::uint64_t used, std::uint64_t limit) {
    found.kind = kind;
    found.used = used;
    found.limit = limit;
  };
  if (misses(missing::rpm)) {
    tell(obstacle_kind::rpm, not_negative(figures.window_requests), *told.rpm);
    found.until = time_until(figures.requests_return, now);
  } else if (misses(missing::slot)) {
    tell(obstacle_kind::slots, figures.in_flight, *told.max_parallel_requests);
  } else if (misses(missing::tpm)) {
    tell(obstacle_kind::tpm, not_negative(figures.window_tokens), *told.tpm);
    found.needed = tokens;
    found.until = time_until(figures.tokens_return, now);
  } else if (misses(missing::opening)) {
    found.kind = obstacle_kind::opening;
  }
  return found;
}

} // namespace

ticket_view report_ticket(const group_queue& queue, time_point now, ticket_id ticket) {
  ticket_view result;
  result.waiting = queue.waiting();
  result.at = now;
  const auto slot = queue.slot_of_waiting(ticket);
  if (!slot)
    return result;
  result.waits = true;
  result.ticket = report_waiting(queue, now, *slot);
  result.ticket.position = queue.line().position(*slot);
  const auto& eligible = queue.line().eligible(*slot);
  for (std::size_t i = 0; i < queue.settings().deployments.size(); ++i) {
    const auto which = static_cast<deployment_index>(i);
    if (queue.allows(ticket, which))
      result.obstacles.push_back(
          obstacle_at(queue, which, queue.token_estimate(*slot), eligible.contains(which), now));
  }
  return result;
}

} // namespace vorrang
