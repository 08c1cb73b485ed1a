// A queue as the operator sees it.
#pragma once

#include "actors/group_queue.hpp"
#include "actors/line_copy.hpp"

namespace vorrang {

/// The group and its figures at `now`, without tickets and deployments. O(1).
queue_view report_figures(const group_queue& queue, time_point now);

/// The same with all deployments.
queue_view report_deployments(const group_queue& queue, time_point now);

/// A ticket that waits, without its position. O(lanes).
ticket_report report_waiting(const group_queue& queue, time_point now,
                             waiting_line::slot_index slot);

/// What a deployment that does not cool lacks for a ticket of so many tokens; bits of `missing`.
std::uint8_t missing_at(const group_queue& queue, deployment_index which,
                        std::uint32_t token_estimate);

/// Tells why a ticket waits before which nobody waits for these deployments: their cooldowns, or
/// what they lack, and when that ends. O(deployments).
void tell_why_it_heads(const group_queue& queue, time_point now, const deployment_set& eligible,
                       std::uint32_t token_estimate, ticket_report& told);

/// The next piece of the queue's own line; see line_copy.hpp for what it costs.
queue_piece copy_piece(const group_queue& queue, time_point now, const piece_request& wanted);

} // namespace vorrang
