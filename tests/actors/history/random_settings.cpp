#include "generator.hpp"

#include <map>

namespace vorrang::history {

namespace {

using namespace std::chrono_literals;

struct dice {
  std::mt19937_64& random;
  std::uint64_t below(std::uint64_t n) { return random() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
};

// Each history has a style, so that every rule has histories in which little else happens.
deployment_settings random_deployment(dice d, std::uint64_t style, bool with_tpm) {
  deployment_settings s;
  if (style % 3 == 0 || d.one_in(4))
    s.max_parallel_requests = static_cast<std::uint32_t>(d.one_in(30) ? 0 : 1 + d.below(4));
  if (style % 3 == 1 || d.one_in(4))
    s.rpm = d.one_in(30) ? 0 : d.one_in(12) ? 1001 + d.below(3) : 1 + d.below(6);
  if (with_tpm && !d.one_in(4))
    s.tpm = d.one_in(30) ? 0 : 20 + d.below(4) * 60;
  if (d.one_in(3))
    s.weight = static_cast<double>(d.below(3));
  if (d.one_in(4))
    s.order = static_cast<std::int32_t>(d.below(3));
  if (d.one_in(4))
    s.tags.push_back(d.one_in(2) ? "default" : "a");
  if (d.one_in(4))
    s.tags.push_back("b");
  if (d.one_in(12))
    s.endpoints = 1;
  if (d.one_in(8))
    s.max_input_tokens = 10 + d.below(40);
  if (d.one_in(10))
    s.cooldown_time = d.one_in(3) ? duration(0) : duration(500ms * (1 + d.below(8)));
  if (d.one_in(12))
    s.num_retries = static_cast<std::uint32_t>(d.below(4));
  return s;
}

// What was added later has dice of its own, so that the seeds before it keep their histories.
void refine(engine_settings& settings) {
  std::mt19937_64 random(settings.seed);
  dice d{random};
  for (auto& g : settings.groups) {
    for (auto& own : g.deployments)
      if (d.one_in(20))
        own.allowed_fails = static_cast<std::uint32_t>(d.below(5));
    // Both lists name the same deployment of a group.
    std::map<group_index, deployment_index> pins;
    for (auto* list : {&g.fallbacks, &g.context_window_fallbacks})
      for (auto& target : *list) {
        const auto count = settings.groups[target.group].deployments.size();
        const auto pin = d.one_in(8) ? static_cast<deployment_index>(d.below(count)) : no_index;
        target.pinned = pins.emplace(target.group, pin).first->second;
      }
  }
}

} // namespace

engine_settings random_settings(std::mt19937_64& random) {
  dice d{random};
  engine_settings settings;
  settings.seed = random();
  const auto style = d.below(12);
  const bool with_tpm = d.one_in(3);
  // Seven groups only for the rule that at most five are visited.
  const auto groups = d.one_in(2) ? 1 : d.one_in(20) ? 7 : 1 + d.below(4);
  for (std::uint64_t g = 0; g < groups; ++g) {
    group_settings s;
    s.name = "group-" + std::to_string(g);
    const auto deployments = groups == 7 || d.one_in(3) ? 1 : 1 + d.below(5);
    for (std::uint64_t i = 0; i < deployments; ++i) {
      s.deployments.push_back(random_deployment(d, style, with_tpm));
      s.deployments.back().id = s.name + "/" + std::to_string(i);
    }
    s.strategy = static_cast<routing_strategy>(1 + d.below(4));
    s.num_retries = static_cast<std::uint32_t>(d.one_in(2) ? 2 : d.below(4));
    s.allowed_fails = static_cast<std::uint32_t>(d.one_in(2) ? 3 : d.below(5));
    s.cooldown_time = d.one_in(8)   ? duration(0)
                      : d.one_in(3) ? duration(5s)
                                    : duration(200ms * (1 + d.below(50)));
    if (d.one_in(6))
      s.least_back_off = 100ms * d.below(30);
    if (d.one_in(4))
      s.probe_spacing = 1ms * (1 + d.below(400));
    s.max_queue_size =
        d.one_in(8) ? 0u : static_cast<std::uint32_t>(d.one_in(3) ? 1 + d.below(5) : 10000);
    s.tag_filtering = d.one_in(5);
    s.pre_call_checks = d.one_in(5);
    for (std::uint64_t f = 0; f < groups + 1; ++f) {
      const auto to = static_cast<group_index>((g + f + 1) % groups);
      if (to != g && (groups == 7 || d.one_in(2)))
        s.fallbacks.push_back(to);
      if (to != g && d.one_in(5))
        s.context_window_fallbacks.push_back(to);
    }
    settings.groups.push_back(std::move(s));
  }
  refine(settings);
  return settings;
}

} // namespace vorrang::history
