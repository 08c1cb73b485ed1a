// What a reload makes of the engine's passive classes.
#include "actors/group_queue.hpp"
#include "actors/reload.hpp"
#include "passive.hpp"

#include "catch.hpp"

using namespace vorrang;
using namespace vorrang::test;

namespace {

take taken(grant_id id, time_point at, std::uint32_t tokens = 0) {
  take result;
  result.id = id;
  result.ticket = id;
  result.at = at;
  result.token_estimate = tokens;
  return result;
}

/// A queue with the books of its deployments, told of each other at once.
struct one_group {
  explicit one_group(group_settings from)
      : now_in_force(std::make_unique<group_settings>(std::move(from))),
        queue(*now_in_force, 0, 1, board) {
    for (const auto& each : now_in_force->deployments)
      books.push_back(std::make_unique<deployment>(*now_in_force, each, false));
    for (std::size_t i = 0; i < books.size(); ++i)
      tell(static_cast<deployment_index>(i));
  }

  void tell(deployment_index i, std::vector<attempt_result> results = {}) {
    queue.room_changed(now, i, books[i]->current(now), results);
  }

  void offer(ticket_id id, ask wanted = {}) {
    wanted.deadline = std::min(wanted.deadline, now + seconds(1000));
    queue.offer(now, 0, {id, wanted, now, 0, 0, 0, {}});
  }

  std::vector<verdict> serve() {
    queue.serve(now);
    std::vector<verdict> result;
    for (auto& each : queue.output().verdicts)
      result.push_back(std::move(each.what));
    for (const auto& [which, what] : queue.output().takes)
      books[which]->take_grant(what);
    queue.output().clear();
    return result;
  }

  /// The queue hears of it first; its deployments have not said anything yet.
  void follow(group_settings next) {
    auto kept = std::exchange(now_in_force, std::make_unique<group_settings>(std::move(next)));
    queue.follow(now, *now_in_force, ++number);
    for (std::size_t i = 0; i < now_in_force->deployments.size(); ++i) {
      const auto& told = now_in_force->deployments[i];
      if (i == books.size())
        books.push_back(std::make_unique<deployment>(*now_in_force, told, false));
      books[i]->follow(now, *now_in_force, told, false, number);
    }
  }
  void all_tell() {
    for (std::size_t i = 0; i < books.size(); ++i)
      tell(static_cast<deployment_index>(i));
  }

  time_point now = start;
  group_board board{1};
  std::unique_ptr<group_settings> now_in_force;
  group_queue queue;
  std::vector<std::unique_ptr<deployment>> books;
  std::uint64_t number = 0;
};

std::vector<ticket_id> granted(const std::vector<verdict>& all) {
  std::vector<ticket_id> result;
  for (const auto& each : all)
    if (const auto* given = std::get_if<grant>(&each))
      result.push_back(given->ticket);
  return result;
}

std::vector<end_code> ends(const std::vector<verdict>& all) {
  std::vector<end_code> result;
  for (const auto& each : all)
    if (const auto* how = std::get_if<ended>(&each))
      result.push_back(how->end.code);
  return result;
}

} // namespace

TEST_CASE("reload: settings keep their places, by name and id") {
  engine_settings before;
  before.seed = 5;
  before.groups = {plain_group(2), plain_group(1)};
  before.groups[1].name = "other";
  engine_settings fresh;
  fresh.seed = 9;
  fresh.groups = {plain_group(1), plain_group(3)};
  fresh.groups[0].name = "new";
  fresh.groups[0].fallbacks = {{1, 2}};
  fresh.groups[1].deployments[0].id = "d1";
  fresh.groups[1].deployments[1].id = "d9";
  fresh.groups[1].deployments[2].id = "d1"; // a twin
  const auto after = merge_reload(before, fresh);
  REQUIRE(after.groups.size() == 3);
  CHECK(after.seed == 5);
  CHECK_FALSE(after.groups[0].retired);
  CHECK(after.groups[1].retired);
  CHECK(after.groups[1].deployments[0].retired);
  CHECK(after.groups[2].name == "new");
  const auto& all = after.groups[0].deployments;
  REQUIRE(all.size() == 4);
  CHECK(all[0].retired); // d0
  CHECK_FALSE(all[1].retired);
  CHECK(all[2].id == "d9");
  CHECK(all[3].id == "d1");
  REQUIRE(after.groups[2].fallbacks.size() == 1);
  CHECK(after.groups[2].fallbacks[0] == fallback_target(0, 3));
  // What stands in its place already comes out as it is.
  const auto again = merge_reload(after, after);
  REQUIRE(again.groups.size() == 3);
  CHECK(again.groups[1].retired);
  CHECK(again.groups[0].deployments.size() == 4);
  CHECK(again.groups[0].deployments[0].retired);
  CHECK(again.groups[2].fallbacks[0] == fallback_target(0, 3));
}

