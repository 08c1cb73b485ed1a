// The engine in your own program: ask, get a grant, make the call, settle.
//
//     vorrang::engine engine(settings);
//     vorrang::ask wanted;
//     wanted.group = *engine.group("gpt-4o");
//     wanted.priority = 0;
//     wanted.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
//     auto request = engine.open(wanted);
//     auto answer = request.next(); // blocks until it is granted, or over
//     if (auto* held = std::get_if<vorrang::held_grant>(&answer)) { …; held->settle(result); }
//
// Plain C++17. Actors of your own speak the messages of actors/messages.hpp instead.
#pragma once

#include "actors/settings.hpp"

#include <functional>
#include <memory>
#include <variant>

namespace caf {
class actor_system;
}

namespace vorrang {

class engine;
/// What requests and grants share with their engine; opaque.
struct engine_desk;

/// A grant in hand. Settle it once the attempt is over; one that is dropped unsettled settles as
/// cancelled, exactly once, and ends its request. Movable, for one thread at a time; may outlive
/// its engine (settling does nothing then).
class held_grant {
public:
  held_grant(held_grant&& other) noexcept;
  held_grant& operator=(held_grant&& other) noexcept;
  ~held_grant();

  const grant& info() const noexcept { return info_; }

  /// A 2xx head arrived: a deployment on probation is well again before the answer is whole.
  void head_arrived();

  /// Reports the attempt; later calls do nothing. After `success` and `cancelled` the request is
  /// over; after anything else the engine decides: the next thing that is heard of the request is
  /// another grant, or its ending.
  void settle(const outcome& result);

private:
  friend struct engine_desk;
  held_grant(std::weak_ptr<engine_desk> desk, const grant& info) noexcept;
  std::weak_ptr<engine_desk> desk_;
  grant info_;
  bool settled_ = false;
};

/// A request whose owner waits for it. Destroying it cancels what is still open. Movable; for one
/// thread at a time, and never inside a callback of the engine.
class open_request {
public:
  using event = std::variant<held_grant, ending>;

  open_request(open_request&& other) noexcept;
  open_request& operator=(open_request&& other) noexcept;
  ~open_request();

  ticket_id ticket() const noexcept;

  /// Blocks until the request is granted an attempt or is over; the deadline of the ask bounds the
  /// wait. After an ending, and after a grant that was settled as success or cancelled, there is
  /// nothing more to wait for: an ending with `cancelled` is returned at once.
  event next();

  /// The owner does not want it any more: a waiting ticket leaves the line. A grant that next() has
  /// handed out is its holder's to settle, and no other follows it.
  void cancel();

private:
  friend class engine;
  struct state;
  explicit open_request(std::shared_ptr<state> shared) noexcept;
  std::shared_ptr<state> state_;
};

/// A set of model groups with their queues. All members may be called from any thread.
class engine {
public:
  /// Runs its actors on threads of its own (0: one for each core).
  explicit engine(engine_settings settings, std::size_t threads = 0);
  /// Runs them on the host's actor system, which must outlive the engine.
  engine(caf::actor_system& host, engine_settings settings);
  /// Every request that is open ends with `draining`.
  ~engine();
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  /// Holds until the next reload().
  const engine_settings& settings() const noexcept;

  /// Other settings from now on. Groups are known by their names, deployments by group and id (of
  /// several with one id the n-th stays the n-th): what both have keeps its index, its line, its
  /// windows, its cooldown and what is in flight. Limits that are lower bind new grants only. A
  /// deployment that is gone finishes its calls and takes none; tickets of a group that is gone end
  /// with `unknown_group`. What is gone keeps its index and is marked `retired`, so group() tells
  /// the index of a name. `seed` and `shared` stay as they were. False, and nothing has changed: no
  /// group is left, or there would be more than 65536, removed ones included.
  bool reload(engine_settings settings);

  /// The group of this exact name; nothing if there is none (any more).
  std::optional<group_index> group(std::string_view name) const;

  /// Takes a ticket for a caller that blocks.
  open_request open(const ask& wanted);

  /// Takes a ticket for a caller that is called. `granted` may be called several times (each time
  /// after a settle that failed), `over` at most once: not after a settle as success or cancelled,
  /// nor after cancel(). Both run on a thread of the engine, must not block, and may call it.
  ticket_id open(const ask& wanted, std::function<void(held_grant)> granted,
                 std::function<void(const ending&)> over);

  /// Cancels a request that was opened with callbacks. One that is being called may still run; a
  /// grant it is given is settled already.
  void cancel(ticket_id ticket);

  /// Tickets that wait in a group.
  std::size_t waiting(group_index group) const;

private:
  std::shared_ptr<engine_desk> desk_;
};

} // namespace vorrang
