// A queue as the operator sees it.
#pragma once

#include "actors/group_queue.hpp"
#include "actors/snapshot.hpp"

namespace vorrang {

/// A page of the line in order, and all deployments, at `now`. O(waiting + limit log limit).
queue_view report_queue(const group_queue& queue, time_point now, std::size_t offset,
                        std::size_t limit);

} // namespace vorrang
