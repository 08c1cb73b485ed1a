#include "generator.hpp"

#include <cmath>

namespace vorrang::history {

namespace {

constexpr int draws = 4000;

/// How often each deployment was chosen; every attempt succeeds before the next request comes.
std::vector<int> choices(const driver_factory& factory, const engine_settings& settings) {
  auto system = factory(settings);
  std::vector<int> counts(settings.groups[0].deployments.size());
  for (int i = 0; i < draws; ++i) {
    system->offer(ask{});
    for (const auto& e : system->take_events()) {
      if (e.kind != event_kind::granted)
        continue;
      ++counts[e.granted.deployment];
      outcome result;
      result.kind = outcome_kind::success;
      result.status = 200;
      system->begin_sending(e.granted.id);
      system->settle(e.granted.id, result);
    }
    system->advance_to(system->now() + std::chrono::seconds(1));
  }
  return counts;
}

std::string compare(const char* name, const std::vector<int>& counts,
                    const std::vector<double>& shares) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = draws * shares[i];
    const double deviation = std::sqrt(draws * shares[i] * (1 - shares[i]));
    if (std::abs(counts[i] - expected) > 5 * deviation)
      return std::string(name) + ": deployment " + std::to_string(i) + " was chosen " +
             std::to_string(counts[i]) + " times, not about " + std::to_string(expected);
  }
  return {};
}

} // namespace

std::string check_weights(const driver_factory& factory) {
  const auto with = [](auto&& set) {
    engine_settings settings;
    settings.groups.resize(1);
    settings.groups[0].deployments.resize(4);
    for (std::size_t i = 0; i < 4; ++i)
      set(settings.groups[0].deployments[i], i);
    return settings;
  };
  // A weight decides, whatever the limits; a missing one is 0.
  const auto by_weight = with([](auto& d, std::size_t i) {
    if (i < 3)
      d.weight = static_cast<double>(i);
    d.rpm = 1000;
  });
  if (auto text = compare("weight", choices(factory, by_weight), {0, 1. / 3, 2. / 3, 0});
      !text.empty())
    return text;
  const auto by_rpm = with([](auto& d, std::size_t i) {
    d.rpm = 200 * (i + 1);
    d.tpm = 1'000'000;
  });
  if (auto text = compare("rpm", choices(factory, by_rpm), {.1, .2, .3, .4}); !text.empty())
    return text;
  const auto by_tpm = with([](auto& d, std::size_t i) { d.tpm = 100'000 * (i + 1); });
  if (auto text = compare("tpm", choices(factory, by_tpm), {.1, .2, .3, .4}); !text.empty())
    return text;
  const auto even = with([](auto&, std::size_t) {});
  return compare("even", choices(factory, even), {.25, .25, .25, .25});
}

} // namespace vorrang::history
