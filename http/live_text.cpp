#include "http/live_text.hpp"

#include "http/admin_pages.hpp"
#include "http/report_json.hpp"

#include <algorithm>
#include <numeric>

namespace vorrang::http {

namespace {

using json = nlohmann::ordered_json;

std::string_view name_of(line_state state) {
  switch (state) {
  case line_state::alone:
    return "alone";
  case line_state::shared:
    return "shared";
  case line_state::local:
    return "local";
  case line_state::held:
    break;
  }
  return "held";
}

json summary_of(const queue_view& view) {
  std::uint64_t in_flight = 0;
  std::size_t cooling = 0;
  for (const auto& each : view.deployments) {
    in_flight += each.in_flight;
    cooling += each.cooling ? 1 : 0;
  }
  return {{"model", view.name},
          {"waiting", view.waiting},
          {"in_flight", in_flight},
          {"oldest_wait_ms", milliseconds_of(view.oldest_wait)},
          {"state", name_of(view.state)},
          {"inversions", view.inversions},
          {"cooling", cooling},
          {"deployments", view.deployments.size()},
          {"retired", view.retired},
          {"blocked",
           view.tickets.empty() ? json(nullptr) : json(reason_in_words(view.tickets.front()))}};
}

json lanes_of(const queue_view& view, std::chrono::system_clock::time_point wall,
              std::size_t& shown) {
  const auto marks = find_overtaking(view.tickets);
  json lanes = json::array();
  std::size_t place = 0;
  while (place < view.tickets.size() && lanes.size() < live_lanes_max) {
    const auto first = place;
    const auto priority = view.tickets[first].priority;
    duration oldest{};
    json tickets = json::array();
    for (; place < view.tickets.size() && view.tickets[place].priority == priority; ++place) {
      const auto& each = view.tickets[place];
      oldest = std::max(oldest, each.waited);
      if (tickets.size() >= live_lane_tickets_max)
        continue;
      tickets.push_back(ticket_json(each, view.at, wall));
      tickets.back()["overtook"] = marks[place].overtook;
      tickets.back()["overtaken"] = marks[place].overtaken;
    }
    lanes.push_back({{"priority", priority},
                     {"count", place - first},
                     {"first_position", first + 1},
                     {"oldest_wait_ms", milliseconds_of(oldest)},
                     {"tickets", std::move(tickets)}});
  }
  shown = place;
  return lanes;
}

json line_of(const queue_view& view, std::chrono::system_clock::time_point wall) {
  std::size_t in_lanes = 0;
  auto lanes = lanes_of(view, wall, in_lanes);
  json deployments = json::array();
  for (const auto& each : view.deployments)
    deployments.push_back(deployment_json(each));
  return {{"model", view.name},          {"waiting", view.waiting},
          {"read", view.tickets.size()}, {"in_lanes", in_lanes},
          {"lanes", std::move(lanes)},   {"deployments", std::move(deployments)}};
}

json history_of(const history_series& history, time_point at) {
  const auto or_null = [](const std::optional<std::uint32_t>& value) {
    return value ? json(*value) : json(nullptr);
  };
  json steps = json::array();
  for (const auto& step : history.steps) {
    json grants = json::array();
    json medians = json::array();
    json p90 = json::array();
    for (const auto& each : step.classes) {
      grants.push_back(each.grants);
      medians.push_back(or_null(each.median_ms));
      p90.push_back(or_null(each.p90_ms));
    }
    steps.push_back({{"ago_ms", milliseconds_of(at - step.end)},
                     {"length_ms", milliseconds_of(step.length)},
                     {"grants", std::move(grants)},
                     {"median_ms", std::move(medians)},
                     {"p90_ms", std::move(p90)}});
  }
  return {{"classes", history.classes}, {"steps", std::move(steps)}};
}

/// Counts at places, and sums of the places up to one (Fenwick, 1994).
class counting_tree {
public:
  explicit counting_tree(std::size_t size) : sums_(size + 1) {}
  void add(std::size_t place) {
    for (auto i = place + 1; i < sums_.size(); i += i & (~i + 1))
      ++sums_[i];
  }
  std::uint32_t up_to(std::size_t place) const {
    std::uint32_t sum = 0;
    for (auto i = place + 1; i > 0; i -= i & (~i + 1))
      sum += sums_[i];
    return sum;
  }

private:
  std::vector<std::uint32_t> sums_;
};

} // namespace

std::vector<overtaking> find_overtaking(const std::vector<ticket_report>& line) {
  std::vector<std::size_t> by_arrival(line.size());
  std::iota(by_arrival.begin(), by_arrival.end(), std::size_t{0});
  std::sort(by_arrival.begin(), by_arrival.end(), [&](std::size_t a, std::size_t b) {
    return line[a].arrival != line[b].arrival ? line[a].arrival < line[b].arrival : a < b;
  });
  std::vector<overtaking> result(line.size());
  counting_tree earlier(line.size()); // places in line of those that came before
  for (std::size_t came = 0; came < by_arrival.size(); ++came) {
    const auto place = by_arrival[came];
    const auto before = place == 0 ? 0 : earlier.up_to(place - 1); // came earlier, stand before
    result[place].overtook = static_cast<std::uint32_t>(came) - before;
    result[place].overtaken = static_cast<std::uint32_t>(place) - before;
    earlier.add(place);
  }
  return result;
}

std::string live_text(const live_facts& facts, const std::string& model,
                      const history_series& history) {
  json page = {
      {"at", time_of_day(facts.wall)},
      {"version", facts.version},
      {"draining", facts.is_draining},
      {"redis_reachable", facts.redis_reachable ? json(*facts.redis_reachable) : json(nullptr)},
      {"queues", json::array()},
      {"late", facts.late},
      {"line", nullptr},
      {"history", nullptr}};
  for (const auto& view : *facts.views) {
    page["queues"].push_back(summary_of(view));
    if (view.name != model)
      continue;
    page["line"] = line_of(view, facts.wall);
    page["history"] = history_of(history, view.at);
  }
  return to_text(page);
}

} // namespace vorrang::http
