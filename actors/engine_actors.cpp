#include "actors/engine_actors.hpp"

#include "actors/deployment_actor.hpp"
#include "actors/queue_actor.hpp"
#include "actors/shared/redis_link.hpp"

#include <caf/exit_reason.hpp>
#include <unistd.h>

#include <cctype>
#include <random>
#include <thread>

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

/// Spawns who is missing: the queues first, then their deployments.
void spawn_missing(caf::actor_system& system, const directory_ptr& directory) {
  const auto& groups = directory->settings.groups;
  for (std::size_t i = directory->queues.size(); i < groups.size(); ++i)
    directory->queues.push_back(system.spawn(queue, directory, static_cast<group_index>(i)));
  directory->deployments.resize(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (auto j = directory->deployments[i].size(); j < groups[i].deployments.size(); ++j)
      directory->deployments[i].push_back(system.spawn(deployment_keeper, directory,
                                                       static_cast<group_index>(i),
                                                       static_cast<deployment_index>(j)));
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
  spawn_missing(system, directory);
  // Only now does anybody look into the directory.
  for (const auto& row : directory->deployments)
    for (const auto& deployment : row)
      caf::anon_send(deployment, start_atom_v);
  return directory;
}

directory_ptr extend_engine(caf::actor_system& system, const directory_ptr& before,
                            engine_settings settings) {
  if (settings.groups.size() > group_board::groups_max)
    return nullptr;
  auto directory = std::make_shared<engine_directory>(std::move(settings));
  directory->number = before->number + 1;
  directory->board = before->board;
  directory->board->grow(directory->settings.groups.size());
  directory->queues = before->queues;
  directory->deployments = before->deployments;
  directory->link = before->link;
  directory->report = before->report;
  directory->lines_lost = before->lines_lost;
  directory->members_seen = before->members_seen;
  // CAF 0.17 gives each thread that spawns a hold on the system's logger, and the end of the system
  // waits for all of them: this one may live on.
  std::thread([&] { spawn_missing(system, directory); }).join();
  return directory;
}

void begin_reload(const directory_ptr& before, const directory_ptr& now) {
  for (std::size_t i = 0; i < now->queues.size(); ++i) {
    const bool was_there = i < before->queues.size();
    if (was_there)
      caf::anon_send(now->queues[i], reload_atom_v, reload_order{now});
    for (std::size_t j = 0; j < now->deployments[i].size(); ++j)
      if (!was_there)
        caf::anon_send(now->deployments[i][j], start_atom_v);
      else if (j < before->deployments[i].size()) // others are started by their queue
        caf::anon_send(now->deployments[i][j], reload_atom_v, reload_order{now});
  }
}

void stop_engine(const directory_ptr& directory) {
  for (const auto& queue : directory->queues)
    caf::anon_send_exit(queue, caf::exit_reason::user_shutdown);
  for (const auto& row : directory->deployments)
    for (const auto& deployment : row)
      caf::anon_send_exit(deployment, caf::exit_reason::user_shutdown);
}

} // namespace vorrang