TEST_CASE("reload: a lowered rpm counts what was used") {
  auto group = plain_group(1);
  group.deployments[0].rpm = 10;
  deployment books(group, group.deployments[0], false);
  for (grant_id id = 1; id <= 4; ++id)
    books.take_grant(taken(id, after(seconds(id))));
  auto lower = group;
  lower.deployments[0].rpm = 3;
  books.follow(after(seconds(5)), lower, lower.deployments[0], false, 1);
  auto figures = books.current(after(seconds(5)));
  CHECK(figures.slots == 0);
  CHECK(figures.reload == 1);
  CHECK(figures.in_flight == 4);
  CHECK(books.current(after(seconds(62) - nanoseconds(1))).slots == 0);
  CHECK(books.current(after(seconds(62))).slots == 1);
}

TEST_CASE("reload: a limit that is new holds for what was granted before it") {
  const auto group = plain_group(1);
  deployment books(group, group.deployments[0], false);
  books.take_grant(taken(1, after(milliseconds(500))));
  books.take_grant(taken(2, after(milliseconds(10'200))));
  CHECK(books.settle(after(milliseconds(10'700)), 2, success(40)));
  auto limited = group;
  limited.deployments[0].rpm = 2;
  limited.deployments[0].tpm = 100;
  books.follow(after(seconds(30)), limited, limited.deployments[0], false, 1);
  auto figures = books.current(after(seconds(30)));
  CHECK(figures.slots == 0);
  CHECK(figures.window_requests == 2);
  CHECK(figures.window_tokens == 40);
  // Up to a second late, never early.
  CHECK(books.current(after(milliseconds(60'500))).slots == 0);
  CHECK(books.current(after(seconds(61))).slots == 1);
  // The one that still runs was granted while nobody counted: its end takes nothing from others.
  CHECK(books.settle(after(seconds(62)), 1, not_sent()));
  CHECK(books.current(after(seconds(62))).window_requests == 1);
  CHECK(books.current(after(seconds(71))).slots == 2);
}

TEST_CASE("reload: a limit that is taken away and comes back within the minute") {
  auto group = plain_group(1);
  group.deployments[0].rpm = 2;
  deployment books(group, group.deployments[0], false);
  books.take_grant(taken(1, start));
  const auto open = plain_group(1);
  books.follow(after(seconds(1)), open, open.deployments[0], false, 1);
  CHECK(books.current(after(seconds(1))).slots == room::unlimited_slots);
  books.take_grant(taken(2, after(seconds(2))));
  books.follow(after(seconds(3)), group, group.deployments[0], false, 2);
  CHECK(books.current(after(seconds(3))).slots == 0);
  CHECK(books.current(after(seconds(60))).slots == 1);
  CHECK(books.current(after(seconds(62))).slots == 2);
}

TEST_CASE("reload: an instance that is alone keeps to its part of the new limits") {
  auto group = plain_group(1);
  group.deployments[0].max_parallel_requests = 5;
  deployment books(group, group.deployments[0], false);
  books.limit_to(0, 2);
  CHECK(books.current(start).slots == 3);
  group.deployments[0].max_parallel_requests = 9;
  books.follow(start, group, group.deployments[0], false, 1);
  CHECK(books.current(start).slots == 5);
}

TEST_CASE("reload: a cooldown goes on, and a deployment that is gone takes nothing") {
  auto group = plain_group(1);
  deployment books(group, group.deployments[0], false);
  books.take_grant(taken(1, start));
  books.take_grant(taken(2, start));
  CHECK(books.settle(start, 1, rate_limited(seconds(20))));
  auto next = group;
  next.cooldown_time = seconds(1);
  books.follow(after(seconds(1)), next, next.deployments[0], false, 1);
  CHECK(books.current(after(seconds(19))).cooling);
  CHECK_FALSE(books.current(after(seconds(20))).cooling);
  next.deployments[0].retired = true;
  books.follow(after(seconds(21)), next, next.deployments[0], false, 2);
  CHECK(books.current(after(seconds(21))).slots == 0);
  CHECK(books.current(after(seconds(21))).in_flight == 1);
  CHECK(books.settle(after(seconds(22)), 2, success()));
}

TEST_CASE("reload: nothing is granted by figures of before") {
  auto group = plain_group(1);
  group.deployments[0].max_parallel_requests = 5;
  one_group all(group);
  auto lower = group;
  lower.deployments[0].max_parallel_requests = 1;
  all.follow(lower);
  all.offer(1);
  all.offer(2);
  CHECK(all.serve().empty());
  all.all_tell();
  CHECK(granted(all.serve()) == std::vector<ticket_id>{1});
}

TEST_CASE("reload: who followed before its queue is heard all the same") {
  one_group all(plain_group(1));
  auto next = std::make_unique<group_settings>(plain_group(1));
  all.books[0]->follow(all.now, *next, next->deployments[0], false, 1);
  all.tell(0);
  all.queue.follow(all.now, *next, 1);
  all.offer(1);
  CHECK(granted(all.serve()) == std::vector<ticket_id>{1});
}

TEST_CASE("reload: slots lowered below what is in flight bind new grants only") {
  auto group = plain_group(1);
  group.deployments[0].max_parallel_requests = 2;
  one_group all(group);
  for (ticket_id id = 1; id <= 3; ++id)
    all.offer(id);
  CHECK(granted(all.serve()) == std::vector<ticket_id>{1, 2});
  group.deployments[0].max_parallel_requests = 1;
  all.follow(group);
  all.all_tell();
  CHECK(all.serve().empty());
  const auto first = all.books[0]->settle(all.now, 1, success());
  REQUIRE(first);
  all.tell(0, {*first});
  CHECK(granted(all.serve()).empty()); // one is in flight still
  const auto second = all.books[0]->settle(all.now, 2, success());
  REQUIRE(second);
  all.tell(0, {*second});
  CHECK(granted(all.serve()) == std::vector<ticket_id>{3});
}

TEST_CASE("reload: who waits may go where the new settings let it, in its old order") {
  auto group = plain_group(1);
  group.deployments[0].max_parallel_requests = 0;
  one_group all(group);
  ask wanted;
  wanted.priority = 9;
  all.offer(1, wanted);
  wanted.priority = 3;
  all.offer(2, wanted);
  CHECK(all.serve().empty());
  group.deployments.emplace_back().id = "new";
  group.deployments[1].max_parallel_requests = 1;
  all.follow(group);
  all.all_tell();
  const auto heard = all.serve();
  REQUIRE(granted(heard) == std::vector<ticket_id>{2});
  CHECK(std::get<grant>(heard[0]).deployment == 1);
  CHECK(all.queue.inversions() == 0);
}

TEST_CASE("reload: tags and endpoints are judged anew") {
  auto group = plain_group(2);
  group.tag_filtering = true;
  group.deployments[0].tags = {"blue"};
  group.deployments[1].tags = {"red"};
  group.deployments[0].max_parallel_requests = group.deployments[1].max_parallel_requests = 0;
  one_group all(group);
  ask wanted;
  wanted.tags = {"red"};
  all.offer(1, wanted);
  CHECK(all.serve().empty());
  std::swap(group.deployments[0].tags, group.deployments[1].tags);
  group.deployments[0].max_parallel_requests = 1;
  all.follow(group);
  all.all_tell();
  const auto heard = all.serve();
  REQUIRE(granted(heard) == std::vector<ticket_id>{1});
  CHECK(std::get<grant>(heard[0]).deployment == 0);
}

TEST_CASE("reload: a group that is gone ends its tickets, those that come and those that return") {
  auto group = plain_group(1);
  group.deployments[0].max_parallel_requests = 1;
  one_group all(group);
  all.offer(1);
  all.offer(2);
  CHECK(granted(all.serve()) == std::vector<ticket_id>{1});
  group.retired = group.deployments[0].retired = true;
  all.follow(group);
  CHECK(ends(all.serve()) == std::vector<end_code>{end_code::unknown_group});
  all.all_tell();
  all.offer(3);
  CHECK(ends(all.serve()) == std::vector<end_code>{end_code::unknown_group});
  const auto back = all.books[0]->settle(all.now, 1, failed());
  REQUIRE(back);
  all.tell(0, {*back});
  CHECK(ends(all.serve()) == std::vector<end_code>{end_code::unknown_group});
  CHECK_FALSE(all.queue.healthy());
  // It comes back.
  group.retired = group.deployments[0].retired = false;
  all.follow(group);
  all.all_tell();
  all.offer(4);
  CHECK(granted(all.serve()) == std::vector<ticket_id>{4});
}

TEST_CASE("reload: who is left without any deployment ends as such") {
  one_group all(plain_group(2));
  auto none = plain_group(2);
  none.deployments[0].max_parallel_requests = none.deployments[1].max_parallel_requests = 0;
  all.follow(none);
  all.all_tell();
  ask wanted;
  wanted.pinned = 1;
  all.offer(1, wanted);
  all.offer(2);
  CHECK(all.serve().empty());
  none.deployments[1].retired = true;
  all.follow(none);
  all.all_tell();
  CHECK(ends(all.serve()) == std::vector<end_code>{end_code::no_deployment});
  CHECK(all.queue.waiting() == 1);
}

TEST_CASE("reload: a longer line than the new size stays, and the next is judged by it") {
  auto group = plain_group(1);
  group.deployments[0].max_parallel_requests = 0;
  one_group all(group);
  for (ticket_id id = 1; id <= 3; ++id)
    all.offer(id);
  CHECK(all.serve().empty());
  group.max_queue_size = 1;
  all.follow(group);
  all.all_tell();
  CHECK(all.serve().empty());
  CHECK(all.queue.waiting() == 3);
  all.offer(4);
  CHECK(ends(all.serve()) == std::vector<end_code>{end_code::queue_full});
  CHECK(all.queue.waiting() == 3);
}
