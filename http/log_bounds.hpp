// How often the same thing may be said.
#pragma once

#include "actors/types.hpp"
#include "http/log_text.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vorrang::http {

/// What a bounded message is about.
enum class log_cause : std::uint8_t {
  handler_exception = 0, ///< a handler or coroutine threw
  accept_failed = 1,     ///< accept() failed otherwise than by the file limit
  file_limit = 2,        ///< no descriptor left
  connection_limit = 3,  ///< too many connections
  name_lookup = 4,       ///< an upstream's name cannot be resolved
  upstream_failed = 5,   ///< an upstream cannot be reached, or broke off
  queue_full = 6,        ///< requests are refused, since their group's line is full
  deployment = 7,        ///< a cooldown begins or ends
  credentials = 8,       ///< an upstream refuses the gateway's key
  traces = 9,            ///< the collector of traces
  lines_lost = 10,       ///< lines of a log that were left out
  upstream_late = 11,    ///< an upstream did not answer or go on in time
};

/// Of each cause and subject one message in a period; what is left out is counted, and told with
/// the next one or when the period is over. Passive, for one thread at a time.
class log_bounds {
public:
  static constexpr duration period = std::chrono::seconds(10);
  /// Those beyond share a place.
  static constexpr std::size_t subjects_max = 256;

  /// How many were left out since the last one; nothing: this one is left out too. `text` is kept
  /// for due().
  std::optional<std::uint64_t> take(log_cause cause, std::string_view subject,
                                    std::string_view text, time_point now,
                                    log_level level = log_level::warning);

  struct repeated {
    log_level level = log_level::warning;
    std::string text; ///< of the one that was written
    std::uint64_t left_out = 0;
  };
  /// What was left out, and of which nothing more came since the period ended.
  std::vector<repeated> due(time_point now);

  /// There is nothing that due() could tell of at any time.
  bool empty() const noexcept { return places_.empty(); }

private:
  struct place {
    log_level level = log_level::warning;
    time_point since{};
    std::uint64_t left_out = 0;
    std::string text;
  };
  std::map<std::pair<log_cause, std::string>, place, std::less<>> places_;
};

} // namespace vorrang::http
