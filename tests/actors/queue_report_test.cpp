// The queue as an operator sees it: pages, places, and why each waits.
#include "catch.hpp"
#include "report_desk.hpp"

#include <algorithm>
#include <map>
#include <random>

using namespace vorrang;
using namespace vorrang::test;

TEST_CASE("report: an empty queue") {
  report_desk d(plain_group(1));
  const auto view = d.view();
  CHECK(view.name == "group");
  CHECK(view.group == 0);
  CHECK(view.waiting == 0);
  CHECK(view.tickets.empty());
  CHECK(view.oldest_wait == duration::zero());
  CHECK(view.inversions == 0);
  CHECK(view.at == start);
}

TEST_CASE("report: tickets in order, with all that is known of them") {
  report_desk d(plain_group(1));
  const auto late = d.put(9);
  d.now = after(seconds(2));
  const auto first = d.put(-1);
  d.now = after(seconds(5));
  const auto view = d.view();
  REQUIRE(view.tickets.size() == 2);
  CHECK(view.waiting == 2);
  CHECK(view.oldest_wait == seconds(5));
  CHECK(view.tickets[0].id == first);
  CHECK(view.tickets[0].priority == -1);
  CHECK(view.tickets[0].position == 1);
  CHECK(view.tickets[0].waited == seconds(3));
  CHECK(view.tickets[0].bytes == 200);
  CHECK(view.tickets[1].id == late);
  CHECK(view.tickets[1].position == 2);
  CHECK(view.tickets[1].waited == seconds(5));
}

TEST_CASE("report: the longest wait of each class, however many pieces") {
  report_desk d(plain_group(2));
  const std::vector<std::int32_t> classes = {0, 10};
  d.put(-1);
  d.now = after(seconds(1));
  for (std::size_t i = 0; i < 2 * piece_slots_max; ++i)
    d.put(0);
  d.now = after(seconds(3));
  d.put(9);
  d.now = after(seconds(4));
  for (const auto limit : {std::size_t{0}, std::size_t{10}}) {
    line_copy copy(0, limit, classes);
    while (copy.add(copy_piece(d.queue, d.now, copy.next()))) {
    }
    const auto view = copy.take();
    CHECK(view.oldest_wait == seconds(4));
    CHECK(view.oldest_waits == std::vector<duration>{seconds(4), seconds(3), duration::zero()});
  }
  // The last slot alone has it.
  d.put(10);
  d.now = after(seconds(6));
  line_copy copy(0, 0, classes);
  while (copy.add(copy_piece(d.queue, d.now, copy.next()))) {
  }
  CHECK(copy.take().oldest_waits == std::vector<duration>{seconds(6), seconds(5), seconds(2)});
  CHECK(d.view().oldest_waits == std::vector<duration>{seconds(6)}); // none asked for: all are one
}

TEST_CASE("report: why each waits") {
  SECTION("the head, because all are full; the rest, behind it") {
    report_desk d(plain_group(2));
    d.put(5);
    d.put(5);
    const auto view = d.view();
    CHECK(view.tickets[0].why == wait_reason::all_full);
    CHECK(view.tickets[1].why == wait_reason::behind_others);
  }
  SECTION("all cooling") {
    report_desk d(plain_group(2));
    d.cools(0, seconds(4));
    d.cools(1, seconds(4));
    d.put(5);
    CHECK(d.view().tickets[0].why == wait_reason::all_cooling);
  }
  SECTION("behind others goes before all cooling") {
    report_desk d(plain_group(1));
    d.cools(0, seconds(4));
    d.put(5);
    d.put(5);
    CHECK(d.view().tickets[1].why == wait_reason::behind_others);
  }
  SECTION("one that waits for another deployment is not behind") {
    report_desk d(plain_group(2));
    d.put(5, 0);
    d.put(6, 1);
    d.put(7); // both of its deployments have a better one
    const auto view = d.view();
    CHECK(view.tickets[1].why == wait_reason::all_full);
    CHECK(view.tickets[2].why == wait_reason::behind_others);
  }
  SECTION("its own back-off") {
    report_desk d(plain_group(1));
    d.free(0, 1);
    const auto id = d.put(5);
    const auto& given = std::get<grant>(d.queue.output().verdicts.at(0).what);
    attempt_result result;
    result.ticket = id;
    result.id = given.id;
    result.result = rate_limited(seconds(9));
    room figures;
    figures.takes_seen = 1;
    d.room_of(0, figures, {result});
    d.queue.serve(d.now);
    const auto other = d.put(6); // passes it there
    const auto view = d.view();
    REQUIRE(view.tickets.size() == 2);
    CHECK(view.tickets[0].id == id);
    CHECK(view.tickets[0].why == wait_reason::backing_off);
    CHECK(view.tickets[0].attempts == 1);
    CHECK(view.tickets[1].id == other);
    CHECK(view.tickets[1].why == wait_reason::all_full);
  }
}

