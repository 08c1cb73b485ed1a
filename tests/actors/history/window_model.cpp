#include "window_model.hpp"

#include <algorithm>

namespace vorrang::history {

namespace {
constexpr duration window = std::chrono::seconds(60);
constexpr duration lateness = std::chrono::seconds(1);
} // namespace

// reading: "above 1000 rpm" includes no rpm limit at all, for the tokens' window.
window_model::window_model(const deployment_settings& limits)
    : limits_(limits), may_be_late_(!limits.rpm || *limits.rpm > 1000) {}

bool window_model::counts(time_point at, time_point now, bool late) const {
  return now - at < (late && may_be_late_ ? window + lateness : window);
}

void window_model::granted(attempt what) {
  ++in_flight_;
  what.tokens_least = what.tokens_most = what.estimate;
  attempts_.push_back(what);
}

attempt* window_model::running(grant_id id) {
  auto found = std::find_if(attempts_.begin(), attempts_.end(),
                            [&](const auto& a) { return a.id == id && a.running; });
  return found == attempts_.end() ? nullptr : &*found;
}

void window_model::settled(time_point now, grant_id id, const outcome& result) {
  auto* what = running(id);
  what->running = false;
  --in_flight_;
  std::uint64_t least = what->estimate;
  std::uint64_t most = what->estimate;
  if (!result.sent || result.kind == outcome_kind::not_sent) {
    what->unit = false;
    least = most = 0;
  } else if (result.tokens) {
    least = most = *result.tokens;
  } else if (result.kind == outcome_kind::rate_limited || result.kind == outcome_kind::rejected ||
             (result.kind == outcome_kind::failed && result.status != 0)) {
    least = most = 0;
  } else if (result.kind == outcome_kind::failed) {
    least = 0; // reading: no answer and unknown usage: nothing, or the estimate stands.
  }
  if (counts(what->at, now, false)) {
    what->tokens_least = least;
    what->tokens_most = most;
    return;
  }
  const auto above = [&](std::uint64_t tokens) {
    return tokens > what->estimate ? tokens - what->estimate : 0;
  };
  if (above(most) > 0) // a late window may still hold the entry and correct it there
    late_.push_back({now, counts(what->at, now, true) ? 0 : above(least), above(most)});
}

std::vector<std::uint64_t> window_model::in_flight_serials() const {
  std::vector<std::uint64_t> serials;
  for (const auto& a : attempts_)
    if (a.running)
      serials.push_back(a.serial);
  return serials;
}

std::uint64_t window_model::units_least(time_point now) const {
  return static_cast<std::uint64_t>(
      std::count_if(attempts_.begin(), attempts_.end(),
                    [&](const auto& a) { return a.unit && counts(a.at, now, false); }));
}

std::uint64_t window_model::units_most(time_point now) const {
  return static_cast<std::uint64_t>(
      std::count_if(attempts_.begin(), attempts_.end(),
                    [&](const auto& a) { return a.unit && counts(a.at, now, true); }));
}

std::uint64_t window_model::tokens_least(time_point now) const {
  std::uint64_t sum = 0;
  for (const auto& a : attempts_)
    sum += counts(a.at, now, false) ? a.tokens_least : 0;
  for (const auto& l : late_)
    sum += counts(l.at, now, false) ? l.least : 0;
  return sum;
}

std::uint64_t window_model::tokens_most(time_point now) const {
  std::uint64_t sum = 0;
  for (const auto& a : attempts_)
    sum += counts(a.at, now, true) ? a.tokens_most : 0;
  for (const auto& l : late_)
    sum += counts(l.at, now, true) ? l.most : 0;
  return sum;
}

bool window_model::maybe_fits(time_point now, std::uint64_t estimate) const {
  if (limits_.max_parallel_requests && in_flight_ >= *limits_.max_parallel_requests)
    return false;
  if (limits_.rpm && units_least(now) >= *limits_.rpm)
    return false;
  if (!limits_.tpm)
    return true;
  if (*limits_.tpm == 0)
    return false;
  if (estimate > *limits_.tpm)
    return in_flight_ == 0 && tokens_least(now) == 0;
  return tokens_least(now) + estimate <= *limits_.tpm;
}

bool window_model::surely_fits(time_point now, std::uint64_t estimate) const {
  if (!maybe_fits(now, estimate) || (limits_.rpm && units_most(now) >= *limits_.rpm))
    return false;
  if (!limits_.tpm)
    return true;
  if (estimate <= *limits_.tpm)
    return tokens_most(now) + estimate <= *limits_.tpm;
  // reading: an entry of 0 tokens may or may not leave the window empty.
  return std::none_of(attempts_.begin(), attempts_.end(),
                      [&](const auto& a) { return counts(a.at, now, true); }) &&
         tokens_most(now) == 0;
}

time_point window_model::next_change(time_point now) const {
  auto next = never;
  const auto add = [&](time_point at) {
    for (auto leaves : {at + window, at + window + lateness})
      if (leaves > now)
        next = std::min(next, leaves);
  };
  for (const auto& a : attempts_)
    add(a.at);
  for (const auto& l : late_)
    add(l.at);
  return next;
}

void window_model::forget(time_point now) {
  std::erase_if(attempts_,
                [&](const auto& a) { return !a.running && now - a.at > window + lateness; });
  std::erase_if(late_, [&](const auto& l) { return now - l.at > window + lateness; });
}

} // namespace vorrang::history
