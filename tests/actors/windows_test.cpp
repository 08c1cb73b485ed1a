// The sliding window against a list of timestamps: exact to the nanosecond up to 1000 entries, at
// most a second late above, never early.
#include "actors/windows.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <algorithm>
#include <random>

using namespace vorrang;
using namespace vorrang::test;

TEST_CASE("window: an amount leaves exactly 60 s after it was taken") {
  sliding_window window;
  window.add(start, 5);
  window.add(after(seconds(1)), 7);
  CHECK(window.next_return() == after(seconds(60)));
  CHECK(window.used(after(seconds(60) - nanoseconds(1))) == 12);
  CHECK(window.used(after(seconds(60))) == 7);
  CHECK(window.next_return() == after(seconds(61)));
  CHECK(window.used(after(seconds(61) - nanoseconds(1))) == 7);
  CHECK(window.used(after(seconds(61))) == 0);
  CHECK(window.next_return() == never);
}

TEST_CASE("window: an empty one returns nothing") {
  sliding_window window;
  CHECK(window.used(start) == 0);
  CHECK(window.next_return() == never);
}

TEST_CASE("window: corrections count while the entry is there, and not after") {
  sliding_window window;
  const auto entry = window.add(start, 100);
  const auto nothing_yet = window.add(start, 0);
  CHECK(window.correct(after(seconds(10)), entry, -40));
  CHECK(window.used(after(seconds(10))) == 60);
  CHECK(window.correct(after(seconds(60) - nanoseconds(1)), nothing_yet, 5));
  CHECK(window.used(after(seconds(60) - nanoseconds(1))) == 65);
  CHECK_FALSE(window.correct(after(seconds(60)), entry, -60));
  CHECK(window.used(after(seconds(60))) == 0);
  // A correction keeps the entry's date.
  const auto late = window.add(after(seconds(70)), 1);
  CHECK(window.correct(after(seconds(100)), late, 10));
  CHECK(window.used(after(seconds(130) - nanoseconds(1))) == 11);
  CHECK(window.used(after(seconds(130))) == 0);
}

TEST_CASE("window: a thousand entries are exact") {
  sliding_window window;
  for (int i = 0; i < 1000; ++i)
    window.add(after(milliseconds(i)), 1);
  for (int i = 0; i < 1000; ++i) {
    const auto leaves = after(seconds(60) + milliseconds(i));
    REQUIRE(window.used(leaves - nanoseconds(1)) == 1000 - i);
    REQUIRE(window.used(leaves) == 999 - i);
  }
}

TEST_CASE("window: more than a thousand entries return at most 1 s late, never early") {
  const std::uint32_t seed = 7003;
  CAPTURE(seed);
  std::mt19937 random(seed);
  sliding_window window;
  std::vector<time_point> taken;
  auto now = start;
  for (int i = 0; i < 20000; ++i) {
    now += std::chrono::microseconds(random() % 9000); // some 13000 a minute
    window.add(now, 1);
    taken.push_back(now);
    const auto alive = [&](duration age) {
      return taken.end() - std::upper_bound(taken.begin(), taken.end(), now - age);
    };
    if (i % 7 == 0) {
      REQUIRE(window.used(now) >= alive(seconds(60)));
      REQUIRE(window.used(now) <= alive(seconds(61)));
    }
  }
  CHECK(window.used(now + seconds(61)) == 0);
}

TEST_CASE("window: corrections of shared entries stay exact in sum") {
  sliding_window window;
  std::vector<sliding_window::entry_number> entries;
  for (int i = 0; i < 5000; ++i)
    entries.push_back(window.add(after(milliseconds(i)), 10));
  std::int64_t expected = 50000;
  for (std::size_t i = 0; i < entries.size(); i += 3) {
    REQUIRE(window.correct(after(seconds(6)), entries[i], -10));
    expected -= 10;
  }
  CHECK(window.used(after(seconds(6))) == expected);
  CHECK(window.used(after(seconds(66))) == 0);
  CHECK(window.next_return() == never);
}

TEST_CASE("window: random history against a list of timestamps") {
  const std::uint32_t seed = 7004;
  CAPTURE(seed);
  std::mt19937 random(seed);
  struct entry {
    time_point at;
    std::int64_t amount;
    sliding_window::entry_number number;
  };
  sliding_window window;
  std::vector<entry> model;
  auto now = start;
  for (int step = 0; step < 100000; ++step) {
    // Now and then straight to an edge, or one short of it.
    if (random() % 10 == 0 && window.next_return() != never)
      now = std::max(now, window.next_return() - nanoseconds(random() % 2));
    else
      now += milliseconds(random() % 700);
    model.erase(std::remove_if(model.begin(), model.end(),
                               [&](const entry& e) { return e.at + seconds(60) <= now; }),
                model.end());
    const auto action = random() % 4;
    if (action < 2) {
      const auto amount = static_cast<std::int64_t>(random() % 100);
      model.push_back({now, amount, window.add(now, amount)});
    } else if (action == 2 && !model.empty()) {
      auto& chosen = model[random() % model.size()];
      const auto delta = static_cast<std::int64_t>(random() % 200) - 100;
      REQUIRE(window.correct(now, chosen.number, delta));
      chosen.amount += delta;
    }
    std::int64_t sum = 0;
    for (const auto& e : model)
      sum += e.amount;
    REQUIRE(window.used(now) == sum);
    REQUIRE(window.next_return() == (model.empty() ? never : model.front().at + seconds(60)));
  }
}
