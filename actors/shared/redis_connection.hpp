// One connection to a Redis server: bytes in, replies out.
#pragma once

#include "actors/settings.hpp"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;
struct redisReply;

namespace vorrang {

/// A server: a host and port, or a socket in the file system.
struct redis_address {
  std::string host;
  std::uint16_t port = 6379;
  std::string unix_socket; ///< set: in place of host and port
};

/// A command in the protocol's form.
std::string redis_command(const std::vector<std::string>& words);

/// Connects, shows who it is, and then sends what it is told and hands on each reply, in order.
/// Closed for good by the first error. Belongs to the thread that runs its io_context, but that
/// send() may come from any.
class redis_connection : public std::enable_shared_from_this<redis_connection> {
public:
  struct handlers {
    std::function<void()> ready;
    std::function<void(const redisReply&)> replied;
    std::function<void(const std::string& why)> closed;
  };

  /// `tls`: null for a plain connection.
  redis_connection(boost::asio::io_context& io, const redis_settings& settings,
                   redis_address address, boost::asio::ssl::context* tls, handlers told);
  ~redis_connection();

  void start();
  /// Into the socket at once, so that no other thread has to wake up first; what does not fit (and
  /// all over TLS) follows from the io_context's thread.
  void send(std::string_view bytes);
  /// `closed` is told, once.
  void close(const std::string& why);
  bool is_ready() const noexcept { return ready_; }

private:
  using socket = boost::asio::generic::stream_protocol::socket;

  void resolve();
  void connect(std::vector<boost::asio::generic::stream_protocol::endpoint> places,
               std::size_t which, const std::string& why);
  void connected();
  void greet();
  void read();
  void write();
  std::size_t write_at_once(std::string_view bytes) noexcept;
  void take(std::size_t count);
  void take_reply(const redisReply& reply);

  boost::asio::io_context& io_;
  redis_settings settings_;
  redis_address address_;
  handlers told_;
  boost::asio::ip::tcp::resolver resolver_;
  socket socket_;
  std::unique_ptr<boost::asio::ssl::stream<socket&>> tls_;
  boost::asio::steady_timer patience_;
  redisReader* reader_;
  std::vector<char> input_;
  std::size_t greetings_ = 0;
  bool ready_ = false;
  /// For what goes out, and the end of the socket: send() may come meanwhile.
  std::mutex out_mutex_;
  std::string output_;
  std::string writing_;
  bool closed_ = false;
};

} // namespace vorrang