TEST_CASE("report: pages say the same as the whole") {
  report_desk d(plain_group(3));
  for (int i = 0; i < 30; ++i)
    d.put(i % 4, i % 5 < 3 ? static_cast<deployment_index>(i % 3) : no_index);
  const auto whole = d.view();
  REQUIRE(whole.tickets.size() == 30);
  for (std::size_t offset = 0; offset < 32; ++offset) {
    const auto page = d.view(offset, 3);
    CHECK(page.waiting == 30);
    CHECK(page.offset == offset);
    REQUIRE(page.tickets.size() == std::min<std::size_t>(3, offset < 30 ? 30 - offset : 0));
    for (std::size_t i = 0; i < page.tickets.size(); ++i) {
      CHECK(page.tickets[i].id == whole.tickets[offset + i].id);
      CHECK(page.tickets[i].position == offset + i + 1);
      CHECK(page.tickets[i].why == whole.tickets[offset + i].why);
    }
  }
}

TEST_CASE("report: the state of each deployment") {
  auto told = plain_group(3);
  told.deployments[0].rpm = 10;
  told.deployments[0].tpm = 1000;
  told.deployments[0].max_parallel_requests = 4;
  report_desk d(told);
  room used;
  used.slots = 1;
  used.tokens = 400;
  used.in_flight = 3;
  used.window_requests = 7;
  used.window_tokens = 600;
  d.room_of(0, used);
  d.cools(1, seconds(4));
  d.now = after(seconds(1));
  const auto view = d.view();
  REQUIRE(view.deployments.size() == 3);
  const auto& busy = view.deployments[0];
  CHECK(busy.id == "d0");
  CHECK(busy.healthy);
  CHECK_FALSE(busy.full);
  CHECK(busy.in_flight == 3);
  CHECK(busy.max_parallel_requests == 4);
  CHECK(busy.rpm_used == 7);
  CHECK(busy.rpm == 10);
  CHECK(busy.tpm_used == 600);
  CHECK(busy.tpm == 1000);
  CHECK_FALSE(busy.cooldown_ends_in);
  const auto& cooling = view.deployments[1];
  CHECK(cooling.cooling);
  CHECK_FALSE(cooling.healthy);
  CHECK_FALSE(cooling.full);
  CHECK(cooling.cooldown_ends_in == seconds(3));
  CHECK(cooling.last_failure_status == 429);
  const auto& full = view.deployments[2];
  CHECK(full.full);
  CHECK_FALSE(full.healthy);
}

TEST_CASE("report: without tokens left a deployment is full") {
  auto told = plain_group(1);
  told.deployments[0].tpm = 1000;
  report_desk d(told);
  room used;
  used.slots = 5;
  used.tokens = 0;
  used.window_tokens = 1000;
  d.room_of(0, used);
  CHECK(d.view().deployments[0].full);
  CHECK_FALSE(d.view().deployments[0].healthy);
}

TEST_CASE("report: cooldowns are counted where they begin") {
  report_desk d(plain_group(2));
  d.free(0, 1);
  d.free(1, 1);
  CHECK(d.view().deployments[0].cooldowns == 0);
  d.cools(0, seconds(5));
  d.cools(0, seconds(9)); // the same, which has become longer
  d.now = after(seconds(9));
  d.free(0, 1);
  d.cools(0, seconds(5));
  CHECK(d.view().deployments[0].cooldowns == 2);
  CHECK(d.view().deployments[1].cooldowns == 0);
}

