#include "http/caf_clock.hpp"

#include <caf/actor_control_block.hpp>
#include <caf/sec.hpp>
#include <caf/system_messages.hpp>

#include <utility>

namespace vorrang::http {

caf_clock::caf_clock(loop& runs)
    : runs_(runs), timer_(this, [](void* self) { static_cast<caf_clock*>(self)->fire(); }) {}

caf_clock::~caf_clock() = default;

void caf_clock::stop() {
  timer_.cancel();
  {
    const std::lock_guard guard(mutex_);
    stopped_ = true;
  }
  cancel_all();
}

/// Changes the maps under the lock. An event holds actors, whose last reference may go with it,
/// and an actor's destructor may come back here: so whatever is replaced dies after the lock.
template <class Change>
void caf_clock::change(Change what) {
  bool earlier = false;
  {
    const std::lock_guard guard(mutex_);
    if (stopped_)
      return;
    what();
    cancellable_ = actor_lookup_.size();
    if (!schedule_.empty() && schedule_.begin()->first < armed_for_) {
      armed_for_ = schedule_.begin()->first;
      earlier = true;
    }
  }
  if (!earlier)
    return;
  if (loop::current() == &runs_)
    rearm();
  else
    runs_.post([this] { rearm(); });
}

void caf_clock::rearm() {
  time_point first = never;
  {
    const std::lock_guard guard(mutex_);
    if (!stopped_ && !schedule_.empty())
      first = schedule_.begin()->first;
    armed_for_ = first;
  }
  runs_.run_at(timer_, first);
}

void caf_clock::fire() {
  {
    const std::lock_guard guard(mutex_);
    const auto now = this->now();
    while (!schedule_.empty() && schedule_.begin()->first <= now) {
      auto first = schedule_.begin();
      if (first->second->backlink != actor_lookup_.end())
        actor_lookup_.erase(first->second->backlink);
      due_.push_back(std::move(first->second));
      schedule_.erase(first);
    }
    cancellable_ = actor_lookup_.size();
  }
  for (const auto& each : due_)
    ship(*each);
  due_.clear();
  rearm();
}

void caf_clock::set_ordinary_timeout(time_point due, caf::abstract_actor* self,
                                     caf::atom_value type, std::uint64_t id) {
  change([&] { base::set_ordinary_timeout(due, self, type, id); });
}

void caf_clock::set_multi_timeout(time_point due, caf::abstract_actor* self, caf::atom_value type,
                                  std::uint64_t id) {
  change([&] { base::set_multi_timeout(due, self, type, id); });
}

void caf_clock::set_request_timeout(time_point due, caf::abstract_actor* self, caf::message_id id) {
  change([&] { base::set_request_timeout(due, self, id); });
}

// The events that the next three drop hold no other actor than `self`, which the caller keeps.

void caf_clock::cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) {
  if (cancellable_ != 0)
    change([&] { base::cancel_ordinary_timeout(self, type); });
}

void caf_clock::cancel_request_timeout(caf::abstract_actor* self, caf::message_id id) {
  if (cancellable_ != 0)
    change([&] { base::cancel_request_timeout(self, id); });
}

void caf_clock::cancel_timeouts(caf::abstract_actor* self) {
  if (cancellable_ != 0)
    change([&] { base::cancel_timeouts(self); });
}

void caf_clock::schedule_message(time_point due, caf::strong_actor_ptr receiver,
                                 caf::mailbox_element_ptr content) {
  change([&] { base::schedule_message(due, std::move(receiver), std::move(content)); });
}

void caf_clock::schedule_message(time_point due, caf::group target, caf::strong_actor_ptr sender,
                                 caf::message content) {
  change([&] {
    base::schedule_message(due, std::move(target), std::move(sender), std::move(content));
  });
}

void caf_clock::cancel_all() {
  schedule_map dropped;
  {
    const std::lock_guard guard(mutex_);
    dropped.swap(schedule_);
    actor_lookup_.clear();
    cancellable_ = 0;
  }
}

} // namespace vorrang::http
