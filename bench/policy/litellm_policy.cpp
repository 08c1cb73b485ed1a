#include "bench/policy/litellm_policy.hpp"

#include <algorithm>
#include <cmath>

namespace vorrang::bench {
namespace {

// LiteLLM's defaults.
constexpr duration polling_interval = std::chrono::milliseconds(30);
constexpr duration router_timeout = std::chrono::seconds(6000);
constexpr duration cooldown_time = std::chrono::seconds(5);
constexpr std::uint32_t num_retries = 2;
constexpr std::uint32_t failures_counted_from = 5;
constexpr std::uint32_t single_failures_counted_from = 1000;
constexpr duration believed_retry_after = std::chrono::seconds(60);

} // namespace

litellm_policy::litellm_policy(stage& where)
    : stage_(where), random_(where.plan().seed), deployments_(where.plan().each.deployments) {}

void litellm_policy::ask(request_index which) {
  const auto id = next_id_++;
  auto& made = calls_[id];
  made.which = which;
  made.begun = stage_.now();
  // Equal priorities are ordered by a random id: no time of coming is stored.
  made.entry = {stage_.plan().requests[which].priority, random_()};
  ids_[which] = id;
  heap_.insert(made.entry);
  // At once, but after all that come at the same instant.
  stage_.wake_at(stage_.now(), id);
}

std::vector<std::size_t> litellm_policy::healthy() const {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < deployments_.size(); ++i)
    if (deployments_[i].cooling_until <= stage_.now())
      result.push_back(i);
  return result;
}

void litellm_policy::poll(std::uint64_t id) {
  auto& polling = calls_.at(id);
  if (!healthy().empty() || polling.entry == *heap_.begin()) {
    heap_.erase(polling.entry);
    return attempt(id);
  }
  if (stage_.now() - polling.begun >= router_timeout) {
    heap_.erase(polling.entry);
    return refuse(id, std::nullopt);
  }
  stage_.wake_at(stage_.now() + polling_interval, id);
}

void litellm_policy::attempt(std::uint64_t id) {
  const auto candidates = healthy();
  if (candidates.empty()) {
    auto soonest = never;
    for (const auto& each : deployments_)
      soonest = std::min(soonest, each.cooling_until);
    return refuse(id, soonest - stage_.now());
  }
  std::uniform_int_distribution<std::size_t> shuffle(0, candidates.size() - 1);
  const auto where = candidates[shuffle(random_)];
  auto& trying = calls_.at(id);
  trying.deployment = where;
  if (deployments_[where].in_flight < stage_.plan().each.slots)
    return begin(id, where);
  trying.at = step::waits_for_slot;
  deployments_[where].semaphore.push_back(id);
}

void litellm_policy::begin(std::uint64_t id, std::size_t deployment) {
  ++deployments_[deployment].in_flight;
  auto& begun = calls_.at(id);
  begun.at = step::runs;
  stage_.send(begun.which, deployment);
}

void litellm_policy::release(std::size_t deployment) {
  auto& freed = deployments_[deployment];
  --freed.in_flight;
  if (freed.semaphore.empty())
    return;
  const auto next = freed.semaphore.front();
  freed.semaphore.pop_front();
  begin(next, deployment);
}

void litellm_policy::count(std::size_t deployment, const answer& heard) {
  auto& told = deployments_[deployment];
  const auto minute =
      std::chrono::duration_cast<std::chrono::minutes>(stage_.now() - beginning).count();
  if (told.counted.minute != minute)
    told.counted = {minute, 0, 0};
  auto& counted = told.counted;
  ++(heard.success() ? counted.successes : counted.failures);
  if (heard.success() || told.cooling_until > stage_.now())
    return;
  const bool several = deployments_.size() > 1;
  const auto all = counted.successes + counted.failures;
  const bool too_many = several ? all >= failures_counted_from && counted.failures * 2 > all
                                : all >= single_failures_counted_from && counted.successes == 0;
  if ((heard.status == 429 && several) || too_many)
    told.cooling_until = stage_.now() + heard.retry_after.value_or(cooldown_time);
}

duration litellm_policy::sleep_before_retry(const call& what, const answer& heard) {
  if (deployments_.size() > 1)
    return duration::zero();
  if (heard.retry_after && *heard.retry_after > duration::zero() &&
      *heard.retry_after <= believed_retry_after)
    return *heard.retry_after;
  std::uniform_real_distribution<double> jitter(0, 0.75);
  return seconds_of(std::min(8.0, 0.5 * std::pow(2.0, what.retries)) + jitter(random_));
}

void litellm_policy::over(request_index which, std::size_t deployment, const answer& heard) {
  const auto id = ids_.at(which);
  count(deployment, heard);
  if (heard.success()) {
    calls_.erase(id);
    ids_.erase(which);
    return release(deployment);
  }
  release(deployment);
  auto& failed = calls_.at(id);
  if (failed.retries == num_retries || healthy().empty())
    return refuse(id, std::nullopt);
  const auto pause = sleep_before_retry(failed, heard);
  ++failed.retries;
  if (pause == duration::zero())
    return attempt(id);
  failed.at = step::sleeps;
  stage_.wake_at(stage_.now() + pause, id);
}

void litellm_policy::refuse(std::uint64_t id, std::optional<duration> retry_after) {
  const auto which = calls_.at(id).which;
  calls_.erase(id);
  ids_.erase(which);
  stage_.refuse(which, retry_after);
}

void litellm_policy::gone(request_index which) {
  const auto id = ids_.at(which);
  const auto& left = calls_.at(id);
  if (left.at == step::polls)
    heap_.erase(left.entry);
  if (left.at == step::waits_for_slot)
    std::erase(deployments_[left.deployment].semaphore, id);
  calls_.erase(id);
  ids_.erase(which);
}

void litellm_policy::cut(request_index which, std::size_t deployment) {
  calls_.erase(ids_.at(which));
  ids_.erase(which);
  release(deployment);
}

void litellm_policy::woken(std::uint64_t token) {
  const auto found = calls_.find(token);
  if (found == calls_.end())
    return;
  if (found->second.at == step::polls)
    poll(token);
  else if (found->second.at == step::sleeps)
    attempt(token);
}

} // namespace vorrang::bench
