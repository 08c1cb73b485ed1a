// The waiting line: push, pop, cancel and move, with 10 to 100 000 tickets waiting.
#include "actors/waiting_line.hpp"

#include <benchmark/benchmark.h>

#include <random>

namespace {

using namespace vorrang;

constexpr std::int64_t operations_per_batch = 64;

/// A line with `waiting` tickets of mixed priorities, all for one deployment.
struct filled_line {
  explicit filled_line(std::int64_t waiting) : everywhere(deployment_set::all(1)) {
    for (std::int64_t i = 0; i < waiting; ++i)
      slots.push_back(line.add(priority(), deadline, everywhere));
  }
  std::int32_t priority() { return static_cast<std::int32_t>(random() % 256); }
  waiting_line::slot_index any() { return slots[random() % slots.size()]; }

  std::minstd_rand random{42};
  time_point deadline{std::chrono::seconds(1)};
  deployment_set everywhere;
  waiting_line line;
  std::vector<waiting_line::slot_index> slots;
};

/// One newcomer and one that goes: the size stays.
void push_and_pop(benchmark::State& state) {
  filled_line filled(state.range(0));
  for (auto _ : state) {
    for (std::int64_t i = 0; i < operations_per_batch; ++i) {
      filled.line.add(filled.priority(), filled.deadline, filled.everywhere);
      filled.line.remove(filled.line.lane_head(0).slot);
    }
  }
  state.SetItemsProcessed(state.iterations() * operations_per_batch);
}

/// Any of those that wait hangs up, and another comes.
void cancel_and_push(benchmark::State& state) {
  filled_line filled(state.range(0));
  for (auto _ : state) {
    for (std::int64_t i = 0; i < operations_per_batch; ++i) {
      auto& slot = filled.slots[filled.random() % filled.slots.size()];
      filled.line.remove(slot);
      slot = filled.line.add(filled.priority(), filled.deadline, filled.everywhere);
    }
  }
  state.SetItemsProcessed(state.iterations() * operations_per_batch);
}

void move(benchmark::State& state) {
  filled_line filled(state.range(0));
  for (auto _ : state)
    for (std::int64_t i = 0; i < operations_per_batch; ++i)
      filled.line.move(filled.any(), filled.priority());
  state.SetItemsProcessed(state.iterations() * operations_per_batch);
}

BENCHMARK(push_and_pop)->Arg(10)->Arg(1000)->Arg(100000);
BENCHMARK(cancel_and_push)->Arg(10)->Arg(1000)->Arg(100000);
BENCHMARK(move)->Arg(10)->Arg(1000)->Arg(100000);

} // namespace
