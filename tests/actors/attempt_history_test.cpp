// What a ticket has been through: retries, back-off, strikes, refusals (spec, "Attempts").
#include "actors/attempt_history.hpp"
#include "catch.hpp"
#include "passive.hpp"

using namespace vorrang;
using namespace vorrang::test;

namespace {

using verdict = attempt_history::verdict;
constexpr nanoseconds tick{1};

struct traveller {
  group_settings group = plain_group(4);
  attempt_history history;
  std::minstd_rand random{1};
  std::optional<std::uint32_t> own_retries;

  verdict hears(time_point now, const outcome& what, deployment_index where = 0,
                bool answered_others = false, bool probe = false) {
    attempt_result result;
    result.result = what;
    result.probe = probe;
    return history.record(now, where, result, group, own_retries, answered_others, random);
  }
  bool may_go(time_point now, deployment_index where) const {
    auto all = deployment_set::all(4);
    history.subtract_refused(all);
    history.subtract_backing_off(now, all);
    return all.contains(where);
  }
  /// Until when it stays away from somewhere.
  duration stays_away(time_point now) const { return history.next_return(now) - now; }
};

outcome timed_out() {
  auto result = failed(0);
  result.timed_out = true;
  return result;
}

} // namespace

TEST_CASE("attempts: num_retries failures are retried, the next is the end") {
  for (const std::uint32_t retries : {0u, 1u, 2u, 5u}) {
    traveller t;
    t.group.num_retries = retries;
    for (std::uint32_t i = 0; i < retries; ++i) {
      CHECK(t.hears(after(seconds(20 * i)), failed()) == verdict::waits_again);
      CHECK(t.history.retries() == i + 1);
    }
    CHECK(t.hears(after(seconds(500)), failed()) == verdict::exhausted);
    CHECK(t.history.retries() == retries);
  }
}

TEST_CASE("attempts: what the request says of retries goes before the settings") {
  for (const std::uint32_t retries : {0u, 1u, 4u}) {
    traveller t;
    t.group.num_retries = 2;
    t.group.deployments[0].num_retries = 3;
    t.own_retries = retries;
    for (std::uint32_t i = 0; i < retries; ++i)
      CHECK(t.hears(after(seconds(20 * i)), failed()) == verdict::waits_again);
    CHECK(t.hears(after(seconds(500)), failed()) == verdict::exhausted);
  }
  // A policy for this kind of failure still goes first.
  traveller t;
  t.group.retries.timeout = 1;
  t.own_retries = 0;
  CHECK(t.hears(after(seconds(0)), timed_out()) == verdict::waits_again);
  CHECK(t.hears(after(seconds(20)), timed_out()) == verdict::exhausted);
}

TEST_CASE("attempts: these are retryable, whatever they are") {
  for (const auto& result : {failed(408), failed(409), failed(500), failed(502), failed(503),
                             failed(504), failed(599), failed(0), timed_out()}) {
    traveller t;
    CHECK(t.hears(start, result) == verdict::waits_again);
    CHECK(t.history.retries() == 1);
  }
}

TEST_CASE("attempts: 400, 413, 422 are not retried") {
  for (const auto status : std::vector<std::uint16_t>{400, 413, 422, 405, 451}) {
    traveller t;
    CHECK(t.hears(start, rejected(status)) == verdict::rejected);
    CHECK(t.history.last_status() == status);
  }
}

TEST_CASE("attempts: 401, 403, 404 are tried elsewhere, once each, and are no retries") {
  traveller t;
  t.group.num_retries = 0;
  CHECK(t.hears(start, rejected(401), 0) == verdict::waits_again);
  CHECK(t.hears(start, rejected(403), 2) == verdict::waits_again);
  CHECK(t.hears(start, rejected(404), 3) == verdict::waits_again);
  CHECK(t.history.retries() == 0);
  const auto much_later = after(seconds(100000));
  CHECK_FALSE(t.may_go(much_later, 0));
  CHECK(t.may_go(start, 1));
  CHECK_FALSE(t.may_go(much_later, 2));
  CHECK_FALSE(t.may_go(much_later, 3));
  CHECK(t.history.next_return(start) == never);
}

TEST_CASE("attempts: a 429 does not count as a retry") {
  traveller t;
  t.group.num_retries = 0;
  for (int i = 0; i < 100; ++i)
    CHECK(t.hears(after(seconds(20 * i)), rate_limited()) == verdict::waits_again);
  CHECK(t.history.retries() == 0);
  CHECK(t.hears(after(seconds(9000)), failed()) == verdict::exhausted);
}

