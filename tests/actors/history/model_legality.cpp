// Was this grant, this return, this ending allowed?
#include "model.hpp"

#include <algorithm>
#include <utility>

namespace vorrang::history {

namespace {

std::string name(const event& e) {
  return "ticket " + std::to_string(e.ticket) + " (group " + std::to_string(e.group) + ")";
}

} // namespace

void model::enter_fallback(ticket& t, const event& e) {
  const auto to = e.group;
  const auto left = fallbacks_left(t, false);
  const auto named = "ticket " + std::to_string(t.id) + " went from group " +
                     std::to_string(t.group) + " to " + std::to_string(to);
  if (std::find(left.begin(), left.end(), to) == left.end())
    object("fallback", named + ", which is no fallback left to it (each once, at most 5 in all)");
  bool open = false;
  for (auto g : left)
    for (const auto& d : groups_[g].deployments)
      open |= d.was_open;
  const bool failed_for_good =
      t.why != cause::none || !any_permitted(t, answer::yes) || maybe_hopeless(t) ||
      (open && maybe_all_cooling(t)) ||
      (t.visited.size() > 1 && waiting(t.group) > groups_[t.group].settings->max_queue_size);
  if (!failed_for_good)
    object("fallback", named + ", but its group had not failed for good");
  const auto& rules = settings_.groups[t.asked.group];
  const bool by_context = t.context_window && !rules.context_window_fallbacks.empty();
  const auto& list = by_context ? rules.context_window_fallbacks : rules.fallbacks;
  const auto place_of = [&](group_index g) {
    return std::find_if(list.begin(), list.end(), [&](const auto& f) { return f.group == g; });
  };
  // reading: one that was full (or not healthy) may be looked at again later, or not.
  for (auto g : fallbacks_left(t, true))
    if (place_of(g) < place_of(to) && surely_tryable(t, g) && surely_healthy_for(t, g))
      object("fallback", named + ", passing by group " + std::to_string(g) + ", which comes first");

  const auto place = static_cast<std::size_t>(place_of(to) - list.begin());
  t.list_position = std::max(t.list_position, place + 1);
  // reading: where nobody was held back before this one came, re-opening may be over by now.
  for (auto& d : groups_[to].deployments)
    d.health.maybe_reopened();
  const auto would_end = [&](end_code code) {
    t.earlier_ends.insert(static_cast<int>(code));
  };
  if (t.why == cause::rejected || t.why == cause::excluded)
    would_end(end_code::rejected);
  // "a's last error is the answer", whatever made it leave a.
  if ((t.why != cause::none && t.why != cause::rejected) || t.last_status != 0)
    would_end(end_code::attempts_exhausted);
  if (!any_permitted(t, answer::yes))
    would_end(end_code::no_deployment);
  if (maybe_hopeless(t))
    would_end(end_code::rate_limited_beyond_deadline);
  if (maybe_all_cooling(t))
    would_end(end_code::all_cooling_down);
  t.visited.push_back(to);
  t.group = to;
  // "In b the request takes a new arrival number": when it came there, not when it was heard.
  t.arrival = (arrivals_ << arrivals_at_once_bits) + e.came.value_or(++fallbacks_heard_);
  t.retries = 0;
  t.retry_due = false;
  t.attempted = false; // reading: "has had no attempt" here, or anywhere
  t.strikes_least = 0; // reading: the strikes may or may not begin anew
  t.failures = 0;
  t.asked_to_wait = 0;
  t.why = cause::none;
  t.must_leave = false;
  t.newcomer = true;
  t.displaced_one = false;
  t.deployments.assign(groups_[to].deployments.size(), {});
}

void model::check_order(const ticket& t, const event& e) const {
  for (const auto& other : live_) {
    if (other.id == t.id || other.now != phase::waiting || other.group != t.group ||
        other.why != cause::none || !better(other, t) || other.asked.deadline <= now_)
      continue;
    if (eligible(other, e.granted.deployment) == answer::yes)
      object(other.priority == t.priority ? "2.1" : "2.3a",
             name(e) + " was granted at deployment " + std::to_string(e.granted.deployment) +
                 " while ticket " + std::to_string(other.id) +
                 ", eligible there and better, waits");
  }
}

void model::check_probe(const ticket& t, const event& e) {
  auto& all = groups_[t.group].deployments;
  auto& chosen = all[e.granted.deployment];
  for (deployment_index i = 0; i < all.size(); ++i)
    if (eligible(t, i) == answer::yes && !all[i].health.maybe_cooling())
      object("probe", name(e) + " probes deployment " + std::to_string(e.granted.deployment) +
                          " though " + std::to_string(i) + " does not cool");
  if (!chosen.health.surely_cooling())
    return;
  for (deployment_index i = 0; i < all.size(); ++i) {
    const auto& other = all[i];
    if (i == e.granted.deployment || eligible(t, i) != answer::yes ||
        !other.health.surely_owes_probe(now_) ||
        !other.window.surely_fits(now_, t.asked.token_estimate) ||
        other.health.latest_end() >= chosen.health.earliest_end())
      continue;
    const bool kept = std::any_of(live_.begin(), live_.end(), [&](const auto& o) {
      return o.now == phase::waiting && o.group == t.group && better(o, t) &&
             eligible(o, i) != answer::no;
    });
    if (!kept)
      object("probe", name(e) + " probes deployment " + std::to_string(e.granted.deployment) +
                          " though the cooldown of " + std::to_string(i) + " ends first");
  }
}

// Only where the ticket itself is what came: otherwise several deployments may have opened at this
// same instant, in an order that nobody promises.
void model::check_choice(const ticket& t, const event& e) const {
  if (!t.newcomer && !t.returned)
    return;
  const auto& g = groups_[t.group];
  const auto& chosen = g.deployments[e.granted.deployment];
  const auto order = [](const deployment& d) {
    return d.settings.order ? std::int64_t{*d.settings.order} : std::int64_t{1} << 40;
  };
  for (deployment_index i = 0; i < g.deployments.size(); ++i) {
    const auto& d = g.deployments[i];
    if (i == e.granted.deployment || eligible(t, i) != answer::yes ||
        !d.health.surely_open(d.window.in_flight()) ||
        !d.window.surely_fits(now_, t.asked.token_estimate))
      continue;
    const bool kept = std::any_of(live_.begin(), live_.end(), [&](const auto& o) {
      return o.now == phase::waiting && o.group == t.group && o.id != t.id && better(o, t) &&
             eligible(o, i) != answer::no;
    });
    if (kept)
      continue;
    const auto instead = name(e) + " went to deployment " + std::to_string(e.granted.deployment) +
                         " though " + std::to_string(i) + " was healthy and ";
    if (order(d) < order(chosen))
      object("choice", instead + "has a lower order");
    if (order(d) != order(chosen))
      continue;
    switch (g.settings->strategy) {
    case routing_strategy::least_busy:
      if (d.window.in_flight() < chosen.window.in_flight())
        object("choice", instead + "is less busy");
      break;
    case routing_strategy::usage_based: {
      const auto most = d.window.tokens_most(now_);
      const auto least = chosen.window.tokens_least(now_);
      const bool equal = most == least && d.window.tokens_least(now_) == most &&
                         chosen.window.tokens_most(now_) == least;
      if (most < least)
        object("choice", instead + "used fewer tokens");
      if (equal && d.window.units_most(now_) < chosen.window.units_least(now_))
        object("choice", instead + "used as many tokens and had fewer requests");
      break;
    }
    case routing_strategy::simple_shuffle:
      if (d.settings.weight.value_or(0) > 0 && chosen.settings.weight.value_or(0) <= 0)
        object("choice", instead + "has a weight, which the chosen one has not");
      break;
    case routing_strategy::latency_based:
      break;
    }
  }
}

void model::hear_grant(const event& e) {
  const auto& g = e.granted;
  auto* t = find(e.ticket);
  if (!t)
    object("2.6", name(e) + " was granted, but it has ended or was never offered");
  if (t->now != phase::waiting)
    object("2.6", name(e) + " was granted twice");
  if (g.ticket != e.ticket || g.at != e.at || g.group != e.group)
    object("2.6", name(e) + ": the grant names another ticket, group or time");
  if (!grant_ids_.insert(g.id).second)
    object("2.6", name(e) + ": its grant id was used before");
  if (g.group >= groups_.size() || g.deployment >= groups_[g.group].deployments.size())
    object("2.6", name(e) + ": no such deployment");
  if (t->must_leave && g.group == t->group)
    object("retries", name(e) + " was granted again though no attempt was left to it");
  if (g.group != t->group)
    enter_fallback(*t, e);
  t->why = cause::none;

  if (e.at > t->asked.deadline)
    object("deadline", name(e) + " was granted after its deadline " + show(t->asked.deadline));
  if (permitted(*t, g.deployment) == answer::no)
    object("eligible", name(e) + " may not use deployment " + std::to_string(g.deployment));
  if (eligible(*t, g.deployment) == answer::no)
    object("back-off", name(e) + " was granted during its back-off at deployment " +
                           std::to_string(g.deployment) + ", which ends " +
                           show(t->deployments[g.deployment].from));
  auto& d = groups_[g.group].deployments[g.deployment];
  if (!d.window.maybe_fits(now_, t->asked.token_estimate))
    object("2.4", name(e) + ": deployment " + std::to_string(g.deployment) +
                      " is full: " + std::to_string(d.window.in_flight()) + " in flight, " +
                      std::to_string(d.window.units_least(now_)) + " requests and " +
                      std::to_string(d.window.tokens_least(now_)) + " tokens in 60 s, estimate " +
                      std::to_string(t->asked.token_estimate));
  check_order(*t, e);
  const bool probe = g.reason == grant_reason::head_of_line;
  if (probe)
    check_probe(*t, e);
  else
    check_choice(*t, e);
  const health_attempt attempt_there{g.id, d.health.grants() + 1, probe};
  if (!d.health.granted(now_, attempt_there, d.window.in_flight_serials()))
    object(probe ? "probe" : "cooldown",
           name(e) + ": deployment " + std::to_string(g.deployment) +
               (probe ? " was not to be probed" : " cools down or re-opens"));

  ++t->attempts;
  ++grants_heard_;
  if (g.attempt != t->attempts)
    object("grant", name(e) + ": attempt " + std::to_string(g.attempt) + ", not " +
                        std::to_string(t->attempts));
  if (g.waited != e.at - t->offered_at)
    object("grant", name(e) + ": waited is not the time since the offer");
  t->retries_made += std::exchange(t->retry_due, false) ? 1 : 0;
  if (g.retries != t->retries_made)
    object("grant", name(e) + ": " + std::to_string(g.retries) + " retries, not " +
                        std::to_string(t->retries_made));
  if (t->asked.group == t->group ? g.fallbacks != 0 : g.fallbacks == 0)
    object("grant", name(e) + ": the number of fallbacks is wrong");
  attempt a;
  a.id = g.id;
  a.ticket = t->id;
  a.serial = attempt_there.serial;
  a.at = now_;
  a.probe = probe;
  a.estimate = t->asked.token_estimate;
  d.window.granted(a);
  t->now = phase::granted;
  t->unannounced = false;
  t->newcomer = false;
  t->returned = false;
  running_.push_back(g);
}

void model::hear_waiting(const event& e) {
  auto* t = find(e.ticket);
  if (!t || t->now != phase::waiting)
    object("2.6", name(e) + " is said to wait, but is granted, has ended or was never offered");
  if (e.group >= groups_.size())
    object("2.6", name(e) + ": no such group");
  if (e.group != t->group)
    enter_fallback(*t, e);
  else if (t->must_leave)
    object("retries", name(e) + " waits again though no attempt was left to it");
  t->why = cause::none;
  t->unannounced = false;
}

void model::check_queue_full(ticket& t, const event& e) {
  const auto& rules = settings_.groups[t.group];
  const auto gone = std::count_if(newcomers_gone_.begin(), newcomers_gone_.end(),
                                  [&](const auto& o) { return o.group == t.group; });
  const auto length = waiting(t.group) + static_cast<std::uint64_t>(gone);
  if (length <= rules.max_queue_size)
    object("full queue", name(e) + " got queue_full, but " + std::to_string(length - 1) +
                             " others wait and " + std::to_string(rules.max_queue_size) + " may");
  // The worst that may be displaced, by either reading of "has had no attempt".
  const auto worst = [&](bool surely, const ticket* without) {
    const ticket* found = nullptr;
    for (const auto& o : live_)
      if (&o != without && o.now == phase::waiting && o.group == t.group &&
          !(surely ? o.maybe_attempted : o.attempted) && (!found || better(*found, o)))
        found = &o;
    return found;
  };
  const auto* others_worst = worst(true, &t);
  const bool refused = t.newcomer && !(others_worst && others_worst->priority > t.priority);
  if (t.newcomer && !refused) {
    // It may have displaced somebody and then been displaced by another newcomer; only a group
    // change can bring two at one instant.
    const bool second = std::any_of(live_.begin(), live_.end(), [&](const auto& o) {
      return o.id != t.id && o.newcomer && o.group == t.group && better(o, t);
    });
    if (!second)
      object("full queue", name(e) + " was refused though ticket " +
                               std::to_string(others_worst->id) + " is worse and had no attempt");
  }
  if (t.newcomer && surely_grantable(t))
    object("full queue", name(e) + " was refused though it could be granted at once");
  if (refused)
    return;
  if (t.attempted)
    object("full queue", name(e) + " was displaced though it had an attempt");
  if (!e.ended.retry_after && e.ended.code == end_code::queue_full)
    object("full queue", name(e) + " was displaced without a Retry-After");
  ticket* newcomer = nullptr;
  for (auto& o : live_)
    if (o.id != t.id && o.newcomer && !o.displaced_one && o.group == t.group &&
        o.now == phase::waiting && o.priority < t.priority && (!newcomer || better(o, *newcomer)))
      newcomer = &o;
  // reading: a newcomer whose deadline is now may displace another before it times out itself.
  for (auto& o : newcomers_gone_)
    if (!newcomer && !o.displaced_one && o.group == t.group && o.priority < t.priority)
      newcomer = &o;
  if (!newcomer)
    object("full queue", name(e) + " was displaced, but nobody strictly better came");
  for (const auto& o : live_)
    if (&o != newcomer && !o.newcomer && o.now == phase::waiting && o.group == t.group &&
        !o.maybe_attempted && o.id != t.id && better(t, o))
      object("full queue",
             name(e) + " was displaced though ticket " + std::to_string(o.id) + " is worse");
  newcomer->displaced_one = true;
}

void model::hear_ending(const event& e) {
  auto* t = find(e.ticket);
  if (!t) {
    if (ended_now_.erase(e.ticket) == 1)
      return; // the owner's own end, confirmed
    object("2.6", name(e) + " ended twice, or was never offered");
  }
  if (t->now == phase::granted)
    object("2.6", name(e) + " ended though its grant is not settled");
  const auto& end = e.ended;
  if (end.ticket != e.ticket)
    object("2.6", name(e) + ": the ending names another ticket");
  if (end.retries != t->retries_made)
    object("ending", name(e) + ": " + std::to_string(end.retries) + " retries, not " +
                         std::to_string(t->retries_made));
  if (end.attempts != t->attempts)
    object("ending", name(e) + ": " + std::to_string(end.attempts) + " attempts, not " +
                         std::to_string(t->attempts));
  const auto expect_no_fallback = [&] {
    for (auto g : fallbacks_left(*t, true))
      if (surely_tryable(*t, g))
        object("fallback",
               name(e) + " ended with fallback group " + std::to_string(g) + " untried");
  };
  const auto expect_last_answer = [&] {
    if (end.status != t->last_status)
      object("ending", name(e) + ": status " + std::to_string(end.status) +
                           " is not the last answer's " + std::to_string(t->last_status));
  };
  const bool known = t->group < groups_.size();
  // "If b's queue is full the next is tried; then a's last error is the answer."
  const bool earlier = t->earlier_ends.count(static_cast<int>(end.code)) > 0;
  const bool displaced = std::any_of(live_.begin(), live_.end(),
                                     [&](const auto& o) {
                                       return o.newcomer && o.group == t->group &&
                                              o.now == phase::waiting && o.id != t->id;
                                     }) ||
                         !newcomers_gone_.empty();
  if (known && !t->newcomer && t->why == cause::none && earlier && displaced &&
      end.code != end_code::timed_out && !maybe_hopeless(*t) &&
      waiting(t->group) + newcomers_gone_.size() > settings_.groups[t->group].max_queue_size) {
    check_queue_full(*t, e);
    expect_last_answer();
    finish(*t);
    return;
  }
  if (known && t->newcomer && t->why == cause::none && earlier &&
      (waiting(t->group) > settings_.groups[t->group].max_queue_size ||
       !any_permitted(*t, answer::yes) || maybe_hopeless(*t))) {
    expect_last_answer();
    expect_no_fallback();
    finish(*t);
    return;
  }
  if (!known && end.code != end_code::unknown_group)
    object("ending", name(e) + ": the group is unknown");
  switch (end.code) {
  case end_code::timed_out:
    if (t->asked.deadline > now_)
      object("deadline", name(e) + " timed out before its deadline " + show(t->asked.deadline));
    if (t->newcomer)
      newcomers_gone_.push_back(*t);
    break;
  case end_code::queue_full:
    // reading: one that is displaced from a fallback group ends, or tries the next.
    if (t->why == cause::none && (t->asked.group == t->group || !t->newcomer))
      check_queue_full(*t, e);
    else if (std::none_of(live_.begin(), live_.end(), [&](const auto& o) {
               return o.group == t->group && o.newcomer && o.priority < t->priority;
             }))
      expect_no_fallback(); // else it may have been displaced within this instant
    break;
  case end_code::rate_limited_beyond_deadline:
    if (!maybe_hopeless(*t) && t->why == cause::none)
      object("rate limit", name(e) + " was given up though a deployment comes back in time");
    if (!end.retry_after)
      object("rate limit", name(e) + " was given up without a Retry-After");
    expect_no_fallback();
    break;
  case end_code::attempts_exhausted:
    // reading: where a fallback group gives it up unasked, that or the last error is the answer.
    if (t->why == cause::none && !(t->attempts > 0 && !any_permitted(*t, answer::yes)) &&
        t->earlier_ends.count(static_cast<int>(end_code::attempts_exhausted)) == 0)
      object("retries", name(e) + " was given up with attempts left");
    expect_last_answer();
    if (end.timed_out != t->last_timed_out)
      object("ending", name(e) + ": timed_out is not that of the last attempt");
    expect_no_fallback();
    break;
  case end_code::rejected:
    if (t->why != cause::rejected && t->why != cause::excluded && !earlier)
      object("retries", name(e) + " was rejected by nobody");
    expect_last_answer();
    expect_no_fallback();
    break;
  case end_code::no_deployment:
    if (any_permitted(*t, answer::yes))
      object("eligible", name(e) + " has a deployment that may serve it");
    expect_no_fallback();
    break;
  case end_code::unknown_group:
    if (known)
      object("ending", name(e) + ": the group is known");
    break;
  case end_code::all_cooling_down:
    if (t->list_position == 0)
      object("fallback", name(e) + " left for a fallback group, but never came to one");
    break;
  default:
    object("ending", name(e) + ": nobody asked for this end");
  }
  finish(*t);
}

} // namespace vorrang::history
