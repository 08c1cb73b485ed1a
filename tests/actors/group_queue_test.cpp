// The decision: order, room kept for the best, returns, full queues, endings (spec §2 and §3).
#include "actors/group_queue.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <algorithm>
#include <map>
#include <random>

using namespace vorrang;
using namespace vorrang::test;

namespace {

constexpr nanoseconds tick{1};

struct heard {
  owner_index owner;
  verdict what;
};

/// A queue with the books of its deployments beside it, all in one thread and without delay.
struct stage {
  group_settings settings;
  group_board board{8};
  group_queue queue;
  std::vector<deployment> books;
  std::map<grant_id, deployment_index> held;
  std::vector<heard> news;
  time_point now = start;
  ticket_id next = 1;

  explicit stage(group_settings told, group_index self = 0)
      : settings(std::move(told)), queue(settings, self, 1, board) {
    for (const auto& d : settings.deployments)
      books.emplace_back(settings, d, false);
    for (deployment_index i = 0; i < books.size(); ++i)
      queue.room_changed(now, i, books[i].current(now), {});
  }
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  /// Decides, and lets the deployments hear of it.
  void serve() {
    queue.serve(now);
    collect();
  }
  void collect() {
    auto& out = queue.output();
    for (auto& v : out.verdicts)
      news.push_back({v.owner, std::move(v.what)});
    for (const auto& t : out.takes) {
      books[t.deployment].take_grant(t.what);
      held[t.what.id] = t.deployment;
    }
    const auto orphans = out.orphans;
    for (const auto& [which, phase] : out.opened)
      books[which].open_fully(phase);
    out.clear();
    for (const auto& o : orphans)
      settle(o.grant, cancelled(false));
    refresh({});
  }
  /// Tells the queue the figures of every deployment.
  void refresh(const std::map<deployment_index, std::vector<attempt_result>>& results) {
    for (deployment_index i = 0; i < books.size(); ++i) {
      const auto found = results.find(i);
      queue.room_changed(now, i, books[i].current(now),
                         found == results.end() ? std::vector<attempt_result>{} : found->second);
    }
  }
  void at(duration since_start) {
    now = after(since_start);
    refresh({});
    serve();
  }

  ticket_id put(ask wanted, std::vector<group_index> next_groups = {}, owner_index owner = 0) {
    ticket_offer offer;
    offer.id = next++;
    offer.wanted = std::move(wanted);
    offer.wanted.group = queue.settings_index();
    offer.since = now;
    offer.next_groups = std::move(next_groups);
    const auto id = offer.id;
    queue.offer(now, owner, std::move(offer));
    return id;
  }
  ticket_id put(std::int32_t priority, time_point deadline = never) {
    ask wanted;
    wanted.priority = priority;
    wanted.deadline = deadline;
    return put(std::move(wanted));
  }
  ticket_id offer(std::int32_t priority, time_point deadline = never) {
    const auto id = put(priority, deadline);
    serve();
    return id;
  }

  /// Reports the end of an attempt, without a decision yet.
  void settle(grant_id id, const outcome& result) {
    const auto found = held.find(id);
    REQUIRE(found != held.end());
    const auto where = found->second;
    held.erase(found);
    const auto over = books[where].settle(now, id, result);
    REQUIRE(over);
    refresh({{where, {*over}}});
  }
  void finish(ticket_id ticket, const outcome& result) {
    settle(granted(ticket)->id, result);
    serve();
  }

  /// The newest grant of a ticket.
  const grant* granted(ticket_id ticket) const {
    for (auto i = news.rbegin(); i != news.rend(); ++i)
      if (const auto* g = std::get_if<grant>(&i->what); g && g->ticket == ticket)
        return g;
    return nullptr;
  }
  const ended* end_of(ticket_id ticket) const {
    for (const auto& n : news)
      if (const auto* e = std::get_if<ended>(&n.what); e && e->end.ticket == ticket)
        return e;
    return nullptr;
  }
  /// Tickets granted so far, in order.
  std::vector<ticket_id> order() const {
    std::vector<ticket_id> result;
    for (const auto& n : news)
      if (const auto* g = std::get_if<grant>(&n.what))
        result.push_back(g->ticket);
    return result;
  }
  bool ended_with(ticket_id ticket, end_code code) const {
    const auto* e = end_of(ticket);
    return e && e->end.code == code;
  }
  std::size_t returns_of(ticket_id ticket) const {
    std::size_t result = 0;
    for (const auto& n : news)
      if (const auto* r = std::get_if<returned>(&n.what))
        result += r->ticket == ticket ? 1 : 0;
    return result;
  }
};

group_settings one_at_a_time(std::size_t deployments = 1) {
  auto result = plain_group(deployments);
  for (auto& d : result.deployments)
    d.max_parallel_requests = 1;
  return result;
}

using tickets = std::vector<ticket_id>;

} // namespace

// --- Order --------------------------------------------------------------------------------------

TEST_CASE("queue: a grant says what it is") {
  stage s(plain_group(1), 3);
  ask wanted;
  const auto id = s.put(wanted, {}, 9);
  s.now = after(seconds(2));
  s.serve();
  REQUIRE(s.news.size() == 1);
  CHECK(s.news[0].owner == 9);
  const auto& g = *s.granted(id);
  CHECK(g.group == 3);
  CHECK(g.deployment == 0);
  CHECK(g.reason == grant_reason::healthy_deployment);
  CHECK(g.at == after(seconds(2)));
  CHECK(g.waited == seconds(2));
  CHECK(g.attempt == 1);
  CHECK(g.retries == 0);
  CHECK(g.fallbacks == 0);
}

TEST_CASE("queue: priority first, equals strictly first come, first served") {
  stage s(one_at_a_time());
  const auto blocker = s.offer(0);
  const auto c = s.offer(7);
  const auto d = s.offer(7);
  const auto a = s.offer(-3);
  const auto last = s.offer(std::numeric_limits<std::int32_t>::max());
  const auto b = s.offer(0);
  for (auto holder : {blocker, a, b, c, d})
    s.finish(holder, success());
  CHECK(s.order() == tickets{blocker, a, b, c, d, last});
  CHECK(s.queue.inversions() == 0);
}

