// One timer for each actor: the earliest thing it waits for, with a number that outdates others.
#pragma once

#include "actors/messages.hpp"

#include <algorithm>

#include <caf/actor_clock.hpp>

namespace vorrang {

/// Sends `tick` with a generation number. CAF 0.17 cannot take a delayed message back, so one that
/// was overtaken by an earlier one is recognised by its number and ignored.
class timer {
public:
  /// Makes sure that a tick comes at `at` (at once if that is past), not later.
  template <class Self>
  void arm(Self* self, time_point at) {
    if (at >= armed_at_)
      return;
    armed_at_ = at;
    const auto wait = std::max<duration>(at - self->clock().now(), duration::zero());
    self->delayed_send(self, wait, tick_atom_v, ++generation_);
  }

  /// True if this tick is the latest that was asked for; the timer is then free again.
  bool fired(std::uint64_t generation) noexcept {
    if (generation != generation_)
      return false;
    armed_at_ = never;
    return true;
  }

private:
  std::uint64_t generation_ = 0;
  time_point armed_at_ = never;
};

} // namespace vorrang
