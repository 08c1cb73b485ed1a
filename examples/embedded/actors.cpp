// An actor of your own: it offers tickets, hears verdicts, and settles with the deployment.
#include "actors/engine_actors.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <iostream>

using namespace vorrang;

request_actor::behavior_type worker(request_actor::pointer self, directory_ptr engine) {
  offer_batch batch;
  batch.owner = self;
  for (int priority : {9, 0, 5}) {
    auto& ticket = batch.tickets.emplace_back();
    ticket.id = static_cast<ticket_id>(100 + priority);
    ticket.since = self->clock().now();
    ticket.wanted.priority = priority;
    ticket.wanted.deadline = ticket.since + std::chrono::seconds(10);
  }
  self->send(engine->queues[0], offer_atom_v, std::move(batch));
  auto left = std::make_shared<int>(3);
  return {[=](verdict_atom, const verdict_batch& heard) {
    for (const auto& what : heard.verdicts)
      if (const auto* given = std::get_if<grant>(&what)) {
        std::cout << "priority " << given->ticket - 100 << " goes\n";
        settle_batch done;
        outcome success;
        success.kind = outcome_kind::success;
        done.settles.push_back({given->id, success});
        self->send(engine->deployments[given->group][given->deployment], settle_atom_v,
                   std::move(done));
        if (--*left == 0) {
          stop_engine(engine);
          self->quit();
        }
      }
  }};
}

int main() {
  engine_settings settings;
  auto& group = settings.groups.emplace_back();
  group.name = "gpt-4o";
  group.deployments.emplace_back().max_parallel_requests = 1;
  caf::actor_system_config config;
  caf::actor_system system(config.set("scheduler.policy", caf::atom("sharing")));
  system.spawn(worker, spawn_engine(system, std::move(settings)));
}
