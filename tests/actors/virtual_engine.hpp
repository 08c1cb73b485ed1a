// The engine's actors in virtual time, with a request book as their only owner.
#pragma once

#include "actors/book_sender.hpp"
#include "actors/reload.hpp"
#include "virtual_time.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace vorrang::test {

/// Requests go in through book(); what comes back is heard by their listeners whenever the system
/// has become quiet. Call quiet() after anything was put in.
class virtual_engine {
public:
  explicit virtual_engine(engine_settings settings, duration unsent_max = duration::max(),
                          std::shared_ptr<line_link> link = nullptr)
      : directory_(spawn_engine(time_.system(), std::move(settings), std::move(link))),
        book_(directory_->settings, 1, unsent_max), inbox_(std::make_shared<verdict_batch>()),
        owner_(time_.system().spawn([inbox = inbox_](request_actor::pointer) {
          return request_actor::behavior_type{[inbox](verdict_atom, verdict_batch& batch) {
            for (auto& what : batch.verdicts)
              inbox->verdicts.push_back(std::move(what));
          }};
        })) {
    quiet();
  }

  ~virtual_engine() {
    stop_engine(directory_);
    caf::anon_send_exit(owner_, caf::exit_reason::user_shutdown);
    time_.run();
  }

  time_point now() const { return time_.now(); }
  virtual_time& time() { return time_; }
  request_book& book() { return book_; }
  const engine_directory& directory() const { return *directory_; }
  const request_actor& owner() const { return owner_; }

  /// Other settings from now on. Call quiet() after it: until then nobody has heard of them.
  void reload(engine_settings settings) {
    const auto before = directory_;
    directory_ =
        extend_engine(time_.system(), before, merge_reload(before->settings, std::move(settings)));
    book_.follow(directory_->settings);
    begin_reload(before, directory_);
  }

  /// Called each time the owner has heard all that was said to it.
  std::function<void()> after_round;

  /// Delivers everything until nothing moves any more at this instant.
  void quiet() {
    do {
      send_book(book_.output(), owner_, *directory_);
      time_.run();
      auto verdicts = std::exchange(inbox_->verdicts, {});
      book_.deliver(now(), verdicts);
      if (after_round)
        after_round();
    } while (!book_.output().empty() || !inbox_->verdicts.empty());
  }

  void advance_to(time_point at) {
    quiet();
    for (;;) {
      const auto due = std::min(time_.next(), book_.next_sweep());
      if (due > at)
        break;
      time_.advance_to(std::max(due, now()));
      book_.sweep(now());
      quiet();
    }
    time_.advance_to(at);
  }
  void advance(duration by) { advance_to(now() + by); }

  /// The earliest timer; may be that of something that has become obsolete.
  time_point next_event() const { return std::min(time_.next(), book_.next_sweep()); }

  queue_counters counters(group_index group) {
    queue_counters result;
    ask_queue(group, count_atom_v, [&](queue_counters& heard) { result = heard; });
    return result;
  }
  queue_view view(group_index group, std::size_t offset, std::size_t limit) {
    line_copy copy(offset, limit);
    while (copy.add(piece(group, copy.next()))) {
    }
    return copy.take();
  }
  queue_piece piece(group_index group, const piece_request& wanted) {
    queue_piece result;
    caf::scoped_actor self{time_.system()};
    auto answer = self->request(directory_->queues[group], caf::infinite, show_atom_v, wanted);
    time_.run();
    answer.receive([&](queue_piece& heard) { result = std::move(heard); },
                   [](const caf::error&) {});
    return result;
  }

private:
  template <class Atom, class Heard>
  void ask_queue(group_index group, Atom what, Heard heard) {
    caf::scoped_actor self{time_.system()};
    auto answer = self->request(directory_->queues[group], caf::infinite, what);
    time_.run();
    answer.receive(heard, [](const caf::error&) {});
  }

  virtual_time time_;
  directory_ptr directory_;
  request_book book_;
  std::shared_ptr<verdict_batch> inbox_;
  request_actor owner_;
};

} // namespace vorrang::test
