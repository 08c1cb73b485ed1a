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
  std::mutex mutex;
  std::vector<verdict> verdicts;
  bool announced = false;
  /// Null once the desk is gone. Read and called under the mutex.
  loop* home = nullptr;
  std::function<void()> arrived;
};

/// Keeps the order of batches; tells the loop once for all that have gathered.
void put(inbox& box, const verdict_batch& batch) {
  std::lock_guard lock(box.mutex);
  if (!box.home)
    return;
  box.verdicts.insert(box.verdicts.end(), batch.verdicts.begin(), batch.verdicts.end());
  if (!std::exchange(box.announced, true))
    box.arrived();
}

request_actor::behavior_type request_keeper(request_actor::pointer,
                                            const std::shared_ptr<inbox>& box) {
  return {[box](verdict_atom, const verdict_batch& batch) {
    put(*box, batch);
  }};
}

} // namespace

struct loop_desk::parts {
  parts(loop& at_home, caf::actor_system& system, directory_ptr told, std::uint16_t tag)
      : home(at_home), engine(std::move(told)), book(engine->settings, tag, unsent_grant_max) {
    box->home = &home;
    box->arrived = [this, box = std::weak_ptr(box)] {
      if (loop::current() == &home)
        home.run_soon(deliver_soon);
      else
        home.post([this, box] {
          if (const auto still = box.lock(); still && is_open(*still))
            deliver();
        });
    };
    self = system.spawn(request_keeper, box);
  }

  ~parts() {
    {
      std::lock_guard lock(box->mutex);
      box->home = nullptr;
      box->arrived = {};
    }
    book.close();
    send();
    // Grants that are on their way are given back by the queues, which see the actor go.
    caf::anon_send_exit(self, caf::exit_reason::user_shutdown);
  }

  static bool is_open(inbox& box) {
    std::lock_guard lock(box.mutex);
    return box.home != nullptr;
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
  std::shared_ptr<inbox> box = std::make_shared<inbox>();
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
