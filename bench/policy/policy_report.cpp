#include "bench/policy/policy_report.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace vorrang::bench {
namespace {

std::string name_of(const scenario& plan, std::int32_t priority) {
  for (const auto& [named, name] : plan.names)
    if (named == priority)
      return name;
  return "priority " + std::to_string(priority);
}

nlohmann::json to_json(const scenario& plan, const class_result& of) {
  return {{"class", name_of(plan, of.priority)},
          {"priority", of.priority},
          {"requests", of.requests},
          {"answered", of.answered},
          {"missed", of.missed},
          {"refusals", of.refusals},
          {"tokens", of.tokens},
          {"slot_s", of.slot_seconds},
          {"inversions", of.inversions},
          {"out_of_turn", of.out_of_turn},
          {"wait_p50_s", in_seconds(percentile(of.waits, 0.5))},
          {"wait_p99_s", in_seconds(percentile(of.waits, 0.99))},
          {"wait_max_s", in_seconds(percentile(of.waits, 1))},
          {"starved_s", in_seconds(of.starved)}};
}

} // namespace

duration percentile(const std::vector<duration>& sorted, double share) {
  if (sorted.empty())
    return {};
  const auto rank = std::ceil(share * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

nlohmann::json to_json(const scenario& plan) {
  auto failing = nlohmann::json::array();
  for (const auto& each : plan.brown_outs)
    failing.push_back({{"deployment", each.deployment},
                       {"begin_s", in_seconds(each.begin)},
                       {"end_s", in_seconds(each.end)}});
  return {{"name", plan.name},
          {"about", plan.about},
          {"seed", plan.seed},
          {"requests", plan.requests.size()},
          {"deployments", plan.each.deployments},
          {"slots_each", plan.each.slots},
          {"rpm_each", plan.each.rpm},
          {"brown_outs", std::move(failing)}};
}

nlohmann::json to_json(const scenario& plan, std::string_view policy_name,
                       const run_result& found) {
  auto classes = nlohmann::json::array();
  for (const auto& each : found.classes)
    classes.push_back(to_json(plan, each));
  nlohmann::json result = {{"policy", policy_name},
                           {"classes", std::move(classes)},
                           {"attempts", found.attempts.size()},
                           {"beyond_limits", found.beyond_limits},
                           {"length_s", found.length_seconds},
                           {"slot_s", found.slot_seconds},
                           {"useful_slot_s", found.useful_slot_seconds},
                           {"wasted_slot_s", found.wasted_slot_seconds},
                           {"idle_while_waited_s", found.idle_while_waited_seconds}};
  if (found.own_inversions)
    result["own_inversions"] = *found.own_inversions;
  return result;
}

} // namespace vorrang::bench
