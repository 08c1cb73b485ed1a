#include "actors/queue_report.hpp"

#include <algorithm>

namespace vorrang {
namespace {

deployment_report report_deployment(const group_queue& queue, deployment_index which,
                                    time_point now) {
  const auto& told = queue.settings().deployments[which];
  const auto& figures = queue.view(which).figures();
  deployment_report result;
  result.id = told.id;
  result.retired = told.retired;
  result.cooling = figures.cooling;
  result.full = !figures.cooling && !figures.has_capacity();
  result.healthy = !result.cooling && !result.full && !told.retired;
  result.in_flight = figures.in_flight;
  result.max_parallel_requests = told.max_parallel_requests;
  result.rpm_used = static_cast<std::uint64_t>(std::max<std::int64_t>(0, figures.window_requests));
  result.rpm = told.rpm;
  result.tpm_used = static_cast<std::uint64_t>(std::max<std::int64_t>(0, figures.window_tokens));
  result.tpm = told.tpm;
  if (figures.cooling)
    result.cooldown_ends_in = std::max(figures.cooling_until - now, duration::zero());
  result.last_failure_status = figures.last_failure_status;
  result.cooldowns = queue.cooldowns(which);
  return result;
}

/// `ahead`: deployments that a better ticket waits for.
wait_reason reason_for(const group_queue& queue, const group_queue::waiting_ticket& ticket,
                       const deployment_set& ahead) {
  if (queue.mode() == line_mode::held)
    return wait_reason::held;
  if (ticket.eligible.empty())
    return wait_reason::backing_off;
  if (ticket.eligible.within(ahead))
    return wait_reason::behind_others;
  bool all_cooling = true;
  ticket.eligible.for_each(
      [&](deployment_index i) { all_cooling &= queue.view(i).figures().cooling; });
  return all_cooling ? wait_reason::all_cooling : wait_reason::all_full;
}

} // namespace

queue_view report_queue(const group_queue& queue, time_point now, std::size_t offset,
                        std::size_t limit) {
  queue_view result;
  const auto& told = queue.settings();
  result.group = queue.settings_index();
  result.name = told.name;
  result.retired = told.retired;
  result.waiting = queue.waiting();
  result.offset = offset;
  result.inversions = queue.inversions();
  result.at = now;
  for (std::size_t i = 0; i < told.deployments.size(); ++i) {
    const auto which = static_cast<deployment_index>(i);
    if (!told.deployments[i].retired || queue.view(which).figures().in_flight > 0)
      result.deployments.push_back(report_deployment(queue, which, now));
  }

  const auto slots = queue.line().page(offset, limit);
  deployment_set ahead;
  if (offset > 0)
    for (waiting_line::lane_index lane = 0; lane < queue.line().lanes(); ++lane)
      if (!slots.empty() && !queue.line().lane_empty(lane) &&
          queue.line().lane_head(lane) < queue.line().rank_of(slots.front()))
        ahead |= queue.line().lane_eligible(lane);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto ticket = queue.describe(slots[i]);
    ticket_report line;
    line.id = ticket.id;
    line.priority = ticket.priority;
    line.position = static_cast<std::uint32_t>(offset + i + 1);
    line.waited = now - ticket.since;
    line.deadline = ticket.deadline;
    line.why = reason_for(queue, ticket, ahead);
    line.attempts = ticket.attempts;
    line.bytes = ticket.bytes;
    ahead |= ticket.eligible;
    result.tickets.push_back(std::move(line));
  }
  result.oldest_wait = queue.oldest_wait(now);
  return result;
}

} // namespace vorrang
