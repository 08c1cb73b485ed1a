#include "bench/policy/arrivals.hpp"

#include <cmath>

namespace vorrang::bench {
namespace {

/// Adds times between arrivals until `length` is reached.
template <class Distribution>
std::vector<duration> draw(chance& random, Distribution between, duration length) {
  std::vector<duration> result;
  const auto end = in_seconds(length);
  for (double at = between(random); at < end; at += between(random))
    result.push_back(seconds_of(at));
  return result;
}

} // namespace

std::vector<duration> poisson(chance& random, double rate, duration length) {
  return draw(random, std::exponential_distribution<double>(rate), length);
}

std::vector<duration> gamma(chance& random, double rate, double shape, duration length) {
  return draw(random, std::gamma_distribution<double>(shape, 1 / (rate * shape)), length);
}

std::vector<duration> weibull(chance& random, double rate, double shape, duration length) {
  const auto mean_of_scale_1 = std::tgamma(1 + 1 / shape);
  return draw(random, std::weibull_distribution<double>(shape, 1 / (rate * mean_of_scale_1)),
              length);
}

std::vector<duration> changing_poisson(chance& random, const std::function<double(double)>& rate_at,
                                       double rate_max, duration length) {
  std::vector<duration> result;
  std::uniform_real_distribution<double> kept(0, rate_max);
  for (const auto at : poisson(random, rate_max, length))
    if (kept(random) < rate_at(in_seconds(at)))
      result.push_back(at);
  return result;
}

} // namespace vorrang::bench
