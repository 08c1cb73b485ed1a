#pragma once

#include <sys/epoll.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace vorrang::checked {

/// A descriptor that closes itself.
class descriptor {
public:
  explicit descriptor(int number = -1) : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~descriptor();
  int number() const noexcept { return number_; }

private:
  int number_;
};

/// A small piece does not wait until the one before it is acknowledged.
void send_at_once(const descriptor& on);
/// Of 127.0.0.1; throws std::runtime_error where that cannot be.
descriptor connect_to(unsigned short port);
descriptor listen_on(unsigned short port);

/// Whoever wants to hear that something can be read.
class watcher {
public:
  virtual ~watcher() = default;
  virtual void readable() = 0;
};

/// Many sockets, one thread.
class poller {
public:
  poller();
  void add(const descriptor& which, watcher& who);
  /// To be called before `who` is destroyed; also from within `readable`.
  void forget(const watcher& who);
  /// Tells those that can read; waits until there is one, at most so long.
  void wait(int milliseconds);

private:
  descriptor epoll_;
  std::array<epoll_event, 256> events_{};
  int count_ = 0;
};

/// A whole HTTP message; the views end with the next call of its buffer.
struct message {
  std::string_view head;
  std::string_view body;

  /// A field of the head, its name in lower case; "" if it is not there.
  std::string_view field(std::string_view name) const;
};

/// What has come on a connection: one message, whole or in part. As much of HTTP as the gateway
/// speaks to it: lengths and chunks, with nothing behind.
class message_buffer {
public:
  /// Reads once; false at the end of the connection.
  bool fill(const descriptor& from);
  bool empty() const noexcept { return text_.empty(); }
  std::optional<message> whole() const;
  /// Everything, of a connection that has ended.
  std::string_view text() const noexcept { return text_; }
  void clear() noexcept { text_.clear(); }

private:
  std::string text_;
};

/// Whether all of it went out; what is written here fits a socket that is being read.
bool write(const descriptor& to, std::string_view text);

/// The number behind `name`, or -1.
long number_behind(std::string_view text, std::string_view name);

} // namespace vorrang::checked
