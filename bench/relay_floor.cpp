// What no gateway in user space can be faster than: a relay that looks at no byte. Each client has
// a connection of its own to the upstream, and what comes from one side is written to the other.
//
//     vorrang_bench_relay epoll|asio PORT UPSTREAM_PORT
//
// epoll: system calls alone, four that carry bytes for a request and its answer. asio: the same
// with the library and the kind of coroutine that the gateway stands on. One thread; until it is
// killed.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t buffer_bytes = 16 * 1024;
constexpr int backlog = 4096;

/// One side of a connection, and the other one; both die with their pair.
struct side {
  int descriptor = -1;
  side* other = nullptr;
};

struct pair_of_sides {
  side client, upstream;
};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

void send_at_once(int descriptor) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

class epoll_relay {
public:
  epoll_relay(std::uint16_t port, std::uint16_t upstream) : upstream_(loopback(upstream)) {
    const int on = 1;
    const sockaddr_in address = loopback(port);
    if (door_ < 0 || poll_ < 0)
      give_up("socket");
    ::setsockopt(door_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(door_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(door_, backlog) != 0)
      give_up("bind");
    watch(door_, nullptr, EPOLLIN);
  }

  void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        auto* const from = static_cast<side*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (from == nullptr)
          accept();
        else if (from->descriptor >= 0)
          pass_on(*from);
      }
    }
  }

private:
  void watch(int descriptor, side* which, std::uint32_t what) const {
    epoll_event event{};
    event.events = what;
    event.data.ptr = which;
    if (::epoll_ctl(poll_, EPOLL_CTL_ADD, descriptor, &event) != 0)
      give_up("epoll_ctl");
  }

  void accept() const {
    const int client = ::accept(door_, nullptr, nullptr);
    const int upstream = ::socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0 || upstream < 0 ||
        ::connect(upstream, reinterpret_cast<const sockaddr*>(&upstream_), sizeof upstream_) != 0)
      give_up("accept and connect");
    send_at_once(client);
    send_at_once(upstream);
    // Kept until the end: an event of either side may still stand in the list that is gone through.
    auto* const both = new pair_of_sides{{client, nullptr}, {upstream, nullptr}};
    both->client.other = &both->upstream;
    both->upstream.other = &both->client;
    watch(client, &both->client, EPOLLIN);
    watch(upstream, &both->upstream, EPOLLIN);
  }

  void pass_on(side& from) {
    const auto came = ::recv(from.descriptor, buffer_.data(), buffer_.size(), 0);
    if (came > 0 && ::send(from.other->descriptor, buffer_.data(), static_cast<std::size_t>(came),
                           MSG_NOSIGNAL) == came)
      return; // what does not fit into a socket at once is more than any request of this load
    for (side* each : {&from, from.other})
      ::close(std::exchange(each->descriptor, -1));
  }

  int door_ = ::socket(AF_INET, SOCK_STREAM, 0);
  int poll_ = ::epoll_create1(0);
  sockaddr_in upstream_;
  std::array<char, buffer_bytes> buffer_;
};

asio::awaitable<void> pass_on(std::shared_ptr<tcp::socket> from, std::shared_ptr<tcp::socket> to) {
  std::array<char, buffer_bytes> buffer;
  boost::system::error_code trouble;
  while (!trouble) {
    const auto came = co_await from->async_read_some(
        asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, trouble));
    if (!trouble)
      co_await asio::async_write(*to, asio::buffer(buffer, came),
                                 asio::redirect_error(asio::use_awaitable, trouble));
  }
  to->close(trouble);
}

asio::awaitable<void> serve(tcp::acceptor door, tcp::endpoint upstream) {
  for (;;) {
    auto client = std::make_shared<tcp::socket>(co_await door.async_accept(asio::use_awaitable));
    auto other = std::make_shared<tcp::socket>(door.get_executor());
    co_await other->async_connect(upstream, asio::use_awaitable);
    client->set_option(tcp::no_delay(true));
    other->set_option(tcp::no_delay(true));
    asio::co_spawn(door.get_executor(), pass_on(client, other), asio::detached);
    asio::co_spawn(door.get_executor(), pass_on(other, client), asio::detached);
  }
}

void run_asio(std::uint16_t port, std::uint16_t upstream) {
  asio::io_context loop(1);
  const auto here = asio::ip::address_v4::loopback();
  tcp::acceptor door(loop, {here, port});
  door.listen(backlog);
  asio::co_spawn(loop, serve(std::move(door), {here, upstream}), asio::detached);
  loop.run();
}

} // namespace

int main(int argc, char* argv[]) {
  const std::string_view how = argc == 4 ? argv[1] : "";
  if (how != "epoll" && how != "asio") {
    std::fputs("usage: vorrang_bench_relay epoll|asio PORT UPSTREAM_PORT\n", stderr);
    return 2;
  }
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[2]));
  const auto upstream = static_cast<std::uint16_t>(std::atoi(argv[3]));
  if (how == "epoll")
    epoll_relay(port, upstream).run();
  else
    run_asio(port, upstream);
}
