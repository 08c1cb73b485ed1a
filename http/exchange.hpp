// One request to an upstream, and its answer.
#pragma once

#include "http/answer_head.hpp"
#include "http/attempt.hpp"
#include "http/body_framer.hpp"
#include "http/upstream_pool.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace vorrang::http {

/// Carries one upstream_request: takes a connection of the pool or makes one, writes, reads the
/// head, then the body piece by piece. A request whose pooled connection died at once, before any
/// byte of the answer, goes out once more on a fresh one. An exchange that dies half-way closes its
/// connection. Where no descriptor is left it takes one of the pool's or waits for one, and is
/// not_sent if none comes in connect_time_max: that is no fault of the upstream. `pool`, `by` and
/// the request's bytes outlive it.
class exchange {
public:
  /// A connection that is not there within this is given up; a name may have several addresses.
  static constexpr duration connect_time_max = std::chrono::seconds(5);
  /// Between two looks for a descriptor, where none was left.
  static constexpr duration descriptor_pause = std::chrono::milliseconds(50);
  /// A kept connection that ends later than this after the request was written was no stale one.
  static constexpr duration stale_time_max = std::chrono::milliseconds(100);
  /// The longest answer that is read whole.
  static constexpr std::uint64_t answer_bytes_max = std::uint64_t{256} << 20;

  exchange(upstream_pool& pool, waiter& by) noexcept : pool_(pool), by_(by) {}
  ~exchange();
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

  /// Sends, and reads the head of the answer. `may_send` is asked once, right before the first
  /// byte. False: see was_unwanted() and error().
  awaitable<bool> ask(const upstream_request& request, std::function<bool()> may_send);

  const answer_head& head() const noexcept { return reader_.head(); }
  /// Once the body was read whole.
  answer_head take_head() { return reader_.take_head(); }

  /// The next bytes of the body, until `until`; `piece` holds until the next call and is empty at
  /// the end of the body. False: as ask().
  awaitable<bool> read(std::string_view& piece, time_point until);

  /// Nobody wants the answer any more.
  bool was_unwanted() const noexcept { return unwanted_; }
  /// What went wrong. Of the two times only timed_out is told: the caller knows which it was.
  transport_error error() const noexcept { return error_; }
  /// What came instead of an answer, as a sentence without its stop; empty if there is no more to
  /// say than error() does.
  const std::string& what_came() const noexcept { return what_came_; }

private:
  awaitable<bool> connect(time_point until);
  awaitable<bool> open_socket(const wire::tcp::endpoint& to, time_point give_up);
  awaitable<bool> open_tunnel();
  awaitable<bool> secure();
  awaitable<bool> write_and_read_head();
  bool failed(transport_error error, std::string what_came = {}) noexcept;
  bool stop_if_over();
  void log_once(const std::string& what);
  void log_failure(const std::string& what) const;
  void use(std::shared_ptr<wire> chosen);
  void release();

  upstream_pool& pool_;
  waiter& by_;
  const upstream_request* request_ = nullptr;
  std::shared_ptr<wire> wire_;
  bool is_pooled_ = false;
  answer_head_reader reader_;
  body_framer framer_;
  std::size_t unread_ = 0;   ///< bytes of the input that the last piece used
  bool has_written_ = false; ///< of the request, on any connection
  bool unwanted_ = false;
  bool logged_ = false;
  transport_error error_ = transport_error::broken;
  std::string what_came_;
};

} // namespace vorrang::http
