// What the owner of requests remembers: each grant settled once, whatever happens, and the way from
// group to group (spec §2.6, §3 "Fallbacks").
#include "actors/request_book.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <functional>
#include <map>
#include <random>

using namespace vorrang;
using namespace vorrang::test;

namespace {

constexpr nanoseconds tick{1};

struct listener : request_listener {
  std::vector<grant> grants;
  std::vector<ending> ends;
  std::vector<std::uint32_t> positions;
  int waits_again = 0;
  std::vector<group_index> fell_back_to;
  int freed_slots = 0;
  std::function<void()> then = [] {
  };

  void on_grant(const grant& given) override {
    grants.push_back(given);
    then();
  }
  void on_waiting_again() override {
    ++waits_again;
    then();
  }
  void on_fallback(group_index to) override {
    fell_back_to.push_back(to);
    on_waiting_again();
  }
  void on_end(const ending& end) override {
    ends.push_back(end);
    then();
  }
  void on_position(std::uint32_t position) override {
    positions.push_back(position);
    then();
  }
  void on_freed() override {
    ++freed_slots;
    then();
  }
  bool silent() const {
    return freed_slots == 0 && grants.empty() && ends.empty() && positions.empty() &&
           waits_again == 0;
  }
};

/// Seven groups without fallbacks, unless told.
engine_settings seven_groups() {
  engine_settings result;
  for (int i = 0; i < 7; ++i)
    result.groups.push_back(plain_group(1));
  return result;
}

struct desk {
  engine_settings settings;
  request_book book;
  time_point now = start;
  grant_id next_grant = 1;
  listener told;

  explicit desk(engine_settings all = seven_groups())
      : settings(std::move(all)), book(settings, 3, unsent_grant_max) {}
  desk(const desk&) = delete;
  desk& operator=(const desk&) = delete;

  ticket_id open(group_index group = 0) {
    ask wanted;
    wanted.group = group;
    return book.open(now, wanted, told);
  }
  void hear(verdict what) {
    std::vector<verdict> all{std::move(what)};
    book.deliver(now, all);
  }
  grant given(ticket_id ticket, group_index group = 0) {
    grant result;
    result.ticket = ticket;
    result.id = next_grant++;
    result.group = group;
    result.at = now;
    return result;
  }
  grant_id give(ticket_id ticket, group_index group = 0,
                grant_reason reason = grant_reason::healthy_deployment) {
    auto result = given(ticket, group);
    result.reason = reason;
    hear(result);
    return result.id;
  }
  void end(ticket_id ticket, end_code code, std::uint16_t status = 0, group_index group = 0,
           bool may_fall_back = true, bool context_window = false, bool content_policy = false) {
    ended how;
    how.end.priority = 4; // as the ticket had it in that queue
    how.end.ticket = ticket;
    how.end.code = code;
    how.end.status = status;
    how.end.group = group;
    how.may_fall_back = may_fall_back;
    how.context_window = context_window;
    how.content_policy = content_policy;
    hear(how);
  }
  void full(ticket_id ticket) { end(ticket, end_code::queue_full, 0, 0, false); }
};

} // namespace

TEST_CASE("book: opening offers the ticket to its group") {
  desk d;
  ask wanted;
  wanted.group = 2;
  wanted.priority = -7;
  wanted.token_estimate = 33;
  const auto id = d.book.open(d.now, wanted, d.told);
  REQUIRE(d.book.output().offers.size() == 1);
  const auto& offer = d.book.output().offers[0];
  CHECK(offer.group == 2);
  CHECK(offer.ticket.id == id);
  CHECK(offer.ticket.since == d.now);
  CHECK(offer.ticket.wanted.priority == -7);
  CHECK(offer.ticket.wanted.token_estimate == 33);
  CHECK(offer.ticket.attempts == 0);
  CHECK(offer.ticket.fallbacks == 0);
  CHECK(offer.ticket.next_groups.empty());
  CHECK(d.book.size() == 1);
  CHECK(d.book.group_of(id) == 2);
  CHECK_FALSE(d.book.holds_grant(id));
}

