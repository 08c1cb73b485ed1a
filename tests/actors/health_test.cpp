// Cooldown, probes and re-opening of one deployment (spec, "Attempts, retries, timeouts").
#include "actors/health.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <algorithm>
#include <random>

using namespace vorrang;
using namespace vorrang::test;

namespace {

/// A health with its settings: cooldown 5 s, allowed_fails 3, probes from 30 ms, unless told.
struct patient {
  group_settings group = plain_group(1);
  vorrang::health health{group, group.deployments[0]};

  patient() = default;
  explicit patient(group_settings told)
      : group(std::move(told)), health(group, group.deployments[0]) {}

  /// One whole attempt.
  void attempt(time_point at, const outcome& result, bool probe = false) {
    health.settle(at, health.take(at, probe), result);
  }
  bool cooling(time_point at) {
    health.tick(at);
    return health.cooling();
  }
  /// Cooling for failures since `at`.
  void fail_until_cooling(time_point at) {
    for (int i = 0; i < 4; ++i)
      attempt(at, failed());
    REQUIRE(cooling(at));
  }
};

constexpr nanoseconds tick{1};

} // namespace

TEST_CASE("health: these cool at once, for cooldown_time") {
  for (const auto& result : {rate_limited(), rejected(401), rejected(403), rejected(404)}) {
    patient p;
    CAPTURE(result.status);
    p.attempt(start, result);
    CHECK(p.cooling(start));
    CHECK(p.cooling(after(seconds(5) - tick)));
    CHECK_FALSE(p.cooling(after(seconds(5))));
  }
}

TEST_CASE("health: a 503 cools at once only with a Retry-After") {
  patient p;
  p.attempt(start, failed(503));
  CHECK_FALSE(p.cooling(start));
  p.attempt(start, failed(503, seconds(7)));
  CHECK(p.cooling(after(seconds(7) - tick)));
  CHECK_FALSE(p.cooling(after(seconds(7))));
}

TEST_CASE("health: a 500 with Retry-After is one failure among others") {
  patient p;
  for (int i = 0; i < 3; ++i)
    p.attempt(start, failed(500, seconds(60)));
  CHECK_FALSE(p.cooling(start));
}

TEST_CASE("health: Retry-After goes before cooldown_time, shorter or longer, cut at 3600 s") {
  for (const auto& [asked, given] : {std::pair<duration, duration>{seconds(1), seconds(1)},
                                     {milliseconds(250), milliseconds(250)},
                                     {seconds(30), seconds(30)},
                                     {seconds(3600), seconds(3600)},
                                     {seconds(86400), seconds(3600)}}) {
    patient p;
    p.attempt(start, rate_limited(asked));
    CHECK(p.health.cooling_until() == start + given);
    CHECK(p.health.retry_after_until() == start + given);
    CHECK_FALSE(p.cooling(start + given));
  }
}

TEST_CASE("health: these are no failure of the deployment") {
  patient p;
  for (int i = 0; i < 20; ++i) {
    p.attempt(start, rejected(400));
    p.attempt(start, rejected(413));
    p.attempt(start, rejected(422));
    p.attempt(start, cancelled());
    p.attempt(start, not_sent());
    p.attempt(start, success());
  }
  CHECK_FALSE(p.cooling(start));
}

TEST_CASE("health: more than allowed_fails failures in a sliding minute") {
  for (const std::uint32_t allowed : {0u, 1u, 3u}) {
    auto group = plain_group(1);
    group.allowed_fails = allowed;
    patient p(group);
    for (std::uint32_t i = 0; i < allowed; ++i)
      p.attempt(after(seconds(i)), failed(0));
    CHECK_FALSE(p.cooling(after(seconds(allowed))));
    p.attempt(after(seconds(allowed)), failed(500));
    CHECK(p.cooling(after(seconds(allowed))));
    CHECK(p.health.cooling_until() == after(seconds(allowed + 5)));
  }
}

