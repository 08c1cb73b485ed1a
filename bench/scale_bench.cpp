// What one grant costs, one after the other, however many wait, groups there are and deployments a
// group has.
#include "actors/engine_actors.hpp"
#include "bench/finish_line.hpp"

#include <benchmark/benchmark.h>

#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace {

using namespace vorrang;

/// Asks one group after the other, settles each grant at once, and asks the next.
struct round_trip {
  directory_ptr engine;
  finish_line& done;
  std::int64_t left = 0;
  group_index group = 0;
  ticket_id next = 1;
};

using round_trip_actor = caf::typed_actor<caf::reacts_to<verdict_atom, verdict_batch>,
                                          caf::reacts_to<start_atom, std::int64_t>>;

round_trip_actor::behavior_type go_round(round_trip_actor::pointer self,
                                         std::shared_ptr<round_trip> state) {
  const auto ask_next = [=] {
    state->group = static_cast<group_index>((state->group + 1) % state->engine->queues.size());
    offer_batch batch;
    batch.owner = request_actor{self};
    auto& ticket = batch.tickets.emplace_back();
    ticket.id = state->next++;
    ticket.wanted.group = state->group;
    ticket.since = std::chrono::steady_clock::now();
    ticket.wanted.deadline = ticket.since + std::chrono::hours(1);
    self->send(state->engine->queues[state->group], offer_atom_v, std::move(batch));
  };
  return {
      [=](verdict_atom, const verdict_batch& heard) {
        for (const auto& what : heard.verdicts) {
          const auto* given = std::get_if<grant>(&what);
          if (!given)
            continue;
          settle_batch over;
          outcome success;
          success.kind = outcome_kind::success;
          over.settles.push_back({given->id, success});
          self->send(state->engine->deployments[state->group][given->deployment], settle_atom_v,
                     std::move(over));
          if (--state->left == 0)
            state->done.cross();
          else
            ask_next();
        }
      },
      [=](start_atom, std::int64_t wanted) {
        state->left = wanted;
        ask_next();
      },
  };
}

/// Every group has `deployments` of one slot, and one more that takes nothing.
engine_settings settings_for(std::int64_t groups, std::int64_t deployments) {
  engine_settings settings;
  for (std::int64_t i = 0; i < groups; ++i) {
    auto& group = settings.groups.emplace_back();
    group.name = "g" + std::to_string(i);
    group.max_queue_size = 10'000'000;
    group.deployments.resize(static_cast<std::size_t>(deployments) + 1);
    for (auto& each : group.deployments)
      each.max_parallel_requests = 1;
    group.deployments.back().max_parallel_requests = 0;
  }
  return settings;
}

/// Tickets that wait in the first group as long as it stands, for what takes nothing.
void fill(const directory_ptr& engine, const request_actor& owner, std::int64_t waiting) {
  const auto closed = static_cast<deployment_index>(engine->deployments[0].size() - 1);
  const auto now = std::chrono::steady_clock::now();
  ticket_id next = 1'000'000'000;
  while (waiting > 0) {
    offer_batch batch;
    batch.owner = owner;
    for (; waiting > 0 && batch.tickets.size() < 1000; --waiting) {
      auto& ticket = batch.tickets.emplace_back();
      ticket.id = next++;
      ticket.since = now;
      ticket.wanted.pinned = closed;
      ticket.wanted.deadline = now + std::chrono::hours(1);
    }
    caf::anon_send(engine->queues[0], offer_atom_v, std::move(batch));
  }
}

constexpr std::int64_t grants_per_iteration = 50'000;

/// Arguments: tickets that wait, groups, deployments of each.
void scale(benchmark::State& state) {
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("sharing")).set("scheduler.max-threads", 1);
  caf::actor_system system{config};
  finish_line done;
  auto engine = spawn_engine(system, settings_for(state.range(1), state.range(2)));
  auto actor = system.spawn(go_round, std::make_shared<round_trip>(round_trip{engine, done}));
  fill(engine, request_actor{actor}, state.range(0));
  const auto go = [&](std::int64_t grants) {
    caf::anon_send(actor, start_atom_v, grants);
    done.await();
  };
  go(state.range(1) * 2);
  for (auto _ : state)
    go(grants_per_iteration);
  {
    caf::scoped_actor self{system};
    self->request(engine->queues[0], caf::infinite, count_atom_v)
        .receive(
            [&](const queue_counters& heard) {
              if (heard.waiting != static_cast<std::uint64_t>(state.range(0)))
                state.SkipWithError("they do not all wait");
            },
            [&](const caf::error&) { state.SkipWithError("the queue does not answer"); });
  }
  state.SetItemsProcessed(state.iterations() * grants_per_iteration);
  stop_engine(engine);
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}
BENCHMARK(scale)
    ->ArgNames({"waiting", "groups", "deployments"})
    ->Args({10, 1, 1})
    ->Args({100, 1, 1})
    ->Args({1'000, 1, 1})
    ->Args({10'000, 1, 1})
    ->Args({100'000, 1, 1})
    ->Args({0, 1, 1})
    ->Args({0, 10, 1})
    ->Args({0, 100, 1})
    ->Args({0, 1'000, 1})
    ->Args({0, 1, 10})
    ->Args({0, 1, 100})
    ->Args({0, 1, 500})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

} // namespace