TEST_CASE("report: what the head lacks, and when the first of it comes back") {
  auto told = plain_group(2);
  told.deployments[0].rpm = 1;
  told.deployments[1].max_parallel_requests = 1;
  report_desk d(told);
  room used;
  used.window_requests = 1;
  used.requests_return = after(seconds(12));
  d.room_of(0, used);
  room busy;
  busy.in_flight = 1;
  d.room_of(1, busy);
  const auto bits = [](std::initializer_list<missing> all) {
    int result = 0;
    for (const auto each : all)
      result |= static_cast<int>(each);
    return result;
  };
  d.put(5);
  auto head = d.view().tickets[0];
  CHECK(head.why == wait_reason::all_full);
  CHECK(head.waits_for == bits({missing::rpm, missing::slot}));
  CHECK(head.ready_in == seconds(12));
  CHECK(d.view().deployments[0].window_returns_in == seconds(12));
  CHECK_FALSE(d.view().deployments[1].window_returns_in);

  d.put(1, 1); // only where a slot is missing: nobody knows when
  head = d.view().tickets[0];
  CHECK(head.waits_for == bits({missing::slot}));
  CHECK_FALSE(head.ready_in);

  d.cools(0, seconds(4)); // the end of a cooldown is no unit of rpm
  d.queue.cancel(2);
  head = d.view().tickets[0];
  CHECK(head.waits_for == bits({missing::slot}));
  CHECK_FALSE(head.ready_in);
  d.cools(1, seconds(9));
  head = d.view().tickets[0];
  CHECK(head.why == wait_reason::all_cooling);
  CHECK(head.waits_for == 0);
  CHECK(head.ready_in == seconds(4));
}

TEST_CASE("report: tokens that are left but do not do are missing") {
  auto told = plain_group(1);
  told.deployments[0].tpm = 1000;
  report_desk d(told);
  room used;
  used.slots = 5;
  used.tokens = 100;
  used.window_tokens = 900;
  used.tokens_return = after(seconds(7));
  d.room_of(0, used);
  d.put(5, no_index, 200);
  const auto view = d.view();
  CHECK(view.tickets[0].waits_for == static_cast<int>(missing::tpm));
  CHECK(view.tickets[0].ready_in == seconds(7));
}

TEST_CASE("report: of two windows the one that is lacking counts, or the later of both") {
  auto told = plain_group(1);
  told.deployments[0].rpm = 2;
  told.deployments[0].tpm = 1000;
  report_desk d(told);
  room used;
  used.window_requests = 1;
  used.requests_return = after(seconds(3));
  used.tokens = 100;
  used.window_tokens = 900;
  used.tokens_return = after(seconds(7));
  d.room_of(0, used);
  d.put(5, no_index, 200);
  CHECK(d.view().tickets[0].ready_in == seconds(7)); // not when rpm gets something back
  used.window_requests = 2;
  d.room_of(0, used);
  CHECK(d.view().tickets[0].ready_in == seconds(7));
  used.requests_return = after(seconds(9));
  d.room_of(0, used);
  CHECK(d.view().tickets[0].ready_in == seconds(9));
  used.tokens = 500;
  used.tokens_return = after(seconds(20));
  d.room_of(0, used);
  CHECK(d.view().tickets[0].ready_in == seconds(9));
  used.requests_return = never; // nobody counts there
  d.room_of(0, used);
  CHECK_FALSE(d.view().tickets[0].ready_in);
}

