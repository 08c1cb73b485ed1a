// Holds one group's line, and tells owners and deployments what was decided.
#pragma once

#include "actors/engine_actors.hpp"
#include "actors/shared/line_session.hpp"
#include "actors/timer.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace vorrang {

struct queue_state {
  static inline const char* name = "vorrang.queue";
  struct owner {
    request_actor handle;
    verdict_batch outbox;
  };

  directory_ptr directory;
  std::optional<group_queue> line;
  /// Where the group's line is shared with other instances.
  std::unique_ptr<line_session> session;
  bool was_down = false;
  std::vector<owner> owners;
  /// Queues that want to hear when this group can take something.
  std::vector<watching_actor> watchers;
  timer tick;
};

queue_actor::behavior_type queue(queue_actor::stateful_pointer<queue_state> self,
                                 directory_ptr directory, group_index group);

} // namespace vorrang
