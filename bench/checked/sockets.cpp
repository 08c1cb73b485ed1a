#include "bench/checked/sockets.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <system_error>

namespace vorrang::checked {
namespace {

constexpr std::string_view head_end = "\r\n\r\n";

int checked(int result, const char* what) {
  if (result < 0)
    throw std::system_error(errno, std::generic_category(), what);
  return result;
}

sockaddr_in loopback(unsigned short port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool same_name(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line[name.size()] == ':' &&
         std::equal(name.begin(), name.end(), line.begin(), [](char lower, char given) {
           return lower == std::tolower(static_cast<unsigned char>(given));
         });
}

} // namespace

descriptor::~descriptor() {
  if (number_ >= 0)
    ::close(number_);
}

void send_at_once(const descriptor& on) {
  const int yes = 1;
  checked(::setsockopt(on.number(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), "no delay");
}

descriptor connect_to(unsigned short port) {
  descriptor made(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const auto address = loopback(port);
  checked(::connect(made.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
          "connect");
  send_at_once(made);
  checked(::fcntl(made.number(), F_SETFL, O_NONBLOCK), "non-blocking");
  return made;
}

descriptor listen_on(unsigned short port) {
  descriptor made(
      checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  const int yes = 1;
  checked(::setsockopt(made.number(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), "reuse");
  const auto address = loopback(port);
  checked(::bind(made.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
          "bind");
  checked(::listen(made.number(), SOMAXCONN), "listen");
  return made;
}

poller::poller() : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll")) {}

void poller::add(const descriptor& which, watcher& who) {
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.ptr = &who;
  checked(::epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, which.number(), &wanted), "epoll_ctl");
}

// The kernel forgets a descriptor that is closed; what it has told already is forgotten here.
void poller::forget(const watcher& who) {
  for (int i = 0; i < count_; ++i)
    if (events_[static_cast<std::size_t>(i)].data.ptr == &who)
      events_[static_cast<std::size_t>(i)].data.ptr = nullptr;
}

void poller::wait(int milliseconds) {
  count_ =
      ::epoll_wait(epoll_.number(), events_.data(), static_cast<int>(events_.size()), milliseconds);
  for (int i = 0; i < count_; ++i)
    if (auto* who = static_cast<watcher*>(events_[static_cast<std::size_t>(i)].data.ptr))
      who->readable();
  count_ = 0;
}

std::string_view message::field(std::string_view name) const {
  for (auto at = head.find("\r\n"); at != head.npos;) {
    const auto begin = at + 2;
    at = head.find("\r\n", begin);
    auto line = head.substr(begin, at == head.npos ? at : at - begin);
    if (!same_name(line, name))
      continue;
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ', name.size() + 1)));
    return line;
  }
  return {};
}

bool message_buffer::fill(const descriptor& from) {
  char piece[16384];
  const auto count = ::recv(from.number(), piece, sizeof(piece), 0);
  if (count <= 0)
    return count < 0 && (errno == EAGAIN || errno == EINTR);
  text_.append(piece, static_cast<std::size_t>(count));
  return true;
}

std::optional<message> message_buffer::whole() const {
  const auto end = text_.find(head_end);
  if (end == text_.npos)
    return std::nullopt;
  const std::string_view all = text_;
  const message found{all.substr(0, end), all.substr(end + head_end.size())};
  if (const auto length = found.field("content-length"); !length.empty()) {
    std::size_t wanted = 0;
    std::from_chars(length.data(), length.data() + length.size(), wanted);
    if (found.body.size() > wanted)
      throw std::runtime_error("more came than one message: " + text_);
    return found.body.size() == wanted ? std::optional(found) : std::nullopt;
  }
  if (found.field("transfer-encoding").empty())
    throw std::runtime_error("a message without a length: " + text_);
  return found.body == "0\r\n\r\n" || found.body.ends_with("\r\n0\r\n\r\n") ? std::optional(found)
                                                                            : std::nullopt;
}

bool write(const descriptor& to, std::string_view text) {
  return ::send(to.number(), text.data(), text.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(text.size());
}

long number_behind(std::string_view text, std::string_view name) {
  long found = -1;
  if (const auto at = text.find(name); at != text.npos)
    std::from_chars(text.data() + at + name.size(), text.data() + text.size(), found);
  return found;
}

} // namespace vorrang::checked