TEST_CASE("report: a line of ten thousand is copied in small pieces") {
  report_desk d(plain_group(2));
  for (int i = 0; i < 10'000; ++i)
    d.put((i * 7919) % 31, i % 3 == 0 ? deployment_index{0} : no_index);
  d.now = after(seconds(3));
  line_copy copy(0, 10'000);
  std::size_t pieces = 0;
  std::size_t tickets = 0;
  for (bool more = true; more; ++pieces) {
    const auto wanted = copy.next();
    auto piece = copy_piece(d.queue, d.now, wanted);
    REQUIRE(piece.view.tickets.size() <= piece_tickets_max);
    REQUIRE(piece.next_slot - wanted.slot <= piece_slots_max);
    REQUIRE(piece.view.deployments.empty() == (wanted.slot > 0));
    tickets += piece.view.tickets.size();
    more = copy.add(std::move(piece));
  }
  CHECK(tickets == 10'000);
  CHECK(pieces == 10'000 / piece_tickets_max + 1);
  const auto view = copy.take();
  REQUIRE(view.tickets.size() == 10'000);
  CHECK(view.waiting == 10'000);
  CHECK(view.oldest_wait == seconds(3));
  for (std::size_t i = 1; i < view.tickets.size(); ++i) {
    const auto& a = view.tickets[i - 1];
    const auto& b = view.tickets[i];
    REQUIRE(std::pair(a.priority, a.arrival) < std::pair(b.priority, b.arrival));
    REQUIRE(b.position == i + 1);
  }
  // Places that nobody stands in any more are looked at, but not without end either.
  for (ticket_id each = 1; each <= 9'999; ++each)
    d.queue.cancel(each);
  const auto piece = copy_piece(d.queue, d.now, {0, 0, 0, true, true, {}});
  CHECK(piece.next_slot == piece_slots_max);
  CHECK_FALSE(piece.is_last);
  CHECK(d.view().tickets.size() == 1);
  CHECK(d.view(0, 0).oldest_wait == seconds(3));
}

TEST_CASE("report: whoever waits all the while is there once, whatever happens between pieces") {
  for (std::uint32_t seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    report_desk d(plain_group(2));
    std::map<ticket_id, bool> stays; // false: moved meanwhile
    std::vector<ticket_id> all;
    for (int i = 0; i < 2'000; ++i)
      all.push_back(d.put(static_cast<std::int32_t>(random() % 5)));
    for (const auto each : all)
      stays[each] = true;
    line_copy copy(0, 10'000);
    while (copy.add(copy_piece(d.queue, d.now, copy.next())))
      for (int i = 0; i < 50; ++i) {
        const auto some = all[random() % all.size()];
        if (i % 3 == 0)
          d.put(static_cast<std::int32_t>(random() % 5));
        else if (i % 3 == 1 && d.queue.move(some, static_cast<std::int32_t>(random() % 5)))
          stays[some] = false;
        else if (i % 3 == 2) {
          d.queue.cancel(some);
          stays.erase(some);
        }
      }
    const auto view = copy.take();
    std::map<ticket_id, std::size_t> seen;
    for (const auto& each : view.tickets)
      ++seen[each.id];
    for (const auto& [id, count] : seen)
      REQUIRE(count == 1);
    for (const auto& [id, unmoved] : stays)
      REQUIRE(seen[id] == 1);
    REQUIRE(std::is_sorted(view.tickets.begin(), view.tickets.end(),
                           [](const ticket_report& a, const ticket_report& b) {
                             return std::pair(a.priority, a.arrival) <
                                    std::pair(b.priority, b.arrival);
                           }));
  }
}

TEST_CASE("report: pieces of a shared line, and a line that becomes shared meanwhile") {
  const auto shared_piece = [](std::vector<ticket_id> ids, bool has_more) {
    queue_piece piece;
    piece.in_order = true;
    piece.has_more = has_more;
    piece.view.waiting = 5;
    for (const auto id : ids)
      piece.view.tickets.emplace_back().id = id;
    return piece;
  };
  line_copy copy(10, 1000);
  CHECK(copy.next().place == 10);
  CHECK(copy.next().limit == shared_piece_tickets_max);
  queue_piece own;
  own.is_last = false;
  own.next_slot = 256;
  own.view.tickets.resize(3);
  CHECK(copy.add(std::move(own)));
  CHECK(copy.add(shared_piece({1, 2, 3}, true))); // begins again
  CHECK(copy.next().place == 10);
  CHECK(copy.next().slot == 0);
  CHECK(copy.add(shared_piece({1, 2, 3}, true)));
  CHECK(copy.next().place == 13);
  CHECK_FALSE(copy.add(shared_piece({3, 4}, false))); // one has moved back by a place
  const auto view = copy.take();
  REQUIRE(view.tickets.size() == 4);
  CHECK(view.tickets[3].id == 4);
  CHECK(view.tickets[3].position == 14);
  CHECK(view.waiting == 5);
}
