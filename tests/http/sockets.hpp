// Plain blocking sockets for tests: a client, and an upstream that does as it is told.
#pragma once

#include "catch.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace vorrang::http::tests {

/// A connected socket; reads give up after 30 s.
class plain_socket {
public:
  plain_socket() = default;
  explicit plain_socket(int descriptor) : descriptor_(descriptor) {
    const timeval patience{30, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const int one = 1;
    ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  plain_socket(plain_socket&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), rest_(std::move(other.rest_)) {}
  plain_socket& operator=(plain_socket&& other) noexcept {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    rest_ = std::move(other.rest_);
    return *this;
  }
  ~plain_socket() { close(); }

  static plain_socket connected(std::uint16_t port, int receive_buffer = 0) {
    const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0)
      ::setsockopt(made, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // No REQUIRE: it is for the test's own thread alone.
    if (::connect(made, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect to port " + std::to_string(port));
    return plain_socket(made);
  }

  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto count = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0)
        return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  /// More bytes into the buffer; false at the end, at an error, or after 30 s.
  bool fill() {
    char bytes[16384];
    const auto count = ::recv(descriptor_, bytes, sizeof bytes, 0);
    if (count <= 0)
      return false;
    rest_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }
  /// Reads until `mark` and returns all up to its end; what came if the connection ended first.
  std::string until(std::string_view mark) {
    std::size_t found = 0;
    while ((found = rest_.find(mark)) == std::string::npos) {
      if (!fill())
        return std::exchange(rest_, {});
    }
    std::string result = rest_.substr(0, found + mark.size());
    rest_.erase(0, result.size());
    return result;
  }
  std::string bytes(std::size_t count) {
    while (rest_.size() < count && fill()) {
    }
    std::string result = rest_.substr(0, count);
    rest_.erase(0, result.size());
    return result;
  }
  std::string until_end() {
    while (fill()) {
    }
    return std::exchange(rest_, {});
  }
  /// A head, and a body of its Content-Length.
  std::string message() {
    std::string head = until("\r\n\r\n");
    for (const char* name : {"Content-Length: ", "content-length: "}) {
      const auto found = head.find(name);
      if (found != std::string::npos)
        return head + bytes(std::stoul(head.substr(found + 16)));
    }
    return head;
  }

  void end_output() { ::shutdown(descriptor_, SHUT_WR); }
  /// A RST instead of a FIN.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    if (descriptor_ >= 0)
      ::close(std::exchange(descriptor_, -1));
  }
  int descriptor() const { return descriptor_; }

private:
  int descriptor_ = -1;
  std::string rest_;
};

/// Listens on a free port of 127.0.0.1; each connection has a thread that runs `serve`.
class fake_upstream {
public:
  using server = std::function<void(plain_socket& socket, int connection)>;

  explicit fake_upstream(server serve) : serve_(std::move(serve)) {
    descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(descriptor_, 64) == 0);
    socklen_t size = sizeof at;
    ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    acceptor_ = std::thread([this] { run(); });
  }
  ~fake_upstream() {
    ::shutdown(descriptor_, SHUT_RDWR);
    acceptor_.join();
    ::close(descriptor_);
    {
      const std::lock_guard guard(mutex_);
      for (const int each : open_)
        ::shutdown(each, SHUT_RDWR);
    }
    for (std::thread& each : threads_)
      each.join();
  }

  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }

private:
  void run() {
    for (;;) {
      const int accepted = ::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC);
      if (accepted < 0)
        return;
      const int number = ++connections_;
      {
        const std::lock_guard guard(mutex_);
        open_.push_back(accepted);
      }
      threads_.emplace_back([this, accepted, number] {
        plain_socket socket(accepted);
        serve_(socket, number);
        const std::lock_guard guard(mutex_);
        std::erase(open_, accepted);
        socket.close();
      });
    }
  }

  server serve_;
  int descriptor_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

} // namespace vorrang::http::tests
