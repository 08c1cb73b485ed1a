#include "bench/policy/meter.hpp"

#include <algorithm>

namespace vorrang::bench {

meter::meter(const scenario& plan) : plan_(plan) {
  for (const auto& each : plan.requests) {
    auto& told = classes_[each.priority].result;
    told.priority = each.priority;
    ++told.requests;
  }
}

void meter::arrived(time_point now, request_index which) {
  auto& its = of(which);
  if (its.waiting++ == 0)
    its.waits_since = now;
  waiting_.emplace(plan_.requests[which].priority, which);
}

void meter::refused(request_index which) {
  ++of(which).result.refusals;
}

void meter::served(time_point now, request_index which) {
  const auto priority = plan_.requests[which].priority;
  auto& its = of(which);
  const auto first = *waiting_.begin();
  if (first.first < priority)
    ++its.result.inversions;
  const auto oldest = waiting_.lower_bound({priority, 0});
  if (oldest->second != which)
    ++its.result.out_of_turn;
  its.result.waits.push_back(now - beginning - plan_.requests[which].arrival);
  its.result.starved = std::max(its.result.starved, now - its.waits_since);
  its.waits_since = now;
  leave(now, which);
}

void meter::answered(request_index which, double slot_seconds) {
  auto& told = of(which).result;
  ++told.answered;
  told.slot_seconds += slot_seconds;
  told.tokens += plan_.requests[which].tokens;
}

void meter::missed(time_point now, request_index which) {
  auto& its = of(which);
  ++its.result.missed;
  if (!waiting_.contains({plan_.requests[which].priority, which}))
    return; // during the answer
  its.result.waits.push_back(now - beginning - plan_.requests[which].arrival);
  leave(now, which);
}

void meter::leave(time_point now, request_index which) {
  auto& its = of(which);
  waiting_.erase({plan_.requests[which].priority, which});
  if (--its.waiting == 0)
    its.result.starved = std::max(its.result.starved, now - its.waits_since);
}

std::vector<class_result> meter::results() && {
  std::vector<class_result> result;
  for (auto& [priority, its] : classes_) {
    std::ranges::sort(its.result.waits);
    result.push_back(std::move(its.result));
  }
  return result;
}

} // namespace vorrang::bench
