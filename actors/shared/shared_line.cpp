#include "actors/shared/shared_line.hpp"
#include "actors/queue_report.hpp"
#include "actors/shared/line_json.hpp"
#include "actors/windows.hpp"

#include <algorithm>

namespace vorrang {
namespace {

using json = nlohmann::json;
using line_json::hex;
using line_json::micros;
using line_json::number_in;
using line_json::ticket_in;

/// Operations in one call: the server does nothing else meanwhile.
constexpr std::size_t operations_max = 256;
/// Entries of a window in one operation.
constexpr std::size_t entries_max = 200;

/// Names a text; FNV-1a, 64 bits (as RFC 9923 has it): for telling apart, not for secrets.
std::string digest_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const auto letter : text)
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
  return hex(hash);
}

std::string_view name_of(routing_strategy strategy) {
  switch (strategy) {
  case routing_strategy::usage_based:
    return "usage-based";
  case routing_strategy::least_busy:
    return "least-busy";
  case routing_strategy::latency_based:
    return "latency-based";
  case routing_strategy::simple_shuffle:
    break;
  }
  return "simple-shuffle";
}

std::string_view name_of(const outcome& result) {
  switch (result.kind) {
  case outcome_kind::success:
    return "success";
  case outcome_kind::rate_limited:
    return "rate_limited";
  case outcome_kind::rejected:
    return refuses(result) ? "refused" : "rejected";
  case outcome_kind::failed:
    return "failed";
  case outcome_kind::not_sent:
    return "not_sent";
  case outcome_kind::cancelled:
    break;
  }
  return "cancelled";
}

json describe(const group_settings& group) {
  json deployments = json::array();
  for (const auto& each : group.deployments) {
    json one{{"id", each.id},
             {"cooldown", micros(each.cooldown_time.value_or(group.cooldown_time))}};
    if (each.retired) { // only its place counts, for the numbers
      deployments.push_back({{"id", each.id}, {"retired", true}});
      continue;
    }
    if (each.rpm)
      one["rpm"] = *each.rpm;
    if (each.tpm)
      one["tpm"] = *each.tpm;
    if (each.max_parallel_requests)
      one["slots"] = *each.max_parallel_requests;
    if (each.weight)
      one["weight"] = *each.weight;
    if (each.order)
      one["order"] = *each.order;
    deployments.push_back(std::move(one));
  }
  return {{"deployments", std::move(deployments)},
          {"max_waiting", group.max_queue_size},
          {"first_probe", std::max<std::int64_t>(micros(group.probe_spacing), 1000)},
          {"strategy", name_of(group.strategy)}};
}

/// A group's name as part of a key: braces would end the hash tag.
std::string key_for(const std::string& name_space, const std::string& group) {
  std::string name;
  for (const auto letter : group) {
    if (letter == '{' || letter == '}' || letter == '%')
      name += '%' + hex(static_cast<unsigned char>(letter));
    else
      name += letter;
  }
  return name_space + ":{" + name + "}:line";
}

/// What the attempt used of tpm, as deployment::charge_tokens has it; nothing: its estimate.
std::optional<std::uint64_t> tokens_used(const outcome& result) {
  if (!result.sent)
    return 0;
  if (result.tokens)
    return std::min<std::uint64_t>(*result.tokens, std::numeric_limits<std::int32_t>::max());
  if (result.kind != outcome_kind::success && result.kind != outcome_kind::cancelled)
    return 0;
  return std::nullopt;
}

} // namespace

shared_line::shared_line(group_queue& queue, std::string instance, const std::string& name_space)
    : queue_(queue), instance_(std::move(instance)),
      key_(key_for(name_space, queue.settings().name)),
      settings_(describe(queue.settings()).dump()), digest_(digest_of(settings_)) {}

void shared_line::settings_changed() {
  settings_ = describe(queue_.settings()).dump();
  digest_ = digest_of(settings_);
  // Who was told to be eligible for all would now be so for what is new as well: all are told of
  // anew. A set with a deployment that is none equals no ticket's.
  const auto none = static_cast<deployment_index>(queue_.settings().deployments.size());
  for (auto& [ticket, record] : told_)
    record.eligible.insert(none);
  renew();
}

// --- What happened here ----------------------------------------------------------------------

void shared_line::say(verb what, const json& text, ticket_id ticket, std::string grant) {
  waiting_.push_back({what, ticket, std::move(grant), text.dump(), {}});
}

