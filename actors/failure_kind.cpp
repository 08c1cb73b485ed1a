#include "actors/failure_kind.hpp"

namespace vorrang {

counted_failure count_failure(const counts_by_kind& policy, const outcome& result) {
  const auto as = [](failure_kind kind, const std::optional<std::uint32_t>& limit) {
    return limit ? counted_failure{kind, limit} : counted_failure{};
  };
  switch (result.kind) {
  case outcome_kind::rate_limited:
    return as(failure_kind::rate_limit, policy.rate_limit);
  case outcome_kind::rejected:
    if (result.status == 401 || result.status == 403)
      return as(failure_kind::authentication, policy.authentication);
    if (result.status == 404)
      return {};
    if (result.content_policy && policy.content_policy)
      return as(failure_kind::content_policy, policy.content_policy);
    return as(failure_kind::bad_request, policy.bad_request);
  case outcome_kind::failed:
    if (result.timed_out || result.status == 408)
      return as(failure_kind::timeout, policy.timeout);
    if (result.status == 503 && policy.service_unavailable)
      return as(failure_kind::service_unavailable, policy.service_unavailable);
    if (result.status == 0 || result.status >= 500)
      return as(failure_kind::internal_server_error, policy.internal_server_error);
    return {};
  case outcome_kind::success:
  case outcome_kind::not_sent:
  case outcome_kind::cancelled:
    break;
  }
  return {};
}

} // namespace vorrang
