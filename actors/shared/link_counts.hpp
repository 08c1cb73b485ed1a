// What is counted of the way to the server that keeps shared lines.
#pragma once

#include "actors/tally.hpp"

namespace vorrang {

/// Within one network a round trip takes less than a millisecond; a lease ends after seconds.
inline constexpr std::array<duration, 12> round_trip_bounds = {
    std::chrono::microseconds(250), std::chrono::microseconds(500),
    std::chrono::milliseconds(1),   std::chrono::microseconds(2500),
    std::chrono::milliseconds(5),   std::chrono::milliseconds(10),
    std::chrono::milliseconds(25),  std::chrono::milliseconds(50),
    std::chrono::milliseconds(100), std::chrono::milliseconds(250),
    std::chrono::seconds(1),        std::chrono::milliseconds(2500)};

/// Written by the link's thread.
struct link_counts {
  /// From a call to its reply, for each call that was answered: the time in the server's own queue
  /// and that of a call that had to be made again elsewhere included.
  time_histogram<round_trip_bounds> round_trips;
  /// Calls that ended without a reply that could be used.
  tally failed;
};

} // namespace vorrang
