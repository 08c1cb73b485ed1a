#include "http/request_observers.hpp"

#include "http/call.hpp"
#include "http/error_reply.hpp"

namespace vorrang::http {

using steady = std::chrono::steady_clock;

request_observers::request_observers(loop_metrics& counts, story_ring& stories,
                                     request_journal* journal, call& carried)
    : meter_(counts, carried.wanted(), carried.began()), story_(stories), journal_(journal),
      call_(carried) {
  if (journal_ != nullptr)
    journal_->accepted(call_);
}

void request_observers::opens() {
  meter_.opened();
  if (journal_ != nullptr)
    journal_->waits(steady::now());
}

void request_observers::opened(ticket_id ticket) {
  story_.opened(call_.request_id(), ticket, call_.wanted(), call_.began());
}

void request_observers::granted(const grant& given) {
  meter_.granted(given);
  story_.granted(given);
  if (journal_ != nullptr)
    journal_->granted(given, steady::now());
}

void request_observers::waits_again() {
  meter_.waits_again();
  if (journal_ != nullptr)
    journal_->waits(steady::now());
}

void request_observers::falls_back(group_index to) {
  meter_.falls_back(to);
  const auto now = steady::now();
  story_.falls_back(to, now);
  if (journal_ != nullptr)
    journal_->waits(now);
}

void request_observers::ended(const ending& how) {
  meter_.ended(how);
  story_.ended(how.code);
  if (journal_ != nullptr)
    journal_->ended(how, steady::now());
}

void request_observers::given_up(end_code why, time_point now) {
  meter_.given_up(why, now);
  story_.ended(why);
  if (why == end_code::cancelled)
    story_.over(0, now);
}

void request_observers::attempt_begins(const grant& given, time_point now) {
  meter_.attempt_begins(given, now);
  if (journal_ != nullptr)
    call_.set_traceparent(journal_->attempt_begins(given, now), journal_->keeps_tracestate());
}

void request_observers::attempt_goes_out() {
  if (journal_ != nullptr)
    journal_->attempt_goes_to(call_);
}

void request_observers::upstream_answered(unsigned status) {
  meter_.upstream_answered(status);
  if (journal_ != nullptr)
    journal_->upstream_answered(status);
}

void request_observers::upstream_failed(transport_error error) {
  meter_.upstream_failed(error);
  story_.upstream_failed(error);
  if (journal_ != nullptr)
    journal_->upstream_failed(error);
}

void request_observers::settled(const outcome& result, time_point now) {
  meter_.settled(result, now);
  story_.tried(result, now);
  if (journal_ != nullptr)
    journal_->attempt_ends(result, now);
}

void request_observers::timed_out_calling() {
  meter_.timed_out_calling();
  story_.timed_out_calling();
}

void request_observers::answers(unsigned status, bool is_good, time_point now) {
  meter_.answered(status);
  story_.over(status, now);
  if (is_good && journal_ != nullptr)
    journal_->relay_begins(now);
}

void request_observers::stream_begins(unsigned status, time_point now) {
  meter_.stream_begins(now);
  meter_.answered(status);
  if (journal_ != nullptr)
    journal_->relay_begins(now);
}

void request_observers::stream_breaks() {
  if (journal_ != nullptr)
    journal_->failed("broken-stream");
}

void request_observers::stream_ends(bool is_broken, std::optional<end_code> given_up,
                                    time_point now) {
  meter_.stream_ends(is_broken);
  if (given_up) {
    meter_.given_up(*given_up, now);
    story_.ended(*given_up);
  } else {
    meter_.answered_well();
  }
  constexpr unsigned ok = 200;
  story_.over(ok, now, is_broken || given_up.has_value());
}

void request_observers::fails(our_error why) {
  if (journal_ != nullptr && why != our_error::none)
    journal_->failed(name_of(why));
}

} // namespace vorrang::http
