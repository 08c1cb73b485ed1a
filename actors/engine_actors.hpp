// All actors of one engine: a queue for each group, and its deployments.
#pragma once

#include "actors/messages.hpp"

#include <caf/actor_system.hpp>

#include <atomic>
#include <functional>

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
  /// Where lines are shared; and what hears, on any thread, of groups whose line is lost or back.
  std::shared_ptr<line_link> link;
  std::function<void(bool well, const std::string& what)> report;
  std::atomic<std::uint32_t> lines_lost = 0;

  /// Nothing: lines are not shared. False: Redis does not answer, or not well.
  std::optional<bool> shares_lines() const {
    return link ? std::optional(link->is_up() && lines_lost == 0) : std::nullopt;
  }
};

using directory_ptr = std::shared_ptr<engine_directory>;

/// Spawns the actors of an engine on any CAF actor system (see messages.hpp for what they hear).
/// `link`: to the server that keeps the lines, where they are shared; null: Redis, as the settings
/// say. `report` hears, on other threads, when that server or one of its lines is lost or found.
directory_ptr spawn_engine(caf::actor_system& system, engine_settings settings,
                           std::shared_ptr<line_link> link = nullptr,
                           std::function<void(bool, const std::string&)> report = {});

/// Sends all of them home. Tickets that still wait are forgotten; end them with `drain` first.
void stop_engine(const directory_ptr& directory);

} // namespace vorrang
