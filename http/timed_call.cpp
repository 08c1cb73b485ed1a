#include "http/timed_call.hpp"

namespace vorrang::http {

timed_calls::~timed_calls() {
  for (timed_call* each : heap_)
    each->heap_ = nullptr;
}

void timed_calls::set(timed_call& which, time_point due) {
  if (due == never) {
    which.cancel();
    return;
  }
  if (which.heap_ != this) {
    which.cancel();
    heap_.push_back(&which);
    which.heap_ = this;
    which.place_ = heap_.size() - 1;
  }
  which.due_ = due;
  sift_up(which.place_);
  sift_down(which.place_);
}

void timed_calls::ring_due(time_point now) {
  while (!heap_.empty() && heap_.front()->due_ <= now) {
    timed_call& first = *heap_.front();
    remove(first);
    first.ring_(first.owner_);
  }
}

void timed_calls::remove(timed_call& which) noexcept {
  const std::size_t place = which.place_;
  timed_call* const last = heap_.back();
  heap_.pop_back();
  which.heap_ = nullptr;
  if (last == &which)
    return;
  put(place, last);
  sift_up(place);
  sift_down(last->place_);
}

void timed_calls::put(std::size_t place, timed_call* which) noexcept {
  heap_[place] = which;
  which->place_ = place;
}

void timed_calls::sift_up(std::size_t place) noexcept {
  timed_call* const moving = heap_[place];
  while (place > 0) {
    const std::size_t above = (place - 1) / 2;
    if (heap_[above]->due_ <= moving->due_)
      break;
    put(place, heap_[above]);
    place = above;
  }
  put(place, moving);
}

void timed_calls::sift_down(std::size_t place) noexcept {
  timed_call* const moving = heap_[place];
  for (;;) {
    std::size_t below = 2 * place + 1;
    if (below >= heap_.size())
      break;
    if (below + 1 < heap_.size() && heap_[below + 1]->due_ < heap_[below]->due_)
      ++below;
    if (moving->due_ <= heap_[below]->due_)
      break;
    put(place, heap_[below]);
    place = below;
  }
  put(place, moving);
}

} // namespace vorrang::http
