// All actors of one engine: a queue for each group, and its deployments.
#pragma once

#include "actors/messages.hpp"

#include <caf/actor_system.hpp>

namespace vorrang {

/// Who is who. Complete before the first ticket is offered, unchanged afterwards, so that any
/// thread may read it.
struct engine_directory {
  explicit engine_directory(engine_settings told)
      : settings(std::move(told)), board(settings.groups.size()) {}

  const engine_settings settings;
  group_board board;
  std::vector<queue_actor> queues;
  /// By group, then by deployment.
  std::vector<std::vector<deployment_actor>> deployments;
};

using directory_ptr = std::shared_ptr<engine_directory>;

/// Spawns the actors of an engine on any CAF actor system (see messages.hpp for what they hear).
directory_ptr spawn_engine(caf::actor_system& system, engine_settings settings);

/// Sends all of them home. Tickets that still wait are forgotten; end them with `drain` first.
void stop_engine(const directory_ptr& directory);

} // namespace vorrang
