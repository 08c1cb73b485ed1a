// What must not be left undone when the system is quiet.
#include "model.hpp"

#include <algorithm>

namespace vorrang::history {

void model::check_fallback_wakes(const ticket& t) {
  const auto& all = groups_[t.group].deployments;
  if (!options_.fallback_wakes && !t.newcomer && !t.returned)
    return;
  const bool cooling = !all.empty() && std::all_of(all.begin(), all.end(), [](const auto& d) {
    return d.health.surely_cooling();
  });
  if (!cooling)
    return;
  for (auto g : fallbacks_left(t, true))
    if (surely_tryable(t, g) && surely_healthy_for(t, g))
      object("fallback", "ticket " + std::to_string(t.id) + " waits in group " +
                             std::to_string(t.group) + ", where all cool, though group " +
                             std::to_string(g) + " has a healthy deployment");
}

void model::check_group(group_index index) {
  auto& g = groups_[index];
  std::vector<const ticket*> line;
  for (const auto& t : live_)
    if (t.group == index && t.now == phase::waiting)
      line.push_back(&t);
  std::sort(line.begin(), line.end(), [&](const auto* a, const auto* b) { return better(*a, *b); });

  std::vector<bool> taken(g.deployments.size());
  for (const auto* t : line) {
    bool all_cooling = true;
    for (deployment_index i = 0; i < g.deployments.size(); ++i)
      all_cooling &= eligible(*t, i) == answer::no || g.deployments[i].health.surely_cooling();
    bool may_leave = false;
    for (auto to : fallbacks_left(*t, false))
      for (const auto& d : groups_[to].deployments)
        may_leave |= d.was_open;
    for (deployment_index i = 0; i < g.deployments.size(); ++i) {
      const auto e = eligible(*t, i);
      if (taken[i] || e == answer::no)
        continue;
      taken[i] = true; // kept for this one, whether it fits or not
      auto& d = g.deployments[i];
      if (e != answer::yes || !d.window.surely_fits(now_, t->asked.token_estimate))
        continue;
      const auto where = "ticket " + std::to_string(t->id) + " waits in group " +
                         std::to_string(index) + ", and it is the best for deployment " +
                         std::to_string(i);
      if (!d.health.refute_open(d.window.in_flight()))
        object("2.5", where + ", which is healthy");
      if (all_cooling && !may_leave && !d.health.refute_owed_probe(now_))
        object("2.3b", where + ", where a probe is due");
    }
  }

  for (deployment_index i = 0; i < g.deployments.size(); ++i) {
    auto& d = g.deployments[i];
    auto wanted = answer::no;
    for (const auto* t : line)
      wanted = std::max(wanted, eligible(*t, i));
    d.health.quiet(wanted == answer::yes, wanted != answer::no, d.window.in_flight_serials());
  }
}

void model::check_quiet() {
  for (const auto& t : live_) {
    if (t.now != phase::waiting)
      continue;
    const auto named = "ticket " + std::to_string(t.id);
    if (t.why != cause::none)
      object("2.6", named + " has no attempt left, and nothing was heard of it");
    if (t.unannounced)
      object("2.6", named + " returned, and nothing was heard of it");
    if (t.asked.deadline <= now_)
      object("deadline", named + " still waits at its deadline " + show(t.asked.deadline));
    if (t.group >= groups_.size())
      object("ending", named + " waits in a group that does not exist");
    if (!any_permitted(t, answer::maybe))
      object("eligible", named + " waits though no deployment may serve it");
    if (surely_hopeless(t))
      object("rate limit", named + " waits though every deployment comes back after its deadline");
    check_fallback_wakes(t);
    const auto most = settings_.groups[t.group].max_queue_size;
    if (t.newcomer && !t.displaced_one && waiting(t.group) > most)
      object("full queue", named + " was taken into a full queue");
  }
  for (group_index g = 0; g < groups_.size(); ++g)
    check_group(g);
  for (auto& t : live_) {
    t.newcomer = false;
    t.displaced_one = false;
    t.returned = false;
  }
}

} // namespace vorrang::history
