// Sees the end of connections whose bytes nobody can read yet.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace vorrang::http {

/// A client that has sent more than its connection's buffer holds is not read from until its
/// request is over, so no read can tell that it hung up. The kernel can (EPOLLRDHUP), but Asio does
/// not ask it; so these few descriptors stand in an epoll set of their own, which the loop waits
/// for like a socket. Belongs to its loop's thread.
class hangup_watch {
public:
  explicit hangup_watch(boost::asio::io_context& context);
  ~hangup_watch();
  hangup_watch(const hangup_watch&) = delete;
  hangup_watch& operator=(const hangup_watch&) = delete;

  /// Calls `ended` once, when the peer of `descriptor` has sent a FIN or a RST. A number to forget
  /// it by; 0 if it cannot be watched.
  std::uint64_t add(int descriptor, std::function<void()> ended);
  /// Before the descriptor is closed. 0 does nothing.
  void forget(std::uint64_t number, int descriptor);

private:
  struct parts;
  static void wait(const std::shared_ptr<parts>& own);
  std::shared_ptr<parts> parts_;
};

} // namespace vorrang::http