TEST_CASE("health: the minute slides, exact at its edge") {
  SECTION("one short of a minute ago still counts") {
    patient p;
    for (int i = 0; i < 3; ++i)
      p.attempt(start, failed());
    p.attempt(after(seconds(60) - tick), failed());
    CHECK(p.cooling(after(seconds(60) - tick)));
  }
  SECTION("a minute ago counts no more") {
    patient p;
    p.attempt(start, failed());
    p.attempt(after(seconds(30)), failed());
    p.attempt(after(seconds(59)), failed());
    p.attempt(after(seconds(60)), failed());
    CHECK_FALSE(p.cooling(after(seconds(60))));
    p.attempt(after(seconds(61)), failed());
    CHECK(p.cooling(after(seconds(61))));
  }
}

TEST_CASE("health: successes between failures do not clear the count before a cooldown") {
  patient p;
  for (int i = 0; i < 3; ++i) {
    p.attempt(start, failed());
    p.attempt(start, success());
  }
  CHECK_FALSE(p.cooling(start));
  p.attempt(start, failed());
  CHECK(p.cooling(start));
}

TEST_CASE("health: a success after a cooldown clears the count") {
  patient p;
  p.fail_until_cooling(start);
  p.attempt(after(seconds(5)), success());
  for (int i = 0; i < 3; ++i)
    p.attempt(after(seconds(6)), failed());
  CHECK_FALSE(p.cooling(after(seconds(6))));
  p.attempt(after(seconds(6)), failed());
  CHECK(p.cooling(after(seconds(6))));
}

TEST_CASE("health: without a success the old failures still count after a cooldown") {
  patient p;
  p.fail_until_cooling(start);
  p.attempt(after(seconds(5)), failed());
  CHECK(p.cooling(after(seconds(5))));
}

TEST_CASE("health: what cooled at once is not among the other failures") {
  SECTION("a 429") {
    patient p;
    p.attempt(start, rate_limited(seconds(1)));
    for (int i = 0; i < 3; ++i)
      p.attempt(after(seconds(2)), failed());
    CHECK_FALSE(p.cooling(after(seconds(2))));
  }
  SECTION("a 503 with Retry-After") {
    patient p;
    p.attempt(start, failed(503, seconds(1)));
    for (int i = 0; i < 3; ++i)
      p.attempt(after(seconds(2)), failed());
    CHECK_FALSE(p.cooling(after(seconds(2))));
  }
}

TEST_CASE("health: the end never moves nearer") {
  patient p;
  auto early = p.health.take(start, false);
  auto other = p.health.take(start, false);
  p.attempt(start, rate_limited(seconds(60)));
  p.health.settle(after(seconds(1)), early, rate_limited(seconds(2)));
  CHECK(p.health.cooling_until() == after(seconds(60)));
  p.health.settle(after(seconds(1)), other, rate_limited(seconds(100)));
  CHECK(p.health.cooling_until() == after(seconds(101)));
}

TEST_CASE("health: attempts granted before the cooldown only lengthen it by their Retry-After") {
  patient p;
  std::vector<health::stamp> old;
  for (int i = 0; i < 12; ++i)
    old.push_back(p.health.take(start, false));
  p.fail_until_cooling(start);
  // Neither failures nor 429s without Retry-After move the end, and a success does not end it.
  p.health.settle(after(seconds(1)), old[0], failed());
  p.health.settle(after(seconds(1)), old[1], rate_limited());
  p.health.settle(after(seconds(1)), old[2], rejected(401));
  p.health.settle(after(seconds(1)), old[3], success());
  CHECK(p.cooling(after(seconds(1))));
  CHECK(p.health.cooling_until() == after(seconds(5)));
  p.health.settle(after(seconds(2)), old[4], rate_limited(seconds(8)));
  CHECK(p.health.cooling_until() == after(seconds(10)));
  CHECK_FALSE(p.cooling(after(seconds(10))));
  // They count as no failure afterwards either.
  p.attempt(after(seconds(10)), success());
  for (std::size_t i = 5; i < 12; ++i)
    p.health.settle(after(seconds(11)), old[i], failed());
  CHECK_FALSE(p.cooling(after(seconds(11))));
}

