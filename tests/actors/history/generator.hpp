// Seeded random histories: settings, arrivals, cancels, moves, completions, failures, jumps of
// time.
#pragma once

#include "model.hpp"

#include <random>

namespace vorrang::history {

struct report {
  bool ok = true;
  /// The broken rule, as in violation::rule.
  std::string rule;
  /// Seed, step, what was wrong, the settings and the end of the history.
  std::string text;
  std::uint64_t seed = 0;
  std::uint64_t steps = 0;
  /// Inputs plus what was heard.
  std::uint64_t events = 0;
  std::uint64_t grants = 0;
  /// Deployments whose readings became too many to follow.
  std::uint64_t lost = 0;
};

/// Plays one history of `steps` inputs and drains it. The same seed gives the same history (as
/// long as the system's answers are the same).
report run_history(std::uint64_t seed, std::uint64_t steps, const driver_factory& factory,
                   model_options options = {});

/// Plays histories from `first_seed` on until `events` have happened or one fails.
report run_histories(std::uint64_t first_seed, std::uint64_t events, const driver_factory& factory,
                     model_options options = {});

/// Goes on after failures. A line for each rule that broke: how often, the first seed, its message.
std::string triage(std::uint64_t first_seed, std::uint64_t events, const driver_factory& factory,
                   model_options options = {});

/// What a single history cannot show: simple_shuffle by weight, else rpm, else tpm, else even, and
/// weight 0 only where nothing else is left. Empty, or what was wrong. Deterministic by seed; the
/// bounds are five standard deviations.
std::string check_weights(const driver_factory& factory);

/// The settings of a seed: 1 to 4 groups of 1 to 5 deployments.
engine_settings random_settings(std::mt19937_64& random);

} // namespace vorrang::history
