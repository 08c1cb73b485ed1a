#include "actors/waiting_line.hpp"

#include <algorithm>

namespace vorrang {

waiting_line::slot_index waiting_line::add(std::int32_t priority, time_point deadline,
                                           const deployment_set& eligible) {
  slot_index ticket;
  if (free_.empty()) {
    ticket = static_cast<slot_index>(nodes_.size());
    make_room(nodes_);
    nodes_.emplace_back();
  } else {
    ticket = free_.back();
    free_.pop_back();
  }
  auto& fresh = nodes_[ticket];
  fresh.arrival = next_arrival_++;
  fresh.deadline = deadline;
  fresh.priority = priority;
  fresh.attempted = false;
  join(ticket, eligible);
  return ticket;
}

void waiting_line::join(slot_index ticket, const deployment_set& eligible) {
  const auto lane = lane_for(eligible);
  auto& joined = nodes_[ticket];
  joined.lane = lane;
  lanes_[lane].order->push(rank_of(ticket));
  if (joined.deadline != never)
    deadlines_.push({joined.deadline, ticket});
  if (worst_kept_ && !joined.attempted)
    worst_.push(rank_of(ticket));
  ++waiting_;
}

void waiting_line::leave(slot_index ticket) {
  auto& leaving = nodes_[ticket];
  lanes_[leaving.lane].order->erase(leaving.order_at);
  if (leaving.deadline_at != npos)
    deadlines_.erase(leaving.deadline_at);
  if (leaving.worst_at != npos)
    worst_.erase(leaving.worst_at);
  --waiting_;
  if (worst_kept_ && waiting_ < worst_kept_above_) {
    worst_.clear();
    worst_kept_ = false;
  }
}

void waiting_line::rejoin(slot_index ticket, const deployment_set& eligible, bool attempted) {
  nodes_[ticket].attempted = attempted;
  join(ticket, eligible);
}

void waiting_line::mark_attempted(slot_index ticket) {
  auto& marked = nodes_[ticket];
  marked.attempted = true;
  if (marked.worst_at != npos)
    worst_.erase(marked.worst_at);
}

void waiting_line::change_eligible(slot_index ticket, const deployment_set& eligible) {
  const auto lane = lane_for(eligible);
  auto& changed = nodes_[ticket];
  if (changed.lane == lane)
    return;
  lanes_[changed.lane].order->erase(changed.order_at);
  changed.lane = lane;
  lanes_[lane].order->push(rank_of(ticket));
}

void waiting_line::move(slot_index ticket, std::int32_t priority) {
  auto& moved = nodes_[ticket];
  moved.priority = priority;
  if (!waiting(ticket))
    return;
  lanes_[moved.lane].order->update(moved.order_at, rank_of(ticket));
  if (moved.worst_at != npos)
    worst_.update(moved.worst_at, rank_of(ticket));
}

void waiting_line::remove(slot_index ticket) {
  if (waiting(ticket))
    leave(ticket);
  free_.push_back(ticket);
}

time_point waiting_line::next_deadline() const noexcept {
  return deadlines_.empty() ? never : deadlines_.top().at;
}

waiting_line::slot_index waiting_line::worst_unattempted() {
  if (!worst_kept_) {
    worst_kept_ = true;
    worst_kept_above_ = waiting_ / 2;
    for (const auto& lane : lanes_)
      for (const auto& entry : lane.order->entries())
        if (!nodes_[entry.slot].attempted)
          worst_.push(entry);
  }
  return worst_.empty() ? no_slot : worst_.top().slot;
}

std::uint32_t waiting_line::position(slot_index ticket) const {
  const auto own = rank_of(ticket);
  std::size_t before = 0;
  for (const auto& lane : lanes_)
    for (const auto& entry : lane.order->entries())
      before += entry < own ? 1 : 0;
  return static_cast<std::uint32_t>(before + 1);
}

waiting_line::lane_index waiting_line::lane_for(const deployment_set& eligible) {
  // A handful at most times: all deployments, and a few sets with some in back-off.
  std::size_t empty = lanes_.size();
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].eligible == eligible)
      return static_cast<lane_index>(i);
    if (i > 0 && lanes_[i].order->empty())
      empty = i;
  }
  if (empty == lanes_.size())
    lanes_.push_back({eligible, std::make_unique<order_heap>(stands_at<&node::order_at>{&nodes_})});
  else
    lanes_[empty].eligible = eligible;
  return static_cast<lane_index>(empty);
}

} // namespace vorrang
