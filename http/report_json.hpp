// Reports of the engine as JSON values. Private to the pages of the admin port.
#pragma once

#include "actors/snapshot.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

namespace vorrang::http {

/// `2026-01-31T12:00:00.125Z`.
std::string time_of_day(std::chrono::system_clock::time_point when);

/// Whole milliseconds.
std::int64_t milliseconds_of(duration length);

/// As queue_page() tells them; `wall` is the time of day at `at`.
nlohmann::ordered_json ticket_json(const ticket_report& ticket, time_point at,
                                   std::chrono::system_clock::time_point wall);
nlohmann::ordered_json deployment_json(const deployment_report& deployment);

/// Text that is not UTF-8 is replaced.
std::string to_text(const nlohmann::ordered_json& value);

} // namespace vorrang::http
