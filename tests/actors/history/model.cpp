#include "model.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace vorrang::history {

namespace {

// reading: jitter may take away up to half of the back-off and add up to half.
duration back_off_after(std::uint32_t failures) {
  duration nominal = std::chrono::milliseconds(500);
  for (std::uint32_t i = 1; i < failures && nominal < std::chrono::seconds(8); ++i)
    nominal *= 2;
  return std::min<duration>(nominal, std::chrono::seconds(8));
}

} // namespace

std::string show(time_point at) {
  if (at == never)
    return "never";
  char text[48];
  const auto ns = at.time_since_epoch().count();
  std::snprintf(text, sizeof text, "%lld.%09lld", static_cast<long long>(ns / 1'000'000'000),
                static_cast<long long>(ns % 1'000'000'000));
  return text;
}

model::model(const engine_settings& settings, time_point start, model_options options)
    : settings_(settings), options_(options), now_(start) {
  groups_.reserve(settings_.groups.size());
  for (const auto& g : settings_.groups) {
    group next;
    next.settings = &g;
    next.deployments.reserve(g.deployments.size());
    for (const auto& d : g.deployments)
      next.deployments.emplace_back(g, d);
    groups_.push_back(std::move(next));
  }
  begin_instant(start);
}

void model::object(const char* rule, const std::string& what) const {
  throw violation(rule, "at " + show(now_) + ": " + what);
}

model::ticket* model::find(ticket_id id) {
  auto found = std::find_if(live_.begin(), live_.end(), [&](const auto& t) { return t.id == id; });
  return found == live_.end() ? nullptr : &*found;
}

void model::offered(ticket_id id, const ask& what) {
  if (find(id) || ended_.count(id))
    object("2.6", "the ticket " + std::to_string(id) + " was given twice");
  ticket t;
  t.id = id;
  t.asked = what;
  t.group = what.group;
  t.priority = what.priority;
  t.arrival = ++arrivals_ << arrivals_at_once_bits;
  t.offered_at = now_;
  t.offered_sequence = ++sequence_;
  t.visited.push_back(what.group);
  if (what.group < groups_.size())
    t.deployments.resize(groups_[what.group].deployments.size());
  live_.push_back(std::move(t));
}

void model::finish(ticket& t) {
  ended_.insert(t.id);
  live_.erase(live_.begin() + (&t - live_.data()));
}

void model::cancelled(ticket_id id) {
  auto* t = find(id);
  if (!t)
    return;
  if (t->now == phase::granted) {
    for (const auto& g : running_) {
      if (g.ticket != id)
        continue;
      auto* a = groups_[g.group].deployments[g.deployment].window.running(g.id);
      outcome result;
      result.kind = outcome_kind::cancelled;
      result.sent = a->began;
      settled(g.id, result);
      return;
    }
  }
  ended_now_.insert(id);
  finish(*t);
}

void model::moved(ticket_id id, std::int32_t priority) {
  if (auto* t = find(id); t && t->now == phase::waiting)
    t->priority = priority;
}

void model::began_sending(grant_id id) {
  for (const auto& g : running_)
    if (g.id == id)
      groups_[g.group].deployments[g.deployment].window.running(id)->began = true;
}

void model::head_arrived(grant_id id) {
  for (const auto& g : running_) {
    if (g.id != id)
      continue;
    auto& d = groups_[g.group].deployments[g.deployment];
    auto* a = d.window.running(id);
    if (!std::exchange(a->head, true)) {
      d.health.head(now_, {a->id, a->serial, a->probe});
      d.last_answer = ++sequence_;
    }
    note_open(d);
  }
}

void model::settled(grant_id id, const outcome& result) {
  const auto found =
      std::find_if(running_.begin(), running_.end(), [&](const auto& g) { return g.id == id; });
  if (found == running_.end())
    return; // a second or late one changes nothing
  const grant g = *found;
  running_.erase(found);
  auto& d = groups_[g.group].deployments[g.deployment];
  const auto* a = d.window.running(id);
  const health_attempt for_health{a->id, a->serial, a->probe};
  d.window.settled(now_, id, result);
  d.health.settled(now_, for_health, result);
  note_open(d);

  auto* t = find(g.ticket);
  ++sequence_;
  if (result.kind == outcome_kind::success || result.kind == outcome_kind::cancelled) {
    if (result.kind == outcome_kind::success)
      d.last_success = sequence_;
    ended_now_.insert(t->id);
    finish(*t);
  } else {
    failed(*t, g, result);
  }
  if (result.kind != outcome_kind::rate_limited && result.status != 0)
    d.last_answer = sequence_;
}

void model::returns(ticket& t) {
  t.now = phase::waiting;
  t.returned = true;
  t.unannounced = true;
}

void model::leaves(ticket& t, cause why, bool must) {
  t.why = why;
  t.must_leave = must;
}

void model::failed(ticket& t, const grant& g, const outcome& result) {
  auto& d = groups_[g.group].deployments[g.deployment];
  auto& own = t.deployments[g.deployment];
  returns(t);
  t.maybe_attempted = true;
  if (result.kind == outcome_kind::not_sent) {
    --t.attempts; // nothing was tried
    return;       // reading: it may or may not count as "has had no attempt"
  }
  t.attempted = true;
  if (result.status != 0) // a connection that fails later does not make it unheard
    t.last_status = result.status;
  t.last_timed_out = result.timed_out;

  const auto& rules = settings_.groups[g.group];
  if (result.kind == outcome_kind::rejected) {
    if (result.status != 401 && result.status != 403 && result.status != 404) {
      t.context_window |= result.context_window;
      leaves(t, cause::rejected, true);
      return;
    }
    own.excluded = true;
    if (!any_permitted(t, answer::yes))
      leaves(t, cause::excluded, !any_permitted(t, answer::maybe));
    return;
  }

  ++t.failures;
  ++own.failures;
  if (const auto retry_after = effective_retry_after(result)) {
    // reading: the least back-off may lengthen a Retry-After or not.
    own.from = now_ + *retry_after;
    own.by = now_ + std::max(*retry_after, rules.least_back_off);
    // reading: "others may pass it there": from its second such 429 on, it may stay away a moment
    // longer than the cooldown of the same length.
    if (result.kind == outcome_kind::rate_limited && ++t.asked_to_wait > 1)
      own.by += std::chrono::milliseconds(10);
    own.retry_after = true;
  } else {
    // reading: it doubles with the failures at this deployment, or with all of the ticket's.
    own.from = now_ + std::max<duration>(back_off_after(own.failures) / 2, rules.least_back_off);
    own.by = now_ + std::max<duration>(back_off_after(t.failures) * 3 / 2, rules.least_back_off);
    own.retry_after = false;
  }

  if (result.kind == outcome_kind::rate_limited) {
    // reading: "in between" is since the ticket's last 429 from that deployment (the first one
    // counts anyhow), or since its last 429 from anywhere (or its arrival).
    if (own.last_429 == 0 || d.last_answer > own.last_429)
      ++t.strikes_most;
    if (d.last_success > std::max(t.last_429, t.offered_sequence))
      ++t.strikes_least;
    own.last_429 = t.last_429 = sequence_;
    if (t.strikes_most >= 3)
      leaves(t, cause::strikes, t.strikes_least >= 3);
    return;
  }
  if (g.reason == grant_reason::head_of_line)
    return; // a failed probe does not count
  const auto allowed = rules.deployments[g.deployment].num_retries.value_or(rules.num_retries);
  if (t.retries >= allowed) {
    leaves(t, cause::exhausted, true);
    return;
  }
  ++t.retries;
  t.retry_due = true;
}

void model::note_open(deployment& d) {
  const auto& own = d.settings;
  d.was_open = d.was_open ||
               (d.health.maybe_open() &&
                (!own.max_parallel_requests || d.window.in_flight() < *own.max_parallel_requests) &&
                (!own.rpm || d.window.units_least(now_) < *own.rpm) && (!own.tpm || *own.tpm > 0));
}

void model::begin_instant(time_point at) {
  now_ = at;
  ended_now_.clear();
  newcomers_gone_.clear();
  for (auto& g : groups_) {
    for (auto& d : g.deployments) {
      d.health.tick(at);
      d.window.forget(at);
      d.was_open = false;
      note_open(d);
    }
  }
}

void model::heard(const std::vector<event>& events, time_point now) {
  ++arrivals_;
  std::size_t next = 0;
  for (;;) {
    const auto at = next < events.size() ? events[next].at : now;
    if (at < now_ || at > now)
      object("time",
             "an event is dated " + show(at) + ", outside " + show(now_) + " to " + show(now));
    for (auto between = next_instant(); between < at; between = next_instant()) {
      begin_instant(between);
      check_quiet();
    }
    if (at > now_)
      begin_instant(at);
    for (; next < events.size() && events[next].at == at; ++next) {
      const auto& e = events[next];
      switch (e.kind) {
      case event_kind::granted:
        hear_grant(e);
        break;
      case event_kind::waiting_again:
        hear_waiting(e);
        break;
      case event_kind::ended:
        hear_ending(e);
        break;
      }
    }
    check_quiet();
    if (at == now && next == events.size())
      return;
  }
}

std::uint64_t model::waiting(group_index g) const {
  return static_cast<std::uint64_t>(std::count_if(live_.begin(), live_.end(), [&](const auto& t) {
    return t.group == g && t.now == phase::waiting;
  }));
}

std::uint64_t model::in_flight(group_index g, deployment_index d) const {
  return groups_[g].deployments[d].window.in_flight();
}

std::vector<ticket_id> model::waiting_tickets() const {
  std::vector<ticket_id> ids;
  for (const auto& t : live_)
    if (t.now == phase::waiting)
      ids.push_back(t.id);
  return ids;
}

time_point model::next_instant() const {
  auto next = never;
  const auto add = [&](time_point at) {
    if (at > now_)
      next = std::min(next, at);
  };
  bool anybody = false;
  for (const auto& t : live_) {
    if (t.now != phase::waiting)
      continue;
    anybody = true;
    add(t.asked.deadline);
    for (const auto& own : t.deployments) {
      add(own.from);
      add(own.by);
    }
  }
  if (!anybody)
    return never;
  for (const auto& g : groups_) {
    for (const auto& d : g.deployments) {
      add(d.health.next_change(now_));
      add(d.window.next_change(now_));
    }
  }
  return next;
}

std::uint64_t model::lost_deployments() const {
  std::uint64_t lost = 0;
  for (const auto& g : groups_)
    for (const auto& d : g.deployments)
      lost += d.health.lost() ? 1 : 0;
  return lost;
}

} // namespace vorrang::history