void shared_line::ask(const json& operation_text, std::function<void(const json*)> answered) {
  waiting_.push_back({verb::ask, 0, {}, operation_text.dump(), std::move(answered)});
}

void shared_line::change_other(ticket_id ticket, std::optional<std::int32_t> priority,
                               std::function<void(bool)> done) {
  json text{{"op", priority ? "move_other" : "end_other"}, {"ticket", hex(ticket)}};
  if (priority)
    text["priority"] = *priority;
  ask(text, [done = std::move(done)](const json* result) { done(result && *result == true); });
}

void shared_line::show(const page_of_line& wanted, queue_view view,
                       std::function<void(bool, queue_view&)> shown) {
  ask({{"op", "show"}, {"offset", wanted.offset}, {"limit", wanted.limit}},
      [this, view = std::move(view), shown = std::move(shown)](const json* result) mutable {
        if (result)
          put_page(*result, view);
        shown(result != nullptr, view);
      });
}

void shared_line::put_page(const json& page, queue_view& view) const {
  view.waiting = static_cast<std::uint64_t>(number_in(page, "total"));
  view.inversions = inversions_;
  view.overruns = overruns_;
  view.tickets.clear();
  auto place = static_cast<std::uint32_t>(view.offset);
  for (const auto& each : page.at("tickets")) {
    ticket_report line;
    line.id = ticket_in(each);
    line.instance = each.at("instance").get<std::string>();
    line.priority = static_cast<std::int32_t>(number_in(each, "priority"));
    line.position = ++place;
    line.arrival = static_cast<std::uint64_t>(number_in(each, "arrival"));
    line.attempts = static_cast<std::uint32_t>(number_in(each, "attempts"));
    line.waited = std::chrono::microseconds(
        std::max<std::int64_t>(server_time(view.at) - number_in(each, "arrival"), 0));
    line.why = each.value("rests", false) ? wait_reason::backing_off : wait_reason::behind_others;
    const auto own = line.instance == instance_ ? queue_.find_waiting(line.id) : std::nullopt;
    if (own) {
      line.deadline = own->deadline;
      line.waited = view.at - own->since;
      line.bytes = own->bytes;
    }
    if (line.position == 1 && line.why == wait_reason::behind_others)
      tell_head(line, own, view.at);
    view.oldest_wait = std::max(view.oldest_wait, line.waited);
    view.tickets.push_back(std::move(line));
  }
}

/// Of another instance's it is not known where it may go: as if everywhere, with any size.
void shared_line::tell_head(ticket_report& head,
                            const std::optional<group_queue::waiting_ticket>& own,
                            time_point now) const {
  if (own && !own->eligible.empty())
    return tell_why_it_heads(queue_, now, own->eligible, own->token_estimate, head);
  const auto& deployments = queue_.settings().deployments;
  auto everywhere = deployment_set::all(deployments.size());
  for (std::size_t i = 0; i < deployments.size(); ++i)
    if (deployments[i].retired)
      everywhere.erase(static_cast<deployment_index>(i));
  tell_why_it_heads(queue_, now, everywhere, 1, head);
}

void shared_line::put_eligible(json& into, const deployment_set& eligible) const {
  const auto& deployments = queue_.settings().deployments;
  bool is_all = true;
  for (std::size_t i = 0; i < deployments.size(); ++i)
    is_all &= deployments[i].retired || eligible.contains(static_cast<deployment_index>(i));
  if (is_all)
    return;
  auto numbers = json::array();
  eligible.for_each([&](deployment_index i) { numbers.push_back(i + 1); });
  into["eligible"] = std::move(numbers);
}

void shared_line::offer(ticket_id ticket, const group_queue::ticket_standing& how, told& record) {
  json text{{"op", "offer"}, {"ticket", hex(ticket)}, {"priority", how.priority}};
  if (how.token_estimate > 0)
    text["tokens"] = how.token_estimate;
  if (how.oversize)
    text["oversize"] = true;
  if (how.now_or_never && how.attempts == 0)
    text["now"] = true;
  if (how.attempts > 0)
    text["attempts"] = how.attempts;
  if (!record.arrival.empty())
    text["arrival"] = record.arrival;
  put_eligible(text, how.eligible);
  record.priority = how.priority;
  record.eligible = how.eligible;
  record.away = false;
  say(verb::offer, text, ticket);
}

