// What the tests of the engine's passive classes share: moments, and settings in a line.
#pragma once

#include "actors/settings.hpp"

namespace vorrang::test {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

/// Tests begin here: a time of zero means "none" in places.
inline constexpr time_point start{seconds(1000)};

inline time_point after(duration since_start) {
  return start + since_start;
}

/// A group of `count` deployments without limits, named d0, d1 …
inline group_settings plain_group(std::size_t count) {
  group_settings result;
  result.name = "group";
  result.deployments.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    result.deployments[i].id = "d" + std::to_string(i);
  return result;
}

inline outcome success(std::optional<std::uint64_t> tokens = {}) {
  outcome result;
  result.kind = outcome_kind::success;
  result.status = 200;
  result.tokens = tokens;
  return result;
}

/// A retryable failure; status 0: no HTTP answer.
inline outcome failed(std::uint16_t status = 500, std::optional<duration> retry_after = {}) {
  outcome result;
  result.kind = outcome_kind::failed;
  result.status = status;
  result.retry_after = retry_after;
  return result;
}

inline outcome rate_limited(std::optional<duration> retry_after = {}) {
  outcome result;
  result.kind = outcome_kind::rate_limited;
  result.status = 429;
  result.retry_after = retry_after;
  return result;
}

inline outcome rejected(std::uint16_t status, std::optional<duration> retry_after = {}) {
  outcome result;
  result.kind = outcome_kind::rejected;
  result.status = status;
  result.retry_after = retry_after;
  return result;
}

inline outcome not_sent() {
  outcome result;
  result.kind = outcome_kind::not_sent;
  result.sent = false;
  return result;
}

inline outcome cancelled(bool sent = true) {
  outcome result;
  result.kind = outcome_kind::cancelled;
  result.sent = sent;
  return result;
}

} // namespace vorrang::test
