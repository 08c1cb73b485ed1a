#include "http/story_page.hpp"

#include "http/report_json.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace vorrang::http {

namespace {

using json = nlohmann::ordered_json;

std::int64_t milliseconds_of(duration length) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
}

/// Writes one story.
class narrator {
public:
  narrator(const metrics_plan& names, time_point at, std::chrono::system_clock::time_point wall)
      : names_(names), at_(at), wall_(wall) {}

  std::string time_of(time_point when) const {
    using wall_duration = std::chrono::system_clock::duration;
    return time_of_day(wall_ - std::chrono::duration_cast<wall_duration>(at_ - when));
  }

  json step(const char* what, time_point when) {
    if (!first_)
      first_ = when;
    return {{"at", time_of(when)}, {"after_ms", milliseconds_of(when - *first_)}, {"what", what}};
  }

  json noted(const operator_note& note) {
    json page = step("moved", note.at);
    page["priority"] = note.priority;
    return page;
  }

  json told(const story_event& event) {
    switch (event.step) {
    case story_step::arrived: {
      json page = step("arrived", event.when());
      page["model"] = group(event);
      page["priority"] = event.number;
      return page;
    }
    case story_step::granted: {
      granted_at_ = event.when();
      json page = step("granted", event.when());
      page["model"] = group(event);
      page["deployment"] = deployment(event);
      page["by"] = vorrang::to_string(event.is_probe ? grant_reason::head_of_line
                                                     : grant_reason::healthy_deployment);
      page["attempt"] = event.attempt;
      page["priority"] = event.number;
      return page;
    }
    case story_step::tried:
      return tried(event);
    case story_step::fallback: {
      json page = step("fallback", event.when());
      page["model"] = group(event);
      return page;
    }
    case story_step::over: {
      json page = step("over", event.when());
      page["how"] = event.detail < end_labels.size() ? end_labels[event.detail] : "unknown";
      page["status"] = event.status != 0 ? json(event.status) : json(nullptr);
      page["is_cut"] = event.is_cut;
      return page;
    }
    }
    return step("unknown", event.when());
  }

  /// Since the last grant.
  json running_ms() const {
    return granted_at_ ? json(milliseconds_of(at_ - *granted_at_)) : json(nullptr);
  }

private:
  json tried(const story_event& event) {
    json page = step("attempt", event.when());
    page["model"] = group(event);
    page["deployment"] = deployment(event);
    page["result"] = to_string(static_cast<outcome_kind>(event.detail));
    page["status"] = event.status != 0 ? json(event.status) : json(nullptr);
    page["error"] = event.error > 0 && event.error <= upstream_error_labels.size()
                        ? json(upstream_error_labels[event.error - 1U])
                        : json(nullptr);
    page["retry_after_ms"] = event.number >= 0 ? json(event.number) : json(nullptr);
    if (granted_at_)
      page["took_ms"] = milliseconds_of(event.when() - *granted_at_);
    return page;
  }

  json group(const story_event& event) const {
    return event.group < names_.groups.size() ? json(names_.groups[event.group].name)
                                              : json(nullptr);
  }
  json deployment(const story_event& event) const {
    if (event.group >= names_.groups.size())
      return nullptr;
    const auto& all = names_.groups[event.group].deployments;
    return event.deployment < all.size() ? json(all[event.deployment]) : json(nullptr);
  }

  const metrics_plan& names_;
  time_point at_;
  std::chrono::system_clock::time_point wall_;
  std::optional<time_point> first_;
  std::optional<time_point> granted_at_;
};

json waits_page(const ticket_view& view) {
  const auto& ticket = view.ticket;
  json page = {{"priority", ticket.priority},
               {"position", ticket.position > 0 ? json(ticket.position) : json(nullptr)},
               {"waiting", view.waiting},
               {"waited_ms", milliseconds_of(ticket.waited)},
               {"deadline_in_ms", nullptr},
               {"why", vorrang::to_string(ticket.why)}};
  if (ticket.deadline != never)
    page["deadline_in_ms"] = milliseconds_of(ticket.deadline - view.at);
  json deployments = json::array();
  for (const auto& each : view.obstacles) {
    json entry = {{"id", each.deployment}, {"why", vorrang::to_string(each.kind)}};
    if (each.limit > 0 || each.kind == obstacle_kind::slots || each.kind == obstacle_kind::rpm ||
        each.kind == obstacle_kind::tpm) {
      entry["used"] = each.used;
      entry["limit"] = each.limit;
    }
    if (each.kind == obstacle_kind::tpm)
      entry["needed"] = each.needed;
    if (each.until)
      entry["until_ms"] = milliseconds_of(*each.until);
    deployments.push_back(std::move(entry));
  }
  page["deployments"] = std::move(deployments);
  return page;
}

} // namespace

found_story latest_story(std::vector<story_event> events, ticket_id asked_for) {
  std::map<ticket_id, std::vector<story_event>> by_ticket;
  for (const auto& event : events)
    by_ticket[event.ticket].push_back(event);
  found_story latest;
  if (const auto found = by_ticket.find(asked_for); asked_for != 0 && found != by_ticket.end()) {
    latest.events = std::move(found->second);
    latest.others = by_ticket.size() - 1;
    return latest;
  }
  for (auto& [ticket, steps] : by_ticket)
    if (latest.events.empty() || steps.front().at > latest.events.front().at)
      latest.events = std::move(steps);
  latest.others = by_ticket.empty() ? 0 : by_ticket.size() - 1;
  return latest;
}

std::string story_page(const std::string& id, const found_story& story,
                       const story_findings& findings, const std::vector<operator_note>& notes,
                       const ticket_view& view, time_point at,
                       std::chrono::system_clock::time_point wall) {
  const metrics_plan nameless;
  narrator tells(findings.names ? *findings.names : nameless, at, wall);
  json events = json::array();
  auto note = notes.begin();
  const auto tell_notes = [&](time_point until) {
    for (; note != notes.end() && note->at < until; ++note)
      if (note->ticket == story.ticket())
        events.push_back(tells.noted(*note));
  };
  bool is_granted = false;
  for (const auto& event : story.events) {
    tell_notes(event.when());
    events.push_back(tells.told(event));
    is_granted = event.step == story_step::granted;
  }
  tell_notes(never);
  const bool is_complete =
      !story.events.empty() && story.events.front().step == story_step::arrived;
  json page = {{"id", id},
               {"ticket", std::to_string(story.ticket())},
               {"state", story.is_over() ? "over"
                         : is_granted    ? "granted"
                                         : "waiting"},
               {"running_ms", is_granted ? tells.running_ms() : json(nullptr)},
               {"is_complete", is_complete},
               {"kept_since",
                findings.kept_since ? json(tells.time_of(*findings.kept_since)) : json(nullptr)},
               {"others", story.others},
               {"events", std::move(events)},
               {"waits", view.waits && !story.is_over() ? waits_page(view) : json(nullptr)}};
  return page.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace vorrang::http
