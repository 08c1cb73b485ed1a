#include "actors/request_book.hpp"

#include <algorithm>
#include <cassert>

namespace vorrang {
namespace {

// A ticket id: 16 bits for the book, 24 for how often the place was used, 24 for the place.
constexpr unsigned tag_shift = 48;
constexpr unsigned generation_shift = 24;
constexpr std::uint32_t low_24 = 0xffffff;
/// Spec, "Fallbacks": at most five groups are visited, the first included.
constexpr std::size_t groups_visited_max = 5;

std::vector<fallback_target> chain(const std::vector<fallback_target>& told, group_index first) {
  std::vector<fallback_target> result;
  const auto visited = [&](group_index group) {
    return group == first || std::any_of(result.begin(), result.end(),
                                         [&](const auto& other) { return other.group == group; });
  };
  for (const auto& target : told)
    if (!visited(target.group) && result.size() + 1 < groups_visited_max)
      result.push_back(target);
  return result;
}

std::vector<group_index> groups_of(const std::vector<fallback_target>& targets) {
  std::vector<group_index> result;
  for (const auto& target : targets)
    result.push_back(target.group);
  return result;
}

} // namespace

void book_output::clear() {
  offers.clear();
  cancels.clear();
  settles.clear();
  heads.clear();
  places.clear();
}

request_book::request_book(const engine_settings& settings, std::uint16_t tag, duration unsent_max)
    : settings_(&settings), tag_(static_cast<ticket_id>(tag) << tag_shift),
      unsent_max_(unsent_max) {}

ticket_id request_book::open(time_point now, ask wanted, request_listener& listener) {
  std::uint32_t place;
  if (free_.empty()) {
    place = static_cast<std::uint32_t>(requests_.size());
    assert(place <= low_24);
    requests_.emplace_back();
  } else {
    place = free_.back();
    free_.pop_back();
  }
  auto& fresh = requests_[place];
  fresh.generation = (fresh.generation + 1) & low_24;
  fresh.listener = &listener;
  fresh.since = now;
  fresh.group = wanted.group;
  fresh.fallbacks = 0;
  fresh.at = stage::waiting;
  ++open_;

  ticket_offer offer;
  offer.id = tag_ | (static_cast<ticket_id>(fresh.generation) << generation_shift) | place;
  offer.since = now;
  // The first queue tells the owner of a group that does not exist.
  if (wanted.group >= settings_->groups.size())
    fresh.group = 0;
  const auto& group = settings_->groups[fresh.group];
  const auto& next = wanted.fallbacks.empty() ? group.fallbacks : wanted.fallbacks;
  if (fresh.group == wanted.group && wanted.may_fall_back &&
      !(next.empty() && group.context_window_fallbacks.empty() &&
        group.content_policy_fallbacks.empty())) {
    fresh.way = std::make_unique<journey>();
    fresh.way->wanted = wanted;
    fresh.way->next = chain(next, wanted.group);
    fresh.way->next_for_long_prompts = chain(group.context_window_fallbacks, wanted.group);
    fresh.way->next_for_content_policy = chain(group.content_policy_fallbacks, wanted.group);
    offer.next_groups = groups_of(fresh.way->next);
  }
  offer.wanted = std::move(wanted);
  const auto id = offer.id;
  output_.offers.push_back({fresh.group, std::move(offer)});
  return id;
}

void request_book::cancel(ticket_id ticket) {
  auto* gone = find(ticket);
  if (!gone)
    return;
  if (gone->at == stage::granted) {
    outcome unwanted;
    unwanted.kind = outcome_kind::cancelled;
    unwanted.sent = gone->sent;
    settle(ticket, unwanted);
    return;
  }
  if (gone->at != stage::freeing)
    output_.cancels.push_back({gone->group, ticket});
  release(*gone);
}

bool request_book::begin_sending(time_point now, ticket_id ticket) {
  auto* sender = find(ticket);
  if (!sender || sender->at != stage::granted)
    return false;
  sweep(now);
  if (sender->at != stage::granted)
    return false;
  sender->sent = true;
  return true;
}

void request_book::head_arrived(ticket_id ticket) {
  if (const auto* found = find(ticket); found && found->at == stage::granted && found->probe)
    output_.heads.push_back({found->group, found->deployment, found->held});
}

void request_book::settle(ticket_id ticket, const outcome& result) {
  auto* over = find(ticket);
  if (!over || over->at != stage::granted)
    return;
  output_.settles.push_back({over->group, over->deployment, over->held, result});
  over->held = 0;
  over->at = stage::settled;
  if (result.kind == outcome_kind::success || result.kind == outcome_kind::cancelled)
    release(*over);
}

bool request_book::settle_and_hear(ticket_id ticket, const outcome& result) {
  auto* over = find(ticket);
  if (!over || over->at != stage::granted || settings_->groups[over->group].max_queue_size > 0) {
    settle(ticket, result);
    return false;
  }
  output_.settles.push_back({over->group, over->deployment, over->held, result});
  over->held = 0;
  over->at = stage::freeing;
  return true;
}

void request_book::ask_position(ticket_id ticket) {
  if (const auto* found = find(ticket); found && found->at == stage::waiting)
    output_.places.push_back({found->group, ticket});
}

void request_book::deliver(time_point now, std::span<const verdict> verdicts) {
  for (const auto& what : verdicts) {
    if (const auto* given = std::get_if<grant>(&what)) {
      on_grant(now, *given);
    } else if (const auto* how = std::get_if<ended>(&what)) {
      on_end(*how);
    } else if (const auto* back = std::get_if<returned>(&what)) {
      if (auto* found = find(back->ticket); found && found->at == stage::settled) {
        found->at = stage::waiting;
        found->listener->on_waiting_again();
      }
    } else if (const auto* slot = std::get_if<freed>(&what)) {
      if (auto* found = find(slot->ticket); found && found->at == stage::freeing) {
        auto& listener = *found->listener;
        release(*found);
        listener.on_freed();
      }
    } else if (const auto* place = std::get_if<place_in_line>(&what)) {
      if (auto* found = find(place->ticket); found && found->at == stage::waiting)
        found->listener->on_position(place->position);
    }
  }
}

void request_book::on_grant(time_point now, const grant& given) {
  auto* found = find(given.ticket);
  if (!found || found->at == stage::granted)
    return give_back(given);
  found->at = stage::granted;
  found->held = given.id;
  found->deployment = given.deployment;
  found->sent = false;
  found->probe = given.reason == grant_reason::head_of_line;
  if (unsent_max_ != duration::max()) {
    // Two out for one in: the list holds little more than what is really unsent.
    for (int i = 0; i < 2 && !unsent_.empty() && !still_unsent(unsent_.front()); ++i)
      unsent_.pop_front();
    unsent_.push_back({now, given.ticket, given.id});
  }
  found->listener->on_grant(given);
}

void request_book::on_end(const ended& how) {
  auto* found = find(how.end.ticket);
  if (!found || found->at == stage::granted)
    return;
  if (found->way && how.end.attempts > found->way->attempts) {
    found->way->attempts = how.end.attempts;
    found->way->timed_out = how.end.timed_out;
  }
  if (found->way && fall_back(*found, how))
    return found->listener->on_fallback(found->group);
  auto end = how.end;
  // Where the last groups only turned it away, the error of the one before them is the answer.
  const bool turned_away =
      (end.code == end_code::queue_full && !how.displaced) ||
      (end.status == 0 &&
       (end.code == end_code::no_deployment || end.code == end_code::unknown_group ||
        end.code == end_code::rate_limited_beyond_deadline ||
        end.code == end_code::all_cooling_down));
  if (turned_away && found->way && found->way->last_error &&
      (end.code == end_code::queue_full || end.code == end_code::unknown_group ||
       found->way->last_error->status != 0)) {
    end = *found->way->last_error;
    end.attempts = how.end.attempts;
    end.retries = how.end.retries;
    end.waited = how.end.waited;
    end.fallbacks = how.end.fallbacks;
    end.priority = how.end.priority;
  }
  if (end.status == 0 && found->way && found->way->last_error)
    end.status = found->way->last_error->status;
  if (found->way)
    end.timed_out = found->way->timed_out;
  auto& listener = *found->listener;
  release(*found);
  listener.on_end(end);
}

bool request_book::fall_back(request& failed, const ended& how) {
  auto& way = *failed.way;
  // Or the group was removed since; where it is the first of all the model itself is unknown.
  const bool turned_away =
      failed.fallbacks > 0 && ((how.end.code == end_code::queue_full && !how.displaced) ||
                               how.end.code == end_code::unknown_group);
  if (!how.may_fall_back && !turned_away)
    return false;
  // What an upstream has said outranks that nobody could be asked.
  if (!turned_away && (how.end.status != 0 || !way.last_error))
    way.last_error = how.end;
  if (failed.fallbacks == 0 && how.context_window && !way.next_for_long_prompts.empty())
    way.next = std::move(way.next_for_long_prompts);
  else if (failed.fallbacks == 0 && how.content_policy && !way.next_for_content_policy.empty())
    way.next = std::move(way.next_for_content_policy);
  if (way.next.empty())
    return false;
  const auto next = way.next.front();
  way.next.erase(way.next.begin());

  failed.group = next.group;
  failed.at = stage::waiting;
  ++failed.fallbacks;
  ticket_offer offer;
  offer.id = how.end.ticket;
  offer.wanted = way.wanted;
  offer.wanted.group = next.group;
  offer.wanted.pinned = next.pinned;
  offer.wanted.priority = how.end.priority;
  offer.since = failed.since;
  offer.attempts = how.end.attempts;
  offer.retries = how.end.retries;
  offer.fallbacks = failed.fallbacks;
  offer.next_groups = groups_of(way.next);
  output_.offers.push_back({next.group, std::move(offer)});
  return true;
}

void request_book::sweep(time_point now) {
  while (!unsent_.empty()) {
    const auto oldest = unsent_.front();
    const bool still = still_unsent(oldest);
    if (still && now - oldest.granted_at < unsent_max_)
      break;
    unsent_.pop_front();
    if (!still)
      continue;
    outcome unused;
    unused.kind = outcome_kind::not_sent;
    unused.sent = false;
    settle(oldest.ticket, unused);
  }
}

bool request_book::still_unsent(const unsent& entry) {
  const auto* found = find(entry.ticket);
  return found && found->at == stage::granted && found->held == entry.grant && !found->sent;
}

time_point request_book::next_sweep() const noexcept {
  return unsent_.empty() ? never : unsent_.front().granted_at + unsent_max_;
}

void request_book::close() {
  for (std::size_t place = 0; place < requests_.size(); ++place) {
    const auto& open = requests_[place];
    if (open.at != stage::free)
      cancel(tag_ | (static_cast<ticket_id>(open.generation) << generation_shift) | place);
  }
}

group_index request_book::group_of(ticket_id ticket) const {
  const auto* found = const_cast<request_book*>(this)->find(ticket);
  return found ? found->group : no_index;
}

bool request_book::holds_grant(ticket_id ticket) const {
  const auto* found = const_cast<request_book*>(this)->find(ticket);
  return found && found->at == stage::granted;
}

request_book::request* request_book::find(ticket_id ticket) {
  const auto place = static_cast<std::uint32_t>(ticket) & low_24;
  if (place >= requests_.size() || (ticket >> tag_shift) != (tag_ >> tag_shift))
    return nullptr;
  auto& found = requests_[place];
  const auto generation = static_cast<std::uint32_t>(ticket >> generation_shift) & low_24;
  return found.at != stage::free && found.generation == generation ? &found : nullptr;
}

void request_book::release(request& over) {
  const auto generation = over.generation;
  over = request{};
  over.generation = generation;
  free_.push_back(static_cast<std::uint32_t>(&over - requests_.data()));
  --open_;
}

void request_book::give_back(const grant& unwanted) {
  outcome unused;
  unused.kind = outcome_kind::cancelled;
  unused.sent = false;
  output_.settles.push_back({unwanted.group, unwanted.deployment, unwanted.id, unused});
}

} // namespace vorrang
