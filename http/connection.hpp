// A client's connection: requests in, answers out, and the limits of the door.
#pragma once

#include "http/byte_budget.hpp"
#include "http/coroutine.hpp"
#include "http/data_loop.hpp"
#include "http/head_reader.hpp"
#include "http/reply.hpp"
#include "http/request_journal.hpp"
#include "http/wire.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace vorrang::http {

class body_scanner;
class call;

/// One coroutine, serve(), reads request after request and answers each before the next. A read is
/// always pending, into the connection's own buffer, so that the end of the client is seen while
/// its request waits.
class connection final : public waiter {
public:
  /// Takes the accepted socket.
  connection(data_loop& home, int descriptor, bool is_ipv6);
  /// Closes.
  ~connection();

  /// The connection's life.
  static awaitable<> serve(std::shared_ptr<connection> self);

  /// The client sent a FIN or is gone, or the gateway ends.
  bool is_unwanted() const noexcept override;
  parking::pause changed() override;

  data_loop& home() noexcept { return home_; }
  /// The bytes of the request's body; released with the first byte of its answer.
  byte_claim& claim() noexcept { return claim_; }
  /// The current request's; null: nobody reads it.
  request_journal* journal() noexcept { return journal_.get(); }

  // Answers; each waits until the kernel has taken all of it, or the client is gone.
  // ---------------

  awaitable<> send(reply answer, time_point now);
  /// The head of an answer whose body comes piece by piece, until end_stream().
  awaitable<> begin_stream(reply head, time_point now);
  awaitable<> stream(std::string_view text);
  /// With its last words, in one write.
  awaitable<> end_stream(std::string_view text);
  /// An answer that has begun cannot be ended properly: closes, so that the client notices.
  void break_off() noexcept;

private:
  awaitable<> run();
  awaitable<bool> secure();
  awaitable<bool> read_head(bool is_first);
  awaitable<> answer_request();
  using decision = std::variant<std::monostate, reply, std::unique_ptr<call>>;
  awaitable<decision> read_request();
  awaitable<probe_findings> ask_upstreams();
  awaitable<bool> read_body(std::string& body, body_scanner& scanner, reply& refused);
  awaitable<> written();
  awaitable<> linger();
  reply refusal_of(our_error code, const request_head* head) const;
  void begin_journal(const request_head* head);
  void end_journal();

  data_loop& home_;
  std::shared_ptr<wire> wire_;
  waiting_call patience_;
  bool out_of_patience_ = false;
  head_reader reader_;
  byte_claim claim_;
  std::unique_ptr<request_journal> journal_;
  bool keep_alive_ = true; ///< as the current request wants
  bool is_head_ = false;   ///< the current request is a HEAD
  bool is_http_1_0_ = false;
  bool close_ = false;   ///< after the current answer
  bool unread_ = false;  ///< a part of the request was not read: linger
  bool chunked_ = false; ///< the current stream
};

} // namespace vorrang::http
