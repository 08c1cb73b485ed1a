// What `GET /requests/{id}` says, as a story for people.
#pragma once

#include "terminal/json_fields.hpp"

#include <string>

namespace vorrang::terminal {

/// One event of a story as a sentence: `granted an attempt at one, as it had room`.
std::string event_text(const json& event);

/// What one deployment lacks for the ticket that waits: `60 of 60 requests a minute are used; the
/// next one in 12.4 s`.
std::string obstacle_text(const json& deployment);

/// The whole: a heading, the events with the time of day and the time since the first one, and what
/// it waits for, if it does. `bold`: for a terminal.
std::string story_text(const json& story, bool bold);

} // namespace vorrang::terminal
