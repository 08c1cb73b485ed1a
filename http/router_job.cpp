#include "http/router_job.hpp"

#include "http/error_reply.hpp"
#include "http/router_request.hpp"

#include <algorithm>
#include <utility>

namespace vorrang::http {

namespace {

/// As nginx says it: the client closed its request.
constexpr std::uint16_t status_cancelled = 499;

constexpr std::string_view end_of_chunks = "[DONE]";

bool is_good_status(unsigned status) {
  return status >= 200 && status < 300;
}

} // namespace

router_job::router_job(router_place& place, router_order order)
    : place_(place), order_(std::move(order)), timer_(this, [](void* self) {
        // The job may be over by the end of the call.
        const auto kept = static_cast<router_job*>(self)->shared_from_this();
        kept->play_now();
      }) {}

router_job::~router_job() {
  if (!is_over_)
    drain();
}

void router_job::start() {
  if (is_over_)
    return;
  ticket_ = place_.gate().open(order_.what->wanted(), *this);
  is_open_ = true;
}

void router_job::cancel() {
  if (is_over_)
    return;
  leave();
  finish(to_error(status_cancelled, "Cancelled by its owner", facts()));
}

void router_job::drain() {
  if (is_over_)
    return;
  leave();
  ending end;
  end.ticket = ticket_;
  end.code = end_code::draining;
  end.group = order_.what->wanted().group;
  end.priority = order_.what->wanted().priority;
  ended_ = end;
  finish(to_result(order_.what->end_reply(end), facts()));
}

// The gate

void router_job::on_grant(const grant& given) {
  if (is_over_)
    return;
  const auto kept = shared_from_this();
  given_ = given;
  auto planned = order_.what->attempt(given, place_.now());
  events_ = sse_reader();
  if (auto* mock = std::get_if<mock_attempt>(&planned)) {
    mock_ = std::move(*mock);
    play();
  } else {
    place_.carry(kept, std::get<upstream_request>(std::move(planned)));
  }
}

void router_job::on_end(const ending& end) {
  is_open_ = false;
  if (is_over_)
    return;
  const auto kept = shared_from_this();
  ended_ = end;
  finish(to_result(order_.what->end_reply(end), facts()));
}

void router_job::settle(const outcome& result) {
  if (!is_open_)
    return;
  place_.gate().settle(ticket_, result);
  if (result.kind == outcome_kind::success || result.kind == outcome_kind::cancelled)
    is_open_ = false;
}

void router_job::leave() {
  if (std::exchange(is_open_, false))
    place_.gate().cancel(ticket_);
}

// A mock

void router_job::play() {
  if (!may_send()) {
    judged(order_.what->judge(transport_error::not_sent));
    return;
  }
  if (!mock_->never_answers && mock_->delay <= duration(0)) {
    ready_ = place_.now();
    play_now();
    return;
  }
  ready_ = mock_->never_answers ? never : place_.now() + mock_->delay;
  place_.run_at(timer_, std::min(ready_, mock_->until));
}

void router_job::play_now() {
  if (is_over_ || !mock_)
    return;
  auto mock = *std::exchange(mock_, std::nullopt);
  if (ready_ > mock.until) {
    judged(order_.what->judge(mock.until_is_the_deadline ? transport_error::deadline
                                                         : transport_error::timed_out));
    return;
  }
  const bool streams = !mock.events.empty();
  if (is_open_ && is_good_status(mock.head.status == 0 ? 200 : mock.head.status))
    place_.gate().head_arrived(ticket_);
  if (!streams) {
    answered(std::move(mock.head), std::move(mock.body));
    return;
  }
  stream_fields_ = order_.what->stream_head(nullptr).fields;
  for (const std::string& event : mock.events)
    if (!piece_arrived(event))
      return;
  stream_ended(std::nullopt);
}

// An upstream

bool router_job::may_send() {
  return is_open_ && place_.gate().begin_sending(ticket_);
}

head_verdict router_job::head_arrived(const answer_head& head) {
  if (is_open_ && is_good_status(head.status))
    place_.gate().head_arrived(ticket_);
  const auto verdict = order_.what->look_at_head(head);
  if (verdict == head_verdict::stream)
    stream_fields_ = order_.what->stream_head(&head).fields;
  return verdict;
}

void router_job::answered(answer_head head, std::string body) {
  if (!is_over_)
    judged(order_.what->judge(std::move(head), std::move(body), std::chrono::system_clock::now()));
}

void router_job::failed(transport_error error, std::string what_came) {
  if (!is_over_)
    judged(order_.what->judge(error, std::move(what_came)));
}

bool router_job::piece_arrived(std::string_view piece) {
  if (is_over_)
    return false;
  auto& through = order_.what->relay();
  const bool wanted = pass_on(through.feed(piece));
  if (is_over_)
    return false; // its owner has cancelled it meanwhile
  if (!wanted) {
    stream_judged(order_.what->judge_stream(std::nullopt, true), false);
    return false;
  }
  if (!through.fault().empty()) {
    stream_ended(transport_error::not_http);
    return false;
  }
  return true;
}

void router_job::stream_ended(std::optional<transport_error> error) {
  if (is_over_)
    return;
  bool wanted = true;
  if (!error) {
    wanted = pass_on(order_.what->relay().finish()) && pass_on_events(true);
    if (is_over_)
      return;
    if (!order_.what->relay().fault().empty())
      error = transport_error::not_http;
  }
  broken_ = error;
  stream_judged(order_.what->judge_stream(error, !wanted), wanted);
}

/// False: its owner does not want more.
bool router_job::pass_on(std::string_view text) {
  if (text.empty())
    return true;
  stream_begun_ = true;
  order_.claim.reset();
  events_.feed(text);
  return pass_on_events(false);
}

bool router_job::pass_on_events(bool is_end) {
  sse_event event;
  while (is_end ? events_.last(event) : events_.next(event)) {
    if (event.is_comment || event.data.empty() || event.data == end_of_chunks)
      continue;
    if (order_.on_chunk && !order_.on_chunk(event.data))
      return false;
    if (is_over_)
      return false;
  }
  return true;
}

// What came of it

void router_job::judged(judgement what) {
  if (what.again) {
    const auto next = std::move(what.again);
    place_.carry(shared_from_this(), std::move(*next));
    return;
  }
  settle(what.result);
  if (!what.good && !what.over)
    return; // the engine says what comes next
  leave();
  finish(to_result(what.good ? order_.what->good_reply() : order_.what->last_reply(), facts()));
}

void router_job::stream_judged(judgement what, bool wanted) {
  if (wanted && !stream_begun_) {
    judged(std::move(what));
    return;
  }
  // It cannot be tried again, whatever the engine would do.
  settle(what.result);
  leave();
  if (!wanted) {
    finish(to_error(status_cancelled, "Cancelled by its owner", facts()));
  } else if (broken_) {
    const bool slow =
        *broken_ == transport_error::timed_out || *broken_ == transport_error::deadline;
    finish(to_error(status_of(slow ? our_error::upstream_too_slow : our_error::bad_upstream),
                    "The upstream's stream broke off", facts()));
  } else {
    completion whole;
    whole.facts = facts();
    whole.facts.headers = to_pairs(stream_fields_);
    finish(std::move(whole));
  }
}

void router_job::finish(completion_result result) {
  is_over_ = true;
  timer_.cancel();
  order_.claim.reset();
  if (const auto told = std::exchange(when_over, nullptr))
    told();
  if (const auto done = std::exchange(order_.done, nullptr))
    done(std::move(result));
}

completion_facts router_job::facts() const {
  completion_facts told;
  if (given_) {
    told.waited = given_->waited;
    told.attempts = given_->attempt;
    told.retries = given_->retries;
    told.fallbacks = given_->fallbacks;
    told.model_id = order_.what->deployment_id();
  }
  if (ended_ && ended_->code != end_code::draining) {
    told.waited = ended_->waited;
    told.attempts = ended_->attempts;
    told.retries = ended_->retries;
    told.fallbacks = ended_->fallbacks;
  }
  return told;
}

} // namespace vorrang::http
