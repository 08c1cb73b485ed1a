#include "bench/policy/simple_policies.hpp"

#include <algorithm>

namespace vorrang::bench {
namespace {

/// HAProxy's range of classes: what lies beyond is cut.
constexpr std::int32_t class_max = 2047;

limits counted(limits each, bool rpm) {
  if (!rpm)
    each.rpm = 0;
  return each;
}

/// The next after `turn` that has room; their number if none has.
std::size_t next_with_room(std::vector<limit_counter>& counters, std::size_t turn, time_point now) {
  for (std::size_t i = 0; i < counters.size(); ++i) {
    const auto which = (turn + i) % counters.size();
    if (counters[which].has_room(now))
      return which;
  }
  return counters.size();
}

} // namespace

line_policy::line_policy(stage& where, rules told)
    : stage_(where), rules_(told),
      counters_(where.plan().each.deployments,
                limit_counter(counted(where.plan().each, told.counts_rpm))) {}

void line_policy::ask(request_index which) {
  const auto priority = stage_.plan().requests[which].priority;
  const auto its_class = rules_.by_class ? std::clamp(priority, -class_max, class_max) : 0;
  const place at{its_class, coming_++};
  line_.emplace(at, which);
  places_.emplace(which, at);
  serve();
}

void line_policy::gone(request_index which) {
  const auto found = places_.find(which);
  line_.erase(found->second);
  places_.erase(found);
}

void line_policy::over(request_index which, std::size_t deployment, const answer& heard) {
  counters_[deployment].release();
  if (!heard.success())
    stage_.refuse(which, heard.retry_after);
  serve();
}

void line_policy::cut(request_index, std::size_t deployment) {
  counters_[deployment].release();
  serve();
}

void line_policy::woken(std::uint64_t) {
  if (armed_ <= stage_.now())
    armed_ = never;
  serve();
}

void line_policy::serve() {
  const auto now = stage_.now();
  while (!line_.empty()) {
    const auto where = next_with_room(counters_, turn_, now);
    if (where == counters_.size())
      break;
    turn_ = where + 1;
    const auto which = line_.begin()->second;
    line_.erase(line_.begin());
    places_.erase(which);
    counters_[where].take(now);
    stage_.send(which, where);
  }
  if (line_.empty())
    return;
  auto at = never;
  for (auto& counter : counters_)
    if (counter.has_slot())
      at = std::min(at, counter.window_return(now));
  if (at < armed_) {
    armed_ = at;
    stage_.wake_at(at, 0);
  }
}

rejection_policy::rejection_policy(stage& where)
    : stage_(where), counters_(where.plan().each.deployments, limit_counter(where.plan().each)) {}

void rejection_policy::ask(request_index which) {
  const auto where = next_with_room(counters_, turn_, stage_.now());
  if (where == counters_.size())
    return stage_.refuse(which, std::nullopt);
  turn_ = where + 1;
  counters_[where].take(stage_.now());
  stage_.send(which, where);
}

void rejection_policy::over(request_index which, std::size_t deployment, const answer& heard) {
  counters_[deployment].release();
  if (!heard.success())
    stage_.refuse(which, heard.retry_after);
}

void rejection_policy::cut(request_index, std::size_t deployment) {
  counters_[deployment].release();
}

} // namespace vorrang::bench
