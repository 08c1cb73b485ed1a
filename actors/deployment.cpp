#include "actors/deployment.hpp"

#include "actors/growth.hpp"

#include <algorithm>

namespace vorrang {
namespace {

/// More than can be on their way: whoever makes ids up shall not fill the memory.
constexpr std::size_t early_max = 1'000'000;

} // namespace

deployment::deployment(const group_settings& group, const deployment_settings& settings,
                       bool track_usage)
    : settings_(&settings), rpm_(settings.rpm), tpm_(settings.tpm),
      max_parallel_requests_(settings.max_parallel_requests),
      count_requests_(track_usage || rpm_.has_value()),
      count_tokens_(track_usage || tpm_.has_value()), health_(group, settings) {}

void deployment::follow(time_point now, const group_settings& group,
                        const deployment_settings& settings, bool track_usage,
                        std::uint64_t number) {
  settings_ = &settings;
  reload_ = number;
  apply_limits();
  // Who is counted once stays so: the limit may come back within the minute.
  const bool counted_requests =
      std::exchange(count_requests_, count_requests_ || track_usage || settings.rpm.has_value());
  const bool counted_tokens =
      std::exchange(count_tokens_, count_tokens_ || track_usage || settings.tpm.has_value());
  recent_.for_each(now, [&](time_point date, std::uint32_t requests, std::int64_t tokens) {
    if (count_requests_ && !counted_requests)
      requests_.add(date, requests);
    if (count_tokens_ && !counted_tokens)
      tokens_.add(date, tokens);
  });
  health_.follow(group, settings);
}

void deployment::take_grant(const take& granted) {
  ++takes_seen_;
  newest_ = granted.id;
  attempt made{
      granted.ticket, granted.at, granted.token_estimate, health_.take(granted.at, granted.probe),
      no_entry,       no_entry};
  if (count_requests_)
    made.request_entry = requests_.add(granted.at, 1);
  if (count_tokens_)
    made.token_entry = tokens_.add(granted.at, granted.token_estimate);
  if (!count_requests_ || !count_tokens_)
    recent_.add(granted.at, 1, granted.token_estimate);
  make_room_in(in_flight_);
  in_flight_.emplace(granted.id, made);
}

bool deployment::head(time_point now, grant_id id) {
  if (id > newest_) {
    if (early_.size() < early_max)
      early_[id].head = true;
    return false;
  }
  const auto found = in_flight_.find(id);
  if (found == in_flight_.end() || !found->second.stamp.probe)
    return false;
  health_.head(now, found->second.stamp);
  return true;
}

std::optional<attempt_result> deployment::settle(time_point now, grant_id id, outcome result) {
  if (id > newest_) {
    if (early_.size() >= early_max || early_[id].result)
      ++unknown_settles_;
    else
      early_[id].result = result;
    return std::nullopt;
  }
  const auto found = in_flight_.find(id);
  if (found == in_flight_.end()) {
    ++unknown_settles_;
    return std::nullopt;
  }
  const attempt over = found->second;
  in_flight_.erase(found);

  if (result.kind == outcome_kind::not_sent)
    result.sent = false;
  if (result.retry_after) {
    if (*result.retry_after <= duration::zero())
      result.retry_after.reset();
    else
      result.retry_after = std::min(*result.retry_after, retry_after_max);
  }
  if (!result.sent && over.request_entry != no_entry)
    requests_.correct(now, over.request_entry, -1);
  charge_tokens(now, over, result);
  if (result.kind == outcome_kind::success) {
    // A mean that forgets: an eighth of each new figure, as TCP smooths its round trips (RFC 6298).
    const auto took = now - over.at;
    latency_ = latency_ == duration::zero() ? took : latency_ + (took - latency_) / 8;
  }
  if (result.kind == outcome_kind::failed || result.kind == outcome_kind::rate_limited ||
      result.kind == outcome_kind::rejected)
    last_failure_status_ = result.status;
  health_.settle(now, over.stamp, result);
  return attempt_result{over.ticket, id, result, over.stamp.probe};
}

std::optional<attempt_result> deployment::catch_up(time_point now, grant_id taken) {
  const auto found = early_.find(taken);
  if (found == early_.end())
    return std::nullopt;
  const auto heard = found->second;
  early_.erase(found);
  if (heard.head)
    head(now, taken);
  return heard.result ? settle(now, taken, *heard.result) : std::nullopt;
}

void deployment::charge_tokens(time_point now, const attempt& over, const outcome& result) {
  std::int64_t used = over.token_estimate;
  if (!result.sent)
    used = 0;
  else if (result.tokens)
    used = static_cast<std::int64_t>(
        std::min<std::uint64_t>(*result.tokens, std::numeric_limits<std::int32_t>::max()));
  else if (result.kind != outcome_kind::success && result.kind != outcome_kind::cancelled)
    used = 0;
  const auto delta = used - static_cast<std::int64_t>(over.token_estimate);
  if (delta == 0)
    return;
  if (!count_tokens_) {
    if (delta > 0)
      recent_.add(now, 0, delta);
  } else if ((over.token_entry == no_entry || !tokens_.correct(now, over.token_entry, delta)) &&
             delta > 0) {
    tokens_.add(now, delta);
  }
}

void deployment::limit_to(std::uint32_t rank, std::uint32_t count) {
  share_rank_ = rank;
  share_count_ = count;
  apply_limits();
}

void deployment::apply_limits() {
  const auto part = [&](auto limit) {
    if (limit)
      limit = *limit / share_count_ + (share_rank_ < *limit % share_count_ ? 1 : 0);
    return limit;
  };
  rpm_ = part(settings_->rpm);
  tpm_ = part(settings_->tpm);
  max_parallel_requests_ = part(settings_->max_parallel_requests);
}

room deployment::current(time_point now) {
  health_.tick(now);
  room result;
  result.takes_seen = takes_seen_;
  result.reload = reload_;
  result.in_flight = static_cast<std::uint32_t>(in_flight_.size());
  result.latency = latency_;
  result.last_failure_status = last_failure_status_;
  std::uint64_t slots = room::unlimited_slots;
  if (max_parallel_requests_)
    slots = *max_parallel_requests_ > in_flight_.size()
                ? *max_parallel_requests_ - in_flight_.size()
                : 0;
  if (count_requests_) {
    result.window_requests = requests_.used(now);
    if (rpm_) {
      const auto used =
          static_cast<std::uint64_t>(std::max<std::int64_t>(0, result.window_requests));
      slots = std::min(slots, *rpm_ > used ? *rpm_ - used : 0);
    }
  }
  if (count_tokens_) {
    result.window_tokens = tokens_.used(now);
    if (tpm_)
      result.tokens =
          static_cast<std::int64_t>(std::min<std::uint64_t>(*tpm_, room::unlimited_tokens - 1)) -
          result.window_tokens;
    if (tpm_ && *tpm_ == 0)
      slots = 0;
  }
  if (settings_->retired)
    slots = 0;
  const bool has_capacity = slots > 0;
  result.cooling = health_.cooling();
  result.may_open = health_.may_open();
  result.phase = health_.phase();
  if (result.cooling) {
    result.cooling_until = health_.cooling_until();
    result.retry_after_until = health_.retry_after_until();
    result.probe_at = has_capacity ? health_.probe_at() : never;
    result.probe_room =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(slots, room::unlimited_slots));
    slots = 0;
  } else {
    slots = std::min<std::uint64_t>(slots, health_.reopening_room());
  }
  result.slots = static_cast<std::uint32_t>(std::min<std::uint64_t>(slots, room::unlimited_slots));
  result.requests_return = requests_.next_return();
  result.tokens_return = tokens_.next_return();
  return result;
}

time_point deployment::next_event() const noexcept {
  auto next = health_.cooling() ? health_.cooling_until() : never;
  next = std::min(next, requests_.next_return());
  return std::min(next, tokens_.next_return());
}

} // namespace vorrang
