// Results as JSON.
#pragma once

#include "bench/policy/simulator.hpp"

#include <nlohmann/json_fwd.hpp>

namespace vorrang::bench {

/// The value that `share` (0 to 1) of the sorted values do not exceed (nearest rank); zero of none.
duration percentile(const std::vector<duration>& sorted, double share);

/// A scenario without its requests: name, sentence, limits, brown-outs, how many requests.
nlohmann::json to_json(const scenario& plan);

/// What came of one policy. Times in seconds.
nlohmann::json to_json(const scenario& plan, std::string_view policy_name, const run_result& found);

} // namespace vorrang::bench
