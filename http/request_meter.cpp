#include "http/request_meter.hpp"

#include <utility>

namespace vorrang::http {

request_meter::~request_meter() {
  leave_line();
  if (streams_)
    stream_ends(false);
}

void request_meter::stand_in(group_index group) noexcept {
  if (stands_ == group)
    return;
  if (stands_ != no_index)
    counts_.of(stands_, class_).waiting.change(-1);
  stands_ = group;
  if (stands_ != no_index)
    counts_.of(stands_, class_).waiting.change(1);
}

void request_meter::opened() noexcept {
  has_ticket_ = true;
  counts_.of(asked_, class_).requests.add();
  line_ = asked_;
  stand_in(line_);
}

void request_meter::observe_wait(std::size_t priority_class, duration waited) noexcept {
  if (!std::exchange(has_waited_, true))
    counts_.of(asked_, priority_class).wait.observe(waited);
}

void request_meter::granted(const grant& given) noexcept {
  leave_line();
  line_ = given.group;
  const auto priority_class = counts_.plan().class_of(given.priority);
  observe_wait(priority_class, given.waited);
  counts_.of(given.group, priority_class).grants.add();
  const auto reason = static_cast<std::size_t>(given.reason) - 1;
  counts_.deployment(given.group, given.deployment).grants[reason].add();
  if (given.retries > retries_) {
    counts_.of(given.group).retries.add(given.retries - retries_);
    retries_ = given.retries;
  }
}

void request_meter::falls_back(group_index to) noexcept {
  if (line_ != no_index)
    counts_.of(line_).fallbacks.add();
  line_ = to;
  stand_in(to);
}

void request_meter::end(std::size_t place) noexcept {
  leave_line();
  if (has_ticket_ && !std::exchange(is_over_, true))
    counts_.of(asked_).ended[place].add();
}

void request_meter::ended(const ending& how) noexcept {
  observe_wait(counts_.plan().class_of(how.priority), how.waited);
  end(static_cast<std::size_t>(how.code));
}

void request_meter::given_up(end_code why, time_point now) noexcept {
  if (has_ticket_ && !is_over_)
    observe_wait(class_, now - since_);
  end(static_cast<std::size_t>(why));
}

void request_meter::attempt_begins(const grant& given, time_point now) noexcept {
  group_ = given.group;
  deployment_ = given.deployment;
  attempt_class_ = counts_.plan().class_of(given.priority);
  is_probe_ = given.reason == grant_reason::head_of_line;
  is_fault_counted_ = false;
  began_ = now;
}

void request_meter::upstream_answered(unsigned status) noexcept {
  counts_.deployment(group_, deployment_).answers[status_place(status)].add();
}

void request_meter::upstream_failed(transport_error error) noexcept {
  is_fault_counted_ = true;
  if (error != transport_error::not_sent)
    counts_.deployment(group_, deployment_).errors[static_cast<std::size_t>(error) - 1].add();
}

void request_meter::stream_begins(time_point now) noexcept {
  if (std::exchange(streams_, true))
    return;
  counts_.of(asked_, attempt_class_).first_byte.observe(now - began_);
  counts_.of(asked_).streams.add();
  counts_.of(asked_).open_streams.change(1);
}

void request_meter::stream_ends(bool is_broken) noexcept {
  if (!std::exchange(streams_, false))
    return;
  counts_.of(asked_).open_streams.change(-1);
  if (is_broken)
    counts_.of(asked_).broken_streams.add();
}

void request_meter::settled(const outcome& result, time_point now) noexcept {
  if (result.kind == outcome_kind::cancelled || result.kind == outcome_kind::not_sent)
    return;
  counts_.of(group_, attempt_class_).call.observe(now - began_);
  auto& deployment = counts_.deployment(group_, deployment_);
  if (result.tokens)
    deployment.tokens.add(*result.tokens);
  if (is_probe_)
    deployment.probes[result.kind == outcome_kind::success ? 1 : 0].add();
  // A 200 whose body cannot be used.
  if (result.kind == outcome_kind::failed && result.status == 0 && !is_fault_counted_)
    upstream_failed(transport_error::not_http);
}

void request_meter::answered(unsigned status) noexcept {
  if (has_ticket_)
    counts_.of(asked_).answers[status_place(status)].add();
}

} // namespace vorrang::http
