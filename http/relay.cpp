#include "http/relay.hpp"

#include "config/settings.hpp"
#include "http/connection.hpp"
#include "http/exchange.hpp"
#include "http/log.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <variant>

namespace vorrang::http {

using steady = std::chrono::steady_clock;

namespace {

/// Kept ready for a whole answer that says how long it is; a longer one grows as it comes.
constexpr std::uint64_t reserved_max = std::uint64_t{1} << 20;

/// One line for all that are refused meanwhile.
void log_queue_full(const call& refused) {
  const auto group = refused.facts().group;
  log_bounded(log_cause::queue_full, group,
              "the line of group " + std::string(group) +
                  " is full: requests are refused with 429 (max_queue_size)",
              {{"request_id", refused.request_id()}});
}

/// Somebody has to look at the key: nothing gets well by itself.
void log_refused_key(const call& of, unsigned status) {
  const auto facts = of.facts();
  log_bounded(
      log_cause::credentials, facts.deployment,
      "the upstream refuses the gateway's key (status " + std::to_string(status) + ")",
      {{"request_id", of.request_id()}, {"group", facts.group}, {"deployment", facts.deployment}},
      log_level::error);
}

/// The attempt's own time was up; a request's deadline is no upstream's failure.
void log_late(const call& of) {
  const auto facts = of.facts();
  log_bounded(
      log_cause::upstream_late, facts.deployment,
      "the upstream did not answer, or go on, in time (timeout, stream_timeout)",
      {{"request_id", of.request_id()}, {"group", facts.group}, {"deployment", facts.deployment}});
}

void log_attempt(const call& of, const grant& given) {
  const auto facts = of.facts();
  log_line(
      log_level::debug, "granted",
      {{"request_id", of.request_id()},
       {"group", facts.group},
       {"deployment", facts.deployment},
       {"attempt", given.attempt},
       {"granted_by", to_string(given.reason)},
       {"wait_ms", std::chrono::duration_cast<std::chrono::milliseconds>(given.waited).count()}});
}

void log_outcome(const call& of, const outcome& result) {
  log_line(log_level::debug, "attempt over",
           {{"request_id", of.request_id()},
            {"deployment", of.facts().deployment},
            {"outcome", to_string(result.kind)},
            {"status", result.status}});
}

bool is_good_status(unsigned status) {
  return status >= 200 && status < 300;
}

bool ends_request(const outcome& result) {
  return result.kind == outcome_kind::success || result.kind == outcome_kind::cancelled;
}

} // namespace

relay::relay(connection& client, call& carried)
    : client_(client), call_(carried),
      observers_(client.home().metrics(), client.home().stories(), client.journal(), carried) {
  ++client_.home().port().requests_in_flight;
}

relay::~relay() {
  leave();
  client_.wake_at(never);
  --client_.home().port().requests_in_flight;
}

// What the gate tells; the coroutine goes on from the loop, never inside the gate. ----------------

void relay::on_grant(const grant& given) {
  observers_.granted(given);
  granted_ = given;
  client_.place.wake_soon();
}

void relay::on_waiting_again() {
  observers_.waits_again();
}

void relay::on_fallback(group_index to) {
  observers_.falls_back(to);
}

void relay::on_end(const ending& end) {
  observers_.ended(end);
  if (logs(log_level::debug))
    log_line(log_level::debug, "ended: " + std::string(to_string(end.code)),
             {{"request_id", call_.request_id()}, {"attempts", end.attempts}});
  if (end.code == end_code::queue_full)
    log_queue_full(call_);
  ended_ = end;
  is_open_ = false;
  client_.place.wake_soon();
}

void relay::on_position(std::uint32_t position) {
  position_ = position;
  client_.place.wake_soon();
}

void relay::on_freed() {
  is_open_ = false;
  client_.place.wake_soon();
}

// What it tells the gate.
// --------------------------------------------------------------------------

void relay::take_ticket() {
  observers_.opens();
  ticket_ = client_.home().gate().open(call_.wanted(), *this);
  observers_.opened(ticket_);
  is_open_ = true;
}

void relay::leave() {
  if (std::exchange(is_open_, false))
    client_.home().gate().cancel(ticket_);
}

void relay::settle(const outcome& result) {
  if (!is_open_)
    return;
  client_.home().gate().settle(ticket_, result);
  if (ends_request(result))
    is_open_ = false;
}

/// Grant now or 429: a client that has its answer must find the slot free, so then the answer waits
/// for the word of the queue. True: co_await slot_is_free().
bool relay::settle_and_hear(const outcome& result) {
  if (!is_open_)
    return false;
  const bool hears = client_.home().gate().settle_and_hear(ticket_, result);
  is_open_ = hears || !ends_request(result);
  return hears;
}

awaitable<> relay::slot_is_free() {
  while (is_open_ && !client_.is_unwanted())
    co_await client_.changed();
}

/// A client may go on as soon as it sees the event that says that all is said.
bool relay::frees_before_the_end(const stream_relay& through) const {
  return is_open_ && through.complete() &&
         client_.home().rules().settings().gateway.max_queue_size == 0;
}

awaitable<> relay::free_slot() {
  const judgement over = call_.judge_stream(std::nullopt, false);
  if (settle_and_hear(over.result))
    co_await slot_is_free();
}

// The story.
// ---------------------------------------------------------------------------------------

awaitable<> relay::run() {
  if (!call_.needs_ticket()) {
    const grant given = call_.ungated_grant(steady::now());
    const pass next = co_await attempt(given);
    if (next == pass::again) {
      auto last = call_.last_reply();
      co_await answer(std::move(last), false, steady::now());
    }
    co_return;
  }
  take_ticket();
  if (call_.stream_client()) {
    if (const auto interval = call_.keep_alive_interval())
      next_comment_ = steady::now() + *interval;
  }
  for (;;) {
    co_await wait_in_line();
    if (ended_) {
      auto last = call_.end_reply(*ended_);
      co_await answer(std::move(last), false, steady::now());
      co_return;
    }
    if (client_.is_unwanted())
      break;
    const grant given = *granted_;
    granted_.reset();
    const pass next = co_await attempt(given);
    if (next == pass::over)
      co_return;
    if (client_.is_unwanted())
      break;
  }
  // The client is gone, or the gateway ends: then the client is told.
  leave();
  const time_point now = steady::now();
  if (client_.home().current_stage() == stage::ending) {
    observers_.given_up(end_code::draining, now);
    auto last = farewell();
    co_await answer(std::move(last), false, now);
  } else {
    observers_.given_up(end_code::cancelled, now);
  }
}

/// What whoever is still there is told when the gateway ends.
reply relay::farewell() {
  ending end;
  end.ticket = ticket_;
  end.code = end_code::draining;
  end.group = call_.wanted().group;
  end.priority = call_.wanted().priority;
  return call_.end_reply(end);
}

/// Returns with a grant, the end, or when nobody wants it any more.
awaitable<> relay::wait_in_line() {
  client_.wake_at(next_comment_);
  while (!granted_ && !ended_ && !client_.is_unwanted()) {
    if (position_) {
      const std::uint32_t position = *std::exchange(position_, std::nullopt);
      co_await write_waiting(position);
      continue;
    }
    if (client_.rang()) {
      client_.home().gate().ask_position(ticket_);
      next_comment_ = steady::now() + call_.keep_alive_interval().value_or(duration(0));
      client_.wake_at(next_comment_);
      continue;
    }
    co_await client_.changed();
  }
  position_.reset();
}

awaitable<> relay::write_waiting(std::uint32_t position) {
  if (!head_is_out_) {
    head_is_out_ = went_early_ = true;
    auto head = call_.stream_head(nullptr);
    co_await client_.begin_stream(std::move(head), steady::now());
  }
  const std::string text = call_.waiting_text(position);
  co_await client_.stream(text);
}

/// One attempt, settled. `again`: the request goes on, or nobody wants it.
awaitable<relay::pass> relay::attempt(const grant& given) {
  const time_point begins = steady::now();
  observers_.attempt_begins(given, begins);
  auto planned = call_.attempt(given, begins);
  observers_.attempt_goes_out();
  if (logs(log_level::debug))
    log_attempt(call_, given);
  judgement judged;
  if (auto* mock = std::get_if<mock_attempt>(&planned)) {
    judged = co_await play(std::move(*mock));
  } else {
    judged = co_await carry(std::get<upstream_request>(std::move(planned)));
    while (judged.again) {
      const std::unique_ptr<upstream_request> next = std::move(judged.again);
      judged = co_await carry(std::move(*next));
    }
  }
  client_.wake_at(never);
  const bool is_gone = client_.is_unwanted() && !judged.good;
  if (is_gone && !stream_begun_)
    co_return pass::again; // leave() tells the gate
  const time_point now = steady::now();
  observers_.settled(judged.result, now);
  if (logs(log_level::debug))
    log_outcome(call_, judged.result);
  if (judged.result.status == 401 || judged.result.status == 403)
    log_refused_key(call_, judged.result.status);
  if (stream_begun_) {
    // It cannot be tried again, whatever the engine would do. The slot is free before the client
    // has the last byte.
    if (settle_and_hear(judged.result))
      co_await slot_is_free();
    leave();
    count_stream(now);
    co_await end_stream();
    co_return pass::over;
  }
  if (!judged.good && !judged.over) {
    settle(judged.result);
    co_return pass::again;
  }
  if (settle_and_hear(judged.result))
    co_await slot_is_free();
  leave();
  if (judged.good)
    observers_.answered_well();
  else
    observers_.timed_out_calling();
  auto whole = judged.good ? call_.good_reply() : call_.last_reply();
  co_await answer(std::move(whole), judged.good, now);
  co_return pass::over;
}

/// How a stream that has begun was for its client.
void relay::count_stream(time_point now) {
  std::optional<end_code> given_up;
  if (is_cut_)
    given_up =
        client_.home().current_stage() >= stage::ending ? end_code::draining : end_code::cancelled;
  observers_.stream_ends(broken_.has_value(), given_up, now);
}

transport_error relay::named(transport_error error, bool until_is_the_deadline) const {
  return error == transport_error::timed_out && until_is_the_deadline ? transport_error::deadline
                                                                      : error;
}

awaitable<judgement> relay::carry(upstream_request request) {
  exchange upstream(client_.home().upstreams(), client_);
  auto may_send = [this] {
    return !is_open_ || client_.home().gate().begin_sending(ticket_);
  };
  std::function<bool()> permission(may_send);
  const bool answered = co_await upstream.ask(request, std::move(permission));
  if (!answered) {
    if (upstream.was_unwanted())
      co_return judgement();
    co_return judge_failure(upstream, request.until_is_the_deadline);
  }
  observers_.upstream_answered(upstream.head().status);
  tell_head(upstream.head());
  const head_verdict verdict = call_.look_at_head(upstream.head());
  if (verdict == head_verdict::no_use)
    co_return call_.judge(upstream.take_head(), {}, std::chrono::system_clock::now());
  if (verdict == head_verdict::stream) {
    auto streamed = co_await relay_stream(upstream, request);
    co_return std::move(streamed);
  }
  std::string body;
  if (upstream.head().framing == body_framing::length)
    body.reserve(std::min<std::uint64_t>(upstream.head().content_length, reserved_max));
  for (;;) {
    std::string_view piece;
    const bool came = co_await upstream.read(piece, request.until);
    if (!came) {
      if (upstream.was_unwanted())
        co_return judgement();
      co_return judge_failure(upstream, request.until_is_the_deadline);
    }
    if (piece.empty())
      break;
    body.append(piece);
  }
  co_return call_.judge(upstream.take_head(), std::move(body), std::chrono::system_clock::now());
}

judgement relay::judge_failure(exchange& failed, bool until_is_the_deadline) {
  const transport_error what = named(failed.error(), until_is_the_deadline);
  if (what == transport_error::timed_out)
    log_late(call_);
  observers_.upstream_failed(what);
  return call_.judge(what, failed.what_came());
}

/// The answer has begun; a good one ends a probe's doubt.
void relay::tell_head(const answer_head& head) {
  if (is_open_ && is_good_status(head.status))
    client_.home().gate().head_arrived(ticket_);
}

awaitable<judgement> relay::relay_stream(exchange& from, const upstream_request& request) {
  stream_relay& through = call_.relay();
  std::string what_came;
  is_cut_ = false;
  broken_.reset(); // of an attempt before
  for (;;) {
    std::string_view piece;
    const time_point until = stream_begun_ ? steady::now() + request.between_chunks : request.until;
    const bool came = co_await from.read(piece, until);
    if (!came) {
      if (through.complete()) // once all is said, nobody misses the end
        break;
      is_cut_ = from.was_unwanted();
      if (!is_cut_) {
        broken_ = named(from.error(), !stream_begun_ && request.until_is_the_deadline);
        what_came = from.what_came();
      }
      break;
    }
    const bool is_end = piece.empty();
    const std::string_view text = is_end ? through.finish() : through.feed(piece);
    if (frees_before_the_end(through))
      co_await free_slot();
    const bool taken = co_await pass_on(text, &from.head());
    if (!taken) {
      is_cut_ = !through.complete();
      break;
    }
    if (!through.fault().empty()) {
      broken_ = transport_error::not_http;
      break;
    }
    if (is_end)
      break;
  }
  if (broken_ == transport_error::timed_out)
    log_late(call_);
  if (broken_)
    observers_.upstream_failed(*broken_);
  co_return call_.judge_stream(broken_, is_cut_, std::move(what_came));
}

awaitable<judgement> relay::play(mock_attempt planned) {
  if (is_open_ && !client_.home().gate().begin_sending(ticket_))
    co_return call_.judge(transport_error::not_sent);
  const time_point ready = planned.never_answers ? never : steady::now() + planned.delay;
  if (planned.never_answers || planned.delay > duration(0)) {
    client_.wake_at(std::min(ready, planned.until));
    while (!client_.rang() && !client_.is_unwanted())
      co_await client_.changed();
    if (client_.is_unwanted())
      co_return judgement();
    if (ready > planned.until) {
      const transport_error late = named(transport_error::timed_out, planned.until_is_the_deadline);
      observers_.upstream_failed(late);
      co_return call_.judge(late);
    }
  }
  // The stream of a mock has no head.
  observers_.upstream_answered(planned.events.empty() ? planned.head.status : 200U);
  tell_head(planned.head);
  if (!planned.events.empty()) {
    auto streamed = co_await play_stream(std::move(planned));
    co_return std::move(streamed);
  }
  co_return call_.judge(std::move(planned.head), std::move(planned.body),
                        std::chrono::system_clock::now());
}

awaitable<judgement> relay::play_stream(mock_attempt planned) {
  stream_relay& through = call_.relay();
  bool taken = true;
  for (const std::string& event : planned.events) {
    const std::string_view text = through.feed(event);
    if (frees_before_the_end(through))
      co_await free_slot();
    taken = co_await pass_on(text, nullptr);
    if (!taken)
      break;
  }
  if (taken)
    taken = co_await pass_on(through.finish(), nullptr);
  is_cut_ = !taken && !through.complete();
  co_return call_.judge_stream(std::nullopt, is_cut_);
}

/// Text of the stream for the client, its head before the first. False: the client is gone.
awaitable<bool> relay::pass_on(std::string_view text, const answer_head* head) {
  if (text.empty())
    co_return !client_.is_unwanted();
  const bool is_first = !std::exchange(stream_begun_, true);
  const time_point now = is_first ? steady::now() : time_point();
  if (is_first)
    observers_.stream_begins(head ? static_cast<unsigned>(head->status) : 200U, now);
  client_.claim().release();
  if (!head_is_out_) {
    head_is_out_ = true;
    auto own_head = call_.stream_head(head);
    co_await client_.begin_stream(std::move(own_head), now);
  } else if (std::exchange(went_early_, false)) {
    const std::string facts = call_.early_text();
    co_await client_.stream(facts);
  }
  co_await client_.stream(text);
  co_return !client_.is_unwanted();
}

awaitable<> relay::end_stream() {
  const stage now = client_.home().current_stage();
  if (now == stage::aborting) {
    client_.break_off();
    co_return;
  }
  std::string text;
  if (broken_) {
    observers_.stream_breaks();
    text = call_.broken_stream_text(*broken_);
  } else if (now == stage::ending && is_cut_) {
    text = call_.as_events(farewell());
  }
  co_await client_.end_stream(text);
}

/// A whole answer; as events, if the head of a stream went out while the request waited.
awaitable<> relay::answer(reply whole, bool is_good, time_point now) {
  client_.claim().release();
  observers_.answers(whole.status, is_good, now);
  if (!head_is_out_) {
    co_await client_.send(std::move(whole), now);
    co_return;
  }
  client_.home().metrics().refused(whole.why);
  observers_.fails(whole.why);
  if (is_good) {
    const std::string facts = call_.early_text();
    co_await client_.stream(facts);
  }
  const std::string events = call_.as_events(whole);
  co_await client_.end_stream(events);
}

} // namespace vorrang::http