TEST_CASE("health: a late success does not open what cools, nor clears its count") {
  patient p;
  const auto old = p.health.take(start, false);
  p.fail_until_cooling(start);
  p.health.settle(after(seconds(6)), old, success());
  p.attempt(after(seconds(6)), failed());
  CHECK(p.cooling(after(seconds(6))));
}

TEST_CASE("health: a time of zero turns cooldowns off") {
  for (const bool at_group : {true, false}) {
    auto group = plain_group(1);
    if (at_group)
      group.cooldown_time = duration::zero();
    else
      group.deployments[0].cooldown_time = duration::zero();
    patient p(group);
    p.attempt(start, rate_limited());
    p.attempt(start, rate_limited(seconds(60)));
    p.attempt(start, rejected(401));
    p.attempt(start, failed(503, seconds(60)));
    for (int i = 0; i < 50; ++i)
      p.attempt(start, failed());
    CHECK_FALSE(p.cooling(start));
    CHECK(p.health.reopening_room() > 1000);
  }
}

TEST_CASE("health: the deployment's own cooldown_time goes before the group's") {
  auto group = plain_group(1);
  group.deployments[0].cooldown_time = seconds(9);
  patient p(group);
  p.attempt(start, rate_limited());
  CHECK(p.health.cooling_until() == after(seconds(9)));
}

TEST_CASE("health: allowed_fails by kind") {
  auto group = plain_group(1);
  group.allowed_fails = 3;
  group.fails.rate_limit = 2;
  group.fails.timeout = 0;
  SECTION("429s are counted instead of cooling at once") {
    patient p(group);
    p.attempt(start, rate_limited());
    p.attempt(start, rate_limited());
    CHECK_FALSE(p.cooling(start));
    p.attempt(start, rate_limited());
    CHECK(p.cooling(start));
  }
  SECTION("each kind counts for itself") {
    patient p(group);
    for (int i = 0; i < 3; ++i)
      p.attempt(start, failed(500));
    p.attempt(start, rate_limited());
    CHECK_FALSE(p.cooling(start));
    auto timeout = failed(0);
    timeout.timed_out = true;
    p.attempt(start, timeout);
    CHECK(p.cooling(start));
  }
}

TEST_CASE("health: each kind has its own number, and the rest shares allowed_fails") {
  auto group = plain_group(1);
  group.allowed_fails = 1;
  const auto cools_at_second = [&](const outcome& result) {
    patient p(group);
    p.attempt(start, result);
    const bool at_first = p.cooling(start);
    p.attempt(start, result);
    return !at_first && p.cooling(start);
  };
  SECTION("no HTTP answer is a server error") {
    group.fails.internal_server_error = 2;
    CHECK_FALSE(cools_at_second(failed(500)));
    CHECK_FALSE(cools_at_second(failed(0)));
    CHECK_FALSE(cools_at_second(failed(503)));
    CHECK(cools_at_second(failed(409)));
  }
  SECTION("503 apart from the other 5xx") {
    group.fails.service_unavailable = 2;
    CHECK_FALSE(cools_at_second(failed(503)));
    CHECK(cools_at_second(failed(502)));
  }
  SECTION("401 and 403, not 404") {
    group.fails.authentication = 1;
    CHECK(cools_at_second(rejected(401)));
    CHECK(cools_at_second(rejected(403)));
    patient p(group);
    p.attempt(start, rejected(404));
    CHECK(p.cooling(start));
  }
  SECTION("bad requests are no failure, whatever is allowed") {
    group.fails.bad_request = 0;
    group.fails.content_policy = 0;
    auto against_policy = rejected(400);
    against_policy.content_policy = true;
    patient p(group);
    for (int i = 0; i < 9; ++i)
      p.attempt(start, against_policy);
    CHECK_FALSE(p.cooling(start));
  }
}

