// Do the processes have the rate and the burstiness that they are said to have?
#include "bench/policy/scenarios.hpp"
#include "catch.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace vorrang;
using namespace vorrang::bench;

namespace {

struct figures {
  double rate;
  double variation;
};

/// Arrivals a second, and the coefficient of variation of the times between them.
figures of(const std::vector<duration>& arrivals) {
  std::vector<double> between;
  for (std::size_t i = 1; i < arrivals.size(); ++i)
    between.push_back(in_seconds(arrivals[i] - arrivals[i - 1]));
  const auto count = static_cast<double>(between.size());
  const auto mean = std::accumulate(between.begin(), between.end(), 0.0) / count;
  double squares = 0;
  for (const auto each : between)
    squares += (each - mean) * (each - mean);
  return {1 / mean, std::sqrt(squares / count) / mean};
}

constexpr auto length = std::chrono::hours(4);

} // namespace

TEST_CASE("arrivals: rate and coefficient of variation, within 5 and 10 %") {
  constexpr std::uint64_t seed = 3;
  CAPTURE(seed);
  chance random(seed);
  const auto even = of(poisson(random, 4, length));
  CHECK(even.rate == Approx(4).epsilon(0.05));
  CHECK(even.variation == Approx(1).epsilon(0.1));
  const auto bursts = of(gamma(random, 4, 0.25, length));
  CHECK(bursts.rate == Approx(4).epsilon(0.05));
  CHECK(bursts.variation == Approx(2).epsilon(0.1));
  const auto heavy = of(weibull(random, 4, 0.5, length));
  CHECK(heavy.rate == Approx(4).epsilon(0.05));
  CHECK(heavy.variation == Approx(std::sqrt(5)).epsilon(0.1));
}

TEST_CASE("arrivals: a rate that changes is kept in each part") {
  chance random(4);
  const auto rate_at = [](double at) {
    return at < 7200 ? 1.0 : 3.0;
  };
  const auto arrivals = changing_poisson(random, rate_at, 3, length);
  const auto first =
      std::ranges::count_if(arrivals, [](duration at) { return at < std::chrono::hours(2); });
  CHECK(static_cast<double>(first) == Approx(7200).epsilon(0.05));
  CHECK(static_cast<double>(arrivals.size()) == Approx(4 * 7200).epsilon(0.05));
}

TEST_CASE("arrivals: scenarios are sorted, and the same for the same seed") {
  const auto scenarios = standard_scenarios(5);
  const auto again = standard_scenarios(5);
  const auto others = standard_scenarios(6);
  REQUIRE(scenarios.size() == 6);
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    INFO(scenarios[i].name);
    const auto& requests = scenarios[i].requests;
    CHECK(std::ranges::is_sorted(requests, {}, &request::arrival));
    REQUIRE(again[i].requests.size() == requests.size());
    CHECK(std::ranges::equal(requests, again[i].requests, [](const auto& a, const auto& b) {
      return a.arrival == b.arrival && a.priority == b.priority && a.service == b.service &&
             a.deadline == b.deadline;
    }));
    CHECK(others[i].requests[0].arrival != requests[0].arrival);
  }
}
