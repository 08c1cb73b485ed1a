// What became of one request, as JSON text: `GET /requests/{id}` of the admin port.
#pragma once

#include "actors/snapshot.hpp"
#include "http/loop_metrics.hpp"
#include "http/story_ring.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vorrang::http {

/// What the loops remember of an id.
struct story_findings {
  /// Of every request and ticket of this id, the steps of each in order.
  std::vector<story_event> events;
  /// How far back the memory of the loop goes that knew it; absent: nothing was forgotten.
  std::optional<time_point> kept_since;
  /// Names of groups and deployments.
  std::shared_ptr<const metrics_plan> names;
};

/// An operator moved a ticket at this gateway's admin port. (One that was cancelled ends by it.)
struct operator_note {
  time_point at;
  ticket_id ticket = 0;
  std::int32_t priority = 0;
};

/// The steps of one request, and how many others had the same id.
struct found_story {
  std::vector<story_event> events;
  std::size_t others = 0;

  ticket_id ticket() const noexcept { return events.empty() ? 0 : events.back().ticket; }
  /// Whose line it stands in, or stood in last.
  group_index group() const noexcept { return events.empty() ? no_index : events.back().group; }
  bool is_over() const noexcept {
    return !events.empty() && events.back().step == story_step::over;
  }
};
/// That of the ticket, if anything is remembered of it (0: none was asked for): clients choose ids,
/// and none may hide a ticket by its number. Else that of the request that came last.
found_story latest_story(std::vector<story_event> events, ticket_id asked_for);

/// `{"id","ticket","state","running_ms","is_complete","kept_since","others","events":[{"at",
/// "after_ms","what",…}],"waits"}`, as docs/terminal.md has it. `waits`: null unless `view` says
/// that it waits. `at`, `wall`: the same moment by both clocks.
std::string story_page(const std::string& id, const found_story& story,
                       const story_findings& findings, const std::vector<operator_note>& notes,
                       const ticket_view& view, time_point at,
                       std::chrono::system_clock::time_point wall);

} // namespace vorrang::http
