// Who is eligible where, in which order, and which groups are left.
#include "model.hpp"

#include <algorithm>

namespace vorrang::history {

namespace {

bool has_common_tag(const deployment_settings& d, const std::vector<std::string>& tags) {
  return std::any_of(tags.begin(), tags.end(), [&](const auto& tag) {
    return std::find(d.tags.begin(), d.tags.end(), tag) != d.tags.end();
  });
}

const std::vector<std::string> default_tag{"default"};

} // namespace

bool model::better(const ticket& a, const ticket& b) const {
  return a.priority != b.priority ? a.priority < b.priority : a.arrival < b.arrival;
}

model::answer model::permitted_in(const ask& a, const std::vector<back_off>* own, group_index g,
                                  deployment_index d) const {
  const auto& rules = settings_.groups[g];
  const auto& all = rules.deployments;
  const auto pin = pin_in(a, g);
  const bool pinned = pin != no_index;
  if (pinned && pin != d)
    return answer::no;
  const auto speaks = [&](deployment_index i) {
    return (all[i].endpoints & static_cast<std::uint8_t>(a.api)) != 0;
  };
  const auto short_enough = [&](deployment_index i) {
    return !rules.pre_call_checks || !all[i].max_input_tokens ||
           a.prompt_estimate <= *all[i].max_input_tokens;
  };
  const auto excluded = [&](deployment_index i) {
    return own && (*own)[i].excluded;
  };
  if (!speaks(d) || !short_enough(d) || excluded(d))
    return answer::no;

  // reading: tags and tpm compare with all deployments of the group, or with those that the
  // request could use otherwise.
  bool yes = true;
  bool no = true;
  for (const bool narrow : {false, true}) {
    const auto usable = [&](deployment_index i) {
      return !narrow || (speaks(i) && short_enough(i) && !excluded(i) && (!pinned || pin == i));
    };
    bool common = false;
    for (deployment_index i = 0; i < all.size(); ++i)
      common |= usable(i) && has_common_tag(all[i], a.tags);
    const auto tagged = [&](deployment_index i) {
      return !rules.tag_filtering || has_common_tag(all[i], common ? a.tags : default_tag);
    };
    bool may = tagged(d);
    const auto holds = [&](deployment_index i) {
      return !all[i].tpm || a.token_estimate <= *all[i].tpm;
    };
    if (may && !holds(d)) {
      for (deployment_index i = 0; i < all.size(); ++i) {
        may &= i == d || !usable(i) || (narrow && !tagged(i)) ||
               (!holds(i) && *all[i].tpm <= *all[d].tpm);
        // reading: of several largest it may be one, or each.
        yes &= i == d || !usable(i) || all[i].tpm != all[d].tpm;
      }
    }
    yes &= may;
    no &= !may;
  }
  if (no) {
    // reading: who pins a deployment has chosen, whatever its tags.
    if (rules.tag_filtering && pinned)
      return answer::maybe;
    // reading: without tags, and without a deployment tagged `default`, any may do (as LiteLLM).
    if (rules.tag_filtering && a.tags.empty() &&
        std::none_of(all.begin(), all.end(),
                     [](const auto& other) { return has_common_tag(other, default_tag); }))
      return answer::maybe;
    return answer::no;
  }
  // reading: in a fallback group the request's own pin may stand for nothing, or forbid everything.
  if (a.pinned != no_index && g != a.group)
    return answer::maybe;
  return yes ? answer::yes : answer::maybe;
}

// A fallback may name one deployment of its group; both lists of a group name the same one.
deployment_index model::pin_in(const ask& a, group_index g) const {
  if (g == a.group)
    return a.pinned;
  if (a.group < groups_.size())
    for (const auto* list : {&settings_.groups[a.group].fallbacks,
                             &settings_.groups[a.group].context_window_fallbacks})
      for (const auto& target : *list)
        if (target.group == g)
          return target.pinned;
  return no_index;
}

model::answer model::permitted(const ticket& t, deployment_index d) const {
  return permitted_in(t.asked, &t.deployments, t.group, d);
}

model::answer model::eligible(const ticket& t, deployment_index d) const {
  const auto may = permitted(t, d);
  const auto& own = t.deployments[d];
  if (may == answer::no || now_ < own.from)
    return answer::no;
  return now_ < own.by ? answer::maybe : may;
}

bool model::any_permitted(const ticket& t, answer at_least) const {
  for (deployment_index d = 0; d < t.deployments.size(); ++d)
    if (permitted(t, d) >= at_least)
      return true;
  return false;
}

std::vector<group_index> model::fallbacks_left(const ticket& t, bool surely) const {
  std::vector<group_index> left;
  if (!t.asked.may_fall_back || t.asked.group >= groups_.size() || t.visited.size() >= 5)
    return left;
  const auto& rules = settings_.groups[t.asked.group];
  const bool by_context = t.context_window && !rules.context_window_fallbacks.empty();
  const auto add = [&](const std::vector<fallback_target>& list, std::size_t from) {
    std::unordered_set<group_index> before;
    for (std::size_t i = 0; i < list.size() && !(surely && i >= 4); ++i) {
      const auto to = list[i].group;
      if (before.insert(to).second && i >= from && to < groups_.size() &&
          std::find(t.visited.begin(), t.visited.end(), to) == t.visited.end())
        left.push_back(to);
    }
  };
  if (surely) {
    // reading: a group that was full may count as visited, so what was passed by is not surely
    // tried again, and of a list only the first four are.
    const auto& list = by_context ? rules.context_window_fallbacks : rules.fallbacks;
    if (!by_context || t.visited.size() == 1)
      add(list, t.list_position);
    return left;
  }
  // reading: once a context was too long, either list may be followed.
  if (by_context)
    add(rules.context_window_fallbacks, 0);
  if (!by_context || t.visited.size() > 1 || t.why != cause::rejected)
    add(rules.fallbacks, 0);
  return left;
}

bool model::surely_tryable(const ticket& t, group_index g) const {
  const auto& to = groups_[g];
  if (waiting(g) >= to.settings->max_queue_size)
    return false;
  for (deployment_index d = 0; d < to.deployments.size(); ++d)
    if (permitted_in(t.asked, nullptr, g, d) == answer::yes &&
        !to.deployments[d].health.maybe_limited_beyond(t.asked.deadline))
      return true;
  return false;
}

bool model::surely_healthy_for(const ticket& t, group_index g) const {
  const auto& to = groups_[g];
  for (deployment_index i = 0; i < to.deployments.size(); ++i) {
    const auto& d = to.deployments[i];
    if (permitted_in(t.asked, nullptr, g, i) != answer::yes ||
        !d.health.surely_open(d.window.in_flight()) ||
        !d.window.surely_fits(now_, t.asked.token_estimate))
      continue;
    const bool wanted = std::any_of(live_.begin(), live_.end(), [&](const auto& other) {
      return other.now == phase::waiting && other.group == g && eligible(other, i) != answer::no;
    });
    if (!wanted)
      return true;
  }
  return false;
}

bool model::maybe_all_cooling(const ticket& t) const {
  if (t.group >= groups_.size())
    return false;
  const auto& all = groups_[t.group].deployments;
  for (deployment_index d = 0; d < all.size(); ++d)
    if (eligible(t, d) == answer::yes && !all[d].health.maybe_cooling())
      return false;
  return true;
}

bool model::surely_hopeless(const ticket& t) const {
  const auto& all = groups_[t.group].deployments;
  bool any = false;
  for (deployment_index d = 0; d < all.size(); ++d) {
    if (permitted(t, d) == answer::no)
      continue;
    any = true;
    if (!all[d].health.surely_limited_beyond(t.asked.deadline))
      return false;
  }
  return any;
}

bool model::maybe_hopeless(const ticket& t) const {
  const auto& all = groups_[t.group].deployments;
  for (deployment_index d = 0; d < all.size(); ++d) {
    const auto& own = t.deployments[d];
    // reading: the ticket's own back-off by a Retry-After, where cooldowns are off, counts too.
    if (permitted(t, d) == answer::yes && !all[d].health.maybe_limited_beyond(t.asked.deadline) &&
        !(own.retry_after && own.by >= t.asked.deadline))
      return false;
  }
  return true;
}

bool model::surely_grantable(const ticket& t) const {
  const auto& all = groups_[t.group].deployments;
  for (deployment_index i = 0; i < all.size(); ++i) {
    const auto& d = all[i];
    if (eligible(t, i) != answer::yes || !d.health.surely_open(d.window.in_flight()) ||
        !d.window.surely_fits(now_, t.asked.token_estimate))
      continue;
    const bool kept = std::any_of(live_.begin(), live_.end(), [&](const auto& other) {
      return other.now == phase::waiting && other.group == t.group && other.id != t.id &&
             better(other, t) && eligible(other, i) != answer::no;
    });
    if (!kept)
      return true;
  }
  return false;
}

} // namespace vorrang::history
