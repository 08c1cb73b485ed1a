// Plays a scenario with a policy, in virtual time.
#pragma once

#include "bench/policy/meter.hpp"
#include "bench/policy/policy.hpp"

namespace vorrang::bench {

/// One call at a provider.
struct attempt {
  request_index which = 0;
  std::uint32_t deployment = 0;
  time_point begin{};
  time_point end{};
  /// The provider's answer, 0 if the client hung up before.
  std::uint16_t status = 0;
  /// The provider took it: it was within the limits.
  bool taken = false;
};

/// How an arrival ended.
enum class final_state : std::uint8_t { none, answered, missed };

/// What came of a run.
struct run_result {
  std::vector<class_result> classes;
  std::vector<attempt> attempts;
  /// Of each request: how it ended, and how often (once, or the run is wrong).
  std::vector<final_state> ends;
  std::vector<std::uint32_t> times_ended;
  /// Calls that a provider refused because they were beyond its limits.
  std::uint64_t beyond_limits = 0;
  /// Seconds of slots, from the first arrival to the last one: spent on calls that were answered;
  /// on calls that a client left; all there are.
  double useful_slot_seconds = 0;
  double wasted_slot_seconds = 0;
  double slot_seconds = 0;
  /// Seconds (between the same two arrivals) in which somebody waited while a deployment that did
  /// not brown out could have taken a call.
  double idle_while_waited_seconds = 0;
  /// From the first arrival to the last one.
  double length_seconds = 0;
  std::optional<std::uint64_t> own_inversions;
};

/// How the world is, the same for all policies. What has no source is ours.
struct world_rules {
  /// A provider's refusal for a limit comes after this.
  duration refusal = std::chrono::milliseconds(50);
  /// A call to a deployment that browns out fails after this.
  duration failure = std::chrono::milliseconds(500);
  /// The head of a 2xx answer comes after this, or with its end.
  duration head = std::chrono::milliseconds(500);
  /// A client asks again after a refusal: after its Retry-After of up to 60 s, else after 0.5 s
  /// doubling to 8 s, less up to a quarter by chance (openai-python's _base_client.py), but, unlike
  /// that, until its deadline and not only twice.
  duration first_back_off = std::chrono::milliseconds(500);
  duration back_off_max = std::chrono::seconds(8);
  duration believed_retry_after = std::chrono::seconds(60);
};

/// A client's pause before it asks again, after `refusals` refusals. The same chance for the same
/// request and refusal, whatever the policy.
duration client_back_off(const world_rules& rules, std::uint64_t seed, request_index which,
                         std::uint32_t refusals, std::optional<duration> retry_after);

/// Plays it to the end of the last request. `name`: one of policy_names.
run_result play(const scenario& plan, std::string_view name, const world_rules& rules = {});

} // namespace vorrang::bench
