// The engine under real threads: limits hold, everybody is answered, nothing is left.
#include "catch.hpp"

#include "actors/engine.hpp"

#include <atomic>
#include <random>
#include <thread>

using namespace vorrang;
using namespace std::chrono_literals;

namespace {

engine_settings with_slots(std::uint32_t slots) {
  engine_settings settings;
  auto& group = settings.groups.emplace_back();
  group.name = "a";
  group.deployments.resize(2);
  for (auto& deployment : group.deployments)
    deployment.max_parallel_requests = slots;
  return settings;
}

ask wanting(std::int32_t priority) {
  ask wanted;
  wanted.priority = priority;
  wanted.deadline = std::chrono::steady_clock::now() + 60s;
  return wanted;
}

outcome success() {
  outcome result;
  result.kind = outcome_kind::success;
  return result;
}

} // namespace

TEST_CASE("many threads share few slots, and no slot is held twice") {
  constexpr std::uint32_t slots = 2;
  engine engine(with_slots(slots), 2);
  std::atomic<int> in_flight[2] = {};
  std::atomic<int> answered{0};
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> callers;
  for (unsigned caller = 0; caller < 8; ++caller)
    callers.emplace_back([&, caller] {
      std::minstd_rand random(caller + 1);
      for (int i = 0; i < 250; ++i) {
        auto request = engine.open(wanting(static_cast<std::int32_t>(random() % 4)));
        auto heard = request.next();
        auto* held = std::get_if<held_grant>(&heard);
        if (!held)
          continue;
        auto& here = in_flight[held->info().deployment];
        if (++here > static_cast<int>(slots))
          exceeded = true;
        --here;
        if (random() % 4 != 0) // some are dropped, and settle as cancelled
          held->settle(success());
        ++answered;
      }
    });
  for (auto& caller : callers)
    caller.join();
  CHECK(answered == 8 * 250);
  CHECK_FALSE(exceeded);
  CHECK(engine.waiting(0) == 0);
}

TEST_CASE("callbacks, cancels from elsewhere and a shutdown in the middle") {
  std::atomic<int> granted{0};
  std::atomic<int> over{0};
  {
    engine engine(with_slots(1), 2);
    std::vector<std::thread> callers;
    for (unsigned caller = 0; caller < 4; ++caller)
      callers.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          const auto ticket = engine.open(
              wanting(0),
              [&](held_grant held) {
                ++granted;
                held.settle(success());
              },
              [&](const ending&) { ++over; });
          if (i % 3 == 0)
            engine.cancel(ticket);
        }
      });
    for (auto& caller : callers)
      caller.join();
  }
  // What was cancelled may have been granted before; nothing else ends without a word.
  CHECK(granted + over >= 4 * 133);
  CHECK(granted + over <= 4 * 200);
}

TEST_CASE("a blocked caller is told when the engine goes") {
  auto shared = std::make_unique<engine>(with_slots(0), 1);
  std::atomic<bool> drained{false};
  auto request = shared->open(wanting(0));
  std::thread caller([&] {
    auto heard = request.next();
    if (const auto* end = std::get_if<ending>(&heard))
      drained = end->code == end_code::draining;
  });
  shared.reset();
  caller.join();
  CHECK(drained);
}

TEST_CASE("a grant may outlive its engine") {
  std::optional<held_grant> kept;
  {
    engine engine(with_slots(1), 1);
    auto request = engine.open(wanting(0));
    auto heard = request.next();
    REQUIRE(std::holds_alternative<held_grant>(heard));
    kept.emplace(std::move(std::get<held_grant>(heard)));
  }
  kept->settle(success());
  CHECK(kept->info().attempt == 1);
}

TEST_CASE("reload: threads ask and settle while limits change, and nobody is lost") {
  constexpr int slots_max = 3;
  engine engine(with_slots(1), 2);
  std::atomic<int> in_flight[2] = {};
  std::atomic<int> answered{0};
  std::atomic<int> unknown{0};
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> callers;
  for (unsigned caller = 0; caller < 4; ++caller)
    callers.emplace_back([&, caller] {
      std::minstd_rand random(caller + 1);
      for (int i = 0; i < 250; ++i) {
        auto wanted = wanting(static_cast<std::int32_t>(random() % 4));
        const auto group = engine.group(random() % 4 == 0 ? "b" : "a");
        if (!group)
          continue;
        wanted.group = *group;
        auto request = engine.open(wanted);
        auto heard = request.next();
        if (const auto* end = std::get_if<ending>(&heard)) {
          unknown += end->code == end_code::unknown_group ? 1 : 1000;
          continue;
        }
        auto& held = std::get<held_grant>(heard);
        if (held.info().group == 0) {
          auto& here = in_flight[held.info().deployment];
          if (++here > slots_max)
            exceeded = true;
          --here;
        }
        held.settle(success());
        ++answered;
      }
    });
  for (std::uint32_t i = 0; i < 200; ++i) {
    auto next = with_slots(1 + i % slots_max);
    if (i % 2) {
      next.groups.push_back(next.groups[0]);
      next.groups[1].name = "b";
    }
    CHECK(engine.reload(next));
  }
  for (auto& caller : callers)
    caller.join();
  CHECK_FALSE(exceeded);
  CHECK(unknown < 1000); // no other ending
  CHECK(answered > 4 * 100);
  CHECK(engine.waiting(0) == 0);
  CHECK_FALSE(engine.reload({}));
  CHECK(engine.settings().groups.size() == 2);
}
