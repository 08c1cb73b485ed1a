// A model of LiteLLM's scheduler and of the part of its Router that comes after it.
#pragma once

#include "bench/policy/policy.hpp"

#include <deque>
#include <map>
#include <random>
#include <set>
#include <unordered_map>

namespace vorrang::bench {

/// LiteLLM in one process, as its newest scheduler works (commit 0c9ab361), with its defaults.
/// Rules and numbers are those read in its source (docs/litellm.md compares with the program
/// itself):
///
/// * Scheduler: a heap of (priority, random id). While a deployment does not cool, every poll is
///   granted, whatever its place; while all cool, the head is granted and popped. A poll at once
///   (after all that come at the same instant), then one in 30 ms, up to the Router's timeout.
/// * Router: simple-shuffle, evenly among those that do not cool; none: 429 with the rest of the
///   cooldown. `max_parallel_requests` is a semaphore of each deployment, first come, first served,
///   that no priority touches; `rpm` is a weight of the shuffle and no limit.
/// * A 429 cools a deployment for its Retry-After, else 5 s, if there are several; so do more than
///   half of at least five calls of a calendar minute that fail, if there are several; so do a
///   thousand that all fail. A cooldown that runs is not made longer.
/// * Two retries: at once if there are several and one does not cool; none if all cool; else after
///   a Retry-After of up to 60 s, or 0.5 s doubling to 8 s with jitter.
class litellm_policy : public policy {
public:
  explicit litellm_policy(stage& where);

  void ask(request_index which) override;
  void gone(request_index which) override;
  void over(request_index which, std::size_t deployment, const answer& heard) override;
  void cut(request_index which, std::size_t deployment) override;
  void woken(std::uint64_t token) override;

private:
  enum class step : std::uint8_t { polls, waits_for_slot, runs, sleeps };

  /// One call of the Router.
  struct call {
    request_index which = 0;
    step at = step::polls;
    std::pair<std::int32_t, std::uint64_t> entry;
    time_point begun{};
    std::uint32_t retries = 0;
    std::size_t deployment = 0;
  };
  struct counted_minute {
    std::int64_t minute = -1;
    std::uint32_t successes = 0;
    std::uint32_t failures = 0;
  };
  struct deployment_state {
    time_point cooling_until{};
    counted_minute counted;
    std::uint32_t in_flight = 0;
    std::deque<std::uint64_t> semaphore;
  };

  void poll(std::uint64_t id);
  void attempt(std::uint64_t id);
  void begin(std::uint64_t id, std::size_t deployment);
  void release(std::size_t deployment);
  void count(std::size_t deployment, const answer& heard);
  void refuse(std::uint64_t id, std::optional<duration> retry_after);
  std::vector<std::size_t> healthy() const;
  duration sleep_before_retry(const call& what, const answer& heard);

  stage& stage_;
  std::mt19937_64 random_;
  std::set<std::pair<std::int32_t, std::uint64_t>> heap_;
  std::unordered_map<std::uint64_t, call> calls_;
  std::unordered_map<request_index, std::uint64_t> ids_;
  std::vector<deployment_state> deployments_;
  std::uint64_t next_id_ = 0;
};

} // namespace vorrang::bench
