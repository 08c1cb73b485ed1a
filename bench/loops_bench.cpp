// Grants on the gateway's own loops: what a second one brings, however few slots there are.
#include "actors/engine_actors.hpp"
#include "bench/finish_line.hpp"
#include "http/caf_scheduler.hpp"
#include "http/loop_desk.hpp"
#include "http/loop_pool.hpp"

#include <benchmark/benchmark.h>

#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <atomic>
#include <functional>
#include <future>
#include <random>

namespace {

using namespace vorrang;
using namespace vorrang::http;

/// Who always wants a grant: over all loops, however many there are.
constexpr std::size_t callers_in_all = 128;
constexpr std::int64_t grants_per_iteration = 50'000;
/// Each first ticket draws a better priority than all later ones have: that shuffles callers of
/// different loops, and since those of one priority go in turns, they stay shuffled.
constexpr std::int32_t first_priorities = 100;

/// Counts the grants of all loops while the load goes on.
class tally {
public:
  void add(std::int64_t more) {
    const auto before = total_.fetch_add(more, std::memory_order_relaxed);
    const auto wanted = wanted_.load(std::memory_order_relaxed);
    if (before < wanted && before + more >= wanted)
      done_.cross();
  }
  /// Waits until there are so many more.
  void await(std::int64_t more) {
    wanted_ = total_ + more;
    done_.await();
  }

private:
  std::atomic<std::int64_t> total_ = 0;
  std::atomic<std::int64_t> wanted_ = 0;
  finish_line done_;
};

/// One loop's part of it, told in lots, so that counting does not tie the loops to each other.
class counter {
public:
  explicit counter(tally& all) : all_(all) {}
  void add(std::int64_t more) {
    count_ += more;
    if (count_ >= lot)
      all_.add(std::exchange(count_, 0));
  }

private:
  static constexpr std::int64_t lot = 64;
  tally& all_;
  std::int64_t count_ = 0;
};

engine_settings settings_for(std::int64_t slots) {
  engine_settings settings;
  auto& group = settings.groups.emplace_back();
  group.name = "bench";
  group.deployments.emplace_back().max_parallel_requests = static_cast<std::uint32_t>(slots);
  return settings;
}

outcome success() {
  outcome result;
  result.kind = outcome_kind::success;
  return result;
}

/// The gateway's loops, their scheduler, and an engine on them.
struct stage {
  stage(std::int64_t loops, std::int64_t slots) : pool(static_cast<std::size_t>(loops)) {
    use_loops(config, pool);
    system = std::make_unique<caf::actor_system>(config);
    engine = spawn_engine(*system, settings_for(slots));
  }
  ~stage() {
    stop_engine(engine);
    engine.reset();
    system.reset(); // awaits the actors, then stops the loops
  }

  /// Runs `work` for each loop, on its thread, and waits for all.
  template <class Work>
  void on_each_loop(Work work) {
    const auto ready = std::make_shared<std::vector<std::promise<void>>>(pool.size());
    for (std::size_t index = 0; index < pool.size(); ++index)
      pool.at(index).post([work, ready, index] {
        work(index);
        (*ready)[index].set_value();
      });
    for (auto& each : *ready)
      each.get_future().wait();
  }

  loop_pool pool;
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  directory_ptr engine;
  tally counted;
};

/// The callers of one loop, with the desk that the loop's connections have in the gateway. Each
/// settles what it is granted at once, and asks again. For the loop's thread.
class crowd {
public:
  crowd(stage& on, std::size_t index)
      : desk_(on.pool.at(index), *on.system, on.engine, static_cast<std::uint16_t>(index + 1)),
        counter_(on.counted), callers_(callers_in_all / on.pool.size(), caller(*this)) {
    std::minstd_rand random(static_cast<unsigned>(index + 1));
    for (auto& each : callers_)
      open(each, static_cast<std::int32_t>(random() % first_priorities));
  }

private:
  class caller final : public request_listener {
  public:
    explicit caller(crowd& of) : of_(of) {}
    void on_grant(const grant& given) override { of_.granted(*this, given); }
    void on_waiting_again() override {}
    void on_end(const ending&) override {}
    void on_position(std::uint32_t) override {}

  private:
    crowd& of_;
  };

  void open(caller& who, std::int32_t priority) {
    ask wanted;
    wanted.priority = priority;
    wanted.deadline = deadline_;
    desk_.open(std::move(wanted), who);
  }

  void granted(caller& who, const grant& given) {
    desk_.begin_sending(given.ticket);
    desk_.settle(given.ticket, success());
    counter_.add(1);
    open(who, first_priorities);
  }