TEST_CASE("queue: those offered together are sorted before the first is granted") {
  stage s(one_at_a_time());
  s.put(5);
  const auto best = s.put(1);
  s.put(3);
  s.serve();
  CHECK(s.order() == tickets{best});
}

TEST_CASE("queue: work conserving, every healthy deployment is used at once") {
  stage s(one_at_a_time(3));
  for (int i = 0; i < 5; ++i)
    s.offer(i);
  CHECK(s.order() == tickets{1, 2, 3});
  CHECK(s.queue.waiting() == 2);
  CHECK_FALSE(s.queue.healthy());
}

TEST_CASE("queue: a full head stays the head, and a better one that comes takes its place") {
  auto told = plain_group(1);
  told.deployments[0].rpm = 1;
  stage s(told);
  s.offer(0);
  const auto head = s.offer(5);
  const auto better = s.offer(1);
  s.at(seconds(60) - tick);
  CHECK(s.order() == tickets{1});
  s.at(seconds(60));
  CHECK(s.order() == tickets{1, better});
  s.at(seconds(120));
  CHECK(s.order() == tickets{1, better, head});
}

TEST_CASE("queue: room too small for the best is not given to a later one") {
  auto told = plain_group(1);
  told.deployments[0].tpm = 100;
  stage s(told);
  ask wanted;
  wanted.token_estimate = 60;
  s.put(wanted);
  s.serve();
  const auto big = s.put(wanted);
  wanted.token_estimate = 10;
  const auto small = s.put(wanted);
  s.serve();
  CHECK(s.order() == tickets{1});
  s.at(seconds(60));
  CHECK(s.order() == tickets{1, big, small});
}

TEST_CASE("queue: room is kept only where the best may go") {
  auto told = one_at_a_time(2);
  stage s(told);
  ask pinned;
  pinned.pinned = 0;
  s.put(pinned);
  s.serve();
  const auto waits = s.put(pinned);
  const auto passes = s.offer(200); // behind it, but for the other deployment too
  CHECK(s.granted(passes));
  CHECK(s.granted(passes)->deployment == 1);
  CHECK_FALSE(s.granted(waits));
  CHECK(s.queue.inversions() == 0);
}

TEST_CASE("queue: too large for every tpm goes to the largest when that is empty") {
  auto told = plain_group(2);
  told.deployments[0].tpm = 100;
  told.deployments[1].tpm = 1000;
  stage s(told);
  ask wanted;
  wanted.token_estimate = 500; // fits the second alone
  const auto before = s.put(wanted);
  s.serve();
  wanted.token_estimate = 5000;
  const auto huge = s.put(wanted);
  s.serve();
  CHECK(s.granted(before)->deployment == 1);
  CHECK_FALSE(s.granted(huge));
  s.at(seconds(60)); // the window is empty, but something is in flight
  CHECK_FALSE(s.granted(huge));
  s.finish(before, success(500));
  REQUIRE(s.granted(huge));
  CHECK(s.granted(huge)->deployment == 1);
}

TEST_CASE("queue: too large waits for the window when nothing is in flight") {
  auto told = plain_group(1);
  told.deployments[0].tpm = 100;
  stage s(told);
  ask wanted;
  wanted.token_estimate = 10;
  const auto before = s.put(wanted);
  s.serve();
  s.finish(before, success(10));
  wanted.token_estimate = 5000;
  const auto huge = s.put(wanted);
  s.at(seconds(60) - tick);
  CHECK_FALSE(s.granted(huge));
  s.at(seconds(60));
  CHECK(s.granted(huge));
}

TEST_CASE("queue: no tokens left is no capacity") {
  auto told = plain_group(1);
  told.deployments[0].tpm = 100;
  stage s(told);
  CHECK(s.queue.healthy());
  ask wanted;
  wanted.token_estimate = 100;
  s.put(wanted);
  s.serve();
  CHECK_FALSE(s.queue.healthy());
  CHECK_FALSE(s.board.healthy(0));
}

// --- Returns ------------------------------------------------------------------------------------

TEST_CASE("queue: a 429 sends the ticket back to its original place") {
  auto told = one_at_a_time();
  told.cooldown_time = duration::zero();
  stage s(told);
  const auto first = s.offer(5);
  const auto second = s.offer(5);
  s.finish(first, rate_limited(seconds(2)));
  // Its own back-off runs there, and others may pass it.
  CHECK(s.returns_of(first) == 1);
  CHECK(s.order() == tickets{first, second});
  const auto third = s.offer(5);
  s.at(seconds(2));
  s.finish(second, success());
  CHECK(s.order() == tickets{first, second, first});
  CHECK(s.granted(first)->attempt == 2);
  CHECK(s.granted(first)->retries == 0);
  s.finish(first, success());
  CHECK(s.order().back() == third);
}

TEST_CASE("queue: an untried healthy deployment comes first") {
  auto told = plain_group(2);
  told.deployments[0].weight = 1; // the second is drawn only when the first is not to be had
  told.deployments[1].weight = 0;
  stage s(told);
  const auto id = s.offer(5);
  CHECK(s.granted(id)->deployment == 0);
  s.finish(id, failed());
  CHECK(s.granted(id)->deployment == 1);
  CHECK(s.granted(id)->retries == 1);
}

TEST_CASE("queue: retries are spent, and the last answer is told") {
  auto told = plain_group(1);
  told.allowed_fails = 100;
  stage s(told);
  const auto id = s.offer(5);
  s.finish(id, failed(500));
  CHECK(s.order().size() == 1); // in back-off
  s.at(seconds(10));
  s.finish(id, failed(502));
  s.at(seconds(20));
  CHECK(s.granted(id)->retries == 2);
  CHECK(s.granted(id)->attempt == 3);
  s.finish(id, failed(503));
  REQUIRE(s.ended_with(id, end_code::attempts_exhausted));
  const auto& end = s.end_of(id)->end;
  CHECK(end.status == 503);
  CHECK(end.attempts == 3);
  CHECK(end.retries == 2);
  CHECK(s.end_of(id)->may_fall_back);
}

