// A group's queue, led by hand, and looked at as an operator does.
#pragma once

#include "actors/queue_report.hpp"
#include "actors/ticket_report.hpp"
#include "passive.hpp"

namespace vorrang::test {

struct report_desk {
  group_settings settings;
  group_board board{1};
  group_queue queue{settings, 0, 1, board};
  time_point now = start;
  ticket_id next = 1;

  explicit report_desk(group_settings told) : settings(std::move(told)) {}
  report_desk(const report_desk&) = delete;
  report_desk& operator=(const report_desk&) = delete;

  void room_of(deployment_index which, const room& figures,
               const std::vector<attempt_result>& results = {}) {
    queue.room_changed(now, which, figures, results);
  }
  void free(deployment_index which, std::uint32_t slots) {
    room figures;
    figures.slots = slots;
    room_of(which, figures);
  }
  void cools(deployment_index which, duration length) {
    room figures;
    figures.cooling = true;
    figures.cooling_until = now + length;
    figures.last_failure_status = 429;
    room_of(which, figures);
  }
  ticket_id put(std::int32_t priority, deployment_index pinned = no_index,
                std::uint32_t tokens = 0) {
    ticket_offer offer;
    offer.id = next++;
    offer.since = now;
    offer.wanted.priority = priority;
    offer.wanted.pinned = pinned;
    offer.wanted.bytes = 100 * offer.id;
    offer.wanted.token_estimate = tokens;
    const auto id = offer.id;
    queue.offer(now, 0, std::move(offer));
    queue.serve(now);
    return id;
  }
  queue_view view(std::size_t offset = 0, std::size_t limit = 100) const {
    line_copy copy(offset, limit);
    while (copy.add(copy_piece(queue, now, copy.next()))) {
    }
    return copy.take();
  }
  ticket_view look_at(ticket_id ticket) const { return report_ticket(queue, now, ticket); }
};

} // namespace vorrang::test