TEST_CASE("attempts: what was not sent leaves no trace") {
  traveller t;
  t.group.num_retries = 0;
  CHECK(t.hears(start, not_sent()) == verdict::waits_again);
  CHECK(t.may_go(start, 0));
  CHECK(t.history.retries() == 0);
  CHECK(t.history.last_status() == 0);
}

TEST_CASE("attempts: a failed probe does not count") {
  traveller t;
  t.group.num_retries = 1;
  for (int i = 0; i < 10; ++i)
    CHECK(t.hears(after(seconds(20 * i)), failed(), 0, false, true) == verdict::waits_again);
  CHECK(t.history.retries() == 0);
  CHECK(t.hears(after(seconds(900)), failed()) == verdict::waits_again);
  CHECK(t.hears(after(seconds(920)), failed()) == verdict::exhausted);
}

TEST_CASE("attempts: the deployment's own num_retries goes before the group's") {
  traveller t;
  t.group.num_retries = 5;
  t.group.deployments[1].num_retries = 0;
  CHECK(t.hears(start, failed(), 0) == verdict::waits_again);
  CHECK(t.hears(start, failed(), 1) == verdict::exhausted);
}

TEST_CASE("attempts: a policy counts its kind of failure apart") {
  traveller t;
  t.group.num_retries = 1;
  t.group.retries.timeout = 2;
  t.group.retries.internal_server_error = 0;
  SECTION("timeouts") {
    CHECK(t.hears(start, timed_out()) == verdict::waits_again);
    CHECK(t.hears(start, failed(408)) == verdict::waits_again);
    CHECK(t.hears(start, failed(409)) == verdict::waits_again); // by num_retries
    CHECK(t.history.retries() == 3);
    CHECK(t.hears(start, timed_out()) == verdict::exhausted);
  }
  SECTION("server errors") {
    CHECK(t.hears(start, failed(500)) == verdict::exhausted);
  }
  SECTION("429s are counted instead of waiting") {
    t.group.retries.rate_limit = 1;
    CHECK(t.hears(start, rate_limited()) == verdict::waits_again);
    CHECK(t.hears(start, rate_limited()) == verdict::exhausted);
  }
}

TEST_CASE("attempts: a policy, kind by kind") {
  traveller t;
  t.group.num_retries = 0;
  SECTION("no HTTP answer is a server error") {
    t.group.retries.internal_server_error = 1;
    CHECK(t.hears(start, failed(0)) == verdict::waits_again);
    CHECK(t.hears(start, failed(500)) == verdict::exhausted);
    CHECK(t.hears(start, failed(409)) == verdict::exhausted);
  }
  SECTION("503 apart from the other 5xx") {
    t.group.retries.internal_server_error = 0;
    t.group.retries.service_unavailable = 1;
    CHECK(t.hears(start, failed(503)) == verdict::waits_again);
    CHECK(t.hears(start, failed(503)) == verdict::exhausted);
    CHECK(t.hears(start, failed(502)) == verdict::exhausted);
  }
  SECTION("401 and 403: so many others are tried, never the same one") {
    t.group.retries.authentication = 1;
    CHECK(t.hears(start, rejected(404), 3) == verdict::waits_again);
    CHECK(t.hears(start, rejected(401), 0) == verdict::waits_again);
    CHECK_FALSE(t.may_go(after(seconds(9000)), 0));
    CHECK(t.hears(start, rejected(403), 1) == verdict::exhausted);
    CHECK(t.history.retries() == 0);
  }
  SECTION("bad requests are retried if a number says so") {
    t.group.retries.bad_request = 1;
    CHECK(t.hears(start, rejected(400)) == verdict::waits_again);
    CHECK_FALSE(t.may_go(start, 0));
    CHECK(t.may_go(after(milliseconds(500)), 0));
    CHECK(t.history.retries() == 1);
    CHECK(t.hears(start, rejected(422)) == verdict::rejected);
    CHECK(t.history.retries() == 1);
  }
  SECTION("what is against a content policy is a bad request, unless it has its own number") {
    auto against_policy = rejected(400);
    against_policy.content_policy = true;
    t.group.retries.bad_request = 1;
    CHECK(t.hears(start, against_policy) == verdict::waits_again);
    CHECK(t.hears(start, against_policy) == verdict::rejected);
    t.group.retries.content_policy = 1;
    CHECK(t.hears(start, against_policy) == verdict::waits_again);
    CHECK(t.hears(start, against_policy) == verdict::rejected);
  }
  SECTION("a prompt that is too long goes to the groups for those at once") {
    auto too_long = rejected(400);
    too_long.context_window = true;
    t.group.retries.bad_request = 5;
    CHECK(t.hears(start, too_long) == verdict::waits_again);
    t.group.context_window_fallbacks = {1};
    CHECK(t.hears(start, too_long) == verdict::rejected);
  }
}

