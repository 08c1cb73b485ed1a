// When requests come: the processes that traces are drawn from.
#pragma once

#include "bench/policy/trace.hpp"

#include <functional>
#include <random>

namespace vorrang::bench {

/// What all draws of a trace come from. The distributions are the standard library's, so the same
/// seed gives the same trace with the same library.
using chance = std::mt19937_64;

/// Poisson: exponential times between arrivals. `rate`: requests a second. All of these return
/// moments in [0, length), in order.
std::vector<duration> poisson(chance& random, double rate, duration length);

/// Gamma times between arrivals. `shape` below 1 comes in bursts: their coefficient of variation is
/// 1 ∕ √shape.
std::vector<duration> gamma(chance& random, double rate, double shape, duration length);

/// Weibull times between arrivals; `shape` below 1 comes in bursts.
std::vector<duration> weibull(chance& random, double rate, double shape, duration length);

/// Poisson with a rate that changes: `rate_at` (of seconds) is at most `rate_max`.
std::vector<duration> changing_poisson(chance& random, const std::function<double(double)>& rate_at,
                                       double rate_max, duration length);

} // namespace vorrang::bench
