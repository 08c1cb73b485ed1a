#include "actors/health.hpp"

#include <algorithm>

namespace vorrang {
namespace {

constexpr duration failure_window = std::chrono::seconds(60);
/// Re-opening has doubled often enough to hold nobody back.
constexpr std::uint32_t reopening_done = 1u << 24;

} // namespace

health::health(const group_settings& group, const deployment_settings& deployment) {
  follow(group, deployment);
}

void health::follow(const group_settings& group, const deployment_settings& deployment) {
  cooldown_time_ = deployment.cooldown_time.value_or(group.cooldown_time);
  first_spacing_ = std::max<duration>(group.probe_spacing, std::chrono::milliseconds(1));
  allowed_fails_ = deployment.allowed_fails.value_or(group.allowed_fails);
  policy_ = deployment.fails.value_or(group.fails);
}

health::stamp health::take(time_point now, bool probe) {
  tick(now);
  if (probe)
    probe_running_ = true;
  else if (reopening())
    ++reopening_in_flight_;
  return {phase_, probe, false};
}

void health::head(time_point now, stamp& attempt) {
  tick(now);
  if (!attempt.probe || attempt.healed || stale(attempt))
    return;
  succeed(attempt);
  attempt.healed = true;
  if (reopening()) {
    // It is the first of those that the re-opened deployment has in flight.
    attempt.phase = phase_;
    ++reopening_in_flight_;
  }
}

void health::settle(time_point now, const stamp& attempt, const outcome& result) {
  tick(now);
  const bool was_probe = attempt.probe && !attempt.healed;
  if (was_probe && probe_running_ && !stale(attempt)) {
    probe_running_ = false;
    if (cooling_)
      probe_at_ = now + spacing_;
  } else if (reopening() && attempt.phase == phase_ && reopening_in_flight_ > 0) {
    --reopening_in_flight_;
  }

  if (stale(attempt)) {
    // Granted before the cooldown began: it may lengthen it, and says nothing else.
    if (cooling_ && result.retry_after && result.kind != outcome_kind::success)
      cool(now, result, true);
    return;
  }
  switch (result.kind) {
  case outcome_kind::success:
    if (!attempt.healed)
      succeed(attempt);
    break;
  case outcome_kind::rejected:
    if (refuses(result))
      fail(now, result);
    break;
  case outcome_kind::rate_limited:
  case outcome_kind::failed:
    fail(now, result);
    break;
  case outcome_kind::not_sent:
  case outcome_kind::cancelled:
    break;
  }
}

void health::tick(time_point now) {
  if (cooling_ && now >= until_) {
    cooling_ = false;
    ++phase_;
    reopen(1);
  }
}

time_point health::probe_at() const noexcept {
  if (!cooling_ || probe_running_)
    return never;
  const auto at = std::max(probe_at_, no_probe_until_);
  return at < until_ ? at : never;
}

std::uint32_t health::reopening_room() const noexcept {
  if (!reopening())
    return std::numeric_limits<std::uint32_t>::max();
  return reopening_limit_ > reopening_in_flight_ ? reopening_limit_ - reopening_in_flight_ : 0;
}

void health::reopen(std::uint32_t limit) {
  reopening_limit_ = limit;
  reopening_in_flight_ = 0;
}

void health::succeed(const stamp& attempt) {
  if (cooling_) {
    // Only a probe is granted while a deployment cools; its success ends the cooldown, whatever
    // attempts of before have lengthened it by meanwhile.
    if (!attempt.probe)
      return;
    cooling_ = false;
    ++phase_;
    failures_.clear();
    reopen(2);
    return;
  }
  // Also a probe's that outlived its cooldown.
  if (reopening()) {
    failures_.clear();
    reopening_limit_ = reopening_limit_ >= reopening_done ? 0 : reopening_limit_ * 2;
  }
}

void health::fail(time_point now, const outcome& result) {
  if (cooldown_time_ <= duration::zero())
    return;
  const bool rate_limited = result.kind == outcome_kind::rate_limited;
  const bool refused = refuses(result);
  const bool asked_to_wait =
      result.retry_after.has_value() && (rate_limited || result.status == 503);
  const auto counted = count_failure(policy_, result);
  const bool at_once = (rate_limited || refused || asked_to_wait) && !counted.limit;

  while (!failures_.empty() && failures_.front().at + failure_window <= now)
    failures_.pop_front();
  if (!at_once)
    failures_.push_back({now, counted.kind});
  const auto alike = static_cast<std::uint64_t>(
      std::count_if(failures_.begin(), failures_.end(),
                    [&](const failure& f) { return f.kind == counted.kind; }));
  const bool too_many = alike > counted.limit.value_or(allowed_fails_);

  if (cooling_) {
    // A failed probe: the cooldown starts anew, and the next probe comes later.
    spacing_ = std::min(spacing_ * 2, std::max(cooldown_time_, first_spacing_));
    cool(now, result, !refused);
    probe_at_ = now + spacing_;
  } else if (at_once || too_many || asked_to_wait) {
    cool(now, result, !refused);
  }
}

void health::cool(time_point now, const outcome& result, bool may_probe) {
  if (cooldown_time_ <= duration::zero())
    return;
  const auto end =
      now + (result.retry_after ? std::min(*result.retry_after, retry_after_max) : cooldown_time_);
  if (!cooling_) {
    cooling_ = true;
    began_ = ++phase_;
    until_ = end;
    no_probe_until_ = time_point{};
    retry_after_until_ = time_point{};
    probe_running_ = false;
    spacing_ = first_spacing_;
    probe_at_ = now + spacing_;
    reopening_limit_ = 0;
  }
  until_ = std::max(until_, end);
  if (result.retry_after)
    retry_after_until_ = std::max(retry_after_until_, end);
  if (result.retry_after)
    no_probe_until_ = std::max(no_probe_until_, end);
  // Not even where this cooldown ends later than the refusal's own would.
  if (!may_probe)
    no_probe_until_ = never;
}

} // namespace vorrang
