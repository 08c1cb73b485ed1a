#include "actors/attempt_history.hpp"

#include <algorithm>

namespace vorrang {
namespace {

// Spec, "Back-off": 0.5 s doubling to 8 s; the jitter takes up to a quarter off.
constexpr duration back_off_first = std::chrono::milliseconds(500);
constexpr duration back_off_max = std::chrono::seconds(8);
constexpr double back_off_jitter = 0.25;
/// A ticket that draws 429 with a Retry-After more than once stays away so much longer than the
/// cooldown that this begins: so others may pass it (spec, "Back-off"), also where the re-opened
/// deployment takes but one, and a poisonous request does not hold the line until its deadline.
/// More than a timer is late by, less than anybody notices.
constexpr duration pass_time = std::chrono::milliseconds(10);
/// Spec: a ticket that gets 429 so often from deployments that answered others in between fails.
constexpr std::uint32_t strikes_max = 3;

} // namespace

attempt_history::verdict
attempt_history::record(time_point now, deployment_index where, const attempt_result& result,
                        const group_settings& group, std::optional<std::uint32_t> own_retries,
                        bool deployment_answered_since, std::minstd_rand& random) {
  const auto& report = result.result;
  if (report.kind == outcome_kind::not_sent)
    return verdict::waits_again;
  // "The last upstream answer": a connection that fails later does not make it unheard.
  if (report.status != 0)
    last_status_ = report.status;
  last_timed_out_ = report.timed_out;
  last_retry_after_ = report.retry_after;
  context_window_ = report.context_window;
  content_policy_ = report.content_policy;
  auto& here = at(where);

  if (report.kind == outcome_kind::rate_limited) {
    if (strikes_ == 0 || deployment_answered_since)
      ++strikes_;
    back_off(now, here, report, group, random);
    const auto counted = count_failure(group.retries, report);
    if (strikes_ >= strikes_max || (counted.limit && !use_one(counted, *counted.limit)))
      return verdict::exhausted;
    return verdict::waits_again;
  }
  if (refuses(report)) {
    here.refused = true;
    const auto counted = count_failure(group.retries, report);
    return counted.limit && !use_one(counted, *counted.limit) ? verdict::exhausted
                                                              : verdict::waits_again;
  }
  if (report.kind == outcome_kind::rejected) {
    // Where another group is meant for just this, there is no point in trying here again.
    const bool goes_elsewhere =
        (report.context_window && !group.context_window_fallbacks.empty()) ||
        (report.content_policy && !group.content_policy_fallbacks.empty());
    const auto counted = count_failure(group.retries, report);
    if (goes_elsewhere || !use_one(counted, counted.limit.value_or(0)))
      return verdict::rejected;
    ++retries_;
    back_off(now, here, report, group, random);
    return verdict::waits_again;
  }
  back_off(now, here, report, group, random);
  if (result.probe)
    return verdict::waits_again;
  const auto counted = count_failure(group.retries, report);
  const auto general =
      own_retries.value_or(group.deployments[where].num_retries.value_or(group.num_retries));
  if (!use_one(counted, counted.limit.value_or(general)))
    return verdict::exhausted;
  ++retries_;
  return verdict::waits_again;
}

bool attempt_history::use_one(const counted_failure& failure, std::uint32_t limit) {
  auto& used = used_[static_cast<std::size_t>(failure.kind)];
  if (used >= limit)
    return false;
  ++used;
  return true;
}

void attempt_history::back_off(time_point now, place& here, const outcome& result,
                               const group_settings& group, std::minstd_rand& random) {
  duration wait;
  if (result.retry_after) {
    wait = *result.retry_after;
  } else {
    const auto doublings = std::min<std::uint32_t>(here.back_offs, 8);
    wait = std::min<duration>(back_off_first * (1u << doublings), back_off_max);
    std::uniform_real_distribution<double> less(0, back_off_jitter);
    wait -= std::chrono::duration_cast<duration>(wait * less(random));
  }
  ++here.back_offs;
  here.asked_to_wait = result.retry_after.has_value();
  here.lets_pass =
      here.asked_to_wait && result.kind == outcome_kind::rate_limited && ++rate_limits_ > 1;
  here.back_off_until = now + std::max(wait, group.least_back_off);
  if (here.lets_pass)
    here.back_off_until += pass_time;
}

void attempt_history::subtract_refused(deployment_set& eligible) const {
  for (const auto& here : places_)
    if (here.refused)
      eligible.erase(here.where);
}

void attempt_history::subtract_backing_off(time_point now, deployment_set& eligible) const {
  for (const auto& here : places_)
    if (here.back_off_until > now)
      eligible.erase(here.where);
}

time_point attempt_history::next_return(time_point now) const {
  auto next = never;
  for (const auto& here : places_)
    if (here.back_off_until > now)
      next = std::min(next, here.back_off_until);
  return next;
}

time_point attempt_history::asked_to_wait_until(deployment_index where) const {
  for (const auto& here : places_)
    if (here.where == where && here.asked_to_wait)
      return here.lets_pass ? here.back_off_until - pass_time : here.back_off_until;
  return time_point{};
}

attempt_history::place& attempt_history::at(deployment_index where) {
  const auto found = std::find_if(places_.begin(), places_.end(),
                                  [&](const place& p) { return p.where == where; });
  if (found != places_.end())
    return *found;
  place fresh;
  fresh.where = where;
  places_.push_back(fresh);
  return places_.back();
}

} // namespace vorrang