TEST_CASE("health: the deployment's own failures allowed go before the group's") {
  auto group = plain_group(1);
  group.allowed_fails = 9;
  group.fails.timeout = 0;
  group.deployments[0].allowed_fails = 1;
  auto timeout = failed(0);
  timeout.timed_out = true;
  SECTION("the number") {
    patient p(group);
    p.attempt(start, failed(500));
    CHECK_FALSE(p.cooling(start));
    p.attempt(start, failed(500));
    CHECK(p.cooling(start));
  }
  SECTION("the group's policy still counts its kinds") {
    patient p(group);
    p.attempt(start, timeout);
    CHECK(p.cooling(start));
  }
  SECTION("a policy of its own takes nothing from the group's") {
    group.deployments[0].fails.emplace().rate_limit = 1;
    patient p(group);
    p.attempt(start, timeout);
    CHECK_FALSE(p.cooling(start));
    p.attempt(start, rate_limited());
    CHECK_FALSE(p.cooling(start));
    p.attempt(start, rate_limited());
    CHECK(p.cooling(start));
  }
}

// --- Probes -----------------------------------------------------------------------------------

TEST_CASE("probe: none while nothing cools") {
  patient p;
  CHECK(p.health.probe_at() == never);
}

TEST_CASE("probe: never under a Retry-After, nor after 401, 403, 404") {
  for (const auto& result : {rate_limited(seconds(4)), failed(503, seconds(4)), rejected(401),
                             rejected(403), rejected(404)}) {
    patient p;
    CAPTURE(result.status);
    p.attempt(start, result);
    REQUIRE(p.cooling(start));
    CHECK(p.health.probe_at() == never);
  }
}

TEST_CASE("probe: after a refusal none in that cooldown, whatever Retry-After came with it") {
  // The cooldown that was running ends later than the refusal's own would.
  patient p;
  p.fail_until_cooling(start);
  const auto now = p.health.probe_at();
  p.attempt(now, rejected(401, seconds(1)), true);
  REQUIRE(p.health.cooling_until() == after(seconds(5)));
  p.health.tick(now + seconds(1));
  CHECK(p.health.probe_at() == never);
  // The next cooldown knows nothing of it.
  p.fail_until_cooling(after(seconds(6)));
  CHECK(p.health.probe_at() != never);
}

TEST_CASE("probe: a Retry-After that comes while it cools for failures stops probing") {
  patient p;
  const auto old = p.health.take(start, false);
  p.fail_until_cooling(start);
  REQUIRE(p.health.probe_at() != never);
  p.health.settle(after(milliseconds(1)), old, rate_limited(seconds(10)));
  CHECK(p.health.probe_at() == never);
}

TEST_CASE("probe: one at a time, its spacing doubles up to the cooldown") {
  auto group = plain_group(1);
  group.probe_spacing = milliseconds(30);
  patient p(group);
  p.fail_until_cooling(start);
  CHECK(p.health.probe_at() == after(milliseconds(30)));
  duration spacing = milliseconds(30);
  auto now = start;
  for (int i = 0; i < 12; ++i) {
    now = p.health.probe_at();
    const auto probe = p.health.take(now, true);
    CHECK(p.health.probe_at() == never); // one at a time
    p.health.tick(now + milliseconds(10));
    CHECK(p.health.probe_at() == never);
    p.health.settle(now, probe, failed());
    spacing = std::min<duration>(spacing * 2, seconds(5));
    CHECK(p.health.cooling_until() == now + seconds(5)); // it starts anew
    if (spacing == seconds(5)) {
      CHECK(p.health.probe_at() == never); // the cooldown ends first
      break;
    }
    REQUIRE(p.health.probe_at() == now + spacing);
  }
  CHECK(spacing == seconds(5));
}

TEST_CASE("probe: the spacing is small again in the next cooldown") {
  patient p;
  p.fail_until_cooling(start);
  p.attempt(p.health.probe_at(), failed(), true);
  p.attempt(p.health.probe_at(), success(), true);
  const auto again = after(seconds(20));
  p.fail_until_cooling(again);
  CHECK(p.health.probe_at() == again + milliseconds(30));
}

