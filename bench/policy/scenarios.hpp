// The scenarios that are played without a trace of one's own.
#pragma once

#include "bench/policy/arrivals.hpp"

namespace vorrang::bench {

/// All of them, from one seed: `poisson`, `gamma`, `weibull`, `day`, `flood`, `brown-out`.
std::vector<scenario> standard_scenarios(std::uint64_t seed);

} // namespace vorrang::bench
