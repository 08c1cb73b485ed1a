#include "actors/group_queue.hpp"

#include "actors/eligibility.hpp"

#include <algorithm>

namespace vorrang {
namespace {

/// Grant ids are unique in the engine: the group in the top bits, then a counter.
constexpr unsigned grant_group_shift = 48;

} // namespace

group_queue::group_queue(const group_settings& settings, group_index self, std::uint64_t seed,
                         group_board& board)
    : settings_(&settings), self_(self), board_(board),
      random_(static_cast<choice_random::result_type>((seed ^ (self * 0x9e3779b9u)) | 1)),
      views_(settings.deployments.size()), cooldowns_(settings.deployments.size()),
      unheard_(deployment_set::all(settings.deployments.size())),
      next_grant_((static_cast<std::uint64_t>(self) << grant_group_shift) + 1),
      tells_freed_(settings.max_queue_size == 0) {}

// --- What happens to it ---------------------------------------------------------------------

void group_queue::offer(time_point now, owner_index owner, ticket_offer&& offered) {
  bool oversize = false;
  const auto base = base_for(offered.wanted, oversize);
  const auto slot = line_.add(offered.wanted.priority, offered.wanted.deadline, bases_[base]);
  if (records_.size() <= slot) {
    make_room(records_);
    records_.resize(line_.slots());
  }
  auto& fresh = records_[slot] = record{};
  fresh.id = offered.id;
  fresh.since = offered.since;
  fresh.owner = owner;
  fresh.bytes = offered.wanted.bytes;
  fresh.token_estimate = offered.wanted.token_estimate;
  fresh.fallbacks = static_cast<std::uint8_t>(std::min<std::uint32_t>(offered.fallbacks, 255));
  if (offered.wanted.num_retries)
    fresh.own_retries = static_cast<std::uint8_t>(
        std::min<std::uint32_t>(*offered.wanted.num_retries, own_retries_max));
  fresh.base = base;
  fresh.oversize = oversize;
  fresh.api = offered.wanted.api;
  fresh.prompt_estimate = offered.wanted.prompt_estimate;
  fresh.now_or_never = offered.wanted.now_or_never;
  with_fallback_ += offered.next_groups.empty() ? 0 : 1;
  if (!offered.next_groups.empty() || !offered.wanted.tags.empty() ||
      offered.wanted.pinned != no_index || offered.attempts > 0 || offered.retries > 0)
    fresh.rare = std::make_unique<const rare_facts>(
        rare_facts{std::move(offered.next_groups), std::move(offered.wanted.tags),
                   offered.wanted.pinned, offered.attempts, offered.retries});
  make_room_in(slots_);
  if (!slots_.emplace(offered.id, slot).second) {
    // The same id twice is its owner's mistake: the newcomer ends, the first keeps its place.
    const auto kept = slots_[offered.id];
    end(now, slot, end_code::cancelled, std::nullopt);
    slots_[offered.id] = kept;
    return;
  }
  if (draining_)
    return end(now, slot, end_code::draining, std::nullopt);
  if (offered.wanted.group != self_ || settings_->retired)
    return end(now, slot, end_code::unknown_group, std::nullopt);
  if (bases_[records_[slot].base].empty())
    return end(now, slot, end_code::no_deployment, std::nullopt);
  auto code = end_code::timed_out;
  duration retry_after{};
  if (!cooling_.empty() && hopeless(now, slot, code, retry_after))
    return end(now, slot, code, retry_after);
  touch(records_[slot]);
  newcomers_.push_back(
      {offered.id, line_.arrival(slot), offered.attempts > 0, offered.wanted.now_or_never});
}

void group_queue::cancel(ticket_id ticket) {
  const auto found = slots_.find(ticket);
  if (found == slots_.end())
    return;
  if (line_.waiting(found->second))
    forget(found->second);
  else
    records_[found->second].abandoned = true;
}

void group_queue::owner_gone(owner_index owner) {
  std::vector<slot_index> gone;
  for (const auto& [id, slot] : slots_)
    if (records_[slot].owner == owner)
      gone.push_back(slot);
  for (const auto slot : gone) {
    const auto& lost = records_[slot];
    if (line_.waiting(slot)) {
      forget(slot);
    } else {
      output_.orphans.push_back({lost.deployment, lost.granted});
      records_[slot].abandoned = true;
    }
  }
}

void group_queue::room_changed(time_point now, deployment_index which, const room& figures,
                               std::span<const attempt_result> results) {
  // What was said before a reload says nothing of the limits that hold now.
  if (figures.reload >= reload_)
    unheard_.erase(which);
  if (mode_ == line_mode::own && figures.reload >= reload_) {
    const auto asked_to_wait_before = views_[which].figures().retry_after_until;
    const bool was_cooling = views_[which].figures().cooling;
    views_[which].update(figures);
    sort_in(which, was_cooling, asked_to_wait_before);
  }
  for (const auto& result : results)
    apply(now, which, result);
}

void group_queue::set_figures(deployment_index which, const room& figures) {
  const auto asked_to_wait_before = views_[which].figures().retry_after_until;
  const bool was_cooling = views_[which].figures().cooling;
  views_[which].replace(figures);
  sort_in(which, was_cooling, asked_to_wait_before);
}

// Its new figures put a deployment among those that are open, that cool, that re-open.
void group_queue::sort_in(deployment_index which, bool was_cooling,
                          time_point asked_to_wait_before) {
  const auto put = [which](deployment_set& into, bool belongs) {
    if (belongs)
      into.insert(which);
    else
      into.erase(which);
  };
  const auto& fresh = views_[which].figures();
  put(open_, !fresh.cooling && fresh.has_capacity() && !settings_->deployments[which].retired);
  put(cooling_, fresh.cooling);
  put(may_open_, fresh.may_open);
  if (fresh.cooling && !was_cooling)
    ++cooldowns_[which];
  if (fresh.cooling && (!was_cooling || fresh.retry_after_until > asked_to_wait_before))
    look_for_hopeless_ = true;
}

void group_queue::set_mode(line_mode mode) {
  if (std::exchange(mode_, mode) == mode || mode != line_mode::own)
    return;
  touched_.clear();
  // What the deployments can take for this queue alone is on its way.
  unheard_ = deployment_set::all(views_.size());
  open_ = {};
}

std::optional<grant_id> group_queue::grant_by_line(time_point now, ticket_id ticket,
                                                   deployment_index where, grant_reason reason) {
  const auto found = slots_.find(ticket);
  if (found == slots_.end() || !line_.waiting(found->second))
    return std::nullopt;
  give(now, found->second, where, reason);
  return records_[found->second].granted;
}

void group_queue::refuse(time_point now, ticket_id ticket, end_code code, duration retry_after) {
  const auto found = slots_.find(ticket);
  if (found != slots_.end() && line_.waiting(found->second))
    end(now, found->second, code, retry_after);
}

std::optional<group_queue::ticket_standing> group_queue::standing_of(ticket_id ticket) const {
  const auto found = slots_.find(ticket);
  if (found == slots_.end())
    return std::nullopt;
  const auto slot = found->second;
  const auto& about = records_[slot];
  ticket_standing result;
  result.waits = line_.waiting(slot);
  result.oversize = about.oversize;
  result.now_or_never = about.now_or_never;
  result.priority = line_.priority(slot);
  result.since = about.since;
  result.token_estimate = about.token_estimate;
  result.attempts = about.facts().attempts_before + about.attempts;
  if (result.waits)
    result.eligible = line_.eligible(slot);
  return result;
}

std::vector<ticket_id> group_queue::tickets() const {
  std::vector<slot_index> order;
  for (const auto& [id, slot] : slots_)
    order.push_back(slot);
  std::sort(order.begin(), order.end(),
            [&](slot_index a, slot_index b) { return line_.arrival(a) < line_.arrival(b); });
  std::vector<ticket_id> result;
  for (const auto slot : order)
    result.push_back(records_[slot].id);
  return result;
}

void group_queue::fallback_healthy() {
  look_for_hopeless_ = true;
}

bool group_queue::move(ticket_id ticket, std::int32_t priority) {
  const auto found = slots_.find(ticket);
  if (found == slots_.end())
    return false;
  line_.move(found->second, priority);
  touch(records_[found->second]);
  return line_.waiting(found->second);
}

bool group_queue::cancel_by_operator(time_point now, ticket_id ticket) {
  const auto found = slots_.find(ticket);
  if (found == slots_.end() || !line_.waiting(found->second))
    return false;
  end(now, found->second, end_code::cancelled_by_operator, std::nullopt);
  return true;
}

bool group_queue::holds_grant(ticket_id ticket) const {
  const auto found = slots_.find(ticket);
  return found != slots_.end() && !line_.waiting(found->second);
}

void group_queue::ask_position(ticket_id ticket) {
  const auto found = slots_.find(ticket);
  if (found != slots_.end() && line_.waiting(found->second))
    output_.verdicts.push_back(
        {records_[found->second].owner, place_in_line{ticket, line_.position(found->second)}});
}

void group_queue::drain(time_point now) {
  draining_ = true;
  std::vector<slot_index> all;
  line_.for_each([&](slot_index slot) { all.push_back(slot); });
  for (const auto slot : all)
    end(now, slot, end_code::draining, std::nullopt);
}

// --- What it decides ------------------------------------------------------------------------

void group_queue::serve(time_point now) {
  expire(now);
  while (!back_offs_.empty() && back_offs_.top().at <= now) {
    const auto over = back_offs_.top();
    back_offs_.pop();
    if (records_[over.slot].id == over.ticket && line_.waiting(over.slot))
      refresh_eligible(now, over.slot);
  }
  if (look_for_hopeless_)
    end_hopeless(now);
  if (mode_ == line_mode::own) {
    grant_in_order(now);
    if (unheard_.empty()) {
      end_impatient(now);
      refuse_newcomers(now);
    }
    end_reopening();
  } else {
    newcomers_.clear();
  }
  publish();
}

void group_queue::grant_in_order(time_point now) {
  bool probe_due = false;
  cooling_.for_each([&](deployment_index i) { probe_due |= views_[i].figures().probe_at <= now; });
  deployment_set closed;
  lane_done_.assign(line_.lanes(), false);
  while ((probe_due || !open_.within(closed)) && line_.size() > 0) {
    auto best = line_.lanes();
    for (waiting_line::lane_index lane = 0; lane < line_.lanes(); ++lane) {
      if (lane_done_[lane] || line_.lane_empty(lane) || line_.lane_eligible(lane).within(closed))
        continue;
      if (best == line_.lanes() ||
          line_.lane_head(lane) < line_.lane_head(static_cast<waiting_line::lane_index>(best)))
        best = lane;
    }
    if (best == line_.lanes())
      break;
    const auto lane = static_cast<waiting_line::lane_index>(best);
    if (grant_head(now, line_.lane_head(lane).slot, closed))
      continue;
    // It stays the best for all its deployments, and their room is kept for it.
    closed |= line_.lane_eligible(lane);
    lane_done_[lane] = true;
  }
}

bool group_queue::grant_head(time_point now, slot_index slot, const deployment_set& closed) {
  const auto& eligible = line_.eligible(slot);
  const auto& ticket = records_[slot];
  candidates_.clear();
  eligible.for_each([&](deployment_index i) {
    if (!open_.contains(i) || closed.contains(i) || !fits(ticket, views_[i]))
      return;
    const auto& figures = views_[i].figures();
    candidates_.push_back({i, &settings_->deployments[i], figures.in_flight,
                           figures.window_requests, figures.window_tokens, figures.latency});
  });
  if (!candidates_.empty()) {
    give(now, slot, choose(settings_->strategy, candidates_, random_),
         grant_reason::healthy_deployment);
    return true;
  }
  if (eligible.empty() || !eligible.within(cooling_))
    return false;
  // A cooldown that ends at this moment is over, even if its deployment has not said so yet.
  bool all_cool = true;
  eligible.for_each(
      [&](deployment_index i) { all_cool &= views_[i].figures().cooling_until > now; });
  if (!all_cool)
    return false;
  auto probed = no_index;
  eligible.for_each([&](deployment_index i) {
    const auto& figures = views_[i].figures();
    if (closed.contains(i) || figures.probe_at > now || !fits(ticket, views_[i]))
      return;
    if (probed == no_index || figures.cooling_until < views_[probed].figures().cooling_until)
      probed = i;
  });
  if (probed == no_index)
    return false;
  give(now, slot, probed, grant_reason::head_of_line);
  return true;
}

bool group_queue::fits(const record& ticket, const deployment_view& view) const noexcept {
  const auto& figures = view.figures();
  if (figures.tokens == room::unlimited_tokens)
    return true;
  if (ticket.oversize)
    return figures.in_flight == 0 && figures.window_tokens <= 0;
  return static_cast<std::int64_t>(ticket.token_estimate) <= figures.tokens;
}

void group_queue::give(time_point now, slot_index slot, deployment_index where,
                       grant_reason reason) {
  if (mode_ == line_mode::own)
    count_inversions(slot, where);
  auto& ticket = records_[slot];
  ticket.granted = next_grant_++;
  ticket.deployment = where;
  ++ticket.attempts;
  if (ticket.history)
    ticket.retries = ticket.history->retries();
  line_.leave(slot);
  const bool probe = reason == grant_reason::head_of_line;
  if (mode_ == line_mode::own)
    views_[where].take(ticket.token_estimate, probe);
  else
    views_[where].take_counted(ticket.token_estimate, probe);
  if (!views_[where].figures().has_capacity())
    open_.erase(where);
  output_.takes.push_back({where, {ticket.granted, ticket.id, now, ticket.token_estimate, probe}});
  grant given;
  given.ticket = ticket.id;
  given.id = ticket.granted;
  given.group = self_;
  given.deployment = where;
  given.reason = reason;
  given.at = now;
  given.waited = now - ticket.since;
  given.attempt = ticket.facts().attempts_before + ticket.attempts;
  given.retries = ticket.facts().retries_before + ticket.retries;
  given.fallbacks = ticket.fallbacks;
  given.priority = line_.priority(slot);
  output_.verdicts.push_back({ticket.owner, given});
  rate_.count(now);
  ++grants_;
}

// Knows nothing of how the choice was made: only who waits, and for what.
void group_queue::count_inversions(slot_index slot, deployment_index where) {
  const auto own = line_.rank_of(slot);
  for (waiting_line::lane_index lane = 0; lane < line_.lanes(); ++lane)
    if (!line_.lane_empty(lane) && line_.lane_eligible(lane).contains(where) &&
        line_.lane_head(lane) < own) {
      ++inversions_;
      return;
    }
}

// --- Attempts that ended --------------------------------------------------------------------

void group_queue::apply(time_point now, deployment_index where, const attempt_result& result) {
  ++events_;
  if (result.result.kind == outcome_kind::success)
    views_[where].last_answer = events_;
  const auto found = slots_.find(result.ticket);
  if (found == slots_.end() || records_[found->second].granted != result.id ||
      line_.waiting(found->second))
    return;
  const auto slot = found->second;
  auto& ticket = records_[slot];
  const auto kind = result.result.kind;
  if (ticket.abandoned || kind == outcome_kind::success || kind == outcome_kind::cancelled) {
    if (tells_freed_)
      output_.verdicts.push_back({ticket.owner, freed{ticket.id}});
    return forget(slot);
  }
  if (kind == outcome_kind::not_sent) {
    --ticket.attempts;
    return come_back(now, slot, ticket.attempts > 0);
  }
  if (!ticket.history)
    ticket.history = std::make_unique<attempt_history>();
  auto& history = *ticket.history;
  const bool answered_others =
      history.last_rate_limit != 0 && views_[where].last_answer > history.last_rate_limit;
  const auto own_retries = ticket.own_retries == no_own_retries
                               ? std::nullopt
                               : std::optional<std::uint32_t>(ticket.own_retries);
  const auto next =
      history.record(now, where, result, *settings_, own_retries, answered_others, random_);
  if (kind == outcome_kind::rate_limited)
    history.last_rate_limit = events_;
  switch (next) {
  case attempt_history::verdict::waits_again:
    return come_back(now, slot, true);
  case attempt_history::verdict::exhausted:
    return end(now, slot, end_code::attempts_exhausted, history.last_retry_after());
  case attempt_history::verdict::rejected:
    return end(now, slot, end_code::rejected, std::nullopt);
  }
}

void group_queue::come_back(time_point now, slot_index slot, bool attempted) {
  if (draining_)
    return end(now, slot, end_code::draining, std::nullopt);
  if (settings_->retired)
    return end(now, slot, end_code::unknown_group, std::nullopt);
  if (line_.deadline(slot) <= now)
    return end(now, slot, end_code::timed_out, std::nullopt);
  if (reachable(slot).empty())
    return end(now, slot, end_code::attempts_exhausted, std::nullopt);
  auto code = end_code::timed_out;
  duration retry_after{};
  if (hopeless(now, slot, code, retry_after))
    return end(now, slot, code, retry_after);
  line_.rejoin(slot, deployment_set{}, attempted);
  refresh_eligible(now, slot);
  output_.verdicts.push_back({records_[slot].owner, returned{records_[slot].id}});
}

// --- Eligibility ----------------------------------------------------------------------------

std::uint32_t group_queue::base_for(const ask& wanted, bool& oversize) {
  const bool is_usual = wanted.tags.empty() && wanted.pinned == no_index;
  if (is_usual && usual_ && usual_->is_for(wanted)) {
    oversize = usual_->oversize;
    return usual_->base;
  }
  auto base = eligible_deployments(*settings_, wanted, oversize);
  const auto found = std::find(bases_.begin(), bases_.end(), base);
  const auto place = static_cast<std::uint32_t>(found - bases_.begin());
  if (found == bases_.end())
    bases_.push_back(std::move(base));
  if (is_usual)
    usual_ = {wanted.api, wanted.token_estimate, wanted.prompt_estimate, place, oversize};
  return place;
}

deployment_set group_queue::reachable(slot_index slot) const {
  auto result = bases_[records_[slot].base];
  if (records_[slot].history)
    records_[slot].history->subtract_refused(result);
  return result;
}

void group_queue::refresh_eligible(time_point now, slot_index slot) {
  const auto& ticket = records_[slot];
  auto eligible = reachable(slot);
  if (ticket.history) {
    ticket.history->subtract_backing_off(now, eligible);
    const auto next = ticket.history->next_return(now);
    if (next != never)
      back_offs_.push({next, slot, ticket.id});
  }
  line_.change_eligible(slot, eligible);
  touch(ticket);
}

// --- Endings --------------------------------------------------------------------------------

void group_queue::expire(time_point now) {
  while (line_.next_deadline() <= now)
    end(now, line_.first_to_expire(), end_code::timed_out, std::nullopt);
}

void group_queue::end(time_point now, slot_index slot, end_code code,
                      std::optional<duration> retry_after, bool displaced) {
  const auto& ticket = records_[slot];
  ended result;
  result.end.ticket = ticket.id;
  result.end.code = code;
  result.end.retry_after = retry_after;
  result.end.group = self_;
  result.end.waited = now - ticket.since;
  result.end.attempts = ticket.facts().attempts_before + ticket.attempts;
  result.end.retries = ticket.facts().retries_before + ticket.retries;
  result.end.fallbacks = ticket.fallbacks;
  if (ticket.history) {
    result.end.status = ticket.history->last_status();
    result.end.timed_out = ticket.history->last_timed_out();
    result.context_window = ticket.history->context_window();
    result.content_policy = ticket.history->content_policy();
  }
  result.may_fall_back = code == end_code::attempts_exhausted || code == end_code::rejected ||
                         code == end_code::no_deployment ||
                         code == end_code::rate_limited_beyond_deadline ||
                         code == end_code::all_cooling_down;
  result.displaced = displaced;
  result.end.priority = line_.priority(slot);
  const auto owner = ticket.owner;
  forget(slot);
  output_.verdicts.push_back({owner, std::move(result)});
}

void group_queue::forget(slot_index slot) {
  auto& ticket = records_[slot];
  touch(ticket);
  with_fallback_ -= ticket.facts().next_groups.empty() ? 0 : 1;
  slots_.erase(ticket.id);
  ticket.id = 0;
  ticket.granted = 0;
  ticket.history.reset();
  ticket.rare.reset();
  line_.remove(slot);
}

// True if waiting makes no sense for this ticket: all it could go to cools down and a fallback is
// free, or all of it asks to be left alone until after the ticket's deadline (spec, "Fallbacks").
bool group_queue::hopeless(time_point now, slot_index slot, end_code& code, duration& retry_after) {
  const auto& ticket = records_[slot];
  const auto reach = reachable(slot);
  if (reach.empty())
    return false;
  auto asked_to_wait = never;
  auto cooling_until = never;
  reach.for_each([&](deployment_index i) {
    const auto& figures = views_[i].figures();
    auto until = figures.cooling ? figures.retry_after_until : time_point{};
    if (ticket.history)
      until = std::max(until, ticket.history->asked_to_wait_until(i));
    asked_to_wait = std::min(asked_to_wait, until);
    cooling_until = std::min(cooling_until, figures.cooling_until);
  });
  if (asked_to_wait > now && asked_to_wait > line_.deadline(slot)) {
    code = end_code::rate_limited_beyond_deadline;
    retry_after = asked_to_wait - now;
    return true;
  }
  const auto& next_groups = ticket.facts().next_groups;
  if (next_groups.empty() || !reach.within(cooling_))
    return false;
  for (const auto next : next_groups)
    if (board_.healthy(next)) {
      code = end_code::all_cooling_down;
      retry_after = std::max(cooling_until - now, duration::zero());
      return true;
    }
  for (const auto next : next_groups)
    if (std::find(output_.watched.begin(), output_.watched.end(), next) == output_.watched.end())
      output_.watched.push_back(next);
  return false;
}

void group_queue::end_hopeless(time_point now) {
  look_for_hopeless_ = false;
  // Only tickets all of whose deployments cool, or that stay away by themselves, can be so.
  const bool some_base_cools = std::any_of(
      bases_.begin(), bases_.end(), [&](const auto& base) { return base.intersects(cooling_); });
  if (!some_base_cools)
    return;
  std::vector<std::pair<slot_index, std::pair<end_code, duration>>> over;
  line_.for_each([&](slot_index slot) {
    auto code = end_code::timed_out;
    duration retry_after{};
    if (hopeless(now, slot, code, retry_after))
      over.push_back({slot, {code, retry_after}});
  });
  // In order, since those that go to another group take new numbers there.
  std::sort(over.begin(), over.end(), [&](const auto& a, const auto& b) {
    return line_.rank_of(a.first) < line_.rank_of(b.first);
  });
  for (const auto& [slot, how] : over)
    end(now, slot, how.first, how.second);
}

// Those that were to be granted at once, or not at all.
void group_queue::end_impatient(time_point now) {
  for (const auto& one : newcomers_) {
    if (!one.now_or_never)
      continue;
    const auto found = slots_.find(one.ticket);
    if (found == slots_.end() || !line_.waiting(found->second))
      continue;
    const bool cools = line_.eligible(found->second).within(cooling_);
    end(now, found->second, cools ? end_code::all_cooling_down : end_code::queue_full,
        rate_.time_for(now, line_.size()));
    grant_in_order(now); // the room that was kept for it
  }
}

// Each newcomer that still waits where there is no place sends one away: the worst of those that
// have had no attempt, which may be itself.
void group_queue::refuse_newcomers(time_point now) {
  const auto waits = [&](const newcomer& one) {
    const auto found = slots_.find(one.ticket);
    return found != slots_.end() && line_.waiting(found->second);
  };
  const auto overfull = [&] {
    return line_.size() > settings_->max_queue_size;
  };
  auto standing = overfull() ? std::count_if(newcomers_.begin(), newcomers_.end(), waits) : 0;
  for (; standing > 0 && overfull(); --standing) {
    const auto worst = line_.worst_unattempted();
    if (worst == waiting_line::no_slot)
      break;
    end(now, worst, end_code::queue_full, rate_.time_for(now, line_.size()),
        line_.arrival(worst) < newcomers_.front().arrival);
    const auto taken = output_.takes.size();
    grant_in_order(now); // room may have been kept for that one
    for (auto i = taken; i < output_.takes.size(); ++i)
      standing -= std::any_of(newcomers_.begin(), newcomers_.end(), [&](const newcomer& one) {
        return one.ticket == output_.takes[i].what.ticket;
      });
  }
  // Those that had attempts in other groups are displaced no more, now that they are in.
  for (const auto& one : newcomers_)
    if (one.tried_elsewhere && waits(one))
      line_.mark_attempted(slots_.find(one.ticket)->second);
  newcomers_.clear();
}

// Spec, "Re-opening": until nobody is held back by it.
void group_queue::end_reopening() {
  if (may_open_.empty())
    return;
  deployment_set wanted;
  for (waiting_line::lane_index lane = 0; lane < line_.lanes(); ++lane)
    if (!line_.lane_empty(lane))
      wanted |= line_.lane_eligible(lane);
  const auto candidates = may_open_;
  candidates.for_each([&](deployment_index i) {
    if (views_[i].figures().slots == 0 && wanted.contains(i))
      return;
    output_.opened.push_back({i, views_[i].figures().phase});
    may_open_.erase(i);
  });
}

// --- What others may know -------------------------------------------------------------------

void group_queue::publish() {
  if (board_.healthy(self_) == open_.empty())
    board_.set_healthy(self_, !open_.empty());
}

time_point group_queue::next_event(time_point now) const {
  auto next = line_.next_deadline();
  if (!back_offs_.empty())
    next = std::min(next, back_offs_.top().at);
  if (line_.size() > 0 && mode_ == line_mode::own)
    cooling_.for_each([&](deployment_index i) {
      const auto at = views_[i].figures().probe_at;
      if (at > now)
        next = std::min(next, at);
    });
  return next;
}

group_queue::waiting_ticket group_queue::describe(waiting_line::slot_index slot) const {
  const auto& ticket = records_[slot];
  return {ticket.id,           line_.priority(slot), ticket.since, line_.deadline(slot),
          ticket.owner,        ticket.attempts,      ticket.bytes, line_.eligible(slot),
          line_.arrival(slot), ticket.token_estimate};
}

time_point group_queue::back_off_ends(waiting_line::slot_index slot, time_point now) const {
  const auto& history = records_[slot].history;
  return history ? history->next_return(now) : never;
}

std::optional<group_queue::slot_index> group_queue::slot_of_waiting(ticket_id ticket) const {
  const auto found = slots_.find(ticket);
  if (found == slots_.end() || !line_.waiting(found->second))
    return std::nullopt;
  return found->second;
}

std::optional<group_queue::waiting_ticket> group_queue::find_waiting(ticket_id ticket) const {
  const auto slot = slot_of_waiting(ticket);
  return slot ? std::optional(describe(*slot)) : std::nullopt;
}

} // namespace vorrang