TEST_CASE("book: a group that does not exist is refused by a queue, not by a crash") {
  desk d;
  const auto id = d.open(99);
  REQUIRE(d.book.output().offers.size() == 1);
  CHECK(d.book.output().offers[0].group < d.settings.groups.size());
  CHECK(d.book.output().offers[0].ticket.wanted.group == 99);
  d.end(id, end_code::unknown_group, 0, 0, false);
  REQUIRE(d.told.ends.size() == 1);
  CHECK(d.told.ends[0].code == end_code::unknown_group);
}

TEST_CASE("book: names differ between books, and are not used again") {
  desk d;
  request_book other(d.settings, 4, unsent_grant_max);
  const auto a = d.open();
  const auto b = other.open(d.now, ask{}, d.told);
  CHECK(a != b);
  d.book.cancel(a);
  const auto c = d.open();
  CHECK(c != a);
  d.give(a); // for the one that is over
  CHECK(d.told.grants.empty());
  CHECK(d.book.size() == 1);
}

TEST_CASE("book: success ends the request without a word") {
  desk d;
  const auto id = d.open();
  const auto held = d.give(id);
  REQUIRE(d.told.grants.size() == 1);
  CHECK(d.book.holds_grant(id));
  CHECK(d.book.begin_sending(d.now, id));
  d.book.settle(id, success(12));
  REQUIRE(d.book.output().settles.size() == 1);
  CHECK(d.book.output().settles[0].grant == held);
  CHECK(d.book.output().settles[0].result.tokens == 12);
  CHECK(d.book.size() == 0);
  CHECK(d.book.group_of(id) == no_index);
  CHECK(d.told.ends.empty());
}

TEST_CASE("book: a grant is settled once") {
  desk d;
  const auto id = d.open();
  d.give(id);
  d.book.settle(id, failed());
  d.book.settle(id, success());
  d.book.settle(id, not_sent());
  CHECK(d.book.output().settles.size() == 1);
  d.book.settle(4711, success());
  CHECK(d.book.output().settles.size() == 1);
}

TEST_CASE("book: nothing is settled without a grant") {
  desk d;
  const auto id = d.open();
  d.book.settle(id, success());
  CHECK(d.book.output().settles.empty());
  CHECK(d.book.size() == 1);
  CHECK_FALSE(d.book.begin_sending(d.now, id));
  d.book.head_arrived(id);
  CHECK(d.book.output().heads.empty());
}

TEST_CASE("book: after a failure it waits again, and is granted again") {
  desk d;
  const auto id = d.open();
  d.give(id);
  d.book.settle(id, failed());
  CHECK(d.told.waits_again == 0);
  d.hear(returned{id});
  CHECK(d.told.waits_again == 1);
  const auto second = d.give(id);
  d.book.settle(id, success());
  CHECK(d.book.output().settles.back().grant == second);
}

TEST_CASE("book: cancel while it waits") {
  desk d;
  const auto id = d.open();
  d.book.cancel(id);
  REQUIRE(d.book.output().cancels.size() == 1);
  CHECK(d.book.output().cancels[0].ticket == id);
  d.book.cancel(id);
  CHECK(d.book.output().cancels.size() == 1);
  CHECK(d.book.size() == 0);
  CHECK(d.told.silent());
}

TEST_CASE("book: a grant that reaches a request that is over goes back unused, once") {
  desk d;
  const auto id = d.open();
  d.book.cancel(id);
  const auto late = d.give(id);
  CHECK(d.told.silent());
  REQUIRE(d.book.output().settles.size() == 1);
  const auto& back = d.book.output().settles[0];
  CHECK(back.grant == late);
  CHECK_FALSE(back.result.sent);
  d.book.settle(id, success());
  d.book.cancel(id);
  d.book.close();
  CHECK(d.book.output().settles.size() == 1);
}