TEST_CASE("queue: refused everywhere is the end, and refused once excludes that deployment") {
  stage s(plain_group(2));
  const auto id = s.offer(5);
  const auto first = s.granted(id)->deployment;
  s.finish(id, rejected(401));
  REQUIRE(s.order().size() == 2);
  CHECK(s.granted(id)->deployment != first);
  s.finish(id, rejected(404));
  REQUIRE(s.ended_with(id, end_code::attempts_exhausted));
  CHECK(s.end_of(id)->end.status == 404);
}

TEST_CASE("queue: a 400 ends it at once, and may fall back") {
  stage s(plain_group(2));
  const auto id = s.offer(5);
  auto result = rejected(400);
  result.context_window = true;
  s.finish(id, result);
  REQUIRE(s.ended_with(id, end_code::rejected));
  CHECK(s.end_of(id)->end.status == 400);
  CHECK(s.end_of(id)->may_fall_back);
  CHECK(s.end_of(id)->context_window);
  CHECK_FALSE(s.queue.view(0).figures().cooling);
}

TEST_CASE("queue: what was not sent is no attempt, and waits at its place") {
  stage s(one_at_a_time());
  const auto id = s.offer(5);
  s.offer(5);
  s.finish(id, not_sent());
  CHECK(s.order() == tickets{id, id});
  CHECK(s.granted(id)->attempt == 1);
  CHECK(s.granted(id)->retries == 0);
}

TEST_CASE("queue: 429 three times from a deployment that answers others is the end") {
  auto told = plain_group(1);
  told.cooldown_time = duration::zero();
  stage s(told);
  const auto poisonous = s.offer(1);
  s.finish(poisonous, rate_limited());
  for (int i = 1; i <= 2; ++i) {
    s.finish(s.offer(5), success());
    s.at(seconds(20 * i));
    s.finish(poisonous, rate_limited(i == 2 ? std::optional<duration>(seconds(9))
                                            : std::optional<duration>{}));
  }
  REQUIRE(s.ended_with(poisonous, end_code::attempts_exhausted));
  CHECK(s.end_of(poisonous)->end.status == 429);
  CHECK(s.end_of(poisonous)->end.retry_after == seconds(9));
}

TEST_CASE("queue: 429s from a deployment that answers nobody never end it") {
  auto told = plain_group(1);
  told.cooldown_time = duration::zero();
  stage s(told);
  const auto id = s.offer(1);
  for (int i = 1; i < 20; ++i) {
    s.finish(id, rate_limited());
    REQUIRE_FALSE(s.end_of(id));
    s.at(seconds(20 * i));
    REQUIRE(s.granted(id)->attempt == static_cast<std::uint32_t>(i + 1));
  }
}

TEST_CASE("queue: next_event names the end of a back-off") {
  auto told = plain_group(1);
  told.cooldown_time = duration::zero();
  stage s(told);
  const auto id = s.offer(1);
  s.finish(id, rate_limited(seconds(3)));
  CHECK(s.queue.next_event(s.now) == after(seconds(3)));
  s.at(seconds(3) - tick);
  CHECK(s.order().size() == 1);
  s.at(seconds(3));
  CHECK(s.order().size() == 2);
}

// --- Probes -------------------------------------------------------------------------------------

TEST_CASE("queue: the head is let through as a probe, one at a time") {
  stage s(plain_group(1));
  for (int i = 0; i < 4; ++i)
    s.put(9);
  s.serve();
  for (ticket_id id = 1; id <= 4; ++id)
    s.settle(s.granted(id)->id, failed());
  s.serve();
  REQUIRE(s.queue.view(0).figures().cooling);
  const auto head = s.offer(1); // never tried anywhere
  const auto next = s.offer(2);
  CHECK_FALSE(s.granted(head));
  CHECK(s.queue.next_event(s.now) <= after(milliseconds(30)));
  s.at(milliseconds(30) - tick);
  CHECK_FALSE(s.granted(head));
  s.at(milliseconds(30));
  REQUIRE(s.granted(head));
  CHECK(s.granted(head)->reason == grant_reason::head_of_line);
  s.at(milliseconds(400));
  CHECK_FALSE(s.granted(next));
  s.finish(head, success());
  REQUIRE(s.granted(next));
  CHECK(s.granted(next)->reason == grant_reason::healthy_deployment);
  CHECK(s.queue.inversions() == 0);
}

TEST_CASE("queue: a probe waits until every deployment of the ticket cools") {
  stage s(one_at_a_time(2));
  ask first;
  first.pinned = 0;
  for (int i = 0; i < 4; ++i) {
    const auto id = s.put(first);
    s.serve();
    s.finish(id, failed());
    s.queue.cancel(id);
  }
  REQUIRE(s.queue.view(0).figures().cooling);
  const auto busy = s.offer(5);
  CHECK(s.granted(busy)->deployment == 1);
  const auto head = s.offer(5); // its second deployment is merely full
  s.at(milliseconds(100));
  CHECK_FALSE(s.granted(head));
  const auto pinned = s.put(first); // all of its cool, but a better one is eligible there
  s.serve();
  CHECK_FALSE(s.granted(pinned));
  s.queue.cancel(head);
  s.serve();
  REQUIRE(s.granted(pinned));
  CHECK(s.granted(pinned)->reason == grant_reason::head_of_line);
}

TEST_CASE("queue: among several it probes the one whose cooldown ends first") {
  auto told = plain_group(2);
  told.allowed_fails = 0;
  told.deployments[0].cooldown_time = seconds(9);
  told.deployments[1].cooldown_time = seconds(5);
  stage s(told);
  for (deployment_index i = 0; i < 2; ++i) {
    ask wanted;
    wanted.pinned = i;
    const auto id = s.put(wanted);
    s.serve();
    s.finish(id, failed());
    s.queue.cancel(id);
  }
  const auto head = s.offer(1);
  s.at(milliseconds(50));
  REQUIRE(s.granted(head));
  CHECK(s.granted(head)->deployment == 1);
}

