// The engine through its actors: offer → grant → settle, and what a waiting ticket keeps in memory.
#include "actors/engine_actors.hpp"
#include "bench/finish_line.hpp"
#include "http/caf_scheduler.hpp"
#include "http/loop_pool.hpp"

#include <benchmark/benchmark.h>

#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <malloc.h>

#include <optional>

namespace {

using namespace vorrang;

/// A request actor that offers and settles in batches until `wanted` grants have been made. It
/// keeps the last ones in hand, so that all slots are taken between two runs and nobody else goes.
struct runner {
  directory_ptr engine;
  finish_line& done;
  std::size_t batch;
  settle_batch held{};
  std::int64_t granted = 0;
  std::int64_t wanted = 0;
  ticket_id next = 1;

  offer_batch make(request_actor owner, std::size_t count, time_point now) {
    offer_batch result;
    result.owner = std::move(owner);
    result.tickets.resize(count);
    for (auto& ticket : result.tickets) {
      ticket.id = next++;
      ticket.since = now;
      ticket.wanted.priority = static_cast<std::int32_t>(ticket.id % 8);
      ticket.wanted.deadline = now + std::chrono::hours(1);
    }
    return result;
  }
};

using runner_actor = caf::typed_actor<caf::reacts_to<verdict_atom, verdict_batch>,
                                      caf::reacts_to<start_atom, std::int64_t>>;

runner_actor::behavior_type run(runner_actor::pointer self, std::shared_ptr<runner> state) {
  outcome success;
  success.kind = outcome_kind::success;
  const auto offer = [=](std::size_t count) {
    self->send(state->engine->queues[0], offer_atom_v,
               state->make(self, count, std::chrono::steady_clock::now()));
  };
  return {
      [=](verdict_atom, const verdict_batch& heard) {
        settle_batch settles;
        settles.settles.reserve(heard.verdicts.size());
        for (const auto& what : heard.verdicts)
          if (const auto* given = std::get_if<grant>(&what))
            settles.settles.push_back({given->id, success});
        state->granted += static_cast<std::int64_t>(settles.settles.size());
        if (state->granted + static_cast<std::int64_t>(state->batch) > state->wanted) {
          for (const auto& over : settles.settles)
            state->held.settles.push_back(over);
          if (state->granted == state->wanted)
            state->done.cross();
          return;
        }
        // The next ones stand in line before the slots are free.
        offer(settles.settles.size());
        self->send(state->engine->deployments[0][0], settle_atom_v, std::move(settles));
      },
      [=](start_atom, std::int64_t wanted) {
        state->granted = 0;
        state->wanted = wanted;
        offer(state->batch);
        if (!state->held.settles.empty())
          self->send(state->engine->deployments[0][0], settle_atom_v,
                     std::exchange(state->held, {}));
      },
  };
}

enum class runs_on { worker_of_caf, loop_of_gateway };

/// One thread, one group, one deployment with `slots` slots.
struct stage {
  explicit stage(std::uint32_t slots, std::size_t batch, runs_on where = runs_on::worker_of_caf) {
    if (where == runs_on::loop_of_gateway)
      http::use_loops(config, loops.emplace(1));
    else
      config.set("scheduler.policy", caf::atom("sharing")).set("scheduler.max-threads", 1);
    system = std::make_unique<caf::actor_system>(config);
    engine_settings settings;
    auto& group = settings.groups.emplace_back();
    group.name = "bench";
    group.max_queue_size = 10'000'000;
    group.deployments.emplace_back().max_parallel_requests = slots;
    engine = spawn_engine(*system, std::move(settings));
    state = std::make_shared<runner>(runner{engine, done, batch});
    actor = system->spawn(run, state);
  }
  ~stage() {
    stop_engine(engine);
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    actor = nullptr;
    state.reset();
    engine.reset();
    system.reset();
  }