TEST_CASE("book: cancel while it holds a grant") {
  for (const bool sent : {false, true}) {
    desk d;
    const auto id = d.open();
    const auto held = d.give(id);
    if (sent)
      CHECK(d.book.begin_sending(d.now, id));
    d.book.cancel(id);
    d.book.cancel(id);
    REQUIRE(d.book.output().settles.size() == 1);
    CHECK(d.book.output().settles[0].grant == held);
    CHECK(d.book.output().settles[0].result.kind == outcome_kind::cancelled);
    CHECK(d.book.output().settles[0].result.sent == sent); // unsent: the rpm unit comes back
    CHECK(d.book.size() == 0);
    CHECK(d.told.ends.empty());
  }
}

TEST_CASE("book: cancel between a settle and the queue's answer") {
  desk d;
  const auto id = d.open();
  d.give(id);
  d.book.settle(id, failed());
  d.book.cancel(id);
  CHECK(d.book.output().settles.size() == 1);
  REQUIRE(d.book.output().cancels.size() == 1); // it may stand in the line again by now
  d.hear(returned{id});
  d.give(id);
  CHECK(d.told.waits_again == 0);
  CHECK(d.told.grants.size() == 1);
  CHECK(d.book.output().settles.size() == 2); // the second went back
}

TEST_CASE("book: the end is told once, with what the queue said") {
  desk d;
  const auto id = d.open();
  d.end(id, end_code::timed_out, 503, 0, false);
  REQUIRE(d.told.ends.size() == 1);
  CHECK(d.told.ends[0].ticket == id);
  CHECK(d.told.ends[0].code == end_code::timed_out);
  CHECK(d.told.ends[0].status == 503);
  CHECK(d.book.size() == 0);
  d.end(id, end_code::timed_out);
  CHECK(d.told.ends.size() == 1);
}

TEST_CASE("book: a head is told of a probe that is held, and of no other grant") {
  desk d;
  const auto plain = d.open();
  d.give(plain);
  d.book.head_arrived(plain);
  CHECK(d.book.output().heads.empty());

  const auto id = d.open();
  const auto held = d.give(id, 0, grant_reason::head_of_line);
  d.book.head_arrived(id);
  REQUIRE(d.book.output().heads.size() == 1);
  CHECK(d.book.output().heads[0].grant == held);
  d.book.settle(id, success());
  d.book.head_arrived(id);
  CHECK(d.book.output().heads.size() == 1);
}

TEST_CASE("book: positions are asked for and told while it waits") {
  desk d;
  const auto id = d.open();
  d.book.ask_position(id);
  REQUIRE(d.book.output().places.size() == 1);
  d.hear(place_in_line{id, 4});
  CHECK(d.told.positions == std::vector<std::uint32_t>{4});
  d.give(id);
  d.hear(place_in_line{id, 1}); // overtaken by the grant
  d.book.ask_position(id);
  CHECK(d.told.positions.size() == 1);
  CHECK(d.book.output().places.size() == 1);
}

TEST_CASE("book: where nothing waits, who settles may hear when the slot is free") {
  auto none_waits = seven_groups();
  none_waits.groups[0].max_queue_size = 0;
  desk d(none_waits);

  SECTION("once, and then the request is over") {
    const auto id = d.open();
    const auto held = d.give(id);
    REQUIRE(d.book.settle_and_hear(id, success()));
    REQUIRE(d.book.output().settles.size() == 1);
    CHECK(d.book.output().settles[0].grant == held);
    CHECK(d.book.size() == 1);
    CHECK(d.told.freed_slots == 0);
    d.hear(freed{id});
    d.hear(freed{id});
    CHECK(d.told.freed_slots == 1);
    CHECK(d.book.size() == 0);
  }
  SECTION("who does not want to hear it cancels, and nothing is sent for it") {
    const auto id = d.open();
    d.give(id);
    REQUIRE(d.book.settle_and_hear(id, success()));
    d.book.cancel(id);
    CHECK(d.book.output().settles.size() == 1);
    CHECK(d.book.output().cancels.empty());
    d.hear(freed{id});
    CHECK(d.told.freed_slots == 0);
    CHECK(d.book.size() == 0);
  }
  SECTION("others hear nothing") {
    const auto quiet = d.open();
    d.give(quiet);
    d.book.settle(quiet, success());
    d.hear(freed{quiet});
    const auto elsewhere = d.open(1);
    d.give(elsewhere, 1);
    CHECK_FALSE(d.book.settle_and_hear(elsewhere, success()));
    d.hear(freed{elsewhere});
    CHECK(d.told.freed_slots == 0);
    CHECK(d.book.size() == 0);
    CHECK_FALSE(d.book.settle_and_hear(d.open(), success())); // not granted yet
  }
}