TEST_CASE("queue: no probe under a Retry-After, then one grant, then two") {
  stage s(plain_group(1));
  s.finish(s.offer(0), rate_limited(seconds(4)));
  s.queue.cancel(1);
  for (int i = 0; i < 5; ++i)
    s.offer(5);
  s.at(seconds(4) - tick);
  CHECK(s.order().size() == 1);
  s.at(seconds(4));
  CHECK(s.order().size() == 2);
  s.finish(2, success());
  CHECK(s.order().size() == 4);
}

TEST_CASE("queue: re-opening is over when it holds nobody back") {
  stage s(plain_group(1));
  s.finish(s.offer(0), rate_limited());
  s.queue.cancel(1);
  s.at(seconds(5));
  const auto first = s.offer(5);
  CHECK(s.granted(first));
  const auto held_back = s.offer(5);
  CHECK_FALSE(s.granted(held_back));
  s.queue.cancel(held_back);
  s.finish(first, success()); // two may go now, and nobody waits
  for (int i = 0; i < 100; ++i)
    CHECK(s.granted(s.offer(5)));
}

TEST_CASE("queue: a ticket for another group is refused") {
  stage s(plain_group(1));
  ticket_offer offer;
  offer.id = 5;
  offer.wanted.group = 99;
  offer.since = s.now;
  s.queue.offer(s.now, 0, std::move(offer));
  s.serve();
  REQUIRE(s.ended_with(5, end_code::unknown_group));
  CHECK_FALSE(s.end_of(5)->may_fall_back);
}

// --- A full queue -------------------------------------------------------------------------------

TEST_CASE("queue: full, a newcomer that is not strictly better is refused") {
  auto told = one_at_a_time();
  told.max_queue_size = 2;
  stage s(told);
  s.offer(0);
  s.offer(5);
  s.offer(7);
  const auto equal = s.offer(7);
  const auto worse = s.offer(8);
  REQUIRE(s.ended_with(equal, end_code::queue_full));
  CHECK(s.ended_with(worse, end_code::queue_full));
  CHECK(s.end_of(equal)->end.retry_after >= seconds(1));
  CHECK_FALSE(s.end_of(equal)->may_fall_back);
  CHECK(s.queue.waiting() == 2);
}

TEST_CASE("queue: full, a strictly better newcomer displaces the worst without an attempt") {
  auto told = one_at_a_time();
  told.max_queue_size = 2;
  stage s(told);
  s.offer(0);
  const auto kept = s.offer(7);
  const auto worst = s.offer(7); // the later of equals
  const auto better = s.offer(6);
  CHECK(s.ended_with(worst, end_code::queue_full));
  CHECK_FALSE(s.end_of(kept));
  CHECK_FALSE(s.end_of(better));
}

TEST_CASE("queue: full, room that was kept for a displaced one goes to the next at once") {
  auto told = plain_group(2);
  told.deployments[0].tpm = 100;
  told.deployments[1].max_parallel_requests = 0;
  told.max_queue_size = 2;
  stage s(told);
  const auto put = [&](std::int32_t priority, std::uint32_t tokens, deployment_index where) {
    ask wanted;
    wanted.priority = priority;
    wanted.token_estimate = tokens;
    wanted.pinned = where;
    const auto id = s.put(wanted);
    s.serve();
    return id;
  };
  put(5, 60, 0);
  const auto returned = put(5, 20, 0);
  s.finish(returned, failed());
  const auto kept_for = put(4, 60, 0);
  s.at(milliseconds(500)); // the back-off is over, but there is a better one
  CHECK(s.order() == tickets{1, returned});
  put(3, 0, 1);
  REQUIRE(s.ended_with(kept_for, end_code::queue_full));
  CHECK(s.order() == tickets{1, returned, returned});
}

TEST_CASE("queue: room that was kept for one that does not wait goes to the next at once") {
  auto told = plain_group(1);
  told.deployments[0].tpm = 100;
  stage s(told);
  ask wanted;
  wanted.token_estimate = 60;
  s.put(wanted);
  s.serve();
  wanted.now_or_never = true;
  const auto big = s.put(wanted);
  wanted.now_or_never = false;
  wanted.token_estimate = 20;
  const auto small = s.put(wanted);
  s.serve();
  CHECK(s.ended_with(big, end_code::queue_full));
  CHECK(s.order() == tickets{1, small});
}

TEST_CASE("queue: full, those with an attempt are not displaced, and always taken back") {
  auto told = one_at_a_time();
  told.max_queue_size = 1;
  told.cooldown_time = duration::zero();
  stage s(told);
  const auto tried = s.offer(9);
  const auto second = s.offer(3);
  s.finish(tried, rate_limited(seconds(50))); // waits again; the second is granted
  CHECK(s.queue.waiting() == 1);
  const auto newcomer = s.offer(1);
  CHECK(s.ended_with(newcomer, end_code::queue_full));
  CHECK_FALSE(s.end_of(tried));
  s.finish(second, rate_limited(seconds(50)));
  CHECK(s.queue.waiting() == 2); // over the limit, but taken back
  CHECK_FALSE(s.end_of(second));
}

TEST_CASE("queue: a newcomer that is granted at once displaces nobody") {
  auto told = one_at_a_time(2);
  told.max_queue_size = 1;
  stage s(told);
  ask wanted;
  wanted.pinned = 0;
  const auto limited = s.put(wanted);
  s.serve();
  const auto waits = s.put(wanted);
  s.serve();
  s.finish(limited, rate_limited(seconds(50))); // taken back: two wait in a queue of one
  REQUIRE(s.queue.waiting() == 2);
  wanted.pinned = 1;
  const auto at_once = s.put(wanted);
  s.serve();
  CHECK(s.granted(at_once));
  CHECK_FALSE(s.end_of(waits)); // nobody had to make room for it
}

