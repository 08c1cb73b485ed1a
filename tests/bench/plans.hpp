// What the tests of the simulator share: scenarios in a line.
#pragma once

#include "bench/policy/simulator.hpp"

namespace vorrang::test {

using namespace vorrang::bench;

/// A request in seconds.
inline request at(double arrival_s, std::int32_t priority, double service_s,
                  std::optional<double> deadline_s = {}) {
  request result;
  result.arrival = seconds_of(arrival_s);
  result.priority = priority;
  result.service = seconds_of(service_s);
  if (deadline_s)
    result.deadline = seconds_of(*deadline_s);
  return result;
}

inline scenario plan_of(limits each, std::vector<request> requests) {
  scenario result;
  result.name = "test";
  result.each = each;
  result.requests = std::move(requests);
  return result;
}

/// Seconds since the beginning.
inline double since(time_point moment) {
  return in_seconds(moment - beginning);
}

/// Requests in the order in which their calls began, and when.
struct begun {
  std::vector<request_index> order;
  std::vector<double> at_s;
};
inline begun begins(const run_result& found) {
  begun result;
  for (const auto& each : found.attempts) {
    result.order.push_back(each.which);
    result.at_s.push_back(since(each.begin));
  }
  return result;
}

} // namespace vorrang::test