// --- Unsent grants ----------------------------------------------------------------------------

TEST_CASE("book: a grant not sent within 10 s goes back as unsent") {
  desk d;
  CHECK(d.book.next_sweep() == never);
  const auto id = d.open();
  const auto held = d.give(id);
  CHECK(d.book.next_sweep() == after(seconds(10)));
  d.book.sweep(after(seconds(10) - tick));
  CHECK(d.book.output().settles.empty());
  d.book.sweep(after(seconds(10)));
  REQUIRE(d.book.output().settles.size() == 1);
  CHECK(d.book.output().settles[0].grant == held);
  CHECK(d.book.output().settles[0].result.kind == outcome_kind::not_sent);
  CHECK_FALSE(d.book.output().settles[0].result.sent);
  CHECK_FALSE(d.book.begin_sending(after(seconds(10)), id));
  // It is not over: it waits again and may be granted again.
  d.book.settle(id, success());
  CHECK(d.book.output().settles.size() == 1);
  d.hear(returned{id});
  CHECK(d.told.waits_again == 1);
  d.now = after(seconds(11));
  d.give(id);
  CHECK(d.book.begin_sending(d.now, id));
}

TEST_CASE("book: sending begins within 10 s or not at all, swept or not") {
  desk d;
  const auto first = d.open();
  const auto second = d.open();
  d.give(first);
  d.give(second);
  CHECK(d.book.begin_sending(after(seconds(10) - tick), first));
  CHECK_FALSE(d.book.begin_sending(after(seconds(10)), second));
  CHECK(d.book.output().settles.size() == 1);
}

TEST_CASE("book: what is being sent is not swept") {
  desk d;
  const auto id = d.open();
  d.give(id);
  CHECK(d.book.begin_sending(d.now, id));
  d.book.sweep(after(seconds(100)));
  CHECK(d.book.output().settles.empty());
  CHECK(d.book.next_sweep() == never);
  CHECK(d.book.holds_grant(id));
}

TEST_CASE("book: without a limit nothing is swept") {
  engine_settings settings = seven_groups();
  request_book book(settings, 1, duration::max());
  listener told;
  const auto id = book.open(start, ask{}, told);
  grant given;
  given.ticket = id;
  given.id = 1;
  std::vector<verdict> all{given};
  book.deliver(start, all);
  CHECK(book.next_sweep() == never);
  book.sweep(after(seconds(100000)));
  CHECK(book.output().settles.empty());
}

// --- Fallbacks ----------------------------------------------------------------------------------

TEST_CASE("book: a failed group is followed by its fallback, with the same priority and deadline") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {2, 3};
  desk d(settings);
  ask wanted;
  wanted.priority = 4;
  wanted.deadline = after(seconds(30));
  wanted.pinned = 0;
  const auto id = d.book.open(d.now, wanted, d.told);
  CHECK(d.book.output().offers[0].ticket.next_groups == std::vector<group_index>{2, 3});
  d.now = after(seconds(1));
  d.end(id, end_code::attempts_exhausted, 500);
  CHECK(d.told.ends.empty());
  REQUIRE(d.book.output().offers.size() == 2);
  const auto& offer = d.book.output().offers[1];
  CHECK(offer.group == 2);
  CHECK(offer.ticket.id == id);
  CHECK(offer.ticket.wanted.group == 2);
  CHECK(offer.ticket.wanted.priority == 4);
  CHECK(offer.ticket.wanted.deadline == after(seconds(30)));
  CHECK(offer.ticket.wanted.pinned == no_index);
  CHECK(offer.ticket.since == start);
  CHECK(offer.ticket.fallbacks == 1);
  CHECK(offer.ticket.next_groups == std::vector<group_index>{3});
  CHECK(d.book.group_of(id) == 2);
  // Granted there, settled there.
  d.give(id, 2);
  d.book.settle(id, success());
  CHECK(d.book.output().settles[0].group == 2);
}

