// One deployment's books: what a grant holds, and what comes back of it (spec, "What a grant
// holds").
#include "actors/deployment.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <random>

using namespace vorrang;
using namespace vorrang::test;

namespace {

constexpr nanoseconds tick{1};

struct books {
  group_settings group = plain_group(1);
  deployment own;
  grant_id last = 0;

  explicit books(const deployment_settings& limits, bool track_usage = false)
      : own((group.deployments[0] = limits, group), group.deployments[0], track_usage) {}

  grant_id take(time_point at, std::uint32_t tokens = 0, bool probe = false) {
    struct take taken;
    taken.id = ++last;
    taken.ticket = last + 100;
    taken.at = at;
    taken.token_estimate = tokens;
    taken.probe = probe;
    own.take_grant(taken);
    return last;
  }
  auto slots(time_point at) { return own.current(at).slots; }
  auto tokens(time_point at) { return own.current(at).tokens; }
};

deployment_settings limits(std::optional<std::uint64_t> rpm, std::optional<std::uint64_t> tpm = {},
                           std::optional<std::uint32_t> parallel = {}) {
  deployment_settings result;
  result.rpm = rpm;
  result.tpm = tpm;
  result.max_parallel_requests = parallel;
  return result;
}

} // namespace

TEST_CASE("deployment: an unset limit is no limit, and none is derived from another") {
  books none(limits({}));
  for (int i = 0; i < 5000; ++i)
    none.take(start);
  CHECK(none.slots(start) == room::unlimited_slots);
  CHECK(none.tokens(start) == room::unlimited_tokens);
  books rpm(limits(7));
  CHECK(rpm.slots(start) == 7);
  CHECK(rpm.tokens(start) == room::unlimited_tokens);
  books tpm(limits({}, 1));
  CHECK(tpm.slots(start) == room::unlimited_slots);
}

TEST_CASE("deployment: a limit of zero takes nothing") {
  CHECK(books(limits(0)).slots(start) == 0);
  CHECK(books(limits({}, 0)).slots(start) == 0);
  CHECK(books(limits({}, {}, 0)).slots(start) == 0);
}

TEST_CASE("deployment: a parallel slot is held until the settle") {
  books b(limits({}, {}, 2));
  const auto one = b.take(start);
  b.take(start);
  CHECK(b.slots(after(seconds(3600))) == 0);
  CHECK(b.own.settle(after(seconds(3600)), one, success()));
  CHECK(b.slots(after(seconds(3600))) == 1);
}

TEST_CASE("deployment: the rpm unit is dated at the grant") {
  books b(limits(2));
  const auto one = b.take(start);
  b.take(after(seconds(1)));
  CHECK(b.own.settle(after(seconds(50)), one, success())); // a late settle does not date it later
  CHECK(b.slots(after(seconds(60) - tick)) == 0);
  CHECK(b.own.current(after(seconds(60) - tick)).window_return() == after(seconds(60)));
  CHECK(b.slots(after(seconds(60))) == 1);
  CHECK(b.slots(after(seconds(61) - tick)) == 1);
  CHECK(b.slots(after(seconds(61))) == 2);
}

TEST_CASE("deployment: the rpm unit comes back only if nothing was written") {
  for (const auto& [result, comes_back] : {
           std::pair<outcome, bool>{not_sent(), true},
           {cancelled(false), true},
           {cancelled(true), false},
           {success(), false},
           {failed(500), false},
           {rejected(400), false},
           {rate_limited(), false}, // an upstream 429 keeps its unit
       }) {
    auto told = limits(1);
    told.cooldown_time = duration::zero();
    books b(told);
    const auto id = b.take(start);
    CHECK(b.own.settle(start, id, result));
    CAPTURE(static_cast<int>(result.kind), result.sent);
    CHECK(b.slots(start) == (comes_back ? 1 : 0));
  }
  // Connection refused: a failure that wrote nothing.
  books b(limits(1));
  auto refused = failed(0);
  refused.sent = false;
  CHECK(b.own.settle(start, b.take(start), refused));
  CHECK(b.slots(start) == 1);
}