TEST_CASE("queue: a size of zero is grant now or 429") {
  auto told = one_at_a_time();
  told.max_queue_size = 0;
  stage s(told);
  const auto now = s.offer(9);
  CHECK(s.granted(now));
  const auto full = s.offer(-100);
  CHECK(s.ended_with(full, end_code::queue_full));
  s.put(4); // together: still the best is granted
  s.finish(now, success());
  const auto a = s.put(9);
  const auto b = s.put(3);
  s.finish(s.order().back(), success());
  CHECK(s.granted(b));
  CHECK(s.ended_with(a, end_code::queue_full));
}

TEST_CASE("queue: nobody is turned away before the deployments have spoken") {
  auto told = plain_group(2);
  told.max_queue_size = 0;
  group_board board{1};
  group_queue queue(told, 0, 1, board);
  deployment book(told, told.deployments[0], false);
  const auto offer = [&](ticket_id id, bool now_or_never) {
    ticket_offer offered;
    offered.id = id;
    offered.wanted.now_or_never = now_or_never;
    queue.offer(start, 0, std::move(offered));
    queue.serve(start);
  };
  offer(1, false);
  offer(2, true);
  queue.room_changed(start, 1, room{}, {}); // it takes nothing
  queue.serve(start);
  CHECK(queue.output().verdicts.empty());
  queue.room_changed(start, 0, book.current(start), {});
  queue.serve(start);
  REQUIRE(queue.output().verdicts.size() == 2);
  for (const auto& each : queue.output().verdicts)
    CHECK(std::holds_alternative<grant>(each.what));
}

TEST_CASE("queue: with a size of zero the owner hears when its slot is free") {
  const auto freed_after = [](std::uint32_t size, const outcome& result) {
    auto told = one_at_a_time();
    told.max_queue_size = size;
    stage s(told);
    const auto id = s.offer(5);
    s.settle(s.granted(id)->id, result);
    // Told together with the figures: the next one is granted.
    bool told_free = false;
    for (const auto& each : s.queue.output().verdicts)
      if (const auto* slot = std::get_if<freed>(&each.what))
        told_free = slot->ticket == id && s.queue.healthy();
    return told_free;
  };
  CHECK(freed_after(0, success()));
  CHECK(freed_after(0, cancelled()));
  CHECK_FALSE(freed_after(0, failed()));
  CHECK_FALSE(freed_after(1, success()));
}

// --- Endings ------------------------------------------------------------------------------------

TEST_CASE("queue: now or never is granted at once, or ends") {
  const auto now_or_never = [](std::int32_t priority, deployment_index pinned = no_index) {
    ask wanted;
    wanted.priority = priority;
    wanted.pinned = pinned;
    wanted.now_or_never = true;
    return wanted;
  };
  const auto put = [](stage& s, ask wanted) {
    const auto id = s.put(std::move(wanted));
    s.serve();
    return id;
  };
  constexpr auto worst = std::numeric_limits<std::int32_t>::max();

  SECTION("free: granted; full: ended, and nobody is displaced") {
    auto told = one_at_a_time();
    told.max_queue_size = 1;
    stage s(told);
    const auto free = put(s, now_or_never(worst));
    REQUIRE(s.granted(free));
    const auto waits = s.offer(5);
    const auto full = put(s, now_or_never(worst));
    CHECK(s.ended_with(full, end_code::queue_full));
    // Not even by a better one: it does not wait, so it takes no place.
    CHECK(s.ended_with(put(s, now_or_never(-1)), end_code::queue_full));
    CHECK_FALSE(s.end_of(waits));
    s.finish(free, cancelled());
    CHECK(s.granted(waits));
  }
  SECTION("offered together with one that waits for the same place, it is not before it") {
    stage s(one_at_a_time());
    const auto asks = s.put(now_or_never(worst));
    const auto waits = s.put(5);
    s.serve();
    CHECK(s.granted(waits));
    CHECK(s.ended_with(asks, end_code::queue_full));
  }
  SECTION("a cooling deployment is told from a full one, and a probe is a grant") {
    auto told = one_at_a_time(2);
    told.allowed_fails = 0;
    stage s(told);
    ask wanted;
    wanted.pinned = 0;
    const auto failing = s.put(wanted);
    s.serve();
    s.finish(failing, failed());
    s.queue.cancel(failing);
    CHECK(s.ended_with(put(s, now_or_never(worst, 0)), end_code::all_cooling_down));
    CHECK(s.granted(put(s, now_or_never(worst, 1))));
    s.at(milliseconds(30)); // polling_interval
    const auto probe = put(s, now_or_never(worst, 0));
    REQUIRE(s.granted(probe));
    CHECK(s.granted(probe)->reason == grant_reason::head_of_line);
  }
  SECTION("one that comes back waits like any other") {
    stage s(one_at_a_time());
    const auto tried = put(s, now_or_never(worst));
    s.finish(tried, rate_limited(seconds(1)));
    CHECK_FALSE(s.end_of(tried));
    CHECK(s.queue.waiting() == 1);
  }
}

TEST_CASE("queue: the deadline, to the nanosecond") {
  stage s(one_at_a_time());
  s.offer(0);
  const auto id = s.offer(5, after(seconds(3)));
  CHECK(s.queue.next_event(s.now) == after(seconds(3)));
  s.at(seconds(3) - tick);
  CHECK_FALSE(s.end_of(id));
  s.at(seconds(3));
  REQUIRE(s.ended_with(id, end_code::timed_out));
  CHECK(s.end_of(id)->end.waited == seconds(3));
  CHECK(s.end_of(id)->end.status == 0);
  CHECK_FALSE(s.end_of(id)->may_fall_back);
  CHECK(s.queue.next_event(s.now) == never);
}

TEST_CASE("queue: one whose deadline has come is not granted, though there is room") {
  stage s(plain_group(1));
  const auto id = s.offer(0, start);
  CHECK_FALSE(s.granted(id));
  CHECK(s.ended_with(id, end_code::timed_out));
}

