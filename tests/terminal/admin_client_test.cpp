// How the operator's commands ask an admin port, or what stands in its place.
#include "terminal/admin_client.hpp"

#include "catch.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

using namespace vorrang::terminal;

namespace {

/// Begins an answer to one connection and then goes on with it, ever a byte more, until the other
/// side has enough.
class dripping_server {
public:
  explicit dripping_server(std::string beginning)
      : beginning_(std::move(beginning)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener_, plain, size) == 0);
    REQUIRE(::listen(listener_, 1) == 0);
    REQUIRE(::getsockname(listener_, plain, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~dripping_server() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  dripping_server(const dripping_server&) = delete;
  dripping_server& operator=(const dripping_server&) = delete;

  admin_address address() const {
    std::string trouble;
    return *read_address("http://127.0.0.1:" + std::to_string(port_), trouble);
  }

private:
  void run() const {
    constexpr int pause_ms = 20;
    const int connection = ::accept(listener_, nullptr, nullptr);
    if (connection < 0)
      return;
    ::send(connection, beginning_.data(), beginning_.size(), MSG_NOSIGNAL);
    pollfd ended{connection, POLLRDHUP, 0};
    while (::poll(&ended, 1, pause_ms) == 0)
      ::send(connection, "x", 1, MSG_NOSIGNAL);
    ::close(connection);
  }

  std::string beginning_;
  int listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

} // namespace

TEST_CASE("admin client: an answer that goes on and on is given up after a time in all") {
  for (const std::string beginning :
       {"", "HTTP/1.1 200 OK\r\nX-Long: ", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"}) {
    INFO(beginning);
    const dripping_server server(beginning);
    admin_client client(server.address(), std::nullopt, 1);
    const auto began = std::chrono::steady_clock::now();
    const auto answer = client.get("/queue");
    const auto took = std::chrono::steady_clock::now() - began;
    CHECK(answer.status == 0);
    CHECK(answer.trouble.find("no answer from " + server.address().text +
                              " (not all of it within 1 s)") == 0);
    CHECK(took >= std::chrono::seconds(1));
    CHECK(took < std::chrono::seconds(10));
  }
}