TEST_CASE("deployment: an unsent unit that has left already comes back no second time") {
  books b(limits(1));
  const auto id = b.take(start);
  b.take(after(seconds(60)));
  CHECK(b.own.settle(after(seconds(61)), id, not_sent()));
  CHECK(b.slots(after(seconds(61))) == 0);
}

TEST_CASE("deployment: the token estimate is charged at the grant and corrected at the settle") {
  books b(limits({}, 1000));
  const auto less = b.take(start, 400);
  const auto more = b.take(start, 100);
  CHECK(b.tokens(start) == 500);
  CHECK(b.own.settle(after(seconds(1)), less, success(50)));
  CHECK(b.tokens(after(seconds(1))) == 850);
  CHECK(b.own.settle(after(seconds(1)), more, success(700)));
  CHECK(b.tokens(after(seconds(1))) == 250);
  // The correction leaves with its entry, 60 s after the grant.
  CHECK(b.tokens(after(seconds(60) - tick)) == 250);
  CHECK(b.tokens(after(seconds(60))) == 1000);
}

TEST_CASE("deployment: what became of the tokens") {
  const auto left = [](outcome result, std::optional<std::uint64_t> tokens) {
    auto told = limits({}, 1000);
    told.cooldown_time = duration::zero();
    books b(told);
    result.tokens = tokens;
    CHECK(b.own.settle(start, b.take(start, 400), result));
    return b.tokens(start);
  };
  CHECK(left(success(), {}) == 600);         // unknown: the estimate stands
  CHECK(left(success(), 0) == 1000);         // known to be none
  CHECK(left(rejected(400), {}) == 1000);    // refused with an error: 0
  CHECK(left(rate_limited(), {}) == 1000);   // the same
  CHECK(left(failed(500), {}) == 1000);      // the same
  CHECK(left(not_sent(), {}) == 1000);       // nothing sent: 0
  CHECK(left(not_sent(), 300) == 1000);      // whatever is claimed
  CHECK(left(cancelled(false), {}) == 1000); // nothing sent: 0
  CHECK(left(cancelled(true), 120) == 880);  // cut off: what was seen
  CHECK(left(cancelled(true), {}) == 600);   // cut off, nothing told: the estimate stands
}

TEST_CASE("deployment: usage above the estimate enters at the settle if the entry has left") {
  books b(limits({}, 1000));
  const auto above = b.take(start, 100);
  const auto below = b.take(start, 500);
  CHECK(b.own.settle(after(seconds(70)), above, success(350)));
  CHECK(b.tokens(after(seconds(70))) == 750); // what exceeds the estimate
  CHECK(b.own.settle(after(seconds(70)), below, success(20)));
  CHECK(b.tokens(after(seconds(70))) == 750); // no credit for what has left
  CHECK(b.tokens(after(seconds(130) - tick)) == 750);
  CHECK(b.tokens(after(seconds(130))) == 1000);
}

TEST_CASE("deployment: usage beyond all bounds closes it for its minute, no more") {
  books b(limits({}, 1000));
  CHECK(b.own.settle(start, b.take(start, 10), success(std::numeric_limits<std::uint64_t>::max())));
  CHECK(b.tokens(start) < 0);
  CHECK(b.tokens(after(seconds(60))) == 1000);
}

TEST_CASE("deployment: a settle that overtakes its take waits for it") {
  books b(limits(5, 1000, 1));
  CHECK_FALSE(b.own.settle(start, 1, success(70)));
  CHECK_FALSE(b.own.settle(start, 1, not_sent())); // the first one counts
  CHECK(b.own.unknown_settles() == 1);
  REQUIRE(b.own.is_overtaken());
  CHECK(b.slots(start) == 1); // nothing has happened yet
  CHECK(b.tokens(start) == 1000);
  const auto id = b.take(start, 100);
  REQUIRE(id == 1);
  CHECK(b.slots(start) == 0);
  const auto result = b.own.catch_up(after(seconds(1)), id);
  REQUIRE(result);
  CHECK(result->id == id);
  CHECK(result->result.kind == outcome_kind::success);
  CHECK_FALSE(b.own.is_overtaken());
  CHECK(b.slots(after(seconds(1))) == 1);
  CHECK(b.tokens(after(seconds(1))) == 930);
  CHECK_FALSE(b.own.catch_up(after(seconds(1)), id));
  CHECK_FALSE(b.own.settle(after(seconds(1)), id, success()));
  CHECK(b.own.current(after(seconds(1))).window_requests == 1);
}

