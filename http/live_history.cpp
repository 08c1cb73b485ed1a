#include "http/live_history.hpp"

#include <cmath>
#include <numeric>

namespace vorrang::http {

std::optional<std::uint32_t>
estimate_ms(const std::array<std::uint64_t, wait_bounds.size() + 1>& buckets, double part) {
  const auto total = std::accumulate(buckets.begin(), buckets.end(), std::uint64_t{0});
  if (total == 0)
    return std::nullopt;
  const auto in_ms = [](duration length) {
    return std::chrono::duration<double, std::milli>(length).count();
  };
  const double wanted = part * static_cast<double>(total);
  double before = 0;
  double from = 0;
  for (std::size_t i = 0; i < wait_bounds.size(); ++i) {
    const auto count = static_cast<double>(buckets[i]);
    const auto to = in_ms(wait_bounds[i]);
    if (count > 0 && before + count >= wanted)
      return static_cast<std::uint32_t>(
          std::lround(from + (to - from) * (wanted - before) / count));
    before += count;
    from = to;
  }
  return static_cast<std::uint32_t>(std::lround(from));
}

void live_history::sample(time_point now, const metrics_board& board) {
  const std::lock_guard guard(mutex_);
  const bool is_first = last_ == time_point{};
  if (!is_first && now - last_ < step_length)
    return;
  const auto plan = board.plan();
  const auto sets = board.sets();
  classes_ = plan->classes;
  seen_.resize(plan->groups.size() * classes_.size());
  step made{now, now - last_, {}};
  for (std::size_t place = 0; place < seen_.size(); ++place) {
    const auto group = static_cast<group_index>(place / classes_.size());
    counts sum;
    for (const auto& set : sets) {
      const auto* each = set->find_class(*plan, group, place % classes_.size());
      if (each == nullptr)
        continue;
      sum.grants += each->grants.value();
      for (std::size_t i = 0; i < sum.waits.size(); ++i)
        sum.waits[i] += each->wait.count(i);
    }
    auto& seen = seen_[place];
    history_series::point point;
    point.grants = static_cast<std::uint32_t>(sum.grants - seen.grants);
    std::array<std::uint64_t, wait_bounds.size() + 1> since{};
    for (std::size_t i = 0; i < since.size(); ++i) {
      since[i] = sum.waits[i] - seen.waits[i];
      point.waits += static_cast<std::uint32_t>(since[i]);
    }
    seen = sum;
    if (point.grants == 0 && point.waits == 0)
      continue;
    point.median_ms = estimate_ms(since, 0.5);
    point.p90_ms = estimate_ms(since, 0.9);
    made.entries.push_back({group, static_cast<std::uint32_t>(place % classes_.size()), point});
  }
  last_ = now;
  if (is_first)
    return; // what came before it is of no known length
  steps_.push_back(std::move(made));
  if (steps_.size() > steps_max)
    steps_.pop_front();
}

history_series live_history::of(group_index group) const {
  const std::lock_guard guard(mutex_);
  history_series result;
  result.classes = classes_;
  for (const auto& each : steps_) {
    auto& made = result.steps.emplace_back();
    made.end = each.end;
    made.length = each.length;
    made.classes.resize(classes_.size());
    auto found =
        std::lower_bound(each.entries.begin(), each.entries.end(), group,
                         [](const entry& one, group_index wanted) { return one.group < wanted; });
    for (; found != each.entries.end() && found->group == group; ++found)
      made.classes[found->priority_class] = found->what;
  }
  return result;
}

} // namespace vorrang::http
