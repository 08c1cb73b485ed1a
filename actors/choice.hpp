// Which of several healthy deployments a ticket gets.
#pragma once

#include "actors/settings.hpp"

#include <random>

namespace vorrang {

/// A healthy deployment as the choice sees it. All figures contain the grants just made.
struct candidate {
  deployment_index deployment = 0;
  const deployment_settings* settings = nullptr;
  std::uint32_t in_flight = 0;
  std::int64_t window_requests = 0;
  std::int64_t window_tokens = 0;
  /// 0: not known yet.
  duration latency{};
};

/// Draws for simple_shuffle; seeded, so that a run can be repeated.
using choice_random = std::minstd_rand;

/// Picks one of `candidates` (at least one): those of the lowest `order` (none is the last), and
/// among them
/// - simple_shuffle: at random, by `weight` if one of them has one, else by rpm, else by tpm, else
///   evenly; a missing figure counts 0, and 0 is drawn only when nobody has more;
/// - usage_based: the least tokens in the window, then the least requests there;
/// - least_busy: the least in flight;
/// - latency_based: the least mean latency; an unknown one is tried first.
/// Equals of the last three are drawn evenly.
deployment_index choose(routing_strategy strategy, std::vector<candidate>& candidates,
                        choice_random& random);

} // namespace vorrang