TEST_CASE("deployment: a probe's head that overtakes its take heals when that comes") {
  books b(limits({}));
  for (int i = 0; i < 4; ++i)
    b.own.settle(start, b.take(start), failed());
  const auto now = b.own.current(start).probe_at;
  REQUIRE(now != never);
  const auto next = b.last + 1;
  CHECK_FALSE(b.own.head(now, next));
  CHECK(b.own.current(now).cooling);
  REQUIRE(b.take(now, 0, true) == next);
  CHECK_FALSE(b.own.catch_up(now, next)); // not over yet
  CHECK_FALSE(b.own.current(now).cooling);
  CHECK(b.own.settle(now, next, success()));
}

TEST_CASE("deployment: a grant is settled once") {
  books b(limits(5, 1000, 1));
  const auto id = b.take(start, 100);
  const auto result = b.own.settle(start, id, not_sent());
  REQUIRE(result);
  CHECK(result->id == id);
  CHECK(result->ticket == id + 100);
  CHECK_FALSE(b.own.settle(start, id, not_sent()));
  CHECK_FALSE(b.own.settle(start, id, success(5000)));
  CHECK_FALSE(b.own.settle(start, 0, success()));
  CHECK(b.own.unknown_settles() == 3);
  CHECK(b.slots(start) == 1);
  CHECK(b.tokens(start) == 1000);
  CHECK(b.own.in_flight() == 0);
}

TEST_CASE("deployment: a Retry-After of zero or in the past is none, a long one is cut") {
  for (const duration asked : {duration::zero(), duration(seconds(-5))}) {
    books b(limits({}));
    const auto result = b.own.settle(start, b.take(start), rate_limited(asked));
    REQUIRE(result);
    CHECK_FALSE(result->result.retry_after);
    CHECK(b.own.current(start).cooling_until == after(seconds(5)));
  }
  books b(limits({}));
  const auto result = b.own.settle(start, b.take(start), rate_limited(seconds(100000)));
  REQUIRE(result);
  CHECK(result->result.retry_after == seconds(3600));
  CHECK(b.own.current(start).cooling_until == after(seconds(3600)));
  CHECK(b.own.current(start).retry_after_until == after(seconds(3600)));
}

TEST_CASE("deployment: takes nothing while it cools, then one, and says when") {
  books b(limits(10));
  CHECK(b.own.settle(start, b.take(start), rate_limited()));
  auto now = b.own.current(start);
  CHECK(now.cooling);
  CHECK(now.slots == 0);
  CHECK(now.last_failure_status == 429);
  CHECK(b.own.next_event() == after(seconds(5)));
  CHECK(b.own.current(after(seconds(5) - tick)).slots == 0);
  now = b.own.current(after(seconds(5)));
  CHECK_FALSE(now.cooling);
  CHECK(now.slots == 1); // it re-opens
}

TEST_CASE("deployment: a probe needs capacity") {
  const auto cooling = [](books& b, int others) {
    for (int i = 0; i < others; ++i)
      b.take(start);
    for (int i = 0; i < 4; ++i)
      CHECK(b.own.settle(start, b.take(start), failed()));
  };
  books free(limits({}, {}, 5));
  cooling(free, 4);
  CHECK(free.own.current(start).probe_at == after(milliseconds(30)));
  books full(limits({}, {}, 5));
  cooling(full, 5);
  CHECK(full.own.current(start).cooling);
  CHECK(full.own.current(start).probe_at == never);
  books spent(limits(4));
  cooling(spent, 0);
  CHECK(spent.own.current(start).probe_at == never);
}