void shared_line::collect() {
  const auto touched = queue_.take_touched();
  if (is_away()) // announce() looks at all of them
    return;
  for (const auto ticket : touched) {
    const auto how = queue_.standing_of(ticket);
    const auto found = told_.find(ticket);
    if (!how) {
      if (found != told_.end() && !found->second.away)
        say(verb::cancel, {{"op", "cancel"}, {"ticket", hex(ticket)}});
      if (found != told_.end())
        told_.erase(found);
      continue;
    }
    if (!how->waits)
      continue;
    if (found == told_.end() || found->second.away) {
      offer(ticket, *how, told_[ticket]);
      continue;
    }
    auto& record = found->second;
    if (record.priority != how->priority)
      say(verb::other, {{"op", "move"}, {"ticket", hex(ticket)}, {"priority", how->priority}});
    if (record.eligible != how->eligible) {
      json text{{"op", "eligible"}, {"ticket", hex(ticket)}};
      put_eligible(text, how->eligible);
      say(verb::other, text);
    }
    record.priority = how->priority;
    record.eligible = how->eligible;
  }
}

void shared_line::attempt_over(time_point now, deployment_index where,
                               const attempt_result& result) {
  const auto found = running_.find(result.id);
  if (found == running_.end())
    return;
  const auto over = found->second;
  by_name_.erase(over.name);
  running_.erase(found);
  const auto& said = result.result;
  const auto tokens = tokens_used(said);
  if (over.use >= first_use_ && over.use < first_use_ + used_.size()) {
    auto& entry = used_[over.use - first_use_];
    entry.tokens = tokens.value_or(entry.tokens);
    entry.counts = said.sent;
  }

  const auto& group = queue_.settings();
  const auto& here = group.deployments[where];
  json text{{"op", "settle"},
            {"grant", over.name},
            {"ticket", hex(over.ticket)},
            {"kind", name_of(said)}};
  if (!said.sent)
    text["sent"] = false;
  if (tokens)
    text["tokens"] = *tokens;
  if (said.kind == outcome_kind::success) {
    text["took"] = std::max<std::int64_t>(micros(now - over.at), 1);
  } else { // what only a failure is judged by
    if (said.status != 0)
      text["status"] = said.status;
    if (said.retry_after)
      text["retry_after"] = micros(*said.retry_after);
    const auto counted = count_failure(here.fails.value_or(group.fails), said);
    if (counted.limit)
      text["counted"] = static_cast<int>(counted.kind);
    text["allowed"] = counted.limit.value_or(here.allowed_fails.value_or(group.allowed_fails));
  }
  const auto how = queue_.standing_of(over.ticket);
  const auto record = told_.find(over.ticket);
  if (how && how->waits && record != told_.end()) {
    text["again"] = true;
    text["priority"] = how->priority;
    put_eligible(text, how->eligible);
    record->second.priority = how->priority;
    record->second.eligible = how->eligible;
    record->second.away = false;
  } else if (record != told_.end()) {
    told_.erase(record);
  }
  say(verb::settle, text, over.ticket, over.name);
}

void shared_line::head(grant_id grant) {
  if (const auto found = running_.find(grant); found != running_.end())
    say(verb::other, {{"op", "head"}, {"grant", found->second.name}});
}

std::uint64_t shared_line::remember_use(time_point now, deployment_index where,
                                        const std::string& name, std::uint64_t tokens) {
  const auto& here = queue_.settings().deployments[where];
  while (!used_.empty() && used_.front().at + window_length <= now) {
    used_.pop_front();
    ++first_use_;
  }
  if (!here.rpm && !here.tpm)
    return 0;
  used_.push_back({now, name, where, tokens, true});
  return first_use_ + used_.size() - 1;
}

void shared_line::granted_here(time_point now, deployment_index where, const take& made) {
  const auto name = hex(made.ticket) + '.' + instance_ + '-' + hex(made.id);
  running_[made.id] = {name,  made.ticket,
                       where, made.token_estimate,
                       now,   remember_use(now, where, name, made.token_estimate)};
  by_name_[name] = made.id;
}

void shared_line::give_back(const std::string& grant) {
  say(verb::other, {{"op", "settle"}, {"grant", grant}, {"kind", "not_sent"}});
}

// --- Telling it ------------------------------------------------------------------------------

// Those that came while the line was away have no number yet: the server's time then is one.
std::string shared_line::arrival_of(const told& record,
                                    const std::optional<group_queue::ticket_standing>& how,
                                    time_point now) const {
  if (!record.arrival.empty())
    return record.arrival;
  return std::to_string(server_time(how ? how->since : now));
}