TEST_CASE("queue: one that returns after its deadline has timed out, and tells the last answer") {
  stage s(plain_group(1));
  const auto id = s.offer(0, after(seconds(3)));
  s.now = after(seconds(3));
  s.finish(id, failed(502));
  REQUIRE(s.ended_with(id, end_code::timed_out));
  CHECK(s.end_of(id)->end.status == 502);
}

TEST_CASE("queue: no deployment can serve it") {
  auto told = plain_group(1);
  told.deployments[0].endpoints = static_cast<std::uint8_t>(endpoint::chat);
  stage s(told);
  ask wanted;
  wanted.api = endpoint::messages;
  const auto id = s.put(wanted);
  s.serve();
  CHECK(s.ended_with(id, end_code::no_deployment));
}

TEST_CASE("queue: hopeless under a Retry-After that ends after the deadline") {
  stage s(plain_group(1));
  const auto limited = s.offer(0, after(seconds(100)));
  const auto waits = [&](duration deadline) {
    return s.offer(5, after(deadline));
  };
  s.finish(limited, rate_limited(seconds(20)));
  const auto exactly = waits(seconds(20));
  const auto before = waits(seconds(20) - tick);
  CHECK_FALSE(s.end_of(exactly));
  REQUIRE(s.ended_with(before, end_code::rate_limited_beyond_deadline));
  CHECK(s.end_of(before)->end.retry_after == seconds(20));
  CHECK(s.end_of(before)->may_fall_back);
  CHECK_FALSE(s.end_of(limited));
}

TEST_CASE("queue: those that wait already become hopeless with the Retry-After") {
  auto told = plain_group(1);
  told.deployments[0].max_parallel_requests = 1;
  stage s(told);
  const auto limited = s.offer(0, after(seconds(10)));
  const auto waits = s.offer(5, after(seconds(10)));
  const auto patient = s.offer(5, after(seconds(60)));
  s.finish(limited, rate_limited(seconds(30)));
  CHECK(s.ended_with(waits, end_code::rate_limited_beyond_deadline));
  REQUIRE(s.ended_with(limited, end_code::rate_limited_beyond_deadline));
  CHECK(s.end_of(limited)->end.status == 429);
  CHECK_FALSE(s.end_of(patient));
}

TEST_CASE("queue: a second deployment without a Retry-After gives hope") {
  stage s(one_at_a_time(2));
  ask first;
  first.pinned = 0;
  const auto limited = s.put(first);
  s.serve();
  s.finish(limited, rate_limited(seconds(30)));
  s.offer(5); // takes the other
  const auto waits = s.offer(5, after(seconds(10)));
  CHECK_FALSE(s.end_of(waits));
}

TEST_CASE("queue: all cool and a fallback is healthy: it goes there, merely full is not failed") {
  const auto with_fallback = [](stage& s) {
    const auto id = s.put(ask{}, {1});
    s.serve();
    return id;
  };
  SECTION("full") {
    stage s(one_at_a_time());
    s.board.set_healthy(1, true);
    s.offer(0);
    CHECK_FALSE(s.end_of(with_fallback(s)));
  }
  SECTION("cooling") {
    stage s(plain_group(1));
    s.board.set_healthy(1, true);
    s.finish(s.offer(0), rate_limited());
    const auto id = with_fallback(s);
    REQUIRE(s.ended_with(id, end_code::all_cooling_down));
    CHECK(s.end_of(id)->may_fall_back);
  }
  SECTION("the fallback is not healthy yet") {
    stage s(plain_group(1));
    s.finish(s.offer(0), rate_limited());
    ticket_offer offer;
    offer.id = 77;
    offer.since = s.now;
    offer.next_groups = {1, 2};
    s.queue.offer(s.now, 0, std::move(offer));
    CHECK(s.queue.output().watched == std::vector<group_index>{1, 2});
    s.serve();
    CHECK_FALSE(s.end_of(77));
    s.board.set_healthy(2, true);
    s.queue.fallback_healthy();
    s.serve();
    CHECK(s.ended_with(77, end_code::all_cooling_down));
  }
  SECTION("those that wait when the cooldown begins") {
    stage s(one_at_a_time());
    s.board.set_healthy(1, true);
    const auto limited = s.offer(0);
    const auto waits = with_fallback(s);
    CHECK_FALSE(s.end_of(waits));
    s.finish(limited, rate_limited());
    CHECK(s.ended_with(waits, end_code::all_cooling_down));
  }
}

TEST_CASE("queue: its own Retry-After and a refusal elsewhere leave no hope") {
  auto told = plain_group(2);
  told.cooldown_time = duration::zero();
  stage s(told);
  const auto id = s.offer(0, after(seconds(10)));
  s.finish(id, rate_limited(seconds(100)));
  REQUIRE(s.order().size() == 2); // there is another deployment
  s.finish(id, rejected(401));
  REQUIRE(s.end_of(id));
  CHECK(s.end_of(id)->end.code == end_code::rate_limited_beyond_deadline);
  CHECK(s.end_of(id)->end.retry_after == seconds(100));
}

// --- Owners and operators -----------------------------------------------------------------------

TEST_CASE("queue: a cancelled ticket leaves at once and in silence") {
  stage s(one_at_a_time());
  const auto holder = s.offer(0);
  const auto gone = s.offer(1);
  const auto next = s.offer(2);
  s.queue.cancel(gone);
  s.queue.cancel(gone);
  s.queue.cancel(4711);
  CHECK(s.queue.waiting() == 1);
  s.finish(holder, success());
  CHECK(s.order() == tickets{holder, next});
  CHECK_FALSE(s.end_of(gone));
}

TEST_CASE("queue: a granted ticket that is cancelled does not come back") {
  stage s(one_at_a_time());
  const auto id = s.offer(0);
  s.queue.cancel(id);
  s.finish(id, not_sent());
  CHECK(s.order() == tickets{id});
  CHECK(s.queue.waiting() == 0);
  CHECK(s.returns_of(id) == 0);
  CHECK_FALSE(s.end_of(id));
}

