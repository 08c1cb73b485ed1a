// What is played: requests, what the providers can take, and when they fail.
#pragma once

#include "actors/types.hpp"

#include <string>
#include <utility>
#include <vector>

namespace vorrang::bench {

/// A request of a trace, by its place there.
using request_index = std::uint32_t;

/// Time begins here in every run: zero means "none" in places of the engine.
inline constexpr time_point beginning{std::chrono::seconds(1000)};

/// Seconds as a duration, to the nanosecond.
inline duration seconds_of(double seconds) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds));
}

/// A duration in seconds.
inline double in_seconds(duration length) {
  return std::chrono::duration<double>(length).count();
}

/// One request as its client sees it.
struct request {
  /// Since the beginning of the trace.
  duration arrival{};
  /// Lower is more urgent.
  std::int32_t priority = 255;
  /// What a provider that takes it needs for the whole answer.
  duration service{};
  /// The answer must be whole this long after the arrival, or the client hangs up; nothing: it
  /// waits for ever.
  std::optional<duration> deadline;
  /// Of prompt and answer; only summed up.
  std::uint64_t tokens = 0;
};

/// What each of the deployments takes: it refuses what is beyond.
struct limits {
  std::size_t deployments = 2;
  /// Calls at once.
  std::uint32_t slots = 8;
  /// Calls begun in any 60 s; 0: no limit.
  std::uint32_t rpm = 120;
};

/// A time in which a deployment answers 503 to all that is sent to it.
struct brown_out {
  std::size_t deployment = 0;
  duration begin{};
  duration end{};
};

/// All that a run is made of but the policy. The same for all policies.
struct scenario {
  std::string name;
  /// One sentence.
  std::string about;
  /// Sorted by arrival.
  std::vector<request> requests;
  limits each;
  std::vector<brown_out> brown_outs;
  /// Of priorities: how people call them.
  std::vector<std::pair<std::int32_t, std::string>> names;
  /// For what policies and clients leave to chance.
  std::uint64_t seed = 1;
};

} // namespace vorrang::bench
