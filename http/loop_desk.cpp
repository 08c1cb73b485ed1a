#include "http/loop_desk.hpp"

#include "actors/book_sender.hpp"

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <mutex>

namespace vorrang::http {
namespace {

/// Where the request actor, which runs on any loop, leaves what the queues said for its own loop.
struct inbox {
  explicit inbox(loop& at_home) : home(at_home) {}

  loop& home; ///< outlives all actors
  /// Of the desk, and to be used on its loop's thread alone, while this is open.
  waiting_call* deliver_soon = nullptr;
  std::mutex mutex;
  std::vector<verdict> verdicts; ///< guarded
  bool announced = false;        ///< guarded
  bool is_open = true;           ///< guarded; changed on the loop's thread alone
};

/// On the loop's thread.
void announce(inbox& box) {
  if (box.is_open)
    box.home.run_soon(*box.deliver_soon);
}

/// Keeps the order of batches; tells the loop once for all that have gathered, and when it has let
/// go of the mutex: the loop takes that at once.
void put(const std::shared_ptr<inbox>& box, const verdict_batch& batch) {
  {
    const std::lock_guard lock(box->mutex);
    if (!box->is_open)
      return;
    box->verdicts.insert(box->verdicts.end(), batch.verdicts.begin(), batch.verdicts.end());
    if (std::exchange(box->announced, true))
      return;
  }
  if (loop::current() == &box->home)
    announce(*box);
  else
    box->home.post([box] { announce(*box); });
}

request_actor::behavior_type request_keeper(request_actor::pointer,
                                            const std::shared_ptr<inbox>& box) {
  return {[box](verdict_atom, const verdict_batch& batch) {
    put(box, batch);
  }};
}

} // namespace

struct loop_desk::parts {
  parts(loop& at_home, caf::actor_system& system, directory_ptr told, std::uint16_t tag)
      : home(at_home), engine(std::move(told)), book(engine->settings, tag, unsent_grant_max) {
    box->deliver_soon = &deliver_soon;
    self = system.spawn(request_keeper, box);
  }

  ~parts() {
    {
      std::lock_guard lock(box->mutex);
      box->is_open = false;
    }
    book.close();
    send();
    // Grants that are on their way are given back by the queues, which see the actor go.
    caf::anon_send_exit(self, caf::exit_reason::user_shutdown);
  }

  void send() { send_book(book.output(), self, *engine); }

  void deliver() {
    {
      std::lock_guard lock(box->mutex);
      box->announced = false;
      delivered.swap(box->verdicts);
    }
    book.deliver(std::chrono::steady_clock::now(), delivered);
    delivered.clear();
    send();
    if (const auto next = book.next_sweep(); next != never && !sweep_later.is_set())
      home.run_at(sweep_later, next);
  }

  void sweep() {
    const auto now = std::chrono::steady_clock::now();
    book.sweep(now);
    send();
    if (const auto next = book.next_sweep(); next != never)
      home.run_at(sweep_later, std::max(next, now));
  }

  loop& home;
  directory_ptr engine;
  request_book book;
  std::shared_ptr<inbox> box = std::make_shared<inbox>(home);
  request_actor self;
  std::vector<verdict> delivered;
  waiting_call send_soon{this, [](void* owner) {
                           static_cast<parts*>(owner)->send();
                         }};
  waiting_call deliver_soon{this, [](void* owner) {
                              static_cast<parts*>(owner)->deliver();
                            }};
  timed_call sweep_later{this, [](void* owner) {
                           static_cast<parts*>(owner)->sweep();
                         }};
};

loop_desk::loop_desk(loop& home, caf::actor_system& system,
                     std::shared_ptr<engine_directory> engine, std::uint16_t tag)
    : parts_(std::make_unique<parts>(home, system, std::move(engine), tag)) {}

loop_desk::~loop_desk() = default;

void loop_desk::follow(std::shared_ptr<engine_directory> engine) {
  const auto before =
      std::exchange(parts_->engine, std::move(engine)); // until the book has left it
  parts_->book.follow(parts_->engine->settings);
}

ticket_id loop_desk::open(ask wanted, request_listener& listener) {
  parts_->home.run_soon(parts_->send_soon);
  return parts_->book.open(std::chrono::steady_clock::now(), std::move(wanted), listener);
}

void loop_desk::cancel(ticket_id ticket) {
  parts_->home.run_soon(parts_->send_soon);
  parts_->book.cancel(ticket);
}

bool loop_desk::begin_sending(ticket_id ticket) {
  parts_->home.run_soon(parts_->send_soon);
  return parts_->book.begin_sending(std::chrono::steady_clock::now(), ticket);
}

void loop_desk::head_arrived(ticket_id ticket) {
  parts_->home.run_soon(parts_->send_soon);
  parts_->book.head_arrived(ticket);
}

void loop_desk::settle(ticket_id ticket, const outcome& result) {
  parts_->home.run_soon(parts_->send_soon);
  parts_->book.settle(ticket, result);
}

bool loop_desk::settle_and_hear(ticket_id ticket, const outcome& result) {
  parts_->home.run_soon(parts_->send_soon);
  return parts_->book.settle_and_hear(ticket, result);
}

void loop_desk::ask_position(ticket_id ticket) {
  parts_->home.run_soon(parts_->send_soon);
  parts_->book.ask_position(ticket);
}

std::size_t loop_desk::size() const noexcept {
  return parts_->book.size();
}

} // namespace vorrang::http