TEST_CASE("probe: a success makes it healthy and clears the count") {
  patient p;
  p.fail_until_cooling(start);
  const auto now = p.health.probe_at();
  p.attempt(now, success(), true);
  CHECK_FALSE(p.cooling(now));
  for (int i = 0; i < 3; ++i)
    p.attempt(now, failed());
  CHECK_FALSE(p.cooling(now));
}

TEST_CASE("probe: one that outlives its cooldown and the re-opening is a success like any other") {
  patient p;
  p.fail_until_cooling(start);
  const auto probe = p.health.take(p.health.probe_at(), true);
  const auto now = after(seconds(5));
  REQUIRE_FALSE(p.cooling(now));
  p.attempt(now, success());
  p.health.open_fully(p.health.phase());
  for (int i = 0; i < 3; ++i)
    p.attempt(now, failed());
  p.health.settle(now, probe, success());
  REQUIRE_FALSE(p.cooling(now));
  p.attempt(now, failed());
  CHECK(p.cooling(now));
}

TEST_CASE("probe: a 2xx head is success before the answer is whole") {
  patient p;
  p.fail_until_cooling(start);
  const auto now = p.health.probe_at();
  auto probe = p.health.take(now, true);
  p.health.head(now, probe);
  CHECK_FALSE(p.cooling(now));
  CHECK(p.health.reopening_room() == 1); // it is in flight itself: two in all
  p.health.settle(now + seconds(1), probe, success());
  CHECK_FALSE(p.cooling(now + seconds(1)));
  CHECK(p.health.reopening_room() == 2); // counted once, not twice
}

TEST_CASE("probe: one without a verdict leaves the cooldown as it was") {
  for (const auto& result : {cancelled(), not_sent(), rejected(400)}) {
    patient p;
    p.fail_until_cooling(start);
    const auto now = p.health.probe_at();
    p.attempt(now, result, true);
    CHECK(p.cooling(now));
    CHECK(p.health.cooling_until() == after(seconds(5)));
    CHECK(p.health.probe_at() != never); // another may be tried
    CHECK(p.health.probe_at() > now);
  }
}

TEST_CASE("probe: one that is refused or told to wait ends the probing") {
  for (const auto& result : {rejected(401), rate_limited(seconds(20))}) {
    patient p;
    p.fail_until_cooling(start);
    const auto now = p.health.probe_at();
    p.attempt(now, result, true);
    CHECK(p.cooling(now));
    CHECK(p.health.probe_at() == never);
  }
}

// --- Re-opening -------------------------------------------------------------------------------

TEST_CASE("re-opening: one grant, then 2, 4, 8 … with each success") {
  patient p;
  p.attempt(start, rate_limited());
  p.health.tick(after(seconds(5)));
  REQUIRE(p.health.reopening());
  std::uint32_t room = 1;
  const auto now = after(seconds(5));
  while (room < 1024) {
    CHECK(p.health.reopening_room() == room);
    p.attempt(now, success());
    room *= 2;
  }
  CHECK(p.health.reopening_room() >= 1024);
}

TEST_CASE("re-opening: what is in flight takes of it, and gives it back") {
  patient p;
  p.attempt(start, rate_limited());
  const auto now = after(seconds(5));
  auto first = p.health.take(now, false);
  CHECK(p.health.reopening_room() == 0);
  p.health.settle(now, first, cancelled());
  CHECK(p.health.reopening_room() == 1);
  first = p.health.take(now, false);
  p.health.settle(now, first, success());
  const auto second = p.health.take(now, false);
  const auto third = p.health.take(now, false);
  CHECK(p.health.reopening_room() == 0);
  p.health.settle(now, second, failed()); // a failure doubles nothing
  CHECK(p.health.reopening_room() == 1);
  p.health.settle(now, third, success());
  CHECK(p.health.reopening_room() == 4);
}

TEST_CASE("re-opening: attempts of before the cooldown neither hold nor widen it") {
  patient p;
  const auto old = p.health.take(start, false);
  p.attempt(start, rate_limited());
  p.health.tick(after(seconds(5)));
  CHECK(p.health.reopening_room() == 1);
  p.health.settle(after(seconds(5)), old, success());
  CHECK(p.health.reopening_room() == 1);
}

