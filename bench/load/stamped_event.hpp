// Events that say when they were due and when they were written, and when each is due.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vorrang::bench {

/// Nanoseconds of the machine's steady clock, which is one for all processes.
struct stamps {
  std::uint64_t due_ns = 0;
  std::uint64_t written_ns = 0;

  bool operator==(const stamps&) const = default;
};

/// An event as models write it, with this delta, framed as a chunk of its own.
std::string event_chunk(const std::string& delta);

/// The same with stamps in it.
class stamped_event {
public:
  stamped_event();

  /// Valid until the next call.
  std::string_view with(const stamps& times);

private:
  std::string text_;
  std::size_t place_; // where the stamps are written
};

/// The stamps in an event's text; false if it has none.
bool find_stamps(std::string_view event, stamps& found);

/// Streams that all have the same number of events a second, spread evenly: event 0 belongs to
/// stream 0, event 1 to stream 1, and so on in turns.
struct pace {
  std::size_t streams = 1;
  double events_a_second = 1; // of each stream

  /// Since the beginning, in nanoseconds.
  std::uint64_t due_ns(std::uint64_t event) const {
    return static_cast<std::uint64_t>(static_cast<double>(event) * 1e9 /
                                      (events_a_second * static_cast<double>(streams)));
  }
  std::size_t stream_of(std::uint64_t event) const { return event % streams; }
  /// How many are due before this moment.
  std::uint64_t events_before(std::uint64_t ns) const;
};

} // namespace vorrang::bench
