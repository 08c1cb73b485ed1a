// One waiting ticket as an operator sees it, and what each deployment lacks for it.
#include "catch.hpp"
#include "report_desk.hpp"

using namespace vorrang;
using namespace vorrang::test;

TEST_CASE("ticket report: what each deployment lacks") {
  auto settings = plain_group(6);
  settings.deployments[0].rpm = 2;
  settings.deployments[1].max_parallel_requests = 1;
  settings.deployments[2].tpm = 100;
  report_desk d(settings);
  room used;
  used.window_requests = 2;
  used.requests_return = after(seconds(13));
  d.room_of(0, used);
  room busy;
  busy.in_flight = 1;
  d.room_of(1, busy);
  room spent;
  spent.slots = room::unlimited_slots;
  spent.tokens = 10;
  spent.window_tokens = 90;
  spent.tokens_return = after(seconds(3));
  d.room_of(2, spent);
  room cools;
  cools.cooling = true;
  cools.cooling_until = after(seconds(5));
  d.room_of(3, cools);
  d.room_of(4, room()); // re-opens
  d.room_of(5, room());

  const auto ticket = d.put(5, no_index, 20);
  d.now = after(seconds(1));
  const auto view = d.look_at(ticket);
  CHECK(view.waits);
  CHECK((view.ticket.id == ticket && view.ticket.position == 1 && view.waiting == 1));
  CHECK(view.ticket.why == wait_reason::all_full);
  CHECK(view.ticket.waited == seconds(1));
  const auto& all = view.obstacles;
  REQUIRE(all.size() == 6);
  CHECK((all[0].kind == obstacle_kind::rpm && all[0].used == 2 && all[0].limit == 2));
  CHECK(all[0].until == seconds(12));
  CHECK((all[1].kind == obstacle_kind::slots && all[1].used == 1 && all[1].limit == 1));
  CHECK((all[2].kind == obstacle_kind::tpm && all[2].used == 90 && all[2].limit == 100));
  CHECK((all[2].needed == 20 && all[2].until == seconds(2)));
  CHECK((all[3].kind == obstacle_kind::cooling && all[3].until == seconds(4)));
  CHECK(all[4].kind == obstacle_kind::opening);
  CHECK(all[5].deployment == "d5");
}

TEST_CASE("ticket report: its place, and that a better one waits for the same") {
  auto settings = plain_group(2);
  settings.deployments[0].max_parallel_requests = 1;
  report_desk d(settings);
  room busy;
  busy.in_flight = 1;
  d.room_of(0, busy);
  d.room_of(1, busy);
  const auto late = d.put(9);
  const auto first = d.put(1);
  const auto pinned = d.put(5, 0);
  CHECK(d.look_at(first).ticket.position == 1);
  const auto second = d.look_at(pinned);
  CHECK((second.ticket.position == 2 && second.waiting == 3));
  CHECK(second.ticket.why == wait_reason::behind_others);
  REQUIRE(second.obstacles.size() == 1); // it may go nowhere else
  CHECK(second.obstacles[0].deployment == "d0");
  CHECK(d.look_at(late).ticket.position == 3);
}

TEST_CASE("ticket report: one that does not wait here") {
  report_desk d(plain_group(1));
  CHECK_FALSE(d.look_at(77).waits);
  room free;
  free.slots = 1;
  d.room_of(0, free);
  const auto granted = d.put(1);
  const auto view = d.look_at(granted);
  CHECK_FALSE(view.waits);
  CHECK(view.obstacles.empty());
}
