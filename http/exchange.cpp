#include "http/exchange.hpp"

#include "http/log.hpp"

#include <algorithm>

namespace vorrang::http {

using steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t read_bytes = 16 * 1024;

constexpr const char* broke_off = "the upstream's answer broke off";
constexpr const char* silent_end = "the upstream closed the connection without an answer";

std::string name_of(const upstream_address& address) {
  return address.host + ":" + std::to_string(address.port);
}

} // namespace

exchange::~exchange() {
  by_.wake_at(never);
  if (wire_)
    wire_->close();
}

bool exchange::failed(transport_error error, std::string what_came) noexcept {
  error_ = error;
  what_came_ = std::move(what_came);
  if (wire_)
    wire_->close();
  wire_.reset();
  return false;
}

/// Whether there is no point in going on: unwanted, or out of time.
bool exchange::stop_if_over() {
  if (by_.is_unwanted()) {
    unwanted_ = true;
    failed(transport_error::broken);
    return true;
  }
  if (by_.rang()) {
    failed(transport_error::timed_out);
    return true;
  }
  return false;
}

void exchange::log_failure(const std::string& what) const {
  log_bounded(
      log_cause::upstream_failed, name_of(*request_->address), what,
      {{"request_id", request_->request_id},
       {"deployment", request_->deployment ? request_->deployment->id : std::string_view()}});
}

/// The first cause is what an operator needs; what follows from it is not told.
void exchange::log_once(const std::string& what) {
  if (!std::exchange(logged_, true))
    log_failure(what);
}

void exchange::use(std::shared_ptr<wire> chosen) {
  wire_ = std::move(chosen);
  wire_->set_listener(&by_.place);
}

awaitable<bool> exchange::ask(const upstream_request& request, std::function<bool()> may_send) {
  request_ = &request;
  if (request.address == nullptr)
    co_return failed(transport_error::not_connected);
  const upstream_address& to = *request.address;
  for (bool allowed = false;; is_pooled_ = false) {
    // The second time round the pool is not asked again: its other connections are as old.
    std::shared_ptr<wire> waiting;
    if (!allowed)
      waiting = pool_.take(to);
    is_pooled_ = waiting != nullptr;
    if (is_pooled_) {
      use(std::move(waiting));
    } else {
      const bool connected = co_await connect(request.until);
      if (!connected) {
        if (has_written_ && error_ == transport_error::not_connected)
          error_ = transport_error::broken; // on the connection before
        co_return false;
      }
    }
    if (!allowed && !may_send())
      co_return failed(transport_error::not_sent);
    allowed = true;
    by_.wake_at(request.until);
    const time_point written_at = steady::now();
    const bool answered = co_await write_and_read_head();
    if (answered)
      co_return true;
    // One that lived on was not stale when it was taken: its upstream may have worked on this.
    if (!is_pooled_ || unwanted_ || error_ != transport_error::broken || reader_.has_begun() ||
        steady::now() - written_at > stale_time_max)
      co_return false;
    reader_.reset();
  }
}

awaitable<bool> exchange::connect(time_point until) {
  const upstream_address& to = *request_->address;
  time_point give_up = steady::now() + connect_time_max;
  by_.wake_at(std::min(until, give_up));
  const auto endpoints = co_await pool_.resolve(to, by_);
  bool has_socket = true;
  for (const auto& each : endpoints) {
    if (by_.is_unwanted())
      break;
    give_up = std::min(until, steady::now() + connect_time_max);
    has_socket = co_await open_socket(each, give_up);
    if (!has_socket)
      break;
    by_.wake_at(give_up);
    while (wire_->is_connecting() && !by_.is_unwanted() && !by_.rang())
      co_await by_.changed();
    bool ready = !wire_->is_connecting() && !wire_->is_broken();
    if (ready && to.proxy)
      ready = co_await open_tunnel();
    if (ready && to.tls)
      ready = co_await secure();
    if (ready)
      co_return true;
    wire_->close();
    wire_.reset();
    if (steady::now() >= until)
      break;
  }
  if (by_.is_unwanted()) {
    unwanted_ = true;
    co_return false;
  }
  if (!has_socket)
    co_return failed(transport_error::not_sent);
  if (!endpoints.empty()) {
    pool_.forget_name(to);
    log_once("cannot connect to " + name_of(to));
  }
  // Nothing was written, whether the attempt's time was up or not.
  co_return failed(transport_error::not_connected);
}

/// Begins to connect, once a descriptor is left for it.
awaitable<bool> exchange::open_socket(const wire::tcp::endpoint& to, time_point give_up) {
  for (;;) {
    use(std::make_shared<wire>(pool_.runs_on()));
    if (wire_->connect(to))
      co_return true;
    wire_.reset();
    log_bounded(log_cause::file_limit, "connect",
                "no file descriptor left for a connection to " + name_of(*request_->address) +
                    ": raise the limit (ulimit -n)",
                {{"request_id", request_->request_id}}, log_level::error);
    if (pool_.close_one())
      continue;
    by_.wake_at(std::min(give_up, steady::now() + descriptor_pause));
    while (!by_.is_unwanted() && !by_.rang())
      co_await by_.changed();
    if (by_.is_unwanted() || steady::now() >= give_up)
      co_return false;
  }
}

