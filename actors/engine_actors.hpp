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
  /// Where lines are shared.
  std::shared_ptr<line_link> link;
};

using directory_ptr = std::shared_ptr<engine_directory>;

/// Spawns the actors of an engine on any CAF actor system (see messages.hpp for what they hear).
/// `link`: to the server that keeps the lines, where they are shared; null: Redis, as the settings
/// say. `report` hears, on another thread, when that server is lost or found (see redis_link).
directory_ptr spawn_engine(caf::actor_system& system, engine_settings settings,
                           std::shared_ptr<line_link> link = nullptr,
                           std::function<void(bool, const std::string&)> report = {});

/// Sends all of them home. Tickets that still wait are forgotten; end them with `drain` first.
void stop_engine(const directory_ptr& directory);

} // namespace vorrang
