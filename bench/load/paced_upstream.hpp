// The upstream of streams whose events are due at fixed times.
#pragma once

#include "bench/load/latencies.hpp"
#include "bench/load/processor_time.hpp"
#include "bench/load/readers.hpp"
#include "bench/load/sockets.hpp"
#include "bench/load/stamped_event.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <vector>

namespace vorrang::bench {

/// What the upstream's thread and the clients' tell each other.
struct paced_shared {
  /// Every client has the head of its answer.
  std::atomic<bool> is_open = false;
  /// Events that are due from here on, and before there, are counted.
  std::atomic<std::uint64_t> from_ns = std::numeric_limits<std::uint64_t>::max();
  std::atomic<std::uint64_t> to_ns = 0;
  /// Of all that were read, counted or not.
  std::atomic<std::uint64_t> events_read = 0;
  /// The upstream has ended every stream, as far as it may.
  std::atomic<bool> is_ended = false;
  /// The clients have all they wait for, or have given up.
  std::atomic<bool> is_over = false;
};

/// Where everything stood at a moment.
struct paced_sample {
  std::uint64_t at_ns = 0;
  std::uint64_t events_read = 0;
  std::uint64_t between_ns = 0; // processor time of whoever is in between
  std::uint64_t own_ns = 0;     // and of this process
  machine_ticks ticks;
};

/// Belongs to one thread, all but its constructor.
class paced_upstream {
public:
  /// `between`: processes whose processor time is of interest.
  paced_upstream(std::uint16_t port, const pace& plan, std::vector<pid_t> between,
                 paced_shared& shared);

  /// Where it listens, if the port it was given is 0.
  std::uint16_t port() const { return port_of(listener_); }

  /// Until the clients are over. Throws if the streams do not open.
  void run(double warm_seconds, double seconds);

  /// Events due in the time that counts.
  std::size_t counted() const { return counted_; }
  /// Events that found no room in their connection and went out later, of all.
  std::size_t held_back() const { return held_back_; }
  /// From when an event was due until it was written, of those that count.
  latencies& late() { return late_; }
  const paced_sample& first() const { return first_; }
  const paced_sample& last() const { return last_; }

private:
  struct stream {
    descriptor socket;
    message_reader request;
    std::string waiting; // what its connection has not taken
    bool is_broken = false;
  };

  void open();
  void accept();
  void read(std::size_t number);
  void keep_pace(std::uint64_t begin_ns, double warm_seconds, double seconds);
  void write(stream& to, std::string_view bytes);
  void end();
  paced_sample sample() const;

  descriptor listener_;
  poller poller_;
  pace plan_;
  std::vector<pid_t> between_;
  paced_shared& shared_;
  std::deque<stream> accepted_;  // by their numbers in the poller, less one
  std::vector<stream*> streams_; // those that have asked
  std::array<char, 65536> buffer_;
  stamped_event event_;

  std::size_t counted_ = 0;
  std::size_t held_back_ = 0;
  latencies late_;
  paced_sample first_;
  paced_sample last_;
};

} // namespace vorrang::bench
