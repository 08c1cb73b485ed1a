#include "actors/choice.hpp"

#include <algorithm>
#include <tuple>

namespace vorrang {
namespace {

std::int64_t order_of(const candidate& c) {
  return c.settings->order ? *c.settings->order : std::numeric_limits<std::int64_t>::max();
}

void keep_lowest_order(std::vector<candidate>& candidates) {
  auto lowest = order_of(candidates.front());
  for (const auto& c : candidates)
    lowest = std::min(lowest, order_of(c));
  std::erase_if(candidates, [&](const candidate& c) { return order_of(c) != lowest; });
}

deployment_index draw_evenly(const std::vector<candidate>& candidates, choice_random& random) {
  std::uniform_int_distribution<std::size_t> pick(0, candidates.size() - 1);
  return candidates[pick(random)].deployment;
}

template <class Share>
deployment_index draw_by(const std::vector<candidate>& candidates, choice_random& random,
                         Share share) {
  double total = 0;
  for (const auto& c : candidates)
    total += share(c);
  if (total <= 0)
    return draw_evenly(candidates, random);
  auto left = std::uniform_real_distribution<double>(0, total)(random);
  const candidate* last = nullptr;
  for (const auto& c : candidates) {
    const auto part = share(c);
    if (part <= 0)
      continue;
    last = &c;
    if (left < part)
      break;
    left -= part;
  }
  return last->deployment;
}

deployment_index shuffle(const std::vector<candidate>& candidates, choice_random& random) {
  const auto any = [&](auto has) {
    return std::any_of(candidates.begin(), candidates.end(), has);
  };
  if (any([](const candidate& c) { return c.settings->weight.has_value(); }))
    return draw_by(candidates, random,
                   [](const candidate& c) { return c.settings->weight.value_or(0); });
  if (any([](const candidate& c) { return c.settings->rpm.has_value(); }))
    return draw_by(candidates, random, [](const candidate& c) {
      return static_cast<double>(c.settings->rpm.value_or(0));
    });
  if (any([](const candidate& c) { return c.settings->tpm.has_value(); }))
    return draw_by(candidates, random, [](const candidate& c) {
      return static_cast<double>(c.settings->tpm.value_or(0));
    });
  return draw_evenly(candidates, random);
}

/// Keeps those whose `key` is least.
template <class Key>
void keep_least(std::vector<candidate>& candidates, Key key) {
  auto least = key(candidates.front());
  for (const auto& c : candidates)
    least = std::min(least, key(c));
  std::erase_if(candidates, [&](const candidate& c) { return key(c) != least; });
}

} // namespace

deployment_index choose(routing_strategy strategy, std::vector<candidate>& candidates,
                        choice_random& random) {
  if (candidates.size() == 1)
    return candidates.front().deployment;
  keep_lowest_order(candidates);
  switch (strategy) {
  case routing_strategy::simple_shuffle:
    return shuffle(candidates, random);
  case routing_strategy::usage_based:
    keep_least(candidates,
               [](const candidate& c) { return std::tuple(c.window_tokens, c.window_requests); });
    break;
  case routing_strategy::least_busy:
    keep_least(candidates, [](const candidate& c) { return c.in_flight; });
    break;
  case routing_strategy::latency_based:
    keep_least(candidates, [](const candidate& c) { return c.latency; });
    break;
  }
  return draw_evenly(candidates, random);
}

} // namespace vorrang
