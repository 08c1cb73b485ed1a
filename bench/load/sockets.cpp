#include "bench/load/sockets.hpp"
#include "bench/load/processor_time.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace vorrang::bench {

namespace {

constexpr int backlog = 4096;

int checked(int result, const char* what) {
  if (result < 0)
    throw std::system_error(errno, std::generic_category(), what);
  return result;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// Small pieces go out at once.
void set_no_delay(int socket) {
  const int on = 1;
  checked(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
}

} // namespace

descriptor& descriptor::operator=(descriptor&& other) noexcept {
  if (this != &other) {
    close();
    number_ = other.number_;
    other.number_ = -1;
  }
  return *this;
}

void descriptor::close() {
  if (number_ >= 0)
    ::close(number_);
  number_ = -1;
}

descriptor listen_at(std::uint16_t port) {
  descriptor made(
      checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  const int on = 1;
  checked(::setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  const auto address = loopback(port);
  checked(::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  checked(::listen(made.get(), backlog), "listen");
  return made;
}

std::uint16_t port_of(const descriptor& listener) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  checked(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size),
          "getsockname");
  return ntohs(address.sin_port);
}

descriptor accept_from(const descriptor& listener) {
  const int made = ::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (made < 0) {
    if (errno == EAGAIN || errno == ECONNABORTED)
      return {};
    checked(made, "accept");
  }
  descriptor accepted(made);
  set_no_delay(made);
  return accepted;
}

descriptor connect_to(std::uint16_t port, bool blocks) {
  descriptor made(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const auto address = loopback(port);
  checked(::connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "connect");
  set_no_delay(made.get());
  if (!blocks) {
    const int on = 1;
    checked(::ioctl(made.get(), FIONBIO, &on), "FIONBIO");
  }
  return made;
}

std::ptrdiff_t read_some(const descriptor& from, std::span<char> to) {
  const auto count = ::recv(from.get(), to.data(), to.size(), 0);
  if (count < 0)
    return errno == EAGAIN || errno == EINTR ? -1 : 0;
  return count;
}

std::ptrdiff_t write_some(const descriptor& to, std::string_view bytes) {
  const auto count = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count < 0)
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
  return count;
}

void write_all(const descriptor& to, std::string_view bytes) {
  if (write_some(to, bytes) != static_cast<std::ptrdiff_t>(bytes.size()))
    throw std::runtime_error("a connection took less than " + std::to_string(bytes.size()) +
                             " bytes");
}

poller::poller() : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

void poller::add(int socket, std::uint64_t number) {
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = number;
  checked(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &wanted), "epoll_ctl");
}

std::span<const epoll_event> poller::wait(int timeout_ms) {
  const int count = ::epoll_wait(epoll_.get(), found_.data(), int(found_.size()), timeout_ms);
  if (count < 0 && errno != EINTR)
    checked(count, "epoll_wait");
  return {found_.data(), static_cast<std::size_t>(count < 0 ? 0 : count)};
}

std::span<const epoll_event> poller::wait_until(std::uint64_t at_ns) {
  const auto now = now_ns();
  const auto left = at_ns > now ? at_ns - now : 0;
  const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                         static_cast<long>(left % 1'000'000'000)};
  const int count =
      ::epoll_pwait2(epoll_.get(), found_.data(), int(found_.size()), &timeout, nullptr);
  if (count < 0 && errno != EINTR)
    checked(count, "epoll_pwait2");
  return {found_.data(), static_cast<std::size_t>(count < 0 ? 0 : count)};
}

void raise_file_limit() {
  rlimit limit{};
  checked(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  checked(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

} // namespace vorrang::bench
