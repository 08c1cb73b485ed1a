// The clients of streams whose events are due at fixed times.
#pragma once

#include "bench/load/paced_upstream.hpp"

namespace vorrang::bench {

/// As many clients as there are streams, each with one. Belongs to one thread, all but its
/// constructor; its figures are for whoever has joined that thread.
class paced_clients {
public:
  paced_clients(std::uint16_t port, const pace& plan, paced_shared& shared);

  /// Until every stream is at its end, or too long after that. Throws at an answer that is none.
  void run();

  /// From when an event was due, and from when it was written, until it was read.
  latencies& late() { return late_; }
  latencies& way() { return way_; }
  /// Streams that came to their end.
  std::size_t whole() const { return whole_; }

private:
  struct client {
    descriptor socket;
    stream_reader answer;
  };

  void open_more();
  void read(client& from);
  void note(std::uint64_t now);

  std::uint16_t port_;
  std::size_t wanted_;
  paced_shared& shared_;
  poller poller_;
  std::vector<client> clients_;
  std::vector<stamps> found_;
  std::array<char, 65536> buffer_;
  std::size_t begun_ = 0;
  std::size_t gone_ = 0; // whole or not
  std::size_t whole_ = 0;
  latencies late_;
  latencies way_;
};

} // namespace vorrang::bench