TEST_CASE("queue: an owner that is gone takes its tickets along, and its grants go back") {
  stage s(one_at_a_time());
  const auto held = s.put(ask{}, {}, 1);
  const auto waits = s.put(ask{}, {}, 1);
  const auto other = s.put(ask{}, {}, 2);
  s.serve();
  CHECK(s.order() == tickets{held});
  s.queue.owner_gone(1);
  s.collect(); // settles the orphan
  s.serve();
  CHECK(s.order() == tickets{held, other});
  CHECK(s.queue.waiting() == 0);
  CHECK_FALSE(s.granted(waits));
  CHECK(s.held.size() == 1);
}

TEST_CASE("queue: a retry that is not made is none") {
  stage s(plain_group(1));
  const auto id = s.offer(0, after(milliseconds(200)));
  s.finish(id, failed());
  s.at(milliseconds(200)); // in its back-off of half a second
  REQUIRE(s.ended_with(id, end_code::timed_out));
  CHECK(s.end_of(id)->end.attempts == 1);
  CHECK(s.end_of(id)->end.retries == 0);
}

TEST_CASE("queue: grants and endings tell the priority that a ticket was moved to") {
  stage s(one_at_a_time());
  const auto first = s.offer(1);
  const auto granted = s.offer(2);
  const auto ends = s.offer(3, after(seconds(1)));
  REQUIRE(s.queue.move(granted, -4));
  REQUIRE(s.queue.move(ends, 9));
  s.finish(first, success());
  REQUIRE(s.granted(granted));
  CHECK(s.granted(first)->priority == 1);
  CHECK(s.granted(granted)->priority == -4);
  s.at(seconds(1));
  REQUIRE(s.ended_with(ends, end_code::timed_out));
  CHECK(s.end_of(ends)->end.priority == 9);
}

TEST_CASE("queue: the operator moves a waiting ticket") {
  stage s(one_at_a_time());
  const auto holder = s.offer(0);
  const auto a = s.offer(5);
  const auto b = s.offer(5);
  const auto c = s.offer(5);
  CHECK(s.queue.move(c, 4));
  CHECK(s.queue.move(a, 6));
  CHECK_FALSE(s.queue.move(holder, 1));
  CHECK_FALSE(s.queue.move(4711, 1));
  for (const auto id : {holder, c, b})
    s.finish(id, success());
  CHECK(s.order() == tickets{holder, c, b, a});
}

TEST_CASE("queue: one moved while it is granted comes back to its new place") {
  stage s(one_at_a_time());
  const auto id = s.offer(5);
  const auto next = s.offer(5);
  s.queue.move(id, 9);
  s.finish(id, not_sent());
  CHECK(s.order() == tickets{id, next});
}

TEST_CASE("queue: the operator cancels a waiting ticket, not a granted one") {
  stage s(one_at_a_time());
  const auto holder = s.offer(0);
  const auto waits = s.offer(5);
  CHECK_FALSE(s.queue.cancel_by_operator(s.now, holder));
  CHECK(s.queue.cancel_by_operator(s.now, waits));
  CHECK_FALSE(s.queue.cancel_by_operator(s.now, waits));
  s.serve();
  REQUIRE(s.ended_with(waits, end_code::cancelled_by_operator));
  CHECK_FALSE(s.end_of(waits)->may_fall_back);
}

TEST_CASE("queue: tells a waiting ticket its place") {
  stage s(one_at_a_time());
  const auto holder = s.offer(0);
  s.offer(5);
  const auto id = s.offer(9);
  s.queue.ask_position(holder);
  s.queue.ask_position(id);
  REQUIRE(s.queue.output().verdicts.size() == 1);
  const auto& told = std::get<place_in_line>(s.queue.output().verdicts[0].what);
  CHECK(told.ticket == id);
  CHECK(told.position == 2);
}

TEST_CASE("queue: draining ends who waits, who comes and who returns") {
  stage s(one_at_a_time());
  const auto holder = s.offer(0);
  const auto waits = s.offer(5);
  s.queue.drain(s.now);
  const auto late = s.offer(5);
  CHECK(s.ended_with(waits, end_code::draining));
  CHECK(s.ended_with(late, end_code::draining));
  CHECK_FALSE(s.end_of(holder));
  s.finish(holder, failed());
  CHECK(s.ended_with(holder, end_code::draining));
}

TEST_CASE("queue: the same id twice, the first keeps its place") {
  stage s(one_at_a_time());
  s.offer(0);
  const auto id = s.offer(5);
  ticket_offer again;
  again.id = id;
  again.wanted.priority = -5;
  again.since = s.now;
  s.queue.offer(s.now, 7, std::move(again));
  s.serve();
  CHECK(s.queue.waiting() == 1);
  CHECK(s.news.back().owner == 7); // who made the mistake hears of it
  REQUIRE(s.end_of(id));
  CHECK(s.end_of(id)->end.code == end_code::cancelled);
  s.finish(1, success());
  CHECK(s.order() == tickets{1, id});
  s.finish(id, success());
  CHECK(s.queue.waiting() == 0);
}

TEST_CASE("queue: a late word of an ended attempt changes nothing") {
  stage s(plain_group(1));
  const auto id = s.offer(0);
  const auto old = *s.granted(id);
  s.finish(id, not_sent()); // granted again
  REQUIRE(s.granted(id)->id != old.id);
  attempt_result stale;
  stale.ticket = id;
  stale.id = old.id;
  stale.result = success();
  s.refresh({{0, {stale}}});
  s.serve();
  CHECK(s.queue.waiting() == 0);
  s.finish(id, failed()); // it is still known
  CHECK(s.returns_of(id) == 2);
}

// --- Together -----------------------------------------------------------------------------------

