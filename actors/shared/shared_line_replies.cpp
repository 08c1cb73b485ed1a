// What the line says: replies, and what it publishes.
#include "actors/shared/line_json.hpp"
#include "actors/shared/shared_line.hpp"

#include <algorithm>

namespace vorrang {

using json = nlohmann::json;
using line_json::number_in;
using line_json::ticket_in;

namespace {

/// A list of the reply; one that is empty is not said.
const json& list_in(const json& said, const char* name) {
  static const json none = json::array();
  const auto found = said.find(name);
  return found == said.end() ? none : *found;
}

} // namespace

bool shared_line::replied(time_point now, std::string_view text) {
  try {
    const auto said = json::parse(text);
    for (const char* field : {"epoch", "now", "seq", "members"})
      if (!said.contains(field))
        return false;
    if (list_in(said, "results").size() != out_.size())
      return false;
    take_reply(now, said);
    return true;
  } catch (const std::exception&) { // not the script's: somebody else's key, or another release's
    return false;
  }
}

void shared_line::take_reply(time_point now, const json& said) {
  const auto epoch = said.at("epoch").get<std::string>();
  is_out_ = false;
  server_now_ = number_in(said, "now");
  local_now_ = now;
  const bool is_another = epoch != epoch_;
  epoch_ = epoch;
  seq_ = static_cast<std::uint64_t>(number_in(said, "seq"));
  members_ = {static_cast<std::uint32_t>(number_in(said, "members")),
              static_cast<std::uint32_t>(number_in(said, "rank"))};
  members_max_ = members_.count;
  inversions_ = static_cast<std::uint64_t>(number_in(said, "inversions"));
  overruns_ = static_cast<std::uint64_t>(number_in(said, "overruns"));
  settings_differ_ = said.value("mismatch", false);
  opening_ = said.value("opening", false);
  const auto look = number_in(said, "next");
  next_look_ = look == 0 ? never : local_time(now, look);

  const auto said_operations = std::exchange(out_, {});
  const auto& results = list_in(said, "results");
  for (std::size_t i = 0; i < said_operations.size(); ++i)
    heard(now, said_operations[i], results[i]);
  for (const auto& each : list_in(said, "grants"))
    granted(now, each);
  for (const auto& each : list_in(said, "refused"))
    refused(now, each);
  set_rooms(now, list_in(said, "rooms"));
  if (!opening_)
    said_ready_ = false;
  else if (is_current() && !std::exchange(said_ready_, true))
    say(verb::other, {{"op", "ready"}}); // it asks who is there, and knows all that this one does
  if (is_away() || is_another || said.value("forgotten", false))
    announce(now);
}

void shared_line::heard(time_point now, const operation& said, const json& result) {
  switch (said.what) {
  case verb::offer:
    if (const auto found = told_.find(said.ticket); found != told_.end() && result.is_string())
      found->second.arrival = result.get<std::string>();
    break;
  case verb::settle:
    // The grant was given away meanwhile: a ticket that waits again stands nowhere there.
    if (result == false)
      if (const auto how = queue_.standing_of(said.ticket); how && how->waits)
        offer(said.ticket, *how, told_[said.ticket]);
    break;
  case verb::confirm:
    if (result == true)
      granted(now, json::parse(said.text));
    break;
  case verb::mine:
    for (const auto& each : result)
      granted(now, each);
    break;
  case verb::ready:
    stage_ = stage::current;
    break;
  case verb::ask:
    said.answered(&result);
    break;
  case verb::cancel:
  case verb::other:
    break;
  }
}

void shared_line::granted(time_point now, const json& what) {
  const auto name = what.at("grant").get<std::string>();
  if (by_name_.contains(name))
    return;
  const auto ticket = ticket_in(what);
  const auto& deployments = queue_.settings().deployments;
  const auto here = std::find_if(deployments.begin(), deployments.end(), [&](const auto& each) {
    return each.id == what.at("deployment").get_ref<const std::string&>();
  });
  const auto where = static_cast<deployment_index>(here - deployments.begin());
  const auto how = queue_.standing_of(ticket);
  std::optional<grant_id> given;
  // Settings that have just changed may not have been told of all tickets yet.
  if (here != deployments.end() && queue_.allows(ticket, where))
    given = queue_.grant_by_line(now, ticket, where,
                                 what.at("reason") == "head-of-line"
                                     ? grant_reason::head_of_line
                                     : grant_reason::healthy_deployment);
  if (!given)
    return give_back(name);
  running_[*given] = {name,  ticket,
                      where, how->token_estimate,
                      now,   remember_use(now, where, name, how->token_estimate)};
  by_name_[name] = *given;
  if (const auto found = told_.find(ticket); found != told_.end())
    found->second.away = true;
  // What a reply has put in force needs no confirmation, and must get none after its attempt.
  std::erase_if(waiting_, [&](const operation& each) {
    return each.what == verb::confirm && each.grant == name;
  });
}

void shared_line::refused(time_point now, const json& what) {
  const auto ticket = ticket_in(what);
  told_.erase(ticket);
  queue_.refuse(now, ticket,
                what.value("why", "full") == "cooling" ? end_code::all_cooling_down
                                                       : end_code::queue_full,
                std::chrono::seconds(number_in(what, "retry_after")));
}

void shared_line::set_rooms(time_point now, const json& rooms) {
  const auto& deployments = queue_.settings().deployments;
  for (const auto& each : rooms) {
    const auto& id = each.at("id").get_ref<const std::string&>();
    const auto here = std::find_if(deployments.begin(), deployments.end(),
                                   [&](const auto& one) { return one.id == id; });
    if (here == deployments.end())
      continue;
    room figures;
    figures.cooling = each.value("cooling", false);
    figures.slots = each.contains("slots") ? static_cast<std::uint32_t>(std::min<std::int64_t>(
                                                 number_in(each, "slots"), room::unlimited_slots))
                                           : room::unlimited_slots;
    if (figures.cooling)
      figures.slots = 0;
    if (each.contains("left"))
      figures.tokens = number_in(each, "left");
    figures.in_flight = static_cast<std::uint32_t>(number_in(each, "n"));
    figures.window_requests = number_in(each, "requests");
    figures.window_tokens = number_in(each, "tokens");
    figures.latency = std::chrono::microseconds(
        each.value("latency", 0.0) < 1 ? 0 : static_cast<std::int64_t>(each.value("latency", 0.0)));
    figures.last_failure_status = static_cast<std::uint16_t>(number_in(each, "status"));
    figures.phase = static_cast<std::uint32_t>(number_in(each, "phase"));
    if (figures.cooling) {
      figures.cooling_until = local_time(now, number_in(each, "ends"));
      if (const auto asked = number_in(each, "asked"); asked > 0)
        figures.retry_after_until = local_time(now, asked);
      if (const auto probe = number_in(each, "probe"); probe > 0)
        figures.probe_at = local_time(now, probe);
    }
    queue_.set_figures(static_cast<deployment_index>(here - deployments.begin()), figures);
  }
}

void shared_line::lost() {
  is_out_ = false;
  // In front of what has gathered since, in their order.
  for (auto each = out_.rbegin(); each != out_.rend(); ++each) {
    if (each->what == verb::settle || each->what == verb::cancel)
      waiting_.push_front(std::move(*each));
    else if (each->what == verb::ask)
      each->answered(nullptr);
  }
  out_.clear();
  stage_ = stage::away;
}

void shared_line::noted(time_point now, std::string_view text) {
  try {
    take_note(now, json::parse(text));
  } catch (const std::exception&) { // anybody can publish anything
  }
}

void shared_line::take_note(time_point now, const json& said) {
  if (!said.is_array() || said.empty() || !said[0].is_string())
    return;
  const auto& kind = said[0].get_ref<const std::string&>();
  if (kind == "look")
    return renew();
  if (said.size() < 2 || !said[1].is_object())
    return;
  const auto& what = said[1];
  const auto ticket = ticket_in(what);
  if (kind == "offer") {
    const auto name = what.at("grant").get<std::string>();
    if (by_name_.contains(name)) // a reply held it already: its call runs
      return;
    const auto how = queue_.standing_of(ticket);
    if (!how || !how->waits)
      return give_back(name);
    json text_of_call{{"op", "confirm"}, {"grant", name}};
    for (const char* field : {"ticket", "deployment", "reason"})
      text_of_call[field] = what.at(field);
    say(verb::confirm, text_of_call, ticket, name);
  } else if (kind == "refused") {
    refused(now, what);
  } else if (kind == "moved") {
    const auto priority = static_cast<std::int32_t>(number_in(what, "priority"));
    if (const auto found = told_.find(ticket); found != told_.end())
      found->second.priority = priority;
    queue_.move(ticket, priority);
  } else if (kind == "ended") {
    told_.erase(ticket);
    queue_.cancel_by_operator(now, ticket);
  }
}

} // namespace vorrang
