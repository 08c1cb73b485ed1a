// The data port's listening socket.
#pragma once

#include "actors/tally.hpp"
#include "http/loop.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace vorrang::http {

/// Accepts on one loop and deals each socket out. The port is never shared with another process.
/// At most connections_max are open at a time: the next one gets 503 and is closed. If the process
/// has no descriptor left, a spare one serves to say so. Everything but open() and port() belongs
/// to the loop's thread.
class listener {
public:
  /// Takes a non-blocking socket, on the listener's loop; says whether it is IPv6.
  using dealer = std::function<void(int descriptor, bool is_ipv6)>;
  /// How many sockets are open of those that were dealt.
  using counter = std::function<std::uint64_t()>;

  listener(loop& runs, std::uint64_t connections_max, dealer deal, counter open_now);
  /// Closes.
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// Binds and listens, before or while the loop runs; connections wait in the kernel until
  /// start(). `host` is a name or an address, IPv6 with or without brackets; `::` takes IPv4 too.
  /// An empty text is success, else a sentence that names host and port. Port 0 asks for a free
  /// one.
  std::string open(const std::string& host, std::uint16_t port);
  std::uint16_t port() const noexcept { return port_; }

  std::uint64_t connections_max() const noexcept { return connections_max_; }
  /// How many were told 503, or closed without a word where even those were too many. Any thread.
  std::uint64_t refused_count() const noexcept { return refused_.value(); }

  void start();
  /// Closes the listening socket and those being refused. What is dealt stays.
  void stop();

  /// As many connections as this process may have, when some descriptors are kept for upstreams
  /// and files: half of its limit at least.
  static std::uint64_t connections_max_for(std::uint64_t descriptors_max);

private:
  struct parts;
  struct refused;

  void wait();
  void accept_all();
  void accept_with_spare();
  void pause();
  void refuse(int descriptor);
  void read_refused(refused& one);
  void drop(refused& one);

  loop& runs_;
  std::uint64_t connections_max_;
  dealer deal_;
  counter open_now_;
  std::unique_ptr<parts> parts_;
  std::uint16_t port_ = 0;
  tally refused_;
};

} // namespace vorrang::http
