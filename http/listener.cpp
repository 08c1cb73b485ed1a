#include "http/listener.hpp"

#include "http/answer_headers.hpp"
#include "http/error_reply.hpp"
#include "http/log.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <list>

namespace vorrang::http {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using socket_type = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
using acceptor_type = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

namespace {

/// The kernel cuts it at net.core.somaxconn.
constexpr int backlog = 4096;
/// Accepted in one go before other handlers get their turn.
constexpr int accepts_in_a_go_max = 64;
/// Clients that are being told that there is no room; further ones are closed without a word.
constexpr std::size_t refused_max = 32;
/// After an accept that failed, before the next.
constexpr duration pause_time = std::chrono::milliseconds(100);

std::string unbracketed(const std::string& host) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    return host.substr(1, host.size() - 2);
  return host;
}

int open_spare() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

const std::string& too_many_answer() {
  static const std::string text = [] {
    fault what;
    what.code = our_error::too_many_connections;
    reply answer = error_reply(what);
    answer_framing framing;
    framing.content_length = answer.body.size();
    framing.keep_alive = false;
    return render_answer_head(answer.status, answer.fields, framing) + answer.body;
  }();
  return text;
}

} // namespace

struct listener::parts {
  explicit parts(loop& runs) : acceptor(runs.context()) {}
  acceptor_type acceptor;
  std::list<refused> being_refused;
  int spare = -1;
  bool is_ipv6 = false;
  bool stopped = false;
  std::unique_ptr<timed_call> resume;
  // Handlers hold it and look whether the listener is still there.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

/// A client that was told 503. A close at once, with its request unread, would take the answer from
/// its hands.
struct listener::refused {
  refused(listener& its_owner, socket_type its_socket)
      : owner(its_owner), socket(std::move(its_socket)), expiry(this, [](void* self) {
          auto& own = *static_cast<refused*>(self);
          own.owner.drop(own);
        }) {}
  listener& owner;
  socket_type socket;
  waiting_call expiry;
  char bytes[512];
  std::list<refused>::iterator place;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

listener::listener(loop& runs, std::uint64_t connections_max, dealer deal, counter open_now)
    : runs_(runs), connections_max_(connections_max), deal_(std::move(deal)),
      open_now_(std::move(open_now)), parts_(std::make_unique<parts>(runs)) {
  parts_->resume =
      std::make_unique<timed_call>(this, [](void* self) { static_cast<listener*>(self)->wait(); });
}

listener::~listener() {
  stop();
}

std::uint64_t listener::connections_max_for(std::uint64_t descriptors_max) {
  const std::uint64_t kept = std::max<std::uint64_t>(descriptors_max / 4, 32);
  return std::max(descriptors_max / 2, descriptors_max - std::min(descriptors_max, kept));
}

std::string listener::open(const std::string& host, std::uint16_t port) {
  const std::string where = host + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string name = unbracketed(host);
  const int code = ::getaddrinfo(name.empty() ? nullptr : name.c_str(),
                                 std::to_string(port).c_str(), &hints, &found);
  if (code != 0)
    return "cannot listen on " + where + ": " + ::gai_strerror(code);
  // A name with both kinds of address: IPv4, which every client has.
  const addrinfo* chosen = found;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (each->ai_family == AF_INET) {
      chosen = each;
      break;
    }
  }
  tcp::endpoint at;
  at.resize(chosen->ai_addrlen);
  std::memcpy(at.data(), chosen->ai_addr, chosen->ai_addrlen);
  ::freeaddrinfo(found);

  auto& acceptor = parts_->acceptor;
  parts_->is_ipv6 = at.address().is_v6();
  error_code error;
  acceptor.open(at.protocol(), error);
  // Not SO_REUSEPORT: two gateways would share the port without a word. This one only lets a port
  // be taken again whose last connections are still in TIME_WAIT.
  if (!error)
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && parts_->is_ipv6)
    acceptor.set_option(asio::ip::v6_only(!at.address().is_unspecified()), error);
  if (!error)
    acceptor.bind(at, error);
  if (!error)
    acceptor.listen(backlog, error);
  if (!error)
    acceptor.native_non_blocking(true, error);
  if (error) {
    error_code ignored;
    acceptor.close(ignored);
    return "cannot listen on " + where + ": " +
           (error == asio::error::address_in_use ? "the port is taken" : error.message());
  }
  port_ = acceptor.local_endpoint(error).port();
  ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  parts_->spare = open_spare();
  return {};
}

