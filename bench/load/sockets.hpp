// Sockets of the loopback interface and epoll, as thin as the loads need them: at a hundred
// thousand events a second a layer between would be part of what is measured. What fails throws
// std::system_error.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace vorrang::bench {

/// Closes what it holds. Moves only.
class descriptor {
public:
  descriptor() = default;
  explicit descriptor(int number) : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  descriptor& operator=(descriptor&& other) noexcept;
  ~descriptor() { close(); }

  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  void close();

private:
  int number_ = -1;
};

/// Listens on 127.0.0.1; accepting does not block. Port 0: any that is free.
descriptor listen_at(std::uint16_t port);
std::uint16_t port_of(const descriptor& listener);
/// Empty when nobody is there to accept.
descriptor accept_from(const descriptor& listener);
/// Blocks until it is connected; after that it blocks or not, as told.
descriptor connect_to(std::uint16_t port, bool blocks);

/// Bytes read; 0 at the end of the connection or its failure, −1 when there is nothing now.
std::ptrdiff_t read_some(const descriptor& from, std::span<char> to);
/// Bytes that were taken; 0 when nothing is taken now, −1 when the connection is gone.
std::ptrdiff_t write_some(const descriptor& to, std::string_view bytes);
/// All of them, or it throws: for pieces that find room in a socket that is empty.
void write_all(const descriptor& to, std::string_view bytes);

/// Tells which sockets are readable, by the numbers they were added with.
class poller {
public:
  poller();
  void add(const descriptor& socket, std::uint64_t number) { add(socket.get(), number); }
  void add(int socket, std::uint64_t number);
  /// Waits for at most so long; −1: for ever. Valid until the next call.
  std::span<const epoll_event> wait(int timeout_ms);
  /// Waits until this moment of the steady clock at most, to the microsecond or so.
  std::span<const epoll_event> wait_until(std::uint64_t at_ns);

private:
  descriptor epoll_;
  std::array<epoll_event, 256> found_;
};

/// How many file descriptors this process may have: as many as it is ever allowed.
void raise_file_limit();

} // namespace vorrang::bench
