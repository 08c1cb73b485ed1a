// One waiting ticket as an operator sees it, and what each deployment lacks for it.
#pragma once

#include "actors/group_queue.hpp"
#include "actors/snapshot.hpp"

namespace vorrang {

/// Its place is that in this instance's line. `waits` is false if it does not wait here. O(n).
ticket_view report_ticket(const group_queue& queue, time_point now, ticket_id ticket);

} // namespace vorrang
