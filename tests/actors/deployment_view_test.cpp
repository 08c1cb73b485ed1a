// The queue's copy of a deployment: late figures never lend the same room twice.
#include "actors/deployment_view.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <deque>
#include <random>

using namespace vorrang;
using namespace vorrang::test;

namespace {

room figures(std::uint64_t takes_seen, std::uint32_t slots, std::int64_t tokens) {
  room result;
  result.takes_seen = takes_seen;
  result.slots = slots;
  result.tokens = tokens;
  return result;
}

} // namespace

TEST_CASE("view: takes nothing before the first figures") {
  const deployment_view view;
  CHECK(view.figures().slots == 0);
}

TEST_CASE("view: a grant counts at once, and again in figures that do not contain it") {
  deployment_view view;
  view.update(figures(0, 3, 100));
  view.take(40, false);
  CHECK(view.figures().slots == 2);
  CHECK(view.figures().tokens == 60);
  CHECK(view.figures().in_flight == 1);
  CHECK(view.figures().window_requests == 1);
  CHECK(view.figures().window_tokens == 40);
  view.take(10, false);
  view.update(figures(1, 2, 60)); // contains the first, not the second
  CHECK(view.figures().slots == 1);
  CHECK(view.figures().tokens == 50);
  view.update(figures(2, 1, 50));
  CHECK(view.figures().slots == 1);
  CHECK(view.figures().tokens == 50);
}

TEST_CASE("view: a grant that the figures contain is not counted twice") {
  deployment_view view;
  view.replace(figures(0, 3, 100));
  view.take_counted(40, false);
  CHECK(view.figures().slots == 3);
  CHECK(view.figures().tokens == 100);
  CHECK(view.figures().in_flight == 0);
  view.update(figures(0, 3, 100)); // of the deployment itself, which has not heard of it
  CHECK(view.figures().slots == 2);
  CHECK(view.figures().in_flight == 1);
}

TEST_CASE("view: a probe has no room that a grant on its way takes") {
  deployment_view view;
  view.update(figures(0, 2, 100));
  view.take(10, false);
  view.take(10, false);
  auto cools = figures(1, 0, 90); // it has not heard of the second
  cools.cooling = true;
  cools.probe_at = time_point{};
  cools.probe_room = 1;
  view.update(cools);
  CHECK(view.figures().probe_at == never);
  cools.probe_room = 2;
  view.update(cools);
  CHECK(view.figures().probe_at == time_point{});
  cools.takes_seen = 2;
  cools.probe_room = 1;
  view.update(cools);
  CHECK(view.figures().probe_at == time_point{});
}

TEST_CASE("view: no limit stays no limit") {
  deployment_view view;
  view.update(figures(0, room::unlimited_slots, room::unlimited_tokens));
  for (int i = 0; i < 1000; ++i)
    view.take(1000, false);
  CHECK(view.figures().slots == room::unlimited_slots);
  CHECK(view.figures().tokens == room::unlimited_tokens);
}

TEST_CASE("view: figures of before a grant do not make slots negative") {
  deployment_view view;
  view.update(figures(0, 2, 100));
  view.take(0, false);
  view.take(0, false);
  view.update(figures(0, 1, 100)); // it has become smaller meanwhile
  CHECK(view.figures().slots == 0);
}

TEST_CASE("view: a probe on its way is the only one") {
  deployment_view view;
  auto cooling = figures(0, 0, room::unlimited_tokens);
  cooling.cooling = true;
  cooling.probe_at = after(seconds(1));
  view.update(cooling);
  CHECK(view.figures().probe_at == after(seconds(1)));
  view.take(0, true);
  CHECK(view.figures().probe_at == never);
  view.update(cooling); // figures that know nothing of it
  CHECK(view.figures().probe_at == never);
  cooling.takes_seen = 1;
  cooling.probe_at = after(seconds(2));
  view.update(cooling);
  CHECK(view.figures().probe_at == after(seconds(2)));
}

TEST_CASE("view: with messages as late as they like, no limit is exceeded") {
  const std::uint32_t seed = 7008;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    auto group = plain_group(1);
    group.deployments[0].rpm = 1 + random() % 20;
    group.deployments[0].tpm = 100 + random() % 900;
    group.deployments[0].max_parallel_requests = static_cast<std::uint32_t>(1 + random() % 5);
    deployment books(group, group.deployments[0], false);
    deployment_view view;
    std::deque<take> to_books;
    std::deque<room> to_view;
    std::vector<grant_id> in_flight;
    grant_id next = 1;
    auto now = start;
    to_view.push_back(books.current(now));
    for (int step = 0; step < 600; ++step) {
      now += milliseconds(random() % 900);
      switch (random() % 4) {
      case 0: { // the queue grants what it believes in
        const auto estimate = static_cast<std::uint32_t>(random() % 60);
        if (view.figures().slots > 0 && view.figures().tokens >= estimate) {
          view.take(estimate, false);
          take granted;
          granted.id = next++;
          granted.at = now;
          granted.token_estimate = estimate;
          to_books.push_back(granted);
        }
        break;
      }
      case 1: // a grant arrives at the deployment
        if (!to_books.empty()) {
          auto granted = to_books.front();
          granted.at = now; // its time may not run backwards
          to_books.pop_front();
          const auto before = books.current(now);
          REQUIRE(before.slots > 0);
          REQUIRE(before.tokens >= granted.token_estimate);
          books.take_grant(granted);
          in_flight.push_back(granted.id);
        }
        break;
      case 2: // an attempt ends
        if (!in_flight.empty()) {
          const auto i = random() % in_flight.size();
          REQUIRE(books.settle(now, in_flight[i], success()));
          in_flight.erase(in_flight.begin() + static_cast<long>(i));
        }
        to_view.push_back(books.current(now));
        break;
      default: // figures arrive at the queue
        if (!to_view.empty()) {
          view.update(to_view.front());
          to_view.pop_front();
        }
      }
    }
  }
}
