// Keeps one deployment's books and reports them to its queue.
#pragma once

#include "actors/engine_actors.hpp"
#include "actors/timer.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace vorrang {

struct deployment_state {
  static inline const char* name = "vorrang.deployment";
  directory_ptr directory;
  group_index group = 0;
  room_report report;
  std::optional<deployment> books;
  timer tick;
};

deployment_actor::behavior_type
deployment_keeper(deployment_actor::stateful_pointer<deployment_state> self,
                  directory_ptr directory, group_index group, deployment_index which);

} // namespace vorrang
