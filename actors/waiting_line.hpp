// The line of one group: who waits, in which order, for which deployments, and until when.
#pragma once

#include "actors/deployment_set.hpp"
#include "actors/indexed_heap.hpp"

#include <functional>
#include <memory>

namespace vorrang {

/// Tickets sort by priority (lower first), then by arrival. Those that wait for the same set of
/// deployments share a *lane*; the best ticket for a deployment is the head of one of the lanes
/// that contain it, so nothing ever looks past tickets that cannot be served.
///
/// A ticket keeps its number and its place while it is away on an attempt (`leave`, `rejoin`).
/// Adding, leaving, moving and timing out are O(log n). Memory: 48 bytes a ticket and 16 for each
/// of the heaps it stands in. Passive and not thread-safe.
class waiting_line {
public:
  /// A ticket's handle: small, and used again after `remove`.
  using slot_index = std::uint32_t;
  using lane_index = std::uint32_t;
  static constexpr slot_index no_slot = 0xffffffff;

  struct rank {
    std::uint64_t arrival;
    slot_index slot;
    std::int32_t priority;
    friend bool operator<(const rank& a, const rank& b) noexcept {
      // Without a jump, which nobody could predict.
      return (a.priority < b.priority) | ((a.priority == b.priority) & (a.arrival < b.arrival));
    }
  };

  waiting_line() = default;
  waiting_line(const waiting_line&) = delete;
  waiting_line& operator=(const waiting_line&) = delete;

  /// A new ticket takes the next arrival number and joins the lane of `eligible`.
  slot_index add(std::int32_t priority, time_point deadline, const deployment_set& eligible);

  /// Leaves the line for an attempt; the slot stays the ticket's.
  void leave(slot_index ticket);

  /// Comes back to its original place. `attempted`: it has had an attempt, and is displaced no
  /// more.
  void rejoin(slot_index ticket, const deployment_set& eligible, bool attempted);

  /// It has had an attempt elsewhere: it is displaced no more.
  void mark_attempted(slot_index ticket);

  /// Waits for other deployments from now on.
  void change_eligible(slot_index ticket, const deployment_set& eligible);

  /// A new priority, the same arrival number; one that is away has it when it comes back.
  void move(slot_index ticket, std::int32_t priority);

  /// The ticket is over; its slot may be used again.
  void remove(slot_index ticket);

  bool waiting(slot_index ticket) const noexcept { return nodes_[ticket].order_at != npos; }
  std::int32_t priority(slot_index ticket) const noexcept { return nodes_[ticket].priority; }
  std::uint64_t arrival(slot_index ticket) const noexcept { return nodes_[ticket].arrival; }
  time_point deadline(slot_index ticket) const noexcept { return nodes_[ticket].deadline; }
  rank rank_of(slot_index ticket) const noexcept {
    return {nodes_[ticket].arrival, ticket, nodes_[ticket].priority};
  }
  const deployment_set& eligible(slot_index ticket) const noexcept {
    return lanes_[nodes_[ticket].lane].eligible;
  }

  /// Tickets that wait (not those away on an attempt).
  std::size_t size() const noexcept { return waiting_; }
  /// Slots ever made; for arrays beside this one.
  std::size_t slots() const noexcept { return nodes_.size(); }

  /// The earliest deadline of those that wait; `never` if none does.
  time_point next_deadline() const noexcept;
  /// The ticket of next_deadline().
  slot_index first_to_expire() const noexcept { return deadlines_.top().slot; }

  /// The last in line of those that have had no attempt; no_slot if there is none. The first call
  /// costs O(n); the line then keeps track until it has shrunk to half.
  slot_index worst_unattempted();

  /// 1 for the head of line. O(n), 2 ns a ticket.
  std::uint32_t position(slot_index ticket) const;

  std::size_t lanes() const noexcept { return lanes_.size(); }
  const deployment_set& lane_eligible(lane_index lane) const noexcept {
    return lanes_[lane].eligible;
  }
  bool lane_empty(lane_index lane) const noexcept { return lanes_[lane].order->empty(); }
  const rank& lane_head(lane_index lane) const { return lanes_[lane].order->top(); }
  /// Whether one that waits is the best of those that wait for the same deployments.
  bool heads_lane(slot_index ticket) const { return nodes_[ticket].order_at == 0; }

  /// Calls `visit(slot)` for each that waits, in no order; `visit` must not change the line.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& lane : lanes_)
      for (const auto& entry : lane.order->entries())
        visit(entry.slot);
  }

private:
  static constexpr std::uint32_t npos = 0xffffffff;

  struct node {
    std::uint64_t arrival;
    time_point deadline;
    std::int32_t priority;
    lane_index lane;
    std::uint32_t order_at = npos;
    std::uint32_t deadline_at = npos;
    std::uint32_t worst_at = npos;
    bool attempted = false;
  };
  struct due {
    time_point at;
    slot_index slot;
  };
  struct better {
    bool operator()(const rank& a, const rank& b) const noexcept { return a < b; }
  };
  struct worse {
    bool operator()(const rank& a, const rank& b) const noexcept { return b < a; }
  };
  struct sooner {
    bool operator()(const due& a, const due& b) const noexcept { return a.at < b.at; }
  };
  template <std::uint32_t node::*Member>
  struct stands_at {
    std::vector<node>* nodes;
    void operator()(slot_index s, std::uint32_t index) const { (*nodes)[s].*Member = index; }
  };
  using order_heap = indexed_heap<rank, better, stands_at<&node::order_at>>;
  struct lane_state {
    deployment_set eligible;
    std::unique_ptr<order_heap> order;
  };

  lane_index lane_for(const deployment_set& eligible);
  void join(slot_index ticket, const deployment_set& eligible);

  std::vector<node> nodes_;
  std::vector<slot_index> free_;
  std::vector<lane_state> lanes_;
  indexed_heap<due, sooner, stands_at<&node::deadline_at>> deadlines_{{&nodes_}};
  indexed_heap<rank, worse, stands_at<&node::worst_at>> worst_{{&nodes_}};
  bool worst_kept_ = false;
  std::size_t worst_kept_above_ = 0;
  std::size_t waiting_ = 0;
  std::uint64_t next_arrival_ = 1;
};

} // namespace vorrang
