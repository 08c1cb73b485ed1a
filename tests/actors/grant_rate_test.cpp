// An honest Retry-After: how long until so many more are granted.
#include "actors/grant_rate.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <random>

using namespace vorrang;
using namespace vorrang::test;

TEST_CASE("grant rate: a line that has not moved says 60 s") {
  grant_rate rate;
  CHECK(rate.time_for(start, 1) == seconds(60));
  CHECK(rate.time_for(start, 1000000) == seconds(60));
}

TEST_CASE("grant rate: one a second for a minute") {
  grant_rate rate;
  for (int i = 0; i < 60; ++i)
    rate.count(after(seconds(i)));
  const auto now = after(seconds(59));
  CHECK(rate.time_for(now, 1) == seconds(1));
  CHECK(rate.time_for(now, 10) == seconds(10));
  CHECK(rate.time_for(now, 59) == seconds(59));
  CHECK(rate.time_for(now, 5000) == seconds(60)); // at most
  CHECK(rate.time_for(now, 0) == seconds(1));     // at least
}

TEST_CASE("grant rate: a young line is measured over its age") {
  grant_rate rate;
  for (int i = 0; i < 20; ++i)
    rate.count(after(milliseconds(i * 100))); // ten a second, for two seconds
  CHECK(rate.time_for(after(milliseconds(1999)), 100) == seconds(10));
}

TEST_CASE("grant rate: what is older than a minute is forgotten") {
  grant_rate rate;
  for (int i = 0; i < 600; ++i)
    rate.count(start);
  CHECK(rate.time_for(start, 100) == seconds(1));
  CHECK(rate.time_for(after(seconds(59)), 100) == seconds(10));
  CHECK(rate.time_for(after(seconds(60)), 100) == seconds(60));
  rate.count(after(seconds(5000)));
  CHECK(rate.time_for(after(seconds(5000)), 1) == seconds(60)); // one in the last minute
}

TEST_CASE("grant rate: random histories against a list") {
  const std::uint32_t seed = 7010;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    grant_rate rate;
    std::vector<std::int64_t> granted; // in whole seconds
    std::int64_t now_ms = static_cast<std::int64_t>(random() % 100000);
    const auto first = now_ms / 1000;
    rate.time_for(after(milliseconds(now_ms)), 1);
    for (int step = 0; step < 400; ++step) {
      now_ms += static_cast<std::int64_t>(random() % (random() % 50 == 0 ? 90000 : 800));
      const auto now = now_ms / 1000;
      if (random() % 3) {
        rate.count(after(milliseconds(now_ms)));
        granted.push_back(now);
      }
      std::size_t alive = 0;
      for (const auto second : granted)
        alive += second + 60 > now ? 1 : 0;
      const auto ahead = random() % 200;
      const auto age = std::min<std::int64_t>(60, now - first + 1);
      const auto exact =
          alive ? static_cast<double>(ahead) * static_cast<double>(age) / static_cast<double>(alive)
                : 1e9;
      const auto told =
          std::chrono::duration<double>(rate.time_for(after(milliseconds(now_ms)), ahead)).count();
      REQUIRE(told >= std::min(60.0, std::max(1.0, exact)) - 1e-6);
      REQUIRE(told < std::min(60.0, std::max(1.0, exact)) + 1);
    }
  }
}