TEST_CASE("attempts: 429 three times from deployments that answered others is the end") {
  traveller t;
  CHECK(t.hears(start, rate_limited(), 0, true) == verdict::waits_again);
  CHECK(t.hears(after(seconds(10)), rate_limited(), 1, true) == verdict::waits_again);
  CHECK(t.hears(after(seconds(20)), rate_limited(), 0, false) == verdict::waits_again);
  CHECK(t.hears(after(seconds(30)), rate_limited(), 2, true) == verdict::exhausted);
  CHECK(t.history.last_status() == 429);
}

TEST_CASE("back-off: its Retry-After, exactly") {
  for (const bool failure : {true, false}) {
    traveller t;
    t.hears(start, failure ? failed(500, seconds(7)) : rate_limited(seconds(7)));
    CHECK_FALSE(t.may_go(after(seconds(7) - tick), 0));
    CHECK(t.may_go(after(seconds(7)), 0));
    CHECK(t.may_go(start, 1)); // elsewhere it may go at once
    CHECK(t.history.next_return(start) == after(seconds(7)));
    CHECK(t.history.asked_to_wait_until(0) == after(seconds(7)));
    CHECK(t.history.asked_to_wait_until(1) < start);
  }
}

TEST_CASE("back-off: 0.5 s doubling to 8 s with jitter, never above") {
  bool jitter = false;
  for (std::uint32_t seed = 1; seed < 50; ++seed) {
    traveller t;
    t.random.seed(seed);
    t.group.num_retries = 100;
    duration longest = milliseconds(500);
    for (int i = 0; i < 12; ++i) {
      const auto now = after(seconds(100 * i));
      t.hears(now, i % 2 ? failed() : rate_limited());
      const auto away = t.stays_away(now);
      CHECK(away <= longest);
      CHECK(away >= longest * 3 / 4);
      jitter |= away != longest;
      longest = std::min<duration>(longest * 2, seconds(8));
    }
    CHECK(t.history.asked_to_wait_until(0) < start);
  }
  CHECK(jitter);
}

TEST_CASE("back-off: each deployment has its own") {
  traveller t;
  t.group.num_retries = 100;
  for (int i = 0; i < 6; ++i)
    t.hears(start, failed(), 0);
  t.hears(start, failed(), 1);
  CHECK(t.stays_away(start) <= milliseconds(500)); // the first one there
  CHECK(t.may_go(after(milliseconds(500)), 1));
  CHECK_FALSE(t.may_go(after(milliseconds(500)), 0));
}

TEST_CASE("back-off: is never shorter than the configured least") {
  traveller t;
  t.group.least_back_off = seconds(3);
  t.hears(start, failed());
  CHECK(t.stays_away(start) == seconds(3));
  t.hears(start, rate_limited(seconds(1)), 1);
  CHECK_FALSE(t.may_go(after(seconds(3) - tick), 1));
}

TEST_CASE("attempts: the last upstream answer is remembered") {
  traveller t;
  t.group.num_retries = 10;
  t.hears(start, failed(503, seconds(9)));
  CHECK(t.history.last_status() == 503);
  CHECK(t.history.last_retry_after() == seconds(9));
  t.hears(after(seconds(10)), rate_limited());
  CHECK(t.history.last_status() == 429);
  CHECK_FALSE(t.history.last_retry_after());
  t.hears(after(seconds(20)), timed_out());
  CHECK(t.history.last_timed_out());
  auto too_long = rejected(400);
  too_long.context_window = true;
  t.hears(after(seconds(30)), too_long);
  CHECK(t.history.context_window());
  CHECK_FALSE(t.history.last_timed_out());
}

TEST_CASE("attempts: a connection that fails later does not make the answer before it unheard") {
  // "502 only if there was no HTTP answer"
  traveller t;
  t.group.num_retries = 1;
  CHECK(t.hears(start, failed(500)) == verdict::waits_again);
  CHECK(t.hears(after(seconds(1)), failed(0)) == verdict::exhausted);
  CHECK(t.history.last_status() == 500);
}
