#include "actors/shared/redis_connection.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <hiredis/hiredis.h>

#include <sys/socket.h>

namespace vorrang {
namespace {

namespace asio = boost::asio;
using error_code = boost::system::error_code;

constexpr auto connect_time_max = std::chrono::seconds(2);
constexpr std::size_t input_bytes = 64 * 1024;

} // namespace

std::string redis_command(const std::vector<std::string>& words) {
  std::string result = "*" + std::to_string(words.size()) + "\r\n";
  for (const auto& word : words) {
    result += "$" + std::to_string(word.size()) + "\r\n";
    result += word;
    result += "\r\n";
  }
  return result;
}

redis_connection::redis_connection(asio::io_context& io, const redis_settings& settings,
                                   redis_address address, asio::ssl::context* tls, handlers told)
    : io_(io), settings_(settings), address_(std::move(address)), told_(std::move(told)),
      resolver_(io), socket_(io), patience_(io), reader_(redisReaderCreate()), input_(input_bytes) {
  if (tls)
    tls_ = std::make_unique<asio::ssl::stream<socket&>>(socket_, *tls);
}

redis_connection::~redis_connection() {
  redisReaderFree(reader_);
}

void redis_connection::start() {
  patience_.expires_after(connect_time_max);
  patience_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && !self->ready_)
      self->close("no answer within 2 s");
  });
  resolve();
}

void redis_connection::resolve() {
  if (!address_.unix_socket.empty())
    return connect({asio::local::stream_protocol::endpoint(address_.unix_socket)}, 0, "");
  resolver_.async_resolve(
      address_.host, std::to_string(address_.port),
      [self = shared_from_this()](error_code error,
                                  const asio::ip::tcp::resolver::results_type& found) {
        if (error)
          return self->close(error.message());
        std::vector<asio::generic::stream_protocol::endpoint> places;
        for (const auto& each : found)
          places.emplace_back(each.endpoint());
        self->connect(std::move(places), 0, "the name has no address");
      });
}

void redis_connection::connect(std::vector<asio::generic::stream_protocol::endpoint> places,
                               std::size_t which, const std::string& why) {
  if (closed_)
    return;
  if (which == places.size())
    return close(why);
  error_code ignored;
  socket_.close(ignored);
  const auto place = places[which];
  socket_.async_connect(place, [self = shared_from_this(), places = std::move(places),
                                which](error_code error) mutable {
    if (error)
      return self->connect(std::move(places), which + 1, error.message());
    self->connected();
  });
}

void redis_connection::connected() {
  if (closed_)
    return;
  if (address_.unix_socket.empty()) {
    const int yes = 1;
    ::setsockopt(socket_.native_handle(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &yes, sizeof yes);
    // A host that is gone without a word is found within seconds also where nothing is asked.
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  }
  if (!tls_)
    return greet();
  SSL_set_tlsext_host_name(tls_->native_handle(), address_.host.c_str());
  if (settings_.tls_verify)
    tls_->set_verify_callback(asio::ssl::host_name_verification(address_.host));
  tls_->async_handshake(asio::ssl::stream_base::client,
                        [self = shared_from_this()](error_code error) {
                          if (error)
                            return self->close("TLS: " + error.message());
                          self->greet();
                        });
}

void redis_connection::greet() {
  if (closed_)
    return;
  std::string greeting;
  const auto ask = [&](const std::vector<std::string>& words) {
    greeting += redis_command(words);
    ++greetings_;
  };
  if (!settings_.password.empty() && !settings_.username.empty())
    ask({"AUTH", settings_.username, settings_.password});
  else if (!settings_.password.empty())
    ask({"AUTH", settings_.password});
  if (settings_.database != 0)
    ask({"SELECT", std::to_string(settings_.database)});
  ask({"PING"});
  send(greeting);
  read();
}

void redis_connection::send(std::string_view bytes) {
  const std::lock_guard lock(out_mutex_);
  if (closed_)
    return;
  const bool is_first = output_.empty() && writing_.empty();
  if (is_first && !tls_)
    bytes.remove_prefix(write_at_once(bytes));
  if (bytes.empty())
    return;
  output_ += bytes;
  if (is_first)
    asio::post(io_, [self = shared_from_this()] { self->write(); });
}

// How much of it the socket took. An error is found by who writes the rest.
std::size_t redis_connection::write_at_once(std::string_view bytes) noexcept {
  const auto count =
      ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

void redis_connection::write() {
  const std::lock_guard lock(out_mutex_);
  if (!writing_.empty() || output_.empty() || closed_)
    return;
  writing_.swap(output_);
  const auto written = [self = shared_from_this()](error_code error, std::size_t) {
    {
      const std::lock_guard freed(self->out_mutex_);
      self->writing_.clear();
    }
    if (error)
      return self->close(error.message());
    self->write();
  };
  if (tls_)
    asio::async_write(*tls_, asio::buffer(writing_), written);
  else
    asio::async_write(socket_, asio::buffer(writing_), written);
}

void redis_connection::read() {
  const auto got = [self = shared_from_this()](error_code error, std::size_t count) {
    if (error)
      return self->close(error == asio::error::eof ? "it closed the connection" : error.message());
    self->take(count);
    if (!self->closed_)
      self->read();
  };
  if (tls_)
    tls_->async_read_some(asio::buffer(input_), got);
  else
    socket_.async_read_some(asio::buffer(input_), got);
}

void redis_connection::take(std::size_t count) {
  redisReaderFeed(reader_, input_.data(), count);
  for (;;) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_, &reply) != REDIS_OK)
      return close("it does not speak Redis' protocol");
    if (!reply)
      return;
    const std::unique_ptr<redisReply, void (*)(void*)> held(static_cast<redisReply*>(reply),
                                                            freeReplyObject);
    take_reply(*held);
    if (closed_)
      return;
  }
}

void redis_connection::take_reply(const redisReply& reply) {
  if (greetings_ == 0)
    return told_.replied(reply);
  if (reply.type == REDIS_REPLY_ERROR)
    return close(std::string(reply.str, reply.len));
  if (--greetings_ > 0)
    return;
  ready_ = true;
  patience_.cancel();
  told_.ready();
}

void redis_connection::close(const std::string& why) {
  error_code ignored;
  {
    const std::lock_guard lock(out_mutex_);
    if (std::exchange(closed_, true))
      return;
    socket_.close(ignored);
  }
  ready_ = false;
  patience_.cancel();
  resolver_.cancel();
  const auto told = std::exchange(told_, {});
  if (told.closed)
    told.closed(why);
}

} // namespace vorrang
