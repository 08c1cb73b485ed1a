#include "actors/engine_actors.hpp"

#include "actors/deployment_actor.hpp"
#include "actors/queue_actor.hpp"
#include "actors/shared/redis_link.hpp"

#include <caf/exit_reason.hpp>
#include <unistd.h>

#include <cctype>
#include <random>

#include <caf/send.hpp>

namespace vorrang {
namespace {

/// Short, since it is part of everything that stands in Redis.
std::string name_instance() {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  std::string name;
  for (const char* letter = host; *letter && *letter != '.' && name.size() < 8; ++letter)
    if (std::isalnum(static_cast<unsigned char>(*letter)))
      name += *letter;
  std::random_device random;
  name += '-';
  for (int i = 0; i < 6; ++i)
    name += "abcdefghijkmnpqrstuvwxyz23456789"[random() % 32];
  return name;
}

} // namespace

directory_ptr spawn_engine(caf::actor_system& system, engine_settings settings,
                           std::shared_ptr<line_link> link,
                           std::function<void(bool, const std::string&)> report) {
  if (settings.shared && settings.shared->instance.empty())
    settings.shared->instance = name_instance();
  auto directory = std::make_shared<engine_directory>(std::move(settings));
  directory->link = std::move(link);
  directory->report = report ? std::move(report) : [](bool, const std::string&) {
  };
  if (const auto& shared = directory->settings.shared; shared && !directory->link)
    directory->link = std::make_shared<redis_link>(shared->server, directory->report);
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
