// An engine for tests: grants at once, or when it is told to, and remembers everything.
#pragma once

#include "http/gateway.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

namespace vorrang::http::tests {

/// What all gates of one gateway share. Any thread.
struct gate_book {
  std::mutex mutex;
  std::condition_variable changed;
  bool grants_at_once = true;
  bool may_send = true;
  std::uint32_t position = 3;
  std::uint64_t opened = 0, granted = 0, cancelled = 0, heads = 0;
  std::vector<ask> asks;
  std::vector<outcome> outcomes;
  std::vector<std::function<void()>> waiting; ///< each grants one ticket

  template <class Condition>
  bool wait(Condition is_so) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(30), is_so);
  }
  /// Grants those that wait.
  void grant_all() {
    std::vector<std::function<void()>> now;
    {
      const std::lock_guard guard(mutex);
      now.swap(waiting);
    }
    for (const auto& each : now)
      each();
  }
};

class fake_gate final : public request_gate {
public:
  fake_gate(loop& runs, std::shared_ptr<gate_book> book) : runs_(runs), book_(std::move(book)) {}
  ~fake_gate() override { *alive_ = false; }

  ticket_id open(ask wanted, request_listener& listener) override {
    const ticket_id ticket = ++last_;
    tickets_[ticket] = {&listener, wanted};
    auto give = [this, ticket, alive = alive_] {
      if (*alive)
        grant_now(ticket);
    };
    const std::lock_guard guard(book_->mutex);
    ++book_->opened;
    book_->asks.push_back(std::move(wanted));
    if (book_->grants_at_once)
      runs_.post(give);
    else
      book_->waiting.push_back([this, give] { runs_.post(give); });
    book_->changed.notify_all();
    return ticket;
  }

  void cancel(ticket_id ticket) override {
    const std::lock_guard guard(book_->mutex);
    book_->cancelled += tickets_.erase(ticket);
    book_->changed.notify_all();
  }

  bool begin_sending(ticket_id) override {
    const std::lock_guard guard(book_->mutex);
    return book_->may_send;
  }

  void head_arrived(ticket_id) override {
    const std::lock_guard guard(book_->mutex);
    ++book_->heads;
  }

  /// What is no success ends the request; not_sent too.
  void settle(ticket_id ticket, const outcome& result) override {
    {
      const std::lock_guard guard(book_->mutex);
      book_->outcomes.push_back(result);
      book_->changed.notify_all();
    }
    if (result.kind == outcome_kind::success || result.kind == outcome_kind::cancelled) {
      tickets_.erase(ticket);
      return;
    }
    runs_.post([this, ticket, result, alive = alive_] {
      const auto found = tickets_.find(ticket);
      if (!*alive || found == tickets_.end())
        return;
      ending end;
      end.ticket = ticket;
      end.code = end_code::attempts_exhausted;
      end.status = result.status;
      end.timed_out = result.timed_out;
      end.priority = found->second.second.priority;
      request_listener& told = *found->second.first;
      tickets_.erase(found);
      told.on_end(end);
    });
  }

  void ask_position(ticket_id ticket) override {
    runs_.post([this, ticket, alive = alive_] {
      const auto found = tickets_.find(ticket);
      if (*alive && found != tickets_.end())
        found->second.first->on_position(book_->position);
    });
  }

private:
  void grant_now(ticket_id ticket) {
    const auto found = tickets_.find(ticket);
    if (found == tickets_.end())
      return;
    grant given;
    given.ticket = given.id = ticket;
    given.group = found->second.second.group;
    given.priority = found->second.second.priority;
    given.at = std::chrono::steady_clock::now();
    {
      const std::lock_guard guard(book_->mutex);
      ++book_->granted;
      book_->changed.notify_all();
    }
    found->second.first->on_grant(given);
  }

  loop& runs_;
  std::shared_ptr<gate_book> book_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<ticket_id, std::pair<request_listener*, ask>> tickets_;
  ticket_id last_ = 0;
};

inline engine_factory fake_engine(std::shared_ptr<gate_book> book) {
  return [book](caf::actor_system&, const config::settings&) {
    gateway_engine made;
    made.make_gate = [book](loop& runs) -> std::unique_ptr<request_gate> {
      return std::make_unique<fake_gate>(runs, book);
    };
    return made;
  };
}

} // namespace vorrang::http::tests
