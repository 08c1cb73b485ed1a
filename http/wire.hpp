// One TCP connection as a coroutine sees it: bytes that came, bytes that go, whether it ended.
#pragma once

#include "http/coroutine.hpp"
#include "http/tls.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::http {

// The loop's own executor instead of any_io_executor: 6 % less user CPU, 0.4 KB less a connection.
using executor = boost::asio::io_context::executor_type;

/// A socket with one input buffer. It never waits itself: what it begins it reports by waking the
/// listener's place, and the listener looks. Handlers keep it alive, so it may be let go of at any
/// time, after close(). Belongs to its loop's thread.
class wire final : public std::enable_shared_from_this<wire> {
public:
  using tcp = boost::asio::ip::tcp;
  using socket = boost::asio::basic_stream_socket<tcp, executor>;

  explicit wire(loop& runs);
  ~wire();
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;

  /// Takes an accepted, non-blocking descriptor.
  void adopt(const tcp& protocol, int descriptor);
  /// Begins to connect; ends with is_connecting() false. False: no socket can be had, since the
  /// process or the machine has no descriptor or memory left; the wire is not open.
  [[nodiscard]] bool connect(const tcp::endpoint& to);
  /// From now on TLS, once connected (or adopted, where `context` is for clients) and while nothing
  /// is being read or written: is_connecting() until the handshake is over. If it fails the wire is
  /// broken, and fault() says why.
  void secure(std::shared_ptr<tls_context> context, const std::string& host,
              std::shared_ptr<tls_memory> memory);
  /// Why TLS failed, for the log; else empty.
  std::string fault() const;

  /// Who is woken; null: nobody.
  void set_listener(parking* place) noexcept { listener_ = place; }
  /// Called instead of waking a listener, when there is none (an idle connection in a pool).
  void set_idle_call(waiting_call::function call, void* owner) noexcept {
    idle_call_ = call;
    idle_owner_ = owner;
  }

  /// `address:port` of the other side; empty if it is not known any more.
  std::string peer() const;

  bool is_connecting() const noexcept { return connecting_; }
  bool is_open() const noexcept { return open_; }
  /// The peer closed its side (a FIN), or the connection broke: no further input.
  bool input_ended() const noexcept { return input_ended_; }
  /// It ended by an error, not by a FIN.
  bool is_broken() const noexcept { return broken_; }
  /// Not a byte went for 60 s.
  bool has_stalled() const noexcept { return stalled_; }

  /// What came and was not consumed.
  std::string_view input() const noexcept { return {buffer_.get() + begin_, end_ - begin_}; }
  void consume(std::size_t count) noexcept;
  /// Keeps a read pending, into a buffer of at least `bytes_min`. Nothing happens if one is
  /// pending already, or at the end of input. A full buffer grows to bytes_max; when it is full
  /// then, the end of the connection is seen without reading.
  void keep_reading(std::size_t bytes_min);

  /// Sends `pieces`, now as far as the kernel takes them, the rest as it comes. The bytes must stay
  /// until is_writing() is false, or until close(). Not while is_writing().
  void write(std::string_view first, std::span<const std::string_view> more = {});
  bool is_writing() const noexcept { return writing_; }
  /// Bytes of all writes that the kernel has taken.
  std::uint64_t bytes_written() const noexcept { return bytes_written_; }

  /// Sends a FIN; reading goes on.
  void end_output();
  /// Closes at once. Nothing is reported any more.
  void close();

  static constexpr std::size_t bytes_max = 32 * 1024;
  /// Written in one go, before others on the loop have their turn.
  static constexpr std::size_t turn_bytes_max = 256 * 1024;

private:
  struct secured;

  void report();
  void read_more();
  void write_now();
  void write_rest();
  // wire_tls.cpp
  enum class readiness : std::uint8_t { readable, writable };
  void after(readiness what, void (wire::*next)());
  void shake_hands();
  void read_secured();
  void write_secured();
  void say_goodbye() noexcept;
  void fail() noexcept;
  void take_sent(std::size_t count);
  void watch_end();
  void forget_end();

  loop& runs_;
  socket socket_;
  parking* listener_ = nullptr;
  waiting_call::function idle_call_ = nullptr;
  void* idle_owner_ = nullptr;
  waiting_call stall_;

  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;

  std::unique_ptr<secured> secured_;   ///< with TLS
  std::vector<std::string_view> rest_; ///< what the kernel has not taken yet
  std::uint64_t bytes_written_ = 0;
  std::uint64_t watched_ = 0; ///< by the loop's hangup_watch

  bool open_ = false;
  bool connecting_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool input_ended_ = false;
  bool broken_ = false;
  bool stalled_ = false;
};

} // namespace vorrang::http
