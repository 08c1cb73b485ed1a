// The words of the engine: what is asked, what is granted, how it ends.
//
// Public and plain: C++17, no CAF, no HTTP. Time is std::chrono::steady_clock everywhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang {

using time_point = std::chrono::steady_clock::time_point;
using duration = std::chrono::steady_clock::duration;

/// Never: the end of a wait that has none.
inline constexpr time_point never = time_point::max();

/// Names a request for its whole life; unique within the process and unlikely to repeat after it.
using ticket_id = std::uint64_t;

/// Names one attempt; a ticket that is tried three times has three grants.
using grant_id = std::uint64_t;

/// A model group, by its place in engine_settings::groups.
using group_index = std::uint32_t;

/// A deployment, by its place in group_settings::deployments.
using deployment_index = std::uint32_t;

inline constexpr std::uint32_t no_index = std::numeric_limits<std::uint32_t>::max();

/// The APIs that a deployment may or may not speak; a bit each in deployment_settings::endpoints.
enum class endpoint : std::uint8_t {
  chat = 1,
  completions = 2,
  embeddings = 4,
  responses = 8,
  messages = 16,
};

/// Where a request goes when its group has failed for good.
struct fallback_target {
  fallback_target(group_index to, deployment_index pinned_to = no_index)
      : group(to), pinned(pinned_to) {}

  group_index group;
  /// Only this deployment there; no_index for any.
  deployment_index pinned;

  friend bool operator==(const fallback_target& a, const fallback_target& b) noexcept {
    return a.group == b.group && a.pinned == b.pinned;
  }
};

/// A request for a grant. One ask, one ticket, one ending.
struct ask {
  group_index group = 0;
  /// Only this deployment of the group (`model: <model_info.id>`); no_index for any.
  deployment_index pinned = no_index;
  endpoint api = endpoint::chat;
  /// Lower goes first; any 32-bit integer.
  std::int32_t priority = 255;
  /// Covers waiting; the holder of a grant keeps it for the attempt as well.
  time_point deadline = never;
  /// Tokens charged to `tpm` at the grant; 0 where the group has no tpm limit.
  std::uint32_t token_estimate = 0;
  /// Tokens of the prompt alone, compared with max_input_tokens; 0 if unknown.
  std::uint32_t prompt_estimate = 0;
  /// With tag filtering on: deployments with a common tag, else those tagged `default`.
  std::vector<std::string> tags;
  /// False: no fallbacks are followed.
  bool may_fall_back = true;
  /// Followed in place of the group's `fallbacks`, if there are any.
  std::vector<fallback_target> fallbacks;
  /// Retries in each group, in place of the settings' (a retry policy still goes first); cut at
  /// 100.
  std::optional<std::uint32_t> num_retries;
  /// Granted as soon as it is offered, or ended: `queue_full`, or `all_cooling_down` where all it
  /// could go to cools. It never goes before a ticket that waits if its priority is the worst. One
  /// that comes back from an attempt waits like any other.
  bool now_or_never = false;
  /// Bytes the request keeps in memory while it waits (shown to the operator); no limit is taken
  /// from it here.
  std::uint64_t bytes = 0;
};

/// Why a grant was made (spec, "Order and grants" 3).
enum class grant_reason : std::uint8_t {
  /// A healthy deployment was there and no better ticket eligible for it waited.
  healthy_deployment = 1,
  /// The best ticket for a deployment that cools down was let through as a probe.
  head_of_line = 2,
};

/// `healthy-deployment` or `head-of-line`, as in `x-vorrang-granted-by`.
std::string_view to_string(grant_reason reason) noexcept;

