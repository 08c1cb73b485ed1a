// The clock of the actors in the gateway: one timer in a loop.
//
// CAF 0.17 only: its base class is gone by 0.18.7.
#pragma once

#include "http/loop.hpp"

#include <caf/detail/simple_actor_clock.hpp>

#include <atomic>
#include <mutex>
#include <vector>

namespace vorrang::http {

/// CAF's own clock is a thread that every actor wakes when it ends; here an actor without timeouts
/// costs one look at a counter. Any thread may call it, at any time, also after stop(): what is
/// scheduled then is dropped.
class caf_clock final : public caf::detail::simple_actor_clock {
public:
  /// `runs` must outlive the clock.
  explicit caf_clock(loop& runs);
  ~caf_clock() override;

  /// Drops what is scheduled, and everything that will be. Call it while no loop fires, or from
  /// the loop.
  void stop();

  void set_ordinary_timeout(time_point due, caf::abstract_actor* self, caf::atom_value type,
                            std::uint64_t id) override;
  void set_multi_timeout(time_point due, caf::abstract_actor* self, caf::atom_value type,
                         std::uint64_t id) override;
  void set_request_timeout(time_point due, caf::abstract_actor* self, caf::message_id id) override;
  void cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) override;
  void cancel_request_timeout(caf::abstract_actor* self, caf::message_id id) override;
  void cancel_timeouts(caf::abstract_actor* self) override;
  void schedule_message(time_point due, caf::strong_actor_ptr receiver,
                        caf::mailbox_element_ptr content) override;
  void schedule_message(time_point due, caf::group target, caf::strong_actor_ptr sender,
                        caf::message content) override;
  void cancel_all() override;

private:
  using base = caf::detail::simple_actor_clock;

  template <class Change>
  void change(Change what);
  void rearm();
  void fire();

  loop& runs_;
  std::mutex mutex_; // guards the base's two maps and what follows
  time_point armed_for_ = never;
  bool stopped_ = false;
  std::atomic<std::size_t> cancellable_ = 0;
  timed_call timer_;                          // of the loop's thread
  std::vector<unique_delayed_event_ptr> due_; // of the loop's thread: its memory is kept
};

} // namespace vorrang::http
