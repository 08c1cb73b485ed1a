#include "actors/engine_actors.hpp"

#include "actors/deployment_actor.hpp"
#include "actors/queue_actor.hpp"

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

namespace vorrang {

directory_ptr spawn_engine(caf::actor_system& system, engine_settings settings) {
  auto directory = std::make_shared<engine_directory>(std::move(settings));
  const auto& groups = directory->settings.groups;
  for (std::size_t i = 0; i < groups.size(); ++i)
    directory->queues.push_back(system.spawn(queue, directory, static_cast<group_index>(i)));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    auto& row = directory->deployments.emplace_back();
    for (std::size_t j = 0; j < groups[i].deployments.size(); ++j)
      row.push_back(system.spawn(deployment_keeper, directory, static_cast<group_index>(i),
                                 static_cast<deployment_index>(j)));
  }
  // Only now does anybody look into the directory.
  for (const auto& row : directory->deployments)
    for (const auto& deployment : row)
      caf::anon_send(deployment, start_atom_v);
  return directory;
}

void stop_engine(const directory_ptr& directory) {
  for (const auto& queue : directory->queues)
    caf::anon_send_exit(queue, caf::exit_reason::user_shutdown);
  for (const auto& row : directory->deployments)
    for (const auto& deployment : row)
      caf::anon_send_exit(deployment, caf::exit_reason::user_shutdown);
}

} // namespace vorrang