TEST_CASE("book: our own refusals and deadlines do not fall back, nor who does not want it") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {1};
  for (const auto code : {end_code::timed_out, end_code::queue_full, end_code::draining,
                          end_code::cancelled_by_operator}) {
    desk d(settings);
    d.end(d.open(), code, 0, 0, false);
    CHECK(d.told.ends.size() == 1);
    CHECK(d.book.output().offers.size() == 1);
  }
  desk d(settings);
  ask wanted;
  wanted.may_fall_back = false;
  d.end(d.book.open(d.now, wanted, d.told), end_code::attempts_exhausted, 500);
  CHECK(d.told.ends.size() == 1);
}

TEST_CASE("book: each group is visited once, at most five, and a fallback's own are not followed") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {0, 1, 2, 1, 3, 4, 5, 6};
  settings.groups[1].fallbacks = {6};
  desk d(settings);
  const auto id = d.open();
  while (d.told.ends.empty()) {
    REQUIRE(d.book.output().offers.size() <= 5);
    d.end(id, end_code::attempts_exhausted, 500, d.book.group_of(id));
  }
  std::vector<group_index> visited;
  for (const auto& offer : d.book.output().offers)
    visited.push_back(offer.group);
  CHECK(visited == std::vector<group_index>{0, 1, 2, 3, 4});
  CHECK(d.told.fell_back_to == std::vector<group_index>{1, 2, 3, 4});
  CHECK(d.told.ends[0].code == end_code::attempts_exhausted);
}

TEST_CASE("book: a request's own fallbacks are followed in place of its group's") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {5, 6};
  settings.groups[0].context_window_fallbacks = {4};
  desk d(settings);
  ask wanted;
  wanted.fallbacks = {2, {3, 1}, 2, 0};
  wanted.num_retries = 7;
  const auto id = d.book.open(d.now, wanted, d.told);
  CHECK(d.book.output().offers[0].ticket.next_groups == std::vector<group_index>{2, 3});
  while (d.told.ends.empty())
    d.end(id, end_code::attempts_exhausted, 500, d.book.group_of(id));
  const auto& offers = d.book.output().offers;
  REQUIRE(offers.size() == 3);
  CHECK(offers[1].group == 2);
  CHECK(offers[1].ticket.wanted.num_retries == 7U);
  CHECK(offers[2].group == 3);
  CHECK(offers[2].ticket.wanted.pinned == 1);

  wanted.may_fall_back = false;
  const auto stays = d.book.open(d.now, wanted, d.told);
  CHECK(d.book.output().offers.back().ticket.next_groups.empty());
  d.end(stays, end_code::attempts_exhausted, 500);
  CHECK(d.told.ends.size() == 2);
}

TEST_CASE("book: a full fallback is passed over, and then the last error is the answer") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {1, 2};
  desk d(settings);
  const auto id = d.open();
  d.end(id, end_code::attempts_exhausted, 502);
  d.full(id);
  CHECK(d.told.ends.empty());
  CHECK(d.book.group_of(id) == 2);
  d.full(id);
  REQUIRE(d.told.ends.size() == 1);
  CHECK(d.told.ends[0].code == end_code::attempts_exhausted);
  CHECK(d.told.ends[0].status == 502);
}