TEST_CASE("deployment: the head of a probe is its success") {
  books b(limits({}));
  for (int i = 0; i < 4; ++i)
    CHECK(b.own.settle(start, b.take(start), failed()));
  const auto due = b.own.current(start).probe_at;
  const auto probe = b.take(due, 0, true);
  CHECK(b.own.current(due).cooling);
  CHECK(b.own.head(due, probe));
  CHECK_FALSE(b.own.current(due).cooling);
  CHECK(b.own.current(due).slots == 1);
  const auto plain = b.take(due);
  CHECK_FALSE(b.own.head(due, plain));
  CHECK_FALSE(b.own.head(due, 4711));
}

TEST_CASE("deployment: says how often it was granted, and what was used") {
  books b(limits(10, 1000), true);
  b.take(start, 30);
  b.take(start, 70);
  const auto now = b.own.current(start);
  CHECK(now.takes_seen == 2);
  CHECK(now.in_flight == 2);
  CHECK(now.window_requests == 2);
  CHECK(now.window_tokens == 100);
  CHECK(now.latency == duration::zero());
  CHECK(b.own.settle(after(seconds(2)), 1, success(30)));
  CHECK(b.own.current(after(seconds(2))).latency == seconds(2));
}

TEST_CASE("deployment: usage is tracked without limits where the strategy asks for it") {
  books b(limits({}), true);
  b.take(start, 30);
  CHECK(b.own.current(start).window_requests == 1);
  CHECK(b.own.current(start).window_tokens == 30);
  CHECK(b.slots(start) == room::unlimited_slots);
  CHECK(b.tokens(start) == room::unlimited_tokens);
}

TEST_CASE("deployment: random histories against plain lists stay within every limit") {
  const std::uint32_t seed = 7007;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    auto told = limits(1 + random() % 30, 200 + random() % 3000,
                       static_cast<std::uint32_t>(1 + random() % 8));
    told.cooldown_time = duration::zero(); // health has its own tests
    books b(told);
    struct dated {
      time_point at;
      std::int64_t amount;
      grant_id id;
    };
    std::vector<dated> requests; // what was used of rpm and of tpm, by entry
    std::vector<dated> tokens;
    std::vector<dated> in_flight; // amount: the estimate
    auto now = start;
    for (int step = 0; step < 1500; ++step) {
      now += milliseconds(random() % 1200);
      const auto sum = [&](const std::vector<dated>& all) {
        std::int64_t result = 0;
        for (const auto& e : all)
          if (e.at + seconds(60) > now)
            result += e.amount;
        return result;
      };
      const auto expected_slots =
          std::min<std::int64_t>(*told.max_parallel_requests - in_flight.size(),
                                 static_cast<std::int64_t>(*told.rpm) - sum(requests));
      const auto room_now = b.own.current(now);
      REQUIRE(room_now.slots == expected_slots);
      REQUIRE(room_now.tokens == static_cast<std::int64_t>(*told.tpm) - sum(tokens));
      const auto estimate = static_cast<std::uint32_t>(random() % 200);
      if (random() % 2 && room_now.slots > 0 && room_now.tokens >= estimate) {
        const auto id = b.take(now, estimate);
        requests.push_back({now, 1, id});
        tokens.push_back({now, estimate, id});
        in_flight.push_back({now, estimate, id});
      } else if (!in_flight.empty()) {
        const auto i = random() % in_flight.size();
        const auto over = in_flight[i];
        in_flight.erase(in_flight.begin() + static_cast<long>(i));
        outcome result = success(random() % 400);
        if (random() % 3 == 0)
          result = not_sent();
        REQUIRE(b.own.settle(now, over.id, result));
        const auto used = result.sent ? static_cast<std::int64_t>(*result.tokens) : 0;
        if (over.at + seconds(60) > now) {
          for (auto& e : tokens)
            if (e.id == over.id)
              e.amount = used;
          for (auto& e : requests)
            if (e.id == over.id && !result.sent)
              e.amount = 0;
        } else if (used > over.amount) {
          tokens.push_back({now, used - over.amount, 0});
        }
        REQUIRE_FALSE(b.own.settle(now, over.id, success(9)));
      }
    }
  }
}
