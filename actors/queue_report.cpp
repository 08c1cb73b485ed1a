#include "actors/queue_report.hpp"

#include "actors/priority_class.hpp"

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
  if (figures.window_return() != never)
    result.window_returns_in = std::max(figures.window_return() - now, duration::zero());
  result.last_failure_status = figures.last_failure_status;
  result.cooldowns = queue.cooldowns(which);
  return result;
}

/// Deployments that a better ticket waits for: those of each lane whose head is better.
deployment_set ahead_of(const waiting_line& line, waiting_line::slot_index slot) {
  deployment_set ahead;
  for (waiting_line::lane_index lane = 0; lane < line.lanes(); ++lane)
    if (!line.lane_empty(lane) && line.lane_head(lane) < line.rank_of(slot))
      ahead |= line.lane_eligible(lane);
  return ahead;
}

/// When windows alone give a deployment what it lacks; `never` if they do not.
time_point next_unit(const room& figures, std::uint8_t lacks) {
  auto at = time_point::min();
  for (const auto& [what, returns] : {std::pair(missing::rpm, figures.requests_return),
                                      std::pair(missing::tpm, figures.tokens_return)}) {
    if (lacks & static_cast<std::uint8_t>(what))
      at = std::max(at, returns);
    lacks = static_cast<std::uint8_t>(lacks & ~static_cast<std::uint8_t>(what));
  }
  return lacks == 0 && at != time_point::min() ? at : never;
}

/// Puts it in if it is known.
void put_end(ticket_report& told, time_point ends, time_point now) {
  if (ends != never)
    told.ready_in = std::max(ends - now, duration::zero());
}

void tell_reason(const group_queue& queue, time_point now, waiting_line::slot_index slot,
                 const group_queue::waiting_ticket& ticket, ticket_report& told) {
  const auto& line = queue.line();
  if (queue.mode() == line_mode::held) {
    told.why = wait_reason::held;
  } else if (ticket.eligible.empty()) {
    told.why = wait_reason::backing_off;
    put_end(told, queue.back_off_ends(slot, now), now);
  } else if (!line.heads_lane(slot) || ticket.eligible.within(ahead_of(line, slot))) {
    // The head of its lane waits for the same deployments.
    told.why = wait_reason::behind_others;
  } else {
    tell_why_it_heads(queue, now, ticket.eligible, ticket.token_estimate, told);
  }
}

} // namespace

std::uint8_t missing_at(const group_queue& queue, deployment_index which,
                        std::uint32_t token_estimate) {
  const auto& told = queue.settings().deployments[which];
  const auto& figures = queue.view(which).figures();
  std::uint8_t result = 0;
  const auto add = [&](missing what) {
    result = static_cast<std::uint8_t>(result | static_cast<std::uint8_t>(what));
  };
  if (told.max_parallel_requests && figures.in_flight >= *told.max_parallel_requests)
    add(missing::slot);
  if (told.rpm && figures.window_requests >= static_cast<std::int64_t>(*told.rpm))
    add(missing::rpm);
  if (told.tpm && figures.tokens < std::max<std::int64_t>(token_estimate, 1))
    add(missing::tpm);
  if (result == 0 && figures.slots == 0)
    add(missing::opening);
  return result;
}

void tell_why_it_heads(const group_queue& queue, time_point now, const deployment_set& eligible,
                       std::uint32_t token_estimate, ticket_report& told) {
  bool all_cooling = true;
  auto first_unit = never;
  auto first_healed = never;
  eligible.for_each([&](deployment_index i) {
    const auto& figures = queue.view(i).figures();
    if (figures.cooling) {
      first_healed = std::min(first_healed, figures.cooling_until);
      return;
    }
    all_cooling = false;
    const auto lacks = missing_at(queue, i, token_estimate);
    told.waits_for = static_cast<std::uint8_t>(told.waits_for | lacks);
    first_unit = std::min(first_unit, next_unit(figures, lacks));
  });
  told.why = all_cooling ? wait_reason::all_cooling : wait_reason::all_full;
  put_end(told, all_cooling ? first_healed : first_unit, now);
}

ticket_report report_waiting(const group_queue& queue, time_point now,
                             waiting_line::slot_index slot) {
  const auto ticket = queue.describe(slot);
  ticket_report told;
  told.id = ticket.id;
  told.priority = ticket.priority;
  told.arrival = ticket.arrival;
  told.waited = now - ticket.since;
  told.deadline = ticket.deadline;
  told.attempts = ticket.attempts;
  told.bytes = ticket.bytes;
  tell_reason(queue, now, slot, ticket, told);
  return told;
}

queue_view report_figures(const group_queue& queue, time_point now) {
  queue_view result;
  const auto& told = queue.settings();
  result.group = queue.settings_index();
  result.name = told.name;
  result.retired = told.retired;
  result.waiting = queue.waiting();
  result.inversions = queue.inversions();
  result.at = now;
  return result;
}

queue_view report_deployments(const group_queue& queue, time_point now) {
  auto result = report_figures(queue, now);
  const auto& told = queue.settings();
  for (std::size_t i = 0; i < told.deployments.size(); ++i) {
    const auto which = static_cast<deployment_index>(i);
    if (!told.deployments[i].retired || queue.view(which).figures().in_flight > 0)
      result.deployments.push_back(report_deployment(queue, which, now));
  }
  return result;
}

queue_piece copy_piece(const group_queue& queue, time_point now, const piece_request& wanted) {
  queue_piece result;
  auto& view = result.view;
  view = wanted.slot == 0 ? report_deployments(queue, now) : report_figures(queue, now);
  const auto& line = queue.line();
  const auto end = line.size() == 0 ? wanted.slot : line.slots();
  const auto last = std::min(end, wanted.slot + piece_slots_max);
  // The wait alone is read as quickly as a place is looked at.
  const auto copied_max = wanted.wants_tickets ? piece_tickets_max : piece_slots_max;
  view.oldest_waits.resize(wanted.classes.size() + 1);
  std::size_t copied = 0;
  auto slot = wanted.slot;
  for (; slot < last && copied < copied_max; ++slot) {
    const auto each = static_cast<waiting_line::slot_index>(slot);
    if (!line.waiting(each))
      continue;
    ++copied;
    const auto waited = now - queue.since(each);
    view.oldest_wait = std::max(view.oldest_wait, waited);
    auto& of_class = view.oldest_waits[priority_class(wanted.classes, line.priority(each))];
    of_class = std::max(of_class, waited);
    if (wanted.wants_tickets)
      view.tickets.push_back(report_waiting(queue, now, each));
  }
  result.next_slot = slot;
  result.is_last = slot >= end;
  return result;
}

} // namespace vorrang