TEST_CASE("book: a fallback that cannot serve it hides no upstream answer") {
  // "When no attempt is left the last upstream answer goes to the client with its own status."
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {1};
  desk d(settings);
  const auto id = d.open();
  d.end(id, end_code::attempts_exhausted, 502);
  d.end(id, end_code::no_deployment, 0, 1);
  REQUIRE(d.told.ends.size() == 1);
  CHECK(d.told.ends[0].code == end_code::attempts_exhausted);
  CHECK(d.told.ends[0].status == 502);
}

TEST_CASE("book: the ending says whether the last attempt timed out, wherever that was") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {1, 2};
  desk d(settings);
  const auto id = d.open();
  const auto fails = [&](std::uint32_t attempts, std::uint16_t status, bool timed_out) {
    ended how;
    how.end.ticket = id;
    how.end.code = status == 0 && !timed_out ? end_code::rate_limited_beyond_deadline
                                             : end_code::attempts_exhausted;
    how.end.status = status;
    how.end.timed_out = timed_out;
    how.end.attempts = attempts;
    how.end.group = d.book.group_of(id);
    how.may_fall_back = true;
    d.hear(how);
  };
  SECTION("in a group that gave no answer, followed by one that nobody could ask") {
    fails(1, 503, false);
    fails(2, 0, true);
    fails(2, 0, false);
    REQUIRE(d.told.ends.size() == 1);
    CHECK(d.told.ends[0].status == 503);
    CHECK(d.told.ends[0].timed_out);
  }
  SECTION("not if a later one did not") {
    fails(1, 0, true);
    fails(2, 503, false);
    fails(2, 0, false);
    REQUIRE(d.told.ends.size() == 1);
    CHECK(d.told.ends[0].status == 503);
    CHECK_FALSE(d.told.ends[0].timed_out);
  }
  SECTION("the last group was only full") {
    fails(1, 0, true);
    fails(1, 0, false);
    d.full(id);
    REQUIRE(d.told.ends.size() == 1);
    CHECK(d.told.ends[0].timed_out);
  }
}

TEST_CASE("book: prompts too long go to the groups for them, others to the plain fallbacks") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {1};
  settings.groups[0].context_window_fallbacks = {2, 3};
  SECTION("too long") {
    desk d(settings);
    const auto id = d.open();
    d.end(id, end_code::rejected, 400, 0, true, true);
    CHECK(d.book.group_of(id) == 2);
    d.end(id, end_code::rejected, 400, 2, true, true);
    CHECK(d.book.group_of(id) == 3);
  }
  SECTION("another 400") {
    desk d(settings);
    const auto id = d.open();
    d.end(id, end_code::rejected, 400);
    CHECK(d.book.group_of(id) == 1);
  }
  SECTION("no groups for long prompts") {
    settings.groups[0].context_window_fallbacks.clear();
    desk d(settings);
    const auto id = d.open();
    d.end(id, end_code::rejected, 400, 0, true, true);
    CHECK(d.book.group_of(id) == 1);
  }
  SECTION("only groups for long prompts") {
    settings.groups[0].fallbacks.clear();
    desk d(settings);
    d.end(d.open(), end_code::attempts_exhausted, 500);
    CHECK(d.told.ends.size() == 1);
  }
}

TEST_CASE("book: what is against the content policy goes to the groups for that") {
  auto settings = seven_groups();
  settings.groups[0].content_policy_fallbacks = {{4, 0}};
  SECTION("from a group that has others too") {
    settings.groups[0].fallbacks = {1};
    settings.groups[0].context_window_fallbacks = {2};
    desk d(settings);
    const auto id = d.open();
    d.end(id, end_code::rejected, 400, 0, true, false, true);
    CHECK(d.book.group_of(id) == 4);
    d.end(id, end_code::rejected, 400, 4, true, false, true);
    CHECK(d.told.ends.size() == 1);
  }
  SECTION("not another 400") {
    desk d(settings);
    d.end(d.open(), end_code::rejected, 400);
    CHECK(d.told.ends.size() == 1);
  }
}

