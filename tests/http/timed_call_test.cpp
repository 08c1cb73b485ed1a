#include "http/call_list.hpp"
#include "http/timed_call.hpp"

#include "catch.hpp"

#include <algorithm>
#include <list>
#include <random>

using namespace vorrang;
using namespace vorrang::http;

namespace {

time_point at(int ms) {
  return time_point{} + std::chrono::milliseconds(ms);
}

struct rung {
  rung(int its_number, std::vector<int>& its_log) : number(its_number), log(&its_log) {}
  int number;
  std::vector<int>* log;
  timed_call bell{this, [](void* self) {
                    auto& own = *static_cast<rung*>(self);
                    own.log->push_back(own.number);
                  }};
  waiting_call call{this, [](void* self) {
                      auto& own = *static_cast<rung*>(self);
                      own.log->push_back(own.number);
                    }};
};

} // namespace

TEST_CASE("timed calls ring in the order of their times, each once") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::vector<int> log;
  std::list<rung> all;
  std::vector<std::pair<int, int>> expected; // time, number
  timed_calls heap;
  for (int number = 0; number < 500; ++number) {
    auto& one = all.emplace_back(number, log);
    heap.set(one.bell, at(static_cast<int>(random() % 100000)));
  }
  for (auto& one : all) {
    switch (random() % 3) {
    case 0:
      one.bell.cancel();
      REQUIRE_FALSE(one.bell.is_set());
      continue;
    case 1:
      heap.set(one.bell, at(static_cast<int>(random() % 100000)));
      break;
    default:
      break;
    }
    const auto due =
        std::chrono::duration_cast<std::chrono::milliseconds>(one.bell.due().time_since_epoch());
    expected.emplace_back(static_cast<int>(due.count()), one.number);
  }
  std::sort(expected.begin(), expected.end());
  // Different times only: the order of equal ones is not promised.
  std::vector<int> times;
  for (int now = 0; now <= 100000; now += 500) {
    heap.ring_due(at(now));
    while (times.size() < log.size())
      times.push_back(now);
    REQUIRE(log.size() == static_cast<std::size_t>(
                              std::count_if(expected.begin(), expected.end(),
                                            [&](const auto& each) { return each.first <= now; })));
  }
  REQUIRE(heap.empty());
  REQUIRE(heap.first() == never);
  std::sort(log.begin(), log.end());
  REQUIRE(std::adjacent_find(log.begin(), log.end()) == log.end());
}

TEST_CASE(
    "an timed_call that dies rings no more, and a heap that dies lets go of its timed calls") {
  std::vector<int> log;
  rung kept(1, log);
  {
    timed_calls heap;
    heap.set(kept.bell, at(5));
    {
      rung gone(2, log);
      heap.set(gone.bell, at(1));
      REQUIRE(heap.first() == at(1));
    }
    REQUIRE(heap.size() == 1);
    REQUIRE(heap.first() == at(5));
    heap.ring_due(at(4));
    REQUIRE(log.empty());
  }
  REQUIRE_FALSE(kept.bell.is_set());
}

TEST_CASE("an timed_call set to never is not set") {
  std::vector<int> log;
  rung one(1, log);
  timed_calls heap;
  heap.set(one.bell, at(1));
  heap.set(one.bell, never);
  REQUIRE(heap.empty());
}

TEST_CASE("a list of calls runs those that were there, in order, and those old enough") {
  std::vector<int> log;
  std::list<rung> all;
  call_list list;
  for (int number = 0; number < 5; ++number)
    list.push_back(all.emplace_back(number, log).call, at(number));
  all.front().call.unlink();
  list.run_older(at(2));
  REQUIRE(log == std::vector<int>{1, 2});
  list.run_all();
  REQUIRE(log == std::vector<int>{1, 2, 3, 4});
  REQUIRE(list.empty());
}

TEST_CASE("a call that is added while the list runs waits for the next run") {
  struct again {
    call_list* list;
    int runs = 0;
    waiting_call call{this, [](void* self) {
                        auto& own = *static_cast<again*>(self);
                        ++own.runs;
                        own.list->push_back(own.call);
                      }};
  };
  call_list list;
  again one{&list};
  list.push_back(one.call);
  list.run_all();
  REQUIRE(one.runs == 1);
  list.run_all();
  REQUIRE(one.runs == 2);
}
