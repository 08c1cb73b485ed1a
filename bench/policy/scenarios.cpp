#include "bench/policy/scenarios.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vorrang::bench {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// Which *families* of distributions fit is published: BurstGPT (arXiv 2401.17644) models the times
// between arrivals at Azure's OpenAI services as Gamma, and ServeGen (arXiv 2505.09999) finds Gamma
// and Weibull better than Poisson for many of its and Azure's traces, and none of them the best for
// all. The *numbers* below are ours; they are fitted to no trace.

/// Coefficient of variation 2.
constexpr double gamma_shape = 0.25;
/// Coefficient of variation 2.24.
constexpr double weibull_shape = 0.5;

struct kind {
  std::int32_t priority;
  const char* name;
  /// Of the requests.
  double share;
  double mean_service_s;
  double deadline_s;
};

constexpr kind interactive{0, "interactive", 0.5, 3, 30};
constexpr kind standard{10, "standard", 0.3, 4, 120};
constexpr kind batch{100, "batch", 0.2, 6, 900};
constexpr kind kinds[] = {interactive, standard, batch};

/// Services are lognormal with this σ of the logarithm, at most service_max_s.
constexpr double service_sigma = 0.6;
constexpr double service_max_s = 60;

/// Requests a second that two deployments of 120 rpm take; their 16 slots take 16 ∕ 3.9 = 4.1 of
/// this mixture. So both limits matter.
constexpr double full_rate = 4;

request make(chance& random, duration arrival, const kind& of, double deadline_s) {
  std::lognormal_distribution<double> service(
      std::log(of.mean_service_s) - service_sigma * service_sigma / 2, service_sigma);
  request result;
  result.arrival = arrival;
  result.priority = of.priority;
  result.service = seconds_of(std::min(service_max_s, service(random)));
  result.deadline = seconds_of(deadline_s);
  return result;
}

/// Each arrival is of a kind by chance.
void fill(scenario& made, chance& random, const std::vector<duration>& arrivals) {
  std::discrete_distribution<std::size_t> which{interactive.share, standard.share, batch.share};
  for (const auto at : arrivals) {
    const auto& of = kinds[which(random)];
    made.requests.push_back(make(random, at, of, of.deadline_s));
  }
}

scenario begin(std::string name, std::string about, std::uint64_t seed) {
  scenario result;
  result.name = std::move(name);
  result.about = std::move(about);
  result.seed = seed;
  for (const auto& each : kinds)
    result.names.emplace_back(each.priority, each.name);
  return result;
}

scenario day(std::uint64_t seed, chance& random) {
  auto result = begin("day", "a day in four hours: from 0.25 of what is possible to 1.25", seed);
  const auto rate_at = [](double at) {
    return full_rate * (0.75 - 0.5 * std::cos(2 * std::numbers::pi * at / (4 * 3600)));
  };
  fill(result, random, changing_poisson(random, rate_at, 1.25 * full_rate, hours(4)));
  return result;
}

scenario flood(std::uint64_t seed, chance& random) {
  auto result = begin("flood",
                      "interactive and standard requests at 0.55 of what is possible; after "
                      "5 min 2000 of batch in 10 s, to be done in 25 min",
                      seed);
  std::bernoulli_distribution is_interactive(interactive.share /
                                             (interactive.share + standard.share));
  for (const auto at : poisson(random, 0.55 * full_rate, minutes(40))) {
    const auto& of = is_interactive(random) ? interactive : standard;
    result.requests.push_back(make(random, at, of, of.deadline_s));
  }
  for (int i = 0; i < 2000; ++i)
    result.requests.push_back(
        make(random, minutes(5) + std::chrono::milliseconds(5) * i, batch, 25 * 60));
  std::ranges::stable_sort(result.requests, {}, &request::arrival);
  return result;
}

scenario brown_outs(std::uint64_t seed, chance& random) {
  auto result = begin("brown-out",
                      "Poisson at 0.7 of what is possible; after 5 min one of two deployments "
                      "answers 503 for 2 min, after 15 min both do for 1 min",
                      seed);
  fill(result, random, poisson(random, 0.7 * full_rate, minutes(30)));
  result.brown_outs = {
      {0, minutes(5), minutes(7)}, {0, minutes(15), minutes(16)}, {1, minutes(15), minutes(16)}};
  return result;
}

} // namespace

std::vector<scenario> standard_scenarios(std::uint64_t seed) {
  std::vector<scenario> result;
  // A generator for each, so that a change of one leaves the others alone.
  const auto chance_of = [&] {
    return chance(seed * 1000 + result.size());
  };

  auto random = chance_of();
  auto steady = begin("poisson", "Poisson at 0.9 of what is possible", seed);
  fill(steady, random, poisson(random, 0.9 * full_rate, hours(1)));
  result.push_back(std::move(steady));

  random = chance_of();
  auto bursts =
      begin("gamma", "Gamma between arrivals, shape 0.25, at 0.9 of what is possible", seed);
  fill(bursts, random, gamma(random, 0.9 * full_rate, gamma_shape, hours(1)));
  result.push_back(std::move(bursts));

  random = chance_of();
  auto heavy =
      begin("weibull", "Weibull between arrivals, shape 0.5, at 0.9 of what is possible", seed);
  fill(heavy, random, weibull(random, 0.9 * full_rate, weibull_shape, hours(1)));
  result.push_back(std::move(heavy));

  random = chance_of();
  result.push_back(day(seed, random));
  random = chance_of();
  result.push_back(flood(seed, random));
  random = chance_of();
  result.push_back(brown_outs(seed, random));
  return result;
}

} // namespace vorrang::bench