TEST_CASE(
    "book: a fallback to one deployment is pinned there, the next one to its own or to none") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {{2, 5}, {3, no_index}, {4, 1}};
  desk d(settings);
  ask wanted;
  wanted.pinned = 7; // in its own group
  const auto id = d.book.open(d.now, wanted, d.told);
  CHECK(d.book.output().offers[0].ticket.next_groups == std::vector<group_index>{2, 3, 4});
  for (const auto& [group, pinned] :
       {std::pair<group_index, deployment_index>{2, 5}, {3, no_index}, {4, 1}}) {
    d.end(id, end_code::attempts_exhausted, 500, d.book.group_of(id));
    const auto& offer = d.book.output().offers.back();
    CHECK(offer.group == group);
    CHECK(offer.ticket.wanted.group == group);
    CHECK(offer.ticket.wanted.pinned == pinned);
  }
}

TEST_CASE("book: cancel after falling back names the new group") {
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {5};
  desk d(settings);
  const auto id = d.open();
  d.end(id, end_code::attempts_exhausted, 500);
  d.book.cancel(id);
  REQUIRE(d.book.output().cancels.size() == 1);
  CHECK(d.book.output().cancels[0].group == 5);
}

// --- Closing, and calls from inside callbacks
// -----------------------------------------------------

TEST_CASE("book: closing settles what is held and takes back what waits, in silence") {
  desk d;
  const auto waits = d.open();
  const auto held = d.open();
  d.give(held);
  d.open();
  d.told = listener{};
  d.book.close();
  CHECK(d.book.size() == 0);
  CHECK(d.book.output().settles.size() == 1);
  CHECK(d.book.output().cancels.size() == 2);
  CHECK(d.told.silent());
  d.give(waits);
  CHECK(d.told.silent());
  CHECK(d.book.output().settles.size() == 2);
}

TEST_CASE("book: calls from inside callbacks") {
  desk d;
  const auto id = d.open();
  listener others;
  const auto open_many = [&] {
    for (int i = 0; i < 100; ++i) // the book's own memory moves
      d.book.open(d.now, ask{}, others);
  };
  SECTION("a grant: others are opened, this one is settled") {
    d.told.then = [&] {
      open_many();
      d.book.settle(id, success());
      d.book.cancel(id);
    };
    d.give(id);
    CHECK(d.book.output().settles.size() == 1);
    CHECK(d.book.size() == 100);
  }
  SECTION("a grant: it is cancelled, and the verdicts after it are for the dead") {
    d.told.then = [&] {
      d.book.cancel(id);
      open_many();
    };
    std::vector<verdict> all{d.given(id), d.given(id), returned{id}, place_in_line{id, 1}};
    d.book.deliver(d.now, all);
    CHECK(d.told.grants.size() == 1);
    CHECK(d.told.waits_again == 0);
    CHECK(d.book.output().settles.size() == 2);
  }
  SECTION("waiting again: cancelled at once") {
    d.give(id);
    d.book.settle(id, failed());
    d.told.then = [&] {
      open_many();
      d.book.cancel(id);
    };
    d.hear(returned{id});
    CHECK(d.book.output().cancels.size() == 1);
    CHECK(d.book.size() == 100);
  }
  SECTION("the end: a new one takes its place, and is not taken for it") {
    ticket_id next = 0;
    d.told.then = [&] {
      next = d.book.open(d.now, ask{}, others);
      d.book.cancel(id);
      open_many();
    };
    d.end(id, end_code::timed_out, 0, 0, false);
    CHECK(d.told.ends.size() == 1);
    CHECK(next != id);
    CHECK(d.book.size() == 101);
    CHECK(d.book.output().cancels.empty());
  }
  SECTION("a position: cancelled") {
    d.told.then = [&] {
      open_many();
      d.book.cancel(id);
    };
    d.hear(place_in_line{id, 2});
    CHECK(d.book.size() == 100);
  }
  SECTION("falling back: cancelled while it is told to wait again") {
    auto settings = seven_groups();
    settings.groups[0].fallbacks = {1};
    desk e(settings);
    const auto falls = e.open();
    e.told.then = [&] {
      for (int i = 0; i < 100; ++i)
        e.book.open(e.now, ask{}, others);
      e.book.cancel(falls);
    };
    e.end(falls, end_code::attempts_exhausted, 500);
    CHECK(e.told.waits_again == 1);
    REQUIRE(e.book.output().cancels.size() == 1);
    CHECK(e.book.output().cancels[0].group == 1);
    CHECK(e.book.size() == 100);
  }
}