/// Asks the proxy for a tunnel to the upstream. Nothing may come behind its answer's head.
awaitable<bool> exchange::open_tunnel() {
  wire_->write(request_->address->proxy->head);
  answer_head_reader answer(true);
  while (answer.state() == read_state::more) {
    if (!wire_->input().empty()) {
      wire_->consume(answer.feed(wire_->input()));
      continue;
    }
    if (wire_->input_ended() || by_.is_unwanted() || by_.rang())
      co_return false;
    wire_->keep_reading(read_bytes);
    co_await by_.changed();
  }
  if (answer.state() == read_state::done && answer.head().status / 100 == 2 &&
      wire_->input().empty())
    co_return true;
  log_once("the proxy makes no tunnel to " + name_of(*request_->address) + ": " +
           (answer.state() == read_state::done
                ? "it answered with status " + std::to_string(answer.head().status)
                : answer.fault()));
  co_return false;
}

awaitable<bool> exchange::secure() {
  const upstream_address& to = *request_->address;
  std::string trouble;
  auto context = pool_.tls_for(to, trouble);
  if (!context) {
    log_once("no TLS with " + name_of(to) + ": " + trouble);
    co_return false;
  }
  wire_->secure(std::move(context), to.host, pool_.tls_memory_of(to));
  while (wire_->is_connecting() && !by_.is_unwanted() && !by_.rang())
    co_await by_.changed();
  if (!wire_->is_connecting() && !wire_->is_broken())
    co_return true;
  if (const std::string fault = wire_->fault(); !fault.empty())
    log_once("no TLS with " + name_of(to) + ": " + fault);
  co_return false;
}

awaitable<bool> exchange::write_and_read_head() {
  const auto written_before = wire_->bytes_written();
  wire_->write(request_->head, request_->body);
  while (reader_.state() == read_state::more) {
    // An answer may come before the request is written whole, so both go on together.
    if (!wire_->input().empty()) {
      const std::size_t used = reader_.feed(wire_->input());
      wire_->consume(used);
      continue;
    }
    if (wire_->input_ended()) {
      has_written_ |= wire_->bytes_written() != written_before;
      if (!is_pooled_)
        log_failure(name_of(*request_->address) + " closed the connection without an answer");
      if (!has_written_ && !is_pooled_)
        co_return failed(transport_error::not_connected);
      co_return failed(transport_error::broken, reader_.has_begun() ? broke_off : silent_end);
    }
    if (stop_if_over())
      co_return false;
    wire_->keep_reading(read_bytes);
    co_await by_.changed();
  }
  if (reader_.state() == read_state::failed) {
    log_failure(name_of(*request_->address) + " answered no HTTP: " + reader_.fault());
    co_return failed(transport_error::not_http, reader_.fault());
  }
  framer_ = body_framer(head().framing, head().content_length, answer_bytes_max);
  co_return true;
}

awaitable<bool> exchange::read(std::string_view& piece, time_point until) {
  piece = {};
  if (wire_ && unread_ > 0)
    wire_->consume(std::exchange(unread_, 0));
  bool timed = false;
  while (framer_.state() == read_state::more) {
    if (!wire_->input().empty()) {
      const auto next = framer_.next(wire_->input());
      if (!next.data.empty()) {
        unread_ = next.consumed;
        piece = next.data;
        co_return true;
      }
      wire_->consume(next.consumed);
      continue;
    }
    if (wire_->input_ended()) {
      if (!wire_->is_broken())
        framer_.finish();
      if (framer_.state() == read_state::done)
        break;
      log_failure(name_of(*request_->address) + " broke off its answer");
      co_return failed(transport_error::broken, broke_off);
    }
    if (!std::exchange(timed, true))
      by_.wake_at(until);
    if (stop_if_over())
      co_return false;
    wire_->keep_reading(read_bytes);
    co_await by_.changed();
  }
  if (framer_.state() == read_state::failed) {
    const char* const fault = framer_.error() == our_error::body_too_large
                                  ? "the upstream's answer is over 256 MiB"
                                  : "the upstream's chunks are malformed";
    log_failure(name_of(*request_->address) + ": " + fault);
    co_return failed(transport_error::not_http, fault);
  }
  release();
  co_return true;
}

/// The answer was read whole: the connection may serve again.
void exchange::release() {
  if (!wire_)
    return;
  by_.wake_at(never);
  if (head().keep_alive && head().framing != body_framing::until_close && !wire_->is_writing())
    pool_.give(*request_->address, std::move(wire_));
  else
    wire_->close();
  wire_.reset();
}

} // namespace vorrang::http
