// All actors of one engine: a queue for each group, and its deployments.
#pragma once

#include "actors/messages.hpp"

#include <caf/actor_system.hpp>

#include <atomic>
#include <functional>

namespace vorrang {

/// Who is who. Complete before the first ticket is offered, unchanged afterwards, so that any
/// thread may read it: a reload makes another, in which all that was there has its place.
struct engine_directory {
  explicit engine_directory(engine_settings told)
      : settings(std::move(told)), board(std::make_shared<group_board>(settings.groups.size())) {}

  const engine_settings settings;
  /// Reloads before it.
  std::uint64_t number = 0;
  /// Shared with the directories before and after.
  std::shared_ptr<group_board> board;
  std::vector<queue_actor> queues;
  /// By group, then by deployment.
  std::vector<std::vector<deployment_actor>> deployments;
  /// Where lines are shared; and what hears, on any thread, of groups whose line is lost or back.
  std::shared_ptr<line_link> link;
  std::function<void(bool well, const std::string& what)> report;
  /// Shared with the directories before and after.
  std::shared_ptr<std::atomic<std::uint32_t>> lines_lost =
      std::make_shared<std::atomic<std::uint32_t>>(0);

  /// Who shared lines when one of them was heard of last, for queues that have heard nothing of
  /// their own: the count, and above it in 32 bits the rank; 0: none was. Shared like lines_lost.
  std::shared_ptr<std::atomic<std::uint64_t>> members_seen =
      std::make_shared<std::atomic<std::uint64_t>>(0);

  /// Nothing: lines are not shared. False: Redis does not answer, or not well.
  std::optional<bool> shares_lines() const {
    return link ? std::optional(link->is_up() && *lines_lost == 0) : std::nullopt;
  }
};

using directory_ptr = std::shared_ptr<engine_directory>;

/// Spawns the actors of an engine on any CAF actor system (see messages.hpp for what they hear).
/// `link`: to the server that keeps the lines, where they are shared; null: Redis, as the settings
/// say. `report` hears, on other threads, when that server or one of its lines is lost or found.
directory_ptr spawn_engine(caf::actor_system& system, engine_settings settings,
                           std::shared_ptr<line_link> link = nullptr,
                           std::function<void(bool, const std::string&)> report = {});

/// A reload's first step: the directory for `settings` (from merge_reload(), so that places are
/// kept), with further actors for what is new. Null: too many groups. The actors know nothing of it
/// yet, and get no message: whoever settles grants changes over to it first.
directory_ptr extend_engine(caf::actor_system& system, const directory_ptr& before,
                            engine_settings settings);

/// Its second step: tells the actors. From now on grants come by the new settings.
void begin_reload(const directory_ptr& before, const directory_ptr& now);

/// Sends all of them home. Tickets that still wait are forgotten; end them with `drain` first.
void stop_engine(const directory_ptr& directory);

} // namespace vorrang