TEST_CASE("book: in random histories every grant is settled exactly once") {
  const std::uint32_t seed = 7012;
  CAPTURE(seed);
  std::mt19937 random(seed);
  auto settings = seven_groups();
  settings.groups[0].fallbacks = {1, 2};
  for (int round = 0; round < 100; ++round) {
    CAPTURE(round);
    desk d(settings);
    struct place {
      bool over = false;    // as its owner knows
      bool granted = false; // the queue has a grant out on it
      bool in_queue = true; // the queue knows it
    };
    std::map<ticket_id, place> model;
    std::map<grant_id, int> settled;
    const auto pick = [&] {
      auto chosen = model.begin();
      std::advance(chosen, static_cast<long>(random() % model.size()));
      return chosen->first;
    };
    std::size_t seen = 0;
    for (int step = 0; step < 600; ++step) {
      d.now += milliseconds(random() % 900);
      if (model.empty() || random() % 6 == 0) {
        model[d.open(static_cast<group_index>(random() % 3))] = {};
        continue;
      }
      const auto id = pick();
      auto& own = model[id];
      switch (random() % 6) {
      case 0: // the queue grants what it believes to wait, the owner's cancel still under way
        if (own.in_queue && !own.granted) {
          own.granted = true;
          const auto before = d.told.grants.size();
          settled[d.give(id, d.book.group_of(id) == no_index ? 0 : d.book.group_of(id))] = 0;
          REQUIRE(d.told.grants.size() == before + (own.over ? 0 : 1));
        }
        break;
      case 1: {
        const outcome results[] = {success(),  failed(),      rate_limited(),
                                   not_sent(), rejected(400), cancelled()};
        const auto which = random() % 6;
        const bool held = d.book.holds_grant(id);
        d.book.settle(id, results[which]);
        if (held && (which == 0 || which == 5))
          own.over = true;
        break;
      }
      case 2:
        d.book.begin_sending(d.now, id);
        break;
      case 3:
        if (random() % 3 == 0) {
          d.book.cancel(id);
          own.over = true;
        }
        break;
      case 4:
        d.book.sweep(d.now);
        REQUIRE(d.book.next_sweep() > d.now);
        break;
      default: // the queue answers a settle, or ends what waits
        if (own.in_queue && !own.granted) {
          if (random() % 2) {
            d.hear(returned{id});
          } else {
            const auto before = d.told.ends.size();
            d.end(id, end_code::attempts_exhausted, 500, d.book.group_of(id));
            if (d.told.ends.size() > before)
              own.over = true;
            if (own.over)
              own.in_queue = false;
          }
        }
      }
      // The deployments hear of the settles, and the queue of its tickets.
      for (; seen < d.book.output().settles.size(); ++seen) {
        const auto& s = d.book.output().settles[seen];
        REQUIRE(settled.count(s.grant) == 1);
        REQUIRE(++settled[s.grant] == 1);
        for (const auto& g : d.told.grants)
          if (g.id == s.grant)
            model[g.ticket].granted = false;
      }
      std::size_t open = 0;
      for (const auto& [ticket, p] : model)
        open += p.over ? 0 : 1;
      REQUIRE(d.book.size() == open);
    }
    d.book.close();
    for (; seen < d.book.output().settles.size(); ++seen)
      REQUIRE(++settled[d.book.output().settles[seen].grant] == 1);
    for (const auto& [id, times] : settled)
      REQUIRE(times == 1);
  }
}
