// Which number of a policy counts a failure.
#pragma once

#include "actors/settings.hpp"

namespace vorrang {

/// The kinds of failure that a policy can count apart; `plain` are all that it has no number for.
enum class failure_kind : std::uint8_t {
  plain,
  bad_request,
  content_policy,
  authentication,
  timeout,
  rate_limit,
  internal_server_error,
  service_unavailable,
};

inline constexpr std::size_t failure_kinds = 8;

/// A failure in the eyes of a policy.
struct counted_failure {
  failure_kind kind = failure_kind::plain;
  /// The policy's number; absent for plain ones.
  std::optional<std::uint32_t> limit;
};

/// How `policy` counts a failed, rejected or rate limited attempt.
counted_failure count_failure(const counts_by_kind& policy, const outcome& result);

/// 401, 403, 404: the deployment does not want us, and no other request of ours either.
inline bool refuses(const outcome& result) noexcept {
  return result.kind == outcome_kind::rejected &&
         (result.status == 401 || result.status == 403 || result.status == 404);
}

} // namespace vorrang
