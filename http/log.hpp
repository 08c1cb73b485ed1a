// Messages to the operator. The one place that knows the logging library.
#pragma once

#include <cstdint>
#include <string_view>

namespace vorrang::http {

enum class log_level : std::uint8_t { debug = 0, info = 1, warning = 2, error = 3 };

/// What a bounded message is about; each cause has its own bound.
enum class log_cause : std::uint8_t {
  handler_exception = 0, ///< a handler or coroutine threw
  accept_failed = 1,     ///< accept() failed otherwise than by the file limit
  file_limit = 2,        ///< no descriptor left
  connection_limit = 3,  ///< too many connections
  name_lookup = 4,       ///< an upstream's name cannot be resolved
  upstream_failed = 5,   ///< an upstream cannot be reached, or broke off
  admin = 6,             ///< the admin port
};
inline constexpr std::size_t log_cause_count = 7;

/// Sends everything from `lowest` on to stderr; `json`: one JSON object a line. Before it is
/// called, warnings and errors go to stderr as text.
void start_log(log_level lowest, bool json);

/// Writes a line.
void log_line(log_level level, std::string_view text);

/// Writes a warning, but of each cause at most 5 lines in a second; how many were left out is said
/// with the next one.
void log_bounded(log_cause cause, std::string_view text);

} // namespace vorrang::http
