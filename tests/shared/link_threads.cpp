// Two instances of a shared queue in one process, asked by threads: for the sanitizers, which see
// the link's thread, its callbacks and the actors at work. Started by test_link.py.
//
//     shared_link_threads SOCKET SECONDS
//
// Prints one line of JSON: how many were granted, and how many calls ran at once at most.
#include "actors/engine.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace vorrang;
using steady = std::chrono::steady_clock;

constexpr int askers = 3; // of each instance

engine_settings settings_for(const std::string& socket) {
  engine_settings settings;
  auto& group = settings.groups.emplace_back();
  group.name = "m";
  deployment_settings one;
  one.id = "one";
  one.max_parallel_requests = 2;
  group.deployments = {one};
  settings.shared.emplace();
  settings.shared->server.unix_socket = socket;
  settings.shared->hold_when_away = true;
  return settings;
}

struct counts {
  std::atomic<int> granted = 0;
  std::atomic<int> at_once = 0;
  std::atomic<int> at_once_max = 0;
};

void ask_until(engine& queue, steady::time_point end, std::int32_t priority, counts& seen) {
  while (steady::now() < end) {
    ask wanted;
    wanted.priority = priority;
    wanted.deadline = end;
    auto request = queue.open(wanted);
    auto what = request.next();
    auto* held = std::get_if<held_grant>(&what);
    if (held == nullptr)
      continue; // the deadline
    const int now = ++seen.at_once;
    int most = seen.at_once_max;
    while (now > most && !seen.at_once_max.compare_exchange_weak(most, now)) {
    }
    ++seen.granted;
    for (const auto over = steady::now() + std::chrono::milliseconds(1); steady::now() < over;)
      std::this_thread::yield();
    --seen.at_once;
    outcome result;
    result.kind = outcome_kind::success;
    result.status = 200;
    held->settle(result);
  }
}

} // namespace

int main(int argc, char* argv[]) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SOCKET SECONDS\n", argv[0]);
    return 2;
  }
  const auto end = steady::now() + std::chrono::duration_cast<duration>(
                                       std::chrono::duration<double>(std::atof(argv[2])));
  counts seen;
  {
    engine first(settings_for(argv[1]), 2);
    engine second(settings_for(argv[1]), 2);
    std::vector<std::thread> threads;
    for (int i = 0; i < askers; ++i)
      for (engine* queue : {&first, &second})
        threads.emplace_back([&, queue, i] { ask_until(*queue, end, i, seen); });
    for (auto& each : threads)
      each.join();
  }
  std::printf("{\"granted\": %d, \"at_once_max\": %d}\n", seen.granted.load(),
              seen.at_once_max.load());
}
