// One instance of a shared queue under load: asks, is granted, settles, asks again, for some
// seconds.
//
//     vorrang_bench_shared SOCKET GROUPS AT_ONCE PAUSE_MS SECONDS [WAITING]
//
// With a pause one request goes after the other, AT_ONCE is then not looked at.
// SOCKET `-`: a queue of its own, for comparison. Prints one line of JSON: grants, and how long
// they took from ticket to grant (µs), as 1001 values from the shortest to the longest. WAITING
// more tickets stand in the first group meanwhile, last in line and for a deployment that takes
// nothing.
#include "actors/engine.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

namespace {

using namespace vorrang;
using steady = std::chrono::steady_clock;

constexpr int quantiles = 1000;

engine_settings settings_for(const std::string& socket, int groups) {
  engine_settings settings;
  for (int i = 0; i < groups; ++i) {
    auto& group = settings.groups.emplace_back();
    group.name = "g" + std::to_string(i);
    group.max_queue_size = 10'000'000;
    deployment_settings open;
    open.id = group.name + "-open";
    open.max_parallel_requests = 1'000'000;
    deployment_settings closed;
    closed.id = group.name + "-closed";
    closed.max_parallel_requests = 0;
    group.deployments = {open, closed};
  }
  if (socket != "-") {
    settings.shared.emplace();
    settings.shared->server.unix_socket = socket;
  }
  return settings;
}

/// Keeps a number of requests going.
class load {
public:
  load(engine& on, int groups, steady::time_point end) : engine_(on), groups_(groups), end_(end) {}

  void ask_once(int group) {
    if (steady::now() >= end_)
      return;
    ask wanted;
    wanted.group = static_cast<group_index>(group);
    wanted.pinned = 0;
    const auto asked = steady::now();
    engine_.open(
        wanted, [this, asked, group](held_grant held) { granted(std::move(held), asked, group); },
        [](const ending&) {});
  }

  /// One request after the other, with a pause between them.
  void ask_slowly(duration pause) {
    ask wanted;
    wanted.pinned = 0;
    while (steady::now() < end_) {
      const auto asked = steady::now();
      auto request = engine_.open(wanted);
      auto what = request.next();
      const auto took = std::chrono::duration<double, std::micro>(steady::now() - asked).count();
      auto* held = std::get_if<held_grant>(&what);
      if (!held)
        return;
      waits_.push_back(took);
      outcome result;
      result.kind = outcome_kind::success;
      result.status = 200;
      held->settle(result);
      std::this_thread::sleep_for(pause);
    }
  }

  std::vector<double>& waits() { return waits_; }

private:
  void granted(held_grant held, steady::time_point asked, int group) {
    const auto took = std::chrono::duration<double, std::micro>(steady::now() - asked).count();
    {
      const std::lock_guard lock(mutex_);
      waits_.push_back(took);
    }
    outcome result;
    result.kind = outcome_kind::success;
    result.status = 200;
    held.settle(result);
    ask_once((group + 1) % groups_);
  }

  engine& engine_;
  int groups_;
  steady::time_point end_;
  std::mutex mutex_;
  std::vector<double> waits_;
};

} // namespace

int main(int argc, char* argv[]) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: %s SOCKET GROUPS AT_ONCE PAUSE_MS SECONDS [WAITING]\n", argv[0]);
    return 2;
  }
  const int groups = std::atoi(argv[2]);
  const int at_once = std::atoi(argv[3]);
  const auto pause = std::chrono::milliseconds(std::atoi(argv[4]));
  const auto length =
      std::chrono::duration_cast<duration>(std::chrono::duration<double>(std::atof(argv[5])));
  const int waiting = argc > 6 ? std::atoi(argv[6]) : 0;

  engine queue(settings_for(argv[1], groups), 1);
  ask last;
  last.pinned = 1;
  last.priority = 1000;
  for (int i = 0; i < waiting; ++i)
    queue.open(
        last, [](held_grant) {}, [](const ending&) {});
  if (waiting > 0) { // until the last of them stands in line
    std::atomic<bool> there = false;
    ask probe;
    probe.pinned = 0;
    queue.open(
        probe, [&](const held_grant&) { there = true; }, [&](const ending&) { there = true; });
    while (!there)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::printf("ready\n");
  std::fflush(stdout);
  std::getchar(); // all instances begin together

  load made(queue, groups, steady::now() + length);
  if (pause > std::chrono::milliseconds(0)) {
    made.ask_slowly(pause);
  } else {
    for (int i = 0; i < at_once; ++i)
      made.ask_once(i % groups);
    std::this_thread::sleep_for(length + std::chrono::milliseconds(300));
  }
  auto& waits = made.waits();
  std::sort(waits.begin(), waits.end());
  const auto at = [&](double share) {
    return waits.empty() ? 0 : waits[static_cast<std::size_t>(share * double(waits.size() - 1))];
  };
  std::printf("{\"grants\": %zu, \"quantiles\": [", waits.size());
  for (int i = 0; i <= quantiles; ++i)
    std::printf(i == 0 ? "%.1f" : ", %.1f", at(double(i) / quantiles));
  std::printf("]}\n");
  std::fflush(stdout);
  std::_Exit(0); // those that wait are nobody's loss
}
