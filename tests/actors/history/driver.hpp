// The system under test of the random histories, seen from outside and in virtual time.
//
// The checker (model.hpp) knows the engine only through this: what was put in, and what was heard.
// Implemented over the real actors on the deterministic scheduler, over the passive classes alone,
// and by a plain toy (toy_engine.hpp) that can be given faults on purpose.
#pragma once

#include "actors/settings.hpp"
#include "actors/types.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace vorrang::history {

enum class event_kind : std::uint8_t {
  /// `granted` says what; the ticket does not wait any more.
  granted = 1,
  /// The ticket waits in `group`: it returned there after an attempt, or fell back to it. May be
  /// left out where a grant in that group or an ending follows at the same instant; must not be
  /// left out where the ticket stays in a queue.
  waiting_again = 2,
  /// `ended` says how. Nothing is heard of the ticket afterwards.
  ended = 3,
};

/// Something that was heard from the system.
struct event {
  event_kind kind = event_kind::ended;
  /// When it happened, which may be before now() if one advance_to() passed several instants.
  time_point at{};
  ticket_id ticket = 0;
  /// waiting_again: where it waits; else as in `granted` or `ended`.
  group_index group = 0;
  /// Of those that came to a group at the same instant, the one with the smaller number came
  /// first; absent: in the order of the events.
  std::optional<std::uint64_t> came;
  grant granted;
  ending ended;
};

/// All calls happen at now() and return when the system is quiet again.
class driver {
public:
  virtual ~driver() = default;

  virtual time_point now() const = 0;

  /// Moves the clock, firing everything due up to and including `t`, each at its own time.
  virtual void advance_to(time_point t) = 0;

  /// The earliest pending timer, `never` if there is none. Too early is allowed, too late is not.
  virtual time_point next_event() const = 0;

  /// The answer (a grant, or an ending such as queue_full) is heard through take_events().
  virtual ticket_id offer(const ask& what) = 0;

  /// The owner wants the ticket no more. Waiting: it leaves. Granted: its grant is settled at once
  /// as cancelled (sent if begin_sending() was called), and a later settle() of it is a late one.
  /// Ended or unknown: nothing. An ending with end_code::cancelled may be heard, or none.
  virtual void cancel(ticket_id ticket) = 0;

  /// Gives a ticket another priority, keeping its arrival number. Ended or unknown: nothing. A
  /// granted one has the new priority if it returns.
  virtual void move(ticket_id ticket, std::int32_t priority) = 0;

  /// The first byte of the request is about to be written upstream.
  virtual void begin_sending(grant_id grant) = 0;

  /// A 2xx head has come: this is the success that heals a probed deployment.
  virtual void head_arrived(grant_id grant) = 0;

  /// The attempt is over. Second and late settles (of a settled grant, an ended ticket, an unknown
  /// id) are tried on purpose and change nothing. A success and a `cancelled` end the ticket; an
  /// ending may be heard for them, or none.
  virtual void settle(grant_id grant, const outcome& result) = 0;

  /// What was heard since the last call, in order. Each event is heard once.
  virtual std::vector<event> take_events() = 0;

  /// The engine's own inversion meter, summed over all groups.
  virtual std::uint64_t inversions() const = 0;

  /// Tickets waiting in a group; nothing if the system cannot tell. Compared with the model.
  virtual std::optional<std::uint64_t> waiting(group_index) const { return std::nullopt; }

  /// Attempts in flight at a deployment; nothing if the system cannot tell.
  virtual std::optional<std::uint64_t> in_flight(group_index, deployment_index) const {
    return std::nullopt;
  }
};

/// A fresh system, told these settings.
using driver_factory = std::function<std::unique_ptr<driver>(const engine_settings&)>;

} // namespace vorrang::history