TEST_CASE("re-opening: is over when it is said to hold nobody back, not by a late word") {
  patient p;
  p.attempt(start, rate_limited());
  p.health.tick(after(seconds(5)));
  const auto phase = p.health.phase();
  CHECK_FALSE(p.health.may_open()); // nothing has succeeded yet
  p.attempt(after(seconds(5)), success());
  CHECK(p.health.may_open());
  p.attempt(after(seconds(5)), rate_limited());
  p.health.open_fully(phase);
  CHECK(p.cooling(after(seconds(5))));
  p.health.tick(after(seconds(10)));
  p.health.open_fully(phase);
  CHECK(p.health.reopening_room() == 1);
  p.health.open_fully(p.health.phase());
  CHECK_FALSE(p.health.reopening());
}

TEST_CASE("re-opening: holds nobody back without a cooldown before") {
  patient p;
  CHECK_FALSE(p.health.reopening());
  CHECK(p.health.reopening_room() == std::numeric_limits<std::uint32_t>::max());
}

TEST_CASE("re-opening: begins again at one after another cooldown") {
  patient p;
  p.attempt(start, rate_limited());
  p.attempt(after(seconds(5)), success());
  p.attempt(after(seconds(5)), success());
  p.attempt(after(seconds(6)), rate_limited());
  REQUIRE(p.cooling(after(seconds(6))));
  p.health.tick(after(seconds(11)));
  CHECK(p.health.reopening_room() == 1);
}

// --- Together ---------------------------------------------------------------------------------

TEST_CASE("health: in random histories the end never moves nearer, probes keep their rules") {
  const std::uint32_t seed = 7006;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    patient p;
    struct flying {
      health::stamp stamp;
      bool probe;
    };
    std::vector<flying> in_flight;
    auto now = start;
    auto end = start;
    auto retry_after_end = start;
    bool cooled = false;
    std::size_t probes = 0;
    for (int step = 0; step < 500; ++step) {
      now += milliseconds(random() % 400);
      p.health.tick(now);
      const bool cooling = p.health.cooling();
      if (cooled)
        REQUIRE((cooling || now >= end)); // only a probe's success ends it sooner, see below
      if (cooling) {
        REQUIRE(p.health.cooling_until() > now);
        REQUIRE(p.health.cooling_until() >= retry_after_end);
        if (p.health.probe_at() <= now) {
          REQUIRE(probes == 0);
          REQUIRE(retry_after_end <= now);
        }
      }
      if (random() % 2) {
        const bool may_probe = cooling && p.health.probe_at() <= now;
        const bool may_take = !cooling && p.health.reopening_room() > 0;
        if (may_probe || may_take) {
          in_flight.push_back({p.health.take(now, may_probe), may_probe});
          probes += may_probe ? 1 : 0;
        }
      } else if (!in_flight.empty()) {
        const auto i = random() % in_flight.size();
        const auto over = in_flight[i];
        in_flight.erase(in_flight.begin() + static_cast<long>(i));
        probes -= over.probe ? 1 : 0;
        const std::optional<duration> asked =
            random() % 4 ? std::optional<duration>{} : milliseconds(1 + random() % 9000);
        switch (random() % 5) {
        case 0:
          p.health.settle(now, over.stamp, rate_limited(asked));
          if (asked && p.health.cooling()) // one of before a cooldown that is over says nothing
            retry_after_end = std::max(retry_after_end, now + *asked);
          break;
        case 1:
          p.health.settle(now, over.stamp, failed());
          break;
        case 2:
          p.health.settle(now, over.stamp, cancelled());
          break;
        default:
          p.health.settle(now, over.stamp, success());
          if (over.probe && cooling && !p.health.cooling()) {
            retry_after_end = end = now; // a probe's success ends it, whatever came meanwhile
          }
        }
      }
      cooled = p.health.cooling();
      if (cooled) {
        REQUIRE(p.health.cooling_until() >= (cooling ? end : now));
        end = p.health.cooling_until();
      }
    }
  }
}