  const time_point deadline_ = std::chrono::steady_clock::now() + std::chrono::hours(1);
  loop_desk desk_;
  counter counter_;
  std::vector<caller> callers_;
};

/// Arguments: loops, slots. Each loop has its desk, as in the gateway.
void loops_desks(benchmark::State& state) {
  stage stage(state.range(0), state.range(1));
  std::vector<std::unique_ptr<crowd>> crowds(stage.pool.size());
  stage.on_each_loop(
      [&](std::size_t index) { crowds[index] = std::make_unique<crowd>(stage, index); });
  stage.counted.await(grants_per_iteration);
  for (auto _ : state)
    stage.counted.await(grants_per_iteration);
  stage.on_each_loop([&](std::size_t index) { crowds[index].reset(); });
  state.SetItemsProcessed(state.iterations() * grants_per_iteration);
}

using asking_actor = caf::typed_actor<caf::reacts_to<verdict_atom, verdict_batch>,
                                      caf::reacts_to<start_atom, std::size_t>>;

/// A request actor that settles a batch as it is granted, and offers as many again.
struct asking {
  directory_ptr engine;
  counter counted;
  ticket_id next;
  std::minstd_rand random;

  offer_batch make(request_actor owner, std::size_t count, bool first) {
    offer_batch result;
    result.owner = std::move(owner);
    result.tickets.resize(count);
    const auto now = std::chrono::steady_clock::now();
    for (auto& ticket : result.tickets) {
      ticket.id = next++;
      ticket.since = now;
      ticket.wanted.priority =
          first ? static_cast<std::int32_t>(random() % first_priorities) : first_priorities;
      ticket.wanted.deadline = now + std::chrono::hours(1);
    }
    return result;
  }
};

asking_actor::behavior_type ask_on(asking_actor::pointer self, std::shared_ptr<asking> state) {
  const auto offer = [=](std::size_t count, bool first) {
    self->send(state->engine->queues[0], offer_atom_v,
               state->make(request_actor{self}, count, first));
  };
  return {
      [=](verdict_atom, const verdict_batch& heard) {
        settle_batch settles;
        settles.settles.reserve(heard.verdicts.size());
        for (const auto& what : heard.verdicts)
          if (const auto* given = std::get_if<grant>(&what))
            settles.settles.push_back({given->id, success()});
        const auto count = settles.settles.size();
        if (count == 0)
          return;
        // The next ones stand in line before the slots are free.
        offer(count, false);
        self->send(state->engine->deployments[0][0], settle_atom_v, std::move(settles));
        state->counted.add(static_cast<std::int64_t>(count));
      },
      [=](start_atom, std::size_t count) { offer(count, true); },
  };
}

/// Arguments: loops, slots. Two request actors, whatever loops there are; no desks.
void loops_actors(benchmark::State& state) {
  stage stage(state.range(0), state.range(1));
  std::vector<asking_actor> actors;
  for (unsigned i = 1; i <= 2; ++i)
    actors.push_back(stage.system->spawn(
        ask_on, std::make_shared<asking>(asking{stage.engine, counter(stage.counted),
                                                ticket_id{i} << 48, std::minstd_rand(i)})));
  for (const auto& each : actors)
    caf::anon_send(each, start_atom_v, callers_in_all / actors.size());
  stage.counted.await(grants_per_iteration);
  for (auto _ : state)
    stage.counted.await(grants_per_iteration);
  for (const auto& each : actors)
    caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
  state.SetItemsProcessed(state.iterations() * grants_per_iteration);
}

/// One word that goes from loop to loop and does nothing: what a chain of grants that alternate
/// between two loops cannot be faster than. Argument: loops.
void loops_in_turns(benchmark::State& state) {
  loop_pool pool(static_cast<std::size_t>(state.range(0)));
  pool.start();
  std::int64_t left = 0;
  finish_line done;
  std::function<void(std::size_t)> pass = [&](std::size_t index) {
    if (--left <= 0)
      return done.cross();
    const auto next = (index + 1) % pool.size();
    pool.at(next).post([&pass, next] { pass(next); });
  };
  for (auto _ : state) {
    left = grants_per_iteration;
    pool.at(0).post([&pass] { pass(0); });
    done.await();
  }
  state.SetItemsProcessed(state.iterations() * grants_per_iteration);
}
BENCHMARK(loops_in_turns)
    ->ArgName("loops")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

void loops_and_slots(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"loops", "slots"})->ArgsProduct({{1, 2}, {1, 2, 4, 64}});
  bench->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(loops_desks)->Apply(loops_and_slots);
BENCHMARK(loops_actors)->Apply(loops_and_slots);

} // namespace
