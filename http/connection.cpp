#include "http/connection.hpp"

#include "http/answer_headers.hpp"
#include "http/body_framer.hpp"
#include "http/call.hpp"
#include "http/inspected_body.hpp"
#include "http/relay.hpp"

#include <algorithm>
#include <array>

namespace vorrang::http {

using steady = std::chrono::steady_clock;

namespace {

/// While heads are read and requests wait: most requests fit, and 10 000 that wait need little.
constexpr std::size_t head_read_bytes = 1024;
/// While a body is read. 2 KiB would cost four times the time.
constexpr std::size_t body_read_bytes = 16 * 1024;

/// For bytes that are certain to come: as many as are there, so that nobody gets memory for a
/// length alone; who has sent `trusted_bytes` gets all, since to copy megabytes would hold up the
/// loop.
std::size_t room_beyond(std::size_t size, std::uint64_t to_come) {
  constexpr std::size_t trusted_bytes = 64 * 1024;
  return size < trusted_bytes ? std::min<std::uint64_t>(to_come, size) : to_come;
}

} // namespace

connection::connection(data_loop& home, int descriptor, bool is_ipv6)
    : waiter(home.runs_on()), home_(home), wire_(std::make_shared<wire>(home.runs_on())),
      patience_(this,
                [](void* self) {
                  auto& own = *static_cast<connection*>(self);
                  own.out_of_patience_ = true;
                  own.place.wake();
                }),
      claim_(home.port().bytes) {
  home_.add(*this);
  wire_->set_listener(&place);
  wire_->adopt(is_ipv6 ? wire::tcp::v6() : wire::tcp::v4(), descriptor);
}

connection::~connection() {
  end_journal();
  wire_->close();
  home_.remove(*this);
}

awaitable<> connection::serve(std::shared_ptr<connection> self) {
  co_await self->run();
}

bool connection::is_unwanted() const noexcept {
  return wire_->input_ended() || home_.current_stage() >= stage::ending;
}

parking::pause connection::changed() {
  wire_->keep_reading(head_read_bytes);
  return place.wait();
}

/// TLS, where the port speaks it. False: it did not come about.
awaitable<bool> connection::secure() {
  if (!home_.port().tls)
    co_return true;
  home_.runs_on().watch(patience_, patience::head);
  wire_->secure(home_.port().tls, {}, nullptr);
  while (wire_->is_connecting() && !out_of_patience_ && home_.current_stage() == stage::serving)
    co_await place.wait();
  patience_.unlink();
  co_return !wire_->is_connecting() && !wire_->is_broken();
}

awaitable<> connection::run() {
  const bool is_secure = co_await secure();
  if (!is_secure) {
    wire_->close();
    co_return;
  }
  for (bool is_first = true; !close_; is_first = false) {
    const bool came = co_await read_head(is_first);
    if (!came)
      break;
    begin_journal(&reader_.head());
    co_await answer_request();
    end_journal();
    claim_.release();
  }
  if (close_ && (unread_ || !wire_->input().empty()))
    co_await linger();
  wire_->close();
}

/// False: no request came, or one that was answered here.
awaitable<bool> connection::read_head(bool is_first) {
  reader_.reset();
  out_of_patience_ = false;
  if (is_first || wire_->input().empty())
    home_.runs_on().watch(patience_, is_first ? patience::head : patience::idle);
  bool has_begun = is_first;
  for (;;) {
    if (!wire_->input().empty()) {
      const std::size_t used = reader_.feed(wire_->input());
      wire_->consume(used);
      if (reader_.state() != read_state::more)
        break;
      if (!has_begun && reader_.has_begun()) {
        has_begun = true;
        home_.runs_on().watch(patience_, patience::head);
      }
      continue;
    }
    if (wire_->input_ended() || home_.current_stage() != stage::serving)
      co_return false;
    if (out_of_patience_) {
      if (reader_.has_begun()) {
        begin_journal(nullptr);
        auto answer = refusal_of(our_error::head_too_slow, nullptr);
        co_await send(std::move(answer), steady::now());
        end_journal();
      }
      co_return false;
    }
    wire_->keep_reading(head_read_bytes);
    co_await place.wait();
  }
  patience_.unlink();
  if (reader_.state() == read_state::done)
    co_return true;
  unread_ = true;
  begin_journal(nullptr);
  auto answer = home_.rules().refuse(reader_.error(), nullptr);
  answer.close = true;
  co_await send(std::move(answer), steady::now());
  end_journal();
  co_return false;
}

awaitable<> connection::answer_request() {
  auto decided = co_await read_request();
  if (auto* answer = std::get_if<reply>(&decided)) {
    claim_.release();
    co_await send(std::move(*answer), steady::now());
  } else if (auto* accepted = std::get_if<std::unique_ptr<call>>(&decided)) {
    relay carrier(*this, **accepted);
    co_await carrier.run();
  } else {
    close_ = true;
  }
}

/// The rest of the request, and what it means; nothing if the client is gone.
awaitable<connection::decision> connection::read_request() {
  const request_head& head = reader_.head();
  keep_alive_ = head.keep_alive;
  is_head_ = head.method == http_method::head;
  is_http_1_0_ = head.version_minor == 0;
  if (auto early = home_.rules().judge_head(head)) {
    if (head.framing != body_framing::none)
      unread_ = early->close = true;
    co_return std::move(*early);
  }
  std::string body;
  inspected_body inspected;
  if (head.framing != body_framing::none) {
    body_scanner scanner(body_scanner::measuring::yes);
    reply refused;
    const bool whole = co_await read_body(body, scanner, refused);
    if (!whole && refused.status == 0)
      co_return std::monostate();
    if (!whole) {
      unread_ = refused.close = true;
      co_return std::move(refused);
    }
    inspected = inspect(body, scanner);
    if (journal_)
      journal_->body_came(body.size(), inspected.model ? *inspected.model : std::string_view());
  }
  const bool with_queues = head.method == http_method::get || is_head_;
  probe_findings findings;
  if (with_queues && home_.port().probe && front::wants_probe(head)) {
    findings = co_await ask_upstreams();
    if (!findings)
      co_return std::monostate();
  }
  auto begun =
      home_.rules().begin(steady::now(), reader_.take_head(), std::move(body), std::move(inspected),
                          home_.state(with_queues, std::move(findings)));
  if (auto* answer = std::get_if<reply>(&begun))
    co_return std::move(*answer);
  co_return std::move(std::get<std::unique_ptr<call>>(begun));
}

/// What the upstreams say; null if the client is gone.
awaitable<probe_findings> connection::ask_upstreams() {
  struct heard {
    parking* place;
    probe_findings what;
  };
  const auto answer = std::make_shared<heard>();
  answer->place = &place;
  auto told = [&runs = home_.runs_on(),
               listens = std::weak_ptr<heard>(answer)](const probe_findings& what) {
    runs.post([listens, what] {
      if (const auto still = listens.lock()) {
        still->what = what;
        still->place->wake();
      }
    });
  };
  home_.port().probe(std::move(told));
  while (!answer->what && !is_unwanted())
    co_await changed();
  co_return std::move(answer->what);
}

/// False: `refused` is the answer, or has status 0 if the client is gone.
awaitable<bool> connection::read_body(std::string& body, body_scanner& scanner, reply& refused) {
  const request_head& head = reader_.head();
  const front& rules = home_.rules();
  refused.status = 0;
  body_framer framer(head.framing, head.content_length, rules.body_bytes_max());
  if (!home_.port().bytes.has_room_for(framer.bytes_left())) {
    refused = refusal_of(our_error::queue_bytes_full, &head);
    co_return false;
  }
  if (head.expects_continue && wire_->input().empty()) {
    wire_->write(continue_head);
    co_await written();
  }
  for (;;) {
    while (framer.state() == read_state::more && !wire_->input().empty()) {
      const auto piece = framer.next(wire_->input());
      if (!claim_.grow(piece.data.size())) {
        refused = refusal_of(our_error::queue_bytes_full, &head);
        co_return false;
      }
      const std::size_t size = body.size() + piece.data.size();
      if (size > body.capacity())
        body.reserve(size + room_beyond(size, framer.bytes_left()));
      body.append(piece.data);
      scanner.feed(body);
      wire_->consume(piece.consumed);
    }
    if (framer.state() == read_state::done)
      break;
    if (framer.state() == read_state::failed) {
      refused = refusal_of(framer.error(), &head);
      co_return false;
    }
    if (wire_->input_ended() || home_.current_stage() == stage::aborting)
      co_return false;
    if (home_.current_stage() != stage::serving) {
      refused = refusal_of(our_error::draining, &head);
      co_return false;
    }
    if (out_of_patience_) {
      refused = refusal_of(our_error::body_too_slow, &head);
      co_return false;
    }
    home_.runs_on().watch(patience_, patience::body);
    wire_->keep_reading(body_read_bytes);
    co_await place.wait();
  }
  patience_.unlink();
  co_return true;
}

reply connection::refusal_of(our_error code, const request_head* head) const {
  fault what;
  what.code = code;
  reply answer = home_.rules().refuse(what, head);
  answer.close = true;
  return answer;
}

void connection::begin_journal(const request_head* head) {
  const journal_readers& readers = home_.port().journals;
  if (!readers)
    return;
  journal_ = std::make_unique<request_journal>(readers, home_.ids(), wire_->peer(), head,
                                               wire_->bytes_written(), steady::now());
}

/// The request is over, or its connection: its journal is handed on.
void connection::end_journal() {
  if (!journal_)
    return;
  journal_->bytes_went(wire_->bytes_written());
  journal_.reset();
}

awaitable<> connection::send(reply answer, time_point now) {
  home_.metrics().answered(answer.status, answer.why);
  if (journal_)
    journal_->answered(answer, now);
  close_ = close_ || answer.close || !keep_alive_ || home_.current_stage() != stage::serving;
  answer_framing framing;
  framing.content_length = answer.body.size();
  framing.version_minor = is_http_1_0_ ? 0 : 1;
  framing.keep_alive = !close_;
  const std::string head =
      render_answer_head(answer.status, answer.fields, framing, home_.date(now));
  const std::string_view body = answer.body;
  wire_->write(head, std::span(&body, is_head_ || body.empty() ? 0 : 1));
  co_await written();
}

awaitable<> connection::begin_stream(reply head, time_point now) {
  home_.metrics().answered(head.status, head.why);
  if (journal_)
    journal_->answered(head, now);
  close_ = close_ || head.close || !keep_alive_ || is_http_1_0_;
  chunked_ = !is_http_1_0_;
  answer_framing framing;
  framing.version_minor = is_http_1_0_ ? 0 : 1;
  framing.keep_alive = !close_;
  const std::string text = render_answer_head(head.status, head.fields, framing, home_.date(now));
  wire_->write(text);
  co_await written();
}

awaitable<> connection::stream(std::string_view text) {
  if (text.empty())
    co_return;
  const std::string begin = chunked_ ? chunk_begin(text.size()) : std::string();
  const std::array<std::string_view, 2> rest = {text, chunk_end};
  if (chunked_)
    wire_->write(begin, rest);
  else
    wire_->write(text);
  co_await written();
}

awaitable<> connection::end_stream(std::string_view text) {
  const std::string begin = chunked_ && !text.empty() ? chunk_begin(text.size()) : std::string();
  const std::array<std::string_view, 3> rest = {text, chunk_end, last_chunk};
  if (!chunked_)
    wire_->write(text);
  else if (text.empty())
    wire_->write(last_chunk);
  else
    wire_->write(begin, rest);
  co_await written();
}

void connection::break_off() noexcept {
  close_ = true;
  unread_ = false;
  wire_->close();
}

/// What is written must stay until the kernel has it, or the wire is closed.
awaitable<> connection::written() {
  while (wire_->is_writing()) {
    if (home_.current_stage() == stage::aborting) {
      wire_->close();
      break;
    }
    co_await place.wait();
  }
  if (wire_->is_broken() || !wire_->is_open())
    close_ = true;
}

/// A close with bytes unread would send a RST, which can take our answer from the client's hands.
awaitable<> connection::linger() {
  wire_->end_output();
  out_of_patience_ = false;
  home_.runs_on().watch(patience_, patience::linger);
  while (!wire_->input_ended() && !out_of_patience_ && home_.current_stage() < stage::ending) {
    wire_->consume(wire_->input().size());
    wire_->keep_reading(body_read_bytes);
    co_await place.wait();
  }
}

} // namespace vorrang::http
