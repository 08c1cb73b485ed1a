#include "http/deployment_watch.hpp"

namespace vorrang::http {

namespace {

std::int64_t ms_of(const std::optional<duration>& length) {
  return length ? std::chrono::duration_cast<std::chrono::milliseconds>(*length).count() : 0;
}

} // namespace

std::vector<deployment_event> deployment_watch::look(const std::vector<queue_view>& views) {
  std::vector<deployment_event> events;
  for (const auto& view : views) {
    if (view.retired)
      continue;
    std::size_t open = 0, cooling = 0;
    for (const auto& each : view.deployments) {
      if (each.retired)
        continue;
      ++(each.cooling ? cooling : open);
      seen& before = deployments_[{view.name, each.id}];
      const bool has_begun = each.cooldowns > before.cooldowns;
      if (each.cooling && !before.cooling)
        events.push_back({log_level::info, view.name, each.id, "deployment cools down",
                          each.last_failure_status, ms_of(each.cooldown_ends_in)});
      else if (!each.cooling && before.cooling)
        events.push_back({log_level::info, view.name, each.id, "deployment is back"});
      else if (!each.cooling && has_begun)
        events.push_back({log_level::info, view.name, each.id,
                          "deployment is back, after a short "
                          "cooldown",
                          each.last_failure_status});
      before = {each.cooling, each.cooldowns};
    }
    auto& [was_all, differed] = groups_[view.name];
    const bool is_all = cooling > 0 && open == 0;
    if (is_all && !was_all)
      events.push_back({log_level::warning, view.name, "",
                        "every deployment of the group cools down: its requests wait"});
    else if (!is_all && was_all)
      events.push_back({log_level::info, view.name, "", "the group has a deployment again"});
    was_all = is_all;
    if (view.limits_differ && !differed)
      events.push_back({log_level::warning, view.name, "",
                        "instances have different limits for the group: the lowest hold"});
    else if (!view.limits_differ && differed)
      events.push_back({log_level::info, view.name, "", "instances have the same limits again"});
    differed = view.limits_differ;
  }
  return events;
}

} // namespace vorrang::http