TEST_CASE("queue: random histories grant the best that waits, and leave no room unused") {
  const std::uint32_t seed = 7013;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 100; ++round) {
    CAPTURE(round);
    auto told = plain_group(1 + random() % 3);
    for (auto& d : told.deployments) {
      d.max_parallel_requests = static_cast<std::uint32_t>(1 + random() % 3);
      if (random() % 2)
        d.rpm = 1 + random() % 30;
    }
    stage s(told);
    std::map<ticket_id, std::int32_t> waiting;
    std::map<ticket_id, std::int32_t> granted;
    std::size_t read = 0;
    const auto listen = [&] {
      for (; read < s.news.size(); ++read)
        if (const auto* g = std::get_if<grant>(&s.news[read].what)) {
          // Ids rise with arrival here.
          const auto best =
              std::min_element(waiting.begin(), waiting.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
          REQUIRE(best != waiting.end());
          REQUIRE(g->ticket == best->first);
          granted.insert(*best);
          waiting.erase(best);
        }
    };
    for (int step = 0; step < 400; ++step) {
      s.at(s.now - start + milliseconds(random() % 2500));
      listen();
      const auto action = random() % 8;
      if (action < 4) {
        const auto count = 1 + random() % 3; // some come together
        for (std::size_t i = 0; i < count; ++i) {
          const auto priority = static_cast<std::int32_t>(random() % 4) - 1;
          waiting[s.next] = priority;
          s.put(priority);
        }
      } else if (action == 4 && !waiting.empty()) {
        auto& [id, priority] = *waiting.begin();
        priority = static_cast<std::int32_t>(random() % 4) - 1;
        REQUIRE(s.queue.move(id, priority));
      } else if (!granted.empty()) {
        const auto [id, priority] = *granted.begin();
        granted.erase(granted.begin());
        const bool unsent = random() % 3 == 0;
        if (unsent)
          waiting[id] = priority;
        s.settle(s.granted(id)->id, unsent ? not_sent() : success());
      }
      s.serve();
      listen();
      REQUIRE(s.queue.waiting() == waiting.size());
      if (!waiting.empty())
        for (auto& books : s.books)
          REQUIRE(books.current(s.now).slots == 0);
    }
  }
}

TEST_CASE("queue: random histories lose no ticket, grant none twice, and invert nothing") {
  const std::uint32_t seed = 7011;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 150; ++round) {
    CAPTURE(round);
    auto told = plain_group(1 + random() % 3);
    told.max_queue_size = random() % 3 ? 1000 : static_cast<std::uint32_t>(random() % 5);
    for (auto& d : told.deployments) {
      if (random() % 2)
        d.rpm = random() % 20;
      if (random() % 2)
        d.tpm = 100 + random() % 500;
      d.max_parallel_requests = static_cast<std::uint32_t>(1 + random() % 3);
    }
    if (random() % 3 == 0)
      told.cooldown_time = duration::zero();
    stage s(told);
    enum class at { waiting, granted, over };
    std::map<ticket_id, at> model;
    std::map<ticket_id, grant_id> holds;
    std::size_t read = 0;
    const auto listen = [&] {
      for (; read < s.news.size(); ++read) {
        const auto& what = s.news[read].what;
        if (const auto* g = std::get_if<grant>(&what)) {
          REQUIRE(model.at(g->ticket) == at::waiting);
          model[g->ticket] = at::granted;
          holds[g->ticket] = g->id;
        } else if (const auto* r = std::get_if<returned>(&what)) {
          REQUIRE(model.at(r->ticket) == at::waiting);
        } else if (const auto* e = std::get_if<ended>(&what)) {
          REQUIRE(model.at(e->end.ticket) == at::waiting);
          model[e->end.ticket] = at::over;
        }
      }
      std::size_t waiting = 0;
      for (const auto& [id, where] : model)
        waiting += where == at::waiting ? 1 : 0;
      REQUIRE(s.queue.waiting() == waiting);
      REQUIRE(s.queue.inversions() == 0);
    };
    auto now = duration::zero();
    for (int step = 0; step < 300; ++step) {
      now += milliseconds(random() % 2000);
      if (random() % 8 == 0) {
        s.board.set_healthy(1, random() % 2);
        s.queue.fallback_healthy();
      }
      s.at(now);
      listen();
      if (random() % 2) {
        ask wanted;
        wanted.priority = static_cast<std::int32_t>(random() % 5);
        wanted.token_estimate = static_cast<std::uint32_t>(random() % 250);
        if (random() % 4)
          wanted.deadline = s.now + milliseconds(random() % 60000);
        model[s.next] = at::waiting;
        s.put(wanted, random() % 3 ? std::vector<group_index>{} : std::vector<group_index>{1});
        s.serve();
      } else if (!model.empty()) {
        const auto id = 1 + random() % (s.next - 1);
        if (model[id] == at::waiting && random() % 4 == 0) {
          s.queue.cancel(id);
          model[id] = at::over;
        } else if (model[id] == at::waiting) {
          REQUIRE(s.queue.move(id, static_cast<std::int32_t>(random() % 5)));
          s.serve();
        } else if (model[id] == at::granted) {
          const std::optional<duration> asked =
              random() % 2 ? std::optional<duration>{} : milliseconds(random() % 20000);
          const outcome results[] = {
              success(50),   success(300),       rate_limited(asked),
              failed(500),   failed(503, asked), rejected(401),
              rejected(400), not_sent(),         cancelled(random() % 2 == 0)};
          const auto& result = results[random() % 9];
          const bool over =
              result.kind == outcome_kind::success || result.kind == outcome_kind::cancelled;
          model[id] = over ? at::over : at::waiting;
          s.settle(holds.at(id), result);
          s.serve();
        }
      }
      listen();
      for (deployment_index i = 0; i < told.deployments.size(); ++i) {
        const auto& d = told.deployments[i];
        const auto room_now = s.books[i].current(s.now);
        REQUIRE(room_now.in_flight <= *d.max_parallel_requests);
        if (d.rpm)
          REQUIRE(room_now.window_requests <= static_cast<std::int64_t>(*d.rpm));
      }
      // All that is due has been done.
      REQUIRE(s.queue.next_event(s.now) > s.now);
    }
  }
}