void listener::start() {
  wait();
}

void listener::stop() {
  if (std::exchange(parts_->stopped, true))
    return;
  *parts_->alive = false;
  parts_->resume->cancel();
  error_code ignored;
  parts_->acceptor.close(ignored);
  while (!parts_->being_refused.empty())
    drop(parts_->being_refused.front());
  if (parts_->spare >= 0)
    ::close(std::exchange(parts_->spare, -1));
}

void listener::wait() {
  parts_->acceptor.async_wait(acceptor_type::wait_read,
                              [this, alive = parts_->alive](const error_code& error) {
                                if (*alive && !error)
                                  accept_all();
                              });
}

void listener::accept_all() {
  for (int count = 0; count < accepts_in_a_go_max; ++count) {
    const int accepted =
        ::accept4(parts_->acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      if (open_now_() < connections_max_) {
        deal_(accepted, parts_->is_ipv6);
      } else {
        log_bounded(log_cause::connection_limit, {},
                    "too many connections (" + std::to_string(connections_max_) +
                        "): refused one with 503; raise the limit on descriptors (ulimit -n)");
        refuse(accepted);
      }
      continue;
    }
    switch (errno) {
    case EAGAIN:
    case EINTR:
      return wait();
    case EMFILE:
    case ENFILE:
      return accept_with_spare();
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case ENOBUFS:
    case ENOMEM:
      log_bounded(log_cause::accept_failed, {}, std::string("accept: ") + std::strerror(errno));
      return pause();
    default: // the connection broke before it was taken
      continue;
    }
  }
  wait();
}

/// One client is told, with the descriptor that was kept for this. Then a pause: without one the
/// loop would spin, since the next client is still there.
void listener::accept_with_spare() {
  log_bounded(log_cause::file_limit, "accept",
              "no file descriptor left: refusing connections; raise the "
              "limit (ulimit -n)",
              {}, log_level::error);
  if (parts_->spare >= 0) {
    ::close(std::exchange(parts_->spare, -1));
    const int accepted =
        ::accept4(parts_->acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      // Closed at once, or the spare could not be had back. What the client has sent so far is
      // read first, so that it gets the answer in most cases.
      char bytes[4096];
      while (::recv(accepted, bytes, sizeof bytes, 0) > 0) {
      }
      const std::string& text = too_many_answer();
      static_cast<void>(::send(accepted, text.data(), text.size(), MSG_NOSIGNAL));
      ::shutdown(accepted, SHUT_WR);
      while (::recv(accepted, bytes, sizeof bytes, 0) > 0) {
      }
      ::close(accepted);
    }
  }
  if (parts_->spare < 0)
    parts_->spare = open_spare();
  pause();
}

void listener::pause() {
  runs_.run_at(*parts_->resume, std::chrono::steady_clock::now() + pause_time);
}

void listener::refuse(int descriptor) {
  refused_.add();
  if (parts_->being_refused.size() == refused_max) {
    ::close(descriptor);
    return;
  }
  socket_type socket(runs_.context());
  error_code error;
  if (socket.assign(parts_->is_ipv6 ? tcp::v6() : tcp::v4(), descriptor, error)) {
    ::close(descriptor);
    return;
  }
  const std::string& text = too_many_answer();
  static_cast<void>(::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL));
  ::shutdown(descriptor, SHUT_WR);
  refused& added = parts_->being_refused.emplace_back(*this, std::move(socket));
  added.place = std::prev(parts_->being_refused.end());
  runs_.watch(added.expiry, patience::linger);
  read_refused(added);
}

void listener::read_refused(refused& one) {
  one.socket.async_read_some(asio::buffer(one.bytes),
                             [this, &one, alive = one.alive](const error_code& error, std::size_t) {
                               if (!*alive)
                                 return;
                               if (error)
                                 drop(one);
                               else
                                 read_refused(one);
                             });
}

void listener::drop(refused& one) {
  *one.alive = false;
  parts_->being_refused.erase(one.place);
}

} // namespace vorrang::http