/// Permission to make one attempt at one deployment. Whoever gets one settles it, exactly once.
struct grant {
  ticket_id ticket = 0;
  grant_id id = 0;
  group_index group = 0;
  deployment_index deployment = 0;
  grant_reason reason = grant_reason::healthy_deployment;
  /// When it was made: the rpm unit and the token estimate are dated so.
  time_point at{};
  /// From the first offer of the request to this grant, all waits and attempts between included.
  duration waited{};
  /// 1 for the first attempt of the request, counted over all groups.
  std::uint32_t attempt = 1;
  /// Attempts up to this one that were retries.
  std::uint32_t retries = 0;
  /// Groups visited before this one.
  std::uint32_t fallbacks = 0;
  /// As it was then: the operator may have moved the ticket.
  std::int32_t priority = 255;
};

/// How an attempt went.
enum class outcome_kind : std::uint8_t {
  /// A 2xx answer, whole or as much as the client wanted.
  success = 1,
  /// 429 (but `insufficient_quota` and the like: those are rejected with 403).
  rate_limited = 2,
  /// Any other 4xx that is not retried on this deployment: 400, 401, 403, 404, 413, 422 …
  rejected = 3,
  /// Retryable: 408, 409, 5xx, connection refused or reset, the attempt's own timeout.
  failed = 4,
  /// Nothing was tried: the grant goes back whole and the ticket to its place, uncounted.
  not_sent = 5,
  /// The request's owner does not want it any more, or its deadline passed during the call.
  cancelled = 6,
};

/// `success`, `rate-limited`, `rejected`, `failed`, `not-sent` or `cancelled`.
std::string_view to_string(outcome_kind kind) noexcept;

/// What the holder of a grant reports when the attempt is over.
struct outcome {
  outcome_kind kind = outcome_kind::cancelled;
  /// The upstream's HTTP status; 0 if there was no HTTP answer.
  std::uint16_t status = 0;
  /// The upstream's Retry-After; absent, 0 or past: none. Cut at 3600 s by the engine.
  std::optional<duration> retry_after;
  /// False if no byte of the request was written upstream: the rpm unit comes back.
  bool sent = true;
  /// The attempt's own timeout (a failed one): the last answer is then a 504.
  bool timed_out = false;
  /// A 400 that says that the prompt is longer than the model's context.
  bool context_window = false;
  /// A 400 that says that the content is against the provider's policy.
  bool content_policy = false;
  /// Tokens used in all; absent if unknown (then the estimate stands; 0 for an error answer).
  std::optional<std::uint64_t> tokens;
};

/// Why a request ended without an answer that the engine counts as success. Numbers are pinned.
enum class end_code : std::uint16_t {
  /// The deadline passed while the ticket waited.
  timed_out = 1,
  /// The queue of the group is full, and this was the ticket to leave it.
  queue_full = 2,
  /// Every deployment is under a Retry-After that ends after the deadline.
  rate_limited_beyond_deadline = 3,
  /// An attempt failed and no further one is left; ending::status is the last answer's.
  attempts_exhausted = 4,
  /// The upstream refused the request itself (400, 413, 422 …).
  rejected = 5,
  /// No deployment of the group can serve this request (tags, endpoint, all excluded).
  no_deployment = 6,
  /// The group is not configured (any more).
  unknown_group = 7,
  /// Cancelled by the operator.
  cancelled_by_operator = 8,
  /// The engine is shutting down.
  draining = 9,
  /// Cancelled by its owner.
  cancelled = 10,
  /// Every deployment cools down and a fallback group was free, but could not take it either.
  all_cooling_down = 11,
};

/// One sentence each, for logs and messages.
std::string_view to_string(end_code code) noexcept;

/// The end of a request as its owner sees it.
struct ending {
  ticket_id ticket = 0;
  end_code code = end_code::cancelled;
  /// The HTTP status of the last upstream answer, 0 if none came.
  std::uint16_t status = 0;
  /// The last attempt ended by its own timeout.
  bool timed_out = false;
  /// For queue_full and rate limits: when it is worth trying again.
  std::optional<duration> retry_after;
  group_index group = 0;
  duration waited{};
  std::uint32_t attempts = 0;
  std::uint32_t retries = 0;
  std::uint32_t fallbacks = 0;
  /// As it was last: the operator may have moved the ticket.
  std::int32_t priority = 255;
};

} // namespace vorrang