void shared_line::announce(time_point now) {
  stage_ = stage::announcing;
  // What is settled stays to be said; all else is said anew, from what is so now.
  std::erase_if(waiting_, [](const operation& each) {
    return each.what != verb::settle && each.what != verb::cancel && each.what != verb::ask;
  });
  queue_.take_touched();
  erase_if(told_, [&](const auto& known) {
    if (queue_.standing_of(known.first))
      return false;
    say(verb::cancel, {{"op", "cancel"}, {"ticket", hex(known.first)}});
    return true;
  });
  for (const auto& [id, grant] : running_) {
    const auto how = queue_.standing_of(grant.ticket);
    auto& record = told_[grant.ticket];
    record.away = true;
    say(verb::other, {{"op", "hold"},
                      {"grant", grant.name},
                      {"ticket", hex(grant.ticket)},
                      {"deployment", grant.where + 1},
                      {"at", std::to_string(server_time(grant.at))},
                      {"tokens", grant.tokens},
                      {"priority", how ? how->priority : 0},
                      {"attempts", how ? how->attempts : 1},
                      {"arrival", arrival_of(record, how, now)}});
  }
  for (const auto ticket : queue_.tickets())
    if (const auto how = queue_.standing_of(ticket); how && how->waits) {
      auto& record = told_[ticket];
      record.arrival = arrival_of(record, how, now);
      offer(ticket, *how, record);
    }
  std::vector<json> entries(queue_.settings().deployments.size(), json::array());
  const auto tell_use = [&](std::size_t where) {
    say(verb::other,
        {{"op", "used"}, {"deployment", where + 1}, {"entries", std::move(entries[where])}});
    entries[where] = json::array();
  };
  for (const auto& use : used_) {
    if (use.at + window_length <= now || !use.counts)
      continue;
    entries[use.where].push_back({{"grant", use.name},
                                  {"at", std::to_string(server_time(use.at))},
                                  {"tokens", use.tokens},
                                  {"requests", 1}});
    if (entries[use.where].size() == entries_max)
      tell_use(use.where);
  }
  for (std::size_t where = 0; where < entries.size(); ++where) {
    if (!entries[where].empty())
      tell_use(where);
    const auto& figures = queue_.view(static_cast<deployment_index>(where)).figures();
    if (figures.cooling && figures.cooling_until > now)
      say(verb::other, {{"op", "cools"},
                        {"deployment", where + 1},
                        {"ends", std::to_string(server_time(figures.cooling_until))},
                        {"asked", std::to_string(server_time(figures.retry_after_until))}});
  }
  say(verb::mine, {{"op", "mine"}});
  say(verb::ready, {{"op", "ready"}});
  said_ready_ = true;
}

std::optional<line_call> shared_line::next_call() {
  if (is_out_ || (waiting_.empty() && !renew_))
    return std::nullopt;
  const bool all_rooms = std::exchange(renew_, false) || !is_current();
  line_call result{key_,
                   {instance_, settings_, digest_, epoch_, std::to_string(seq_),
                    std::to_string(members_max_), all_rooms ? "all" : ""}};
  out_.clear();
  while (!waiting_.empty() && out_.size() < operations_max) {
    result.arguments.push_back(std::move(waiting_.front().text));
    out_.push_back(std::move(waiting_.front()));
    if (out_.back().what == verb::settle || out_.back().what == verb::cancel ||
        out_.back().what == verb::confirm)
      out_.back().text = result.arguments.back(); // it may have to be said again
    waiting_.pop_front();
  }
  is_out_ = true;
  return result;
}

line_call shared_line::last_call() {
  // What waits and what runs ends with it; what is over it must say.
  std::erase_if(waiting_, [](const operation& each) { return each.what != verb::settle; });
  renew_ = true; // there is something to say in any case
  is_out_ = false;
  auto result = next_call().value();
  result.arguments.push_back(json{{"op", "leave"}}.dump());
  return result;
}

// --- Clocks ----------------------------------------------------------------------------------

time_point shared_line::local_time(time_point now, std::int64_t at) const {
  return now + std::chrono::microseconds(at - server_now_);
}

std::int64_t shared_line::server_time(time_point at) const {
  if (at == time_point{})
    return 0;
  return std::max<std::int64_t>(server_now_ + micros(at - local_now_), 0);
}

} // namespace vorrang