  /// Tickets that wait behind all others for as long as the stage stands.
  void fill(std::size_t waiting) {
    for (std::size_t left = waiting; left > 0;) {
      const auto count = std::min<std::size_t>(left, 1000);
      auto batch = state->make(request_actor{actor}, count, std::chrono::steady_clock::now());
      for (auto& ticket : batch.tickets)
        ticket.wanted.priority = 1000;
      caf::anon_send(engine->queues[0], offer_atom_v, std::move(batch));
      left -= count;
    }
  }

  std::uint64_t waiting() {
    caf::scoped_actor self{*system};
    std::uint64_t result = 0;
    self->request(engine->queues[0], caf::infinite, count_atom_v)
        .receive([&](const queue_counters& heard) { result = heard.waiting; },
                 [](const caf::error&) {});
    return result;
  }

  void go(std::int64_t grants) {
    caf::anon_send(actor, start_atom_v, grants);
    done.await();
  }

  std::optional<http::loop_pool> loops;
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  finish_line done;
  directory_ptr engine;
  std::shared_ptr<runner> state;
  runner_actor actor;
};

constexpr std::int64_t grants_per_iteration = 200'000;

/// Arguments: batch (= slots), tickets that wait meanwhile.
void grants(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  const auto waiting = static_cast<std::size_t>(state.range(1));
  stage stage(static_cast<std::uint32_t>(batch), batch);
  stage.go(static_cast<std::int64_t>(batch));
  stage.fill(waiting);
  for (auto _ : state)
    stage.go(grants_per_iteration);
  state.counters["waiting"] = static_cast<double>(stage.waiting());
  state.SetItemsProcessed(state.iterations() * grants_per_iteration);
}
BENCHMARK(grants)
    ->ArgNames({"batch", "waiting"})
    ->ArgsProduct({{1, 64}, {0, 10, 1'000, 100'000}})
    ->Args({8, 0})
    ->Args({1, 10'000})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

/// Argument: batch (= slots). As `grants`, by the scheduler that the gateway has.
void grants_on_a_loop(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  stage stage(static_cast<std::uint32_t>(batch), batch, runs_on::loop_of_gateway);
  for (auto _ : state)
    stage.go(grants_per_iteration);
  state.SetItemsProcessed(state.iterations() * grants_per_iteration);
}
BENCHMARK(grants_on_a_loop)
    ->ArgName("batch")
    ->Arg(1)
    ->Arg(8)
    ->Arg(64)
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

/// The messages of one grant one by one, in their order and with what they carry, between actors
/// that do nothing else: what no engine of these actors can be faster than.
struct mute_engine {
  caf::actor requester;
  caf::actor queue;
  caf::actor deployment;
  std::int64_t left = 0;
  finish_line& done;
};

/// Spawns the three; they go when they are sent an exit.
void spawn_mute(caf::actor_system& system, const std::shared_ptr<mute_engine>& all) {
  all->requester = system.spawn([all](caf::event_based_actor* self) {
    const auto ask = [=] {
      offer_batch offers;
      offers.tickets.resize(1);
      self->send(all->queue, offer_atom_v, std::move(offers));
      settle_batch settles;
      settles.settles.resize(1);
      self->send(all->deployment, settle_atom_v, std::move(settles));
    };
    return caf::behavior{[=](verdict_atom, const verdict_batch&) {
                           if (--all->left > 0)
                             ask();
                           else
                             all->done.cross();
                         },
                         [=](start_atom) {
                           ask();
                         }};
  });
  all->queue = system.spawn([all](caf::event_based_actor* self) {
    return caf::behavior{[](offer_atom, offer_batch&) {},
                         [=](room_atom, const room_report&) {
                           verdict_batch verdicts;
                           verdicts.verdicts.emplace_back(grant{});
                           self->send(all->requester, verdict_atom_v, std::move(verdicts));
                           take_batch takes;
                           takes.takes.resize(1);
                           self->send(all->deployment, take_atom_v, std::move(takes));
                         }};
  });
  all->deployment = system.spawn([all](caf::event_based_actor* self) {
    return caf::behavior{[](take_atom, const take_batch&) {},
                         [=](settle_atom, const settle_batch&) {
                           room_report report;
                           report.results.resize(1);
                           self->send(all->queue, room_atom_v, std::move(report));
                         }};
  });
}

/// Argument: 0 a worker of CAF, 1 a loop of the gateway.
void messages_of_a_grant(benchmark::State& state) {
  std::optional<http::loop_pool> loops;
  caf::actor_system_config config;
  if (state.range(0) == 1)
    http::use_loops(config, loops.emplace(1));
  else
    config.set("scheduler.policy", caf::atom("sharing")).set("scheduler.max-threads", 1);
  caf::actor_system system(config);
  finish_line done;
  const auto all = std::make_shared<mute_engine>(mute_engine{{}, {}, {}, 0, done});
  spawn_mute(system, all);
  for (auto _ : state) {
    all->left = grants_per_iteration;
    caf::anon_send(all->requester, start_atom_v);
    done.await();
  }
  for (auto* each : {&all->requester, &all->queue, &all->deployment})
    caf::anon_send_exit(std::exchange(*each, nullptr), caf::exit_reason::user_shutdown);
  state.SetItemsProcessed(state.iterations() * grants_per_iteration);
}
BENCHMARK(messages_of_a_grant)
    ->ArgName("on")
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

/// What is decided for each grant, without an actor or a message: the line, the books of the
/// deployment, and who goes next. Argument: batch (= slots).
void decisions_of_a_grant(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  group_settings settings;
  settings.max_queue_size = 10'000'000;
  settings.deployments.emplace_back().max_parallel_requests = static_cast<std::uint32_t>(batch);
  group_board board(1);
  group_queue queue(settings, 0, 1, board);
  deployment books(settings, settings.deployments[0], false);
  outcome success;
  success.kind = outcome_kind::success;
  ticket_id next = 1;
  std::vector<grant_id> held;
  std::vector<attempt_result> over;
  const auto round = [&] {
    const auto now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < batch; ++i) {
      ticket_offer offer;
      offer.id = next++;
      offer.since = now;
      offer.wanted.priority = static_cast<std::int32_t>(offer.id % 8);
      offer.wanted.deadline = now + std::chrono::hours(1);
      queue.offer(now, 0, std::move(offer));
    }
    queue.serve(now);
    over.clear();
    for (const auto grant : held)
      over.push_back(*books.settle(now, grant, success));
    held.clear();
    queue.room_changed(now, 0, books.current(now), over);
    queue.serve(now);
    for (const auto& made : queue.output().takes)
      books.take_grant(made.what);
    for (const auto& told : queue.output().verdicts)
      held.push_back(std::get<grant>(told.what).id);
    queue.output().clear();
  };
  round();
  for (auto _ : state)
    for (std::int64_t made = 0; made < grants_per_iteration; made += state.range(0))
      round();
  state.SetItemsProcessed(static_cast<std::int64_t>(queue.grants() - batch));
}
BENCHMARK(decisions_of_a_grant)
    ->ArgName("batch")
    ->Arg(1)
    ->Arg(64)
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

/// Bytes that a waiting ticket adds to the process' heap.
void memory_of_a_waiting_ticket(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  double bytes = 0;
  for (auto _ : state) {
    engine_settings settings;
    auto& group = settings.groups.emplace_back();
    group.max_queue_size = 10'000'000;
    group.deployments.emplace_back().max_parallel_requests = 0;
    group_board board(1);
    group_queue queue(settings.groups[0], 0, 1, board);
    const auto before = mallinfo2();
    const auto now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      ticket_offer offer;
      offer.id = i + 1;
      offer.since = now;
      offer.wanted.deadline = now + std::chrono::hours(1);
      queue.offer(now, 0, std::move(offer));
      queue.serve(now);
    }
    const auto after = mallinfo2();
    bytes = static_cast<double>(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) /
            static_cast<double>(count);
    benchmark::DoNotOptimize(queue.waiting());
  }
  state.counters["bytes_per_ticket"] = bytes;
}
BENCHMARK(memory_of_a_waiting_ticket)->Arg(10'000)->Arg(100'000)->Iterations(1);

} // namespace
