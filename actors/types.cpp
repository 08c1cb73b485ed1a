#include "actors/types.hpp"

namespace vorrang {

std::string_view to_string(grant_reason reason) noexcept {
  return reason == grant_reason::head_of_line ? "head-of-line" : "healthy-deployment";
}

std::string_view to_string(outcome_kind kind) noexcept {
  switch (kind) {
  case outcome_kind::success:
    return "success";
  case outcome_kind::rate_limited:
    return "rate-limited";
  case outcome_kind::rejected:
    return "rejected";
  case outcome_kind::failed:
    return "failed";
  case outcome_kind::not_sent:
    return "not-sent";
  case outcome_kind::cancelled:
    return "cancelled";
  }
  return "unknown";
}

std::string_view to_string(end_code code) noexcept {
  switch (code) {
  case end_code::timed_out:
    return "the deadline passed while the request waited";
  case end_code::queue_full:
    return "the queue is full";
  case end_code::rate_limited_beyond_deadline:
    return "every deployment asks to be left alone for longer than the request may wait";
  case end_code::attempts_exhausted:
    return "no further attempt is left";
  case end_code::rejected:
    return "the upstream refused the request";
  case end_code::no_deployment:
    return "no deployment of the group can serve the request";
  case end_code::unknown_group:
    return "the model group is not configured";
  case end_code::cancelled_by_operator:
    return "cancelled by the operator";
  case end_code::draining:
    return "shutting down";
  case end_code::cancelled:
    return "cancelled by its owner";
  case end_code::all_cooling_down:
    return "every deployment is cooling down";
  }
  return "unknown";
}

} // namespace vorrang
