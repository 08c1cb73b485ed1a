// What the admin port says, as text for people.
#include "terminal/queue_text.hpp"
#include "terminal/story_text.hpp"

#include "catch.hpp"

using namespace vorrang::terminal;

namespace {

const char* const group = R"({"model": "m", "waiting": 3, "offset": 0, "next_offset": 2,
  "oldest_wait_ms": 12400, "inversions": 0,
  "tickets": [
    {"id": "281474993487874", "priority": 0, "position": 1, "waited_ms": 750,
     "deadline": "2026-01-31T12:00:00.125Z", "deadline_in_ms": 119250, "instance": null,
     "why": "all-full", "reason": "waits for rpm: next unit in 12.4 s", "attempts": 0, "bytes": 90},
    {"id": "281474993487873", "priority": -7, "position": 2, "waited_ms": 12400,
     "deadline": null, "deadline_in_ms": null, "instance": null, "why": "behind-others",
     "attempts": 2, "bytes": 90}],
  "deployments": [
    {"id": "one", "healthy": false, "cooling": false, "full": true, "in_flight": 2,
     "max_parallel_requests": 2, "rpm": {"used": 7, "limit": 10}, "tpm": {"used": 0, "limit": null},
     "cooldown_ends_in_ms": null, "last_failure_status": null},
    {"id": "two", "healthy": false, "cooling": true, "full": false, "in_flight": 0,
     "max_parallel_requests": null, "rpm": {"used": 0, "limit": null},
     "tpm": {"used": 5, "limit": 100}, "cooldown_ends_in_ms": 3200, "last_failure_status": 429}]})";

} // namespace

TEST_CASE("queue text: a group, its deployments, who waits, and how to see more") {
  CHECK(
      queue_text(json::parse(group), false) ==
      "m: 3 wait, the longest for 12.4 s\n"
      "DEPLOYMENT  STATE              IN FLIGHT      RPM       TPM  LAST FAILURE\n"
      "one         full                  2 of 2  7 of 10         0             -\n"
      "two         cooling for 3.2 s          0        0  5 of 100           429\n"
      "\n"
      "POS  PRIORITY               ID  WAITED       DEADLINE  TRIED  WHY\n"
      "  1         0  281474993487874  750 ms  in 1 min 59 s      0  for rpm: next unit in 12.4 s\n"
      "  2        -7  281474993487873  12.4 s              -      2  behind-others\n"
      "… 1 more: --offset 2\n");
}

TEST_CASE("queue text: all groups, nobody, an instance, and names that would be obeyed") {
  auto one = json::parse(group);
  one["tickets"][0]["instance"] = "b\033[2J";
  one["next_offset"] = nullptr;
  auto two = json::parse(R"({"model": "n\u001b]0;x\u0007", "waiting": 0, "tickets": [],
                             "deployments": []})");
  const auto text = queue_text({{"queues", {one, two}}}, false);
  CHECK(text.find("INSTANCE") != std::string::npos);
  CHECK(text.find("b?[2J") != std::string::npos);
  CHECK(text.find("\nn?]0;x?: nobody waits\n") != std::string::npos);
  CHECK(text.find('\033') == std::string::npos);
  CHECK(queue_text({{"queues", json::array()}}, false) == "There is no model group.\n");
}

TEST_CASE("queue text: an answer of another shape is no reason to end") {
  CHECK_FALSE(queue_text(json::parse("{}"), false).empty());
  CHECK_FALSE(
      queue_text(json::parse(R"({"model": 1, "tickets": [7, {}], "deployments": {}})"), false)
          .empty());
}

TEST_CASE("story: each step is a sentence") {
  const auto text = [](const char* event) {
    return event_text(json::parse(event));
  };
  CHECK(text(R"({"what": "arrived", "model": "m", "priority": 5})") ==
        "came with priority 5 into the line of m");
  CHECK(text(R"({"what": "moved", "priority": -1})") == "an operator gave it priority -1");
  CHECK(text(R"({"what": "granted", "deployment": "one", "by": "healthy-deployment", "attempt": 1,
                 "priority": 5})") == "granted attempt 1 at one, which had room, with priority 5");
  CHECK(text(R"({"what": "granted", "deployment": "one", "by": "head-of-line", "attempt": 2,
                 "priority": 5})") == "granted attempt 2 at one, as a probe, with priority 5");
  CHECK(text(R"({"what": "attempt", "deployment": "one", "result": "rate-limited", "status": 429,
                 "error": null, "retry_after_ms": 1000, "took_ms": 12})") ==
        "attempt at one: 429, rate limited, Retry-After 1.0 s, after 12 ms");
  CHECK(text(R"({"what": "attempt", "deployment": "one", "result": "success", "status": 200,
                 "took_ms": 1500})") == "attempt at one: 200, after 1.5 s");
  CHECK(text(R"({"what": "attempt", "deployment": "one", "result": "failed", "status": null,
                 "error": "not-connected"})") == "attempt at one: no connection");
  CHECK(text(R"({"what": "attempt", "deployment": "one", "result": "success", "status": 200,
                 "error": "broken", "took_ms": 1500})") ==
        "attempt at one: 200, then the stream broke off, after 1.5 s");
  CHECK(text(R"({"what": "attempt", "deployment": "one", "result": "success", "status": 200,
                 "error": "timed-out", "took_ms": 1500})") ==
        "attempt at one: 200, then the stream was silent for too long, after 1.5 s");
  CHECK(text(R"({"what": "fallback", "model": "n"})") == "fell back into the line of n");
  CHECK(text(R"({"what": "over", "how": "answered", "status": 200})") == "answered with 200");
  CHECK(text(R"({"what": "over", "how": "answered", "status": 200, "is_cut": true})") ==
        "answered with 200, but not to the end: its client was told so in the stream");
  CHECK(text(R"({"what": "over", "how": "hung-up", "status": 200, "is_cut": true})") ==
        "its client hung up: its client got 200 and a part of the answer");
  CHECK(text(R"({"what": "over", "how": "queue-full", "status": 429})") ==
        "the queue was full, and it was the one to leave: its client got 429");
  CHECK(text(R"({"what": "over", "how": "hung-up", "status": null})") == "its client hung up");
  CHECK(text(R"({"what": "new\u001bthing"})") == "new?thing");
}

TEST_CASE("story: what a deployment lacks, in words") {
  const auto text = [](const char* deployment) {
    return obstacle_text(json::parse(deployment));
  };
  CHECK(text(R"({"why": "rpm", "used": 60, "limit": 60, "until_ms": 12400})") ==
        "60 of 60 requests a minute are used; the next unit is back in 12.4 s");
  CHECK(text(R"({"why": "slots", "used": 3, "limit": 3})") ==
        "3 of 3 parallel requests are running");
  CHECK(text(R"({"why": "tpm", "used": 90, "limit": 100, "needed": 20, "until_ms": 500})") ==
        "90 of 100 tokens a minute are used, and it needs 20; the next ones are back in 500 ms");
  CHECK(text(R"({"why": "cooling", "until_ms": 3000})") == "it cools down for 3.0 s more");
  CHECK(text(R"({"why": "nothing"})") == "nothing: its room is kept for who is before");
}

TEST_CASE("story: one that waits, whose beginning is gone, and whose id was there before") {
  const auto story = json::parse(R"({"id": "a\u009bb", "ticket": "7", "state": "waiting",
    "is_complete": false, "kept_since": "2026-01-31T12:00:00.125Z", "others": 2,
    "events": [{"at": "2026-01-31T12:00:01.000Z", "after_ms": 0, "what": "moved", "priority": 3},
               {"at": "2026-01-31T12:01:51.000Z", "after_ms": 110000, "what": "fallback",
                "model": "n"}],
    "waits": {"priority": 3, "position": 4, "waiting": 9, "waited_ms": 61000,
              "deadline_in_ms": 5000, "why": "behind-others",
              "deployments": [{"id": "one", "why": "slots", "used": 1, "limit": 1}]}})");
  CHECK(story_text(story, false) ==
        "Request a?b, ticket 7: waits\n"
        "Its beginning is not kept any more: what is remembered began at 12:00:00.125.\n"
        "2 earlier requests had the same id; this is the latest.\n"
        "  12:00:01.000    +0.000 s  an operator gave it priority 3\n"
        "  12:01:51.000  +110.000 s  fell back into the line of n\n"
        "It has waited for 1 min 1 s with priority 3, at position 4 of 9 (3 before it), until its "
        "deadline in 5.0 s.\n"
        "Why: a better ticket waits for each deployment that it could go to.\n"
        "DEPLOYMENT  WHAT IT LACKS\n"
        "one         1 of 1 parallel requests are running\n");
}

TEST_CASE("story: one that is being answered, and for how long already") {
  const auto story = json::parse(R"({"id": "a", "ticket": "7", "state": "granted",
    "running_ms": 12400, "is_complete": true, "kept_since": null, "others": 0, "waits": null,
    "events": [{"at": "2026-01-31T12:00:01.000Z", "after_ms": 0, "what": "granted",
                "deployment": "one", "by": "healthy-deployment", "attempt": 1, "priority": 0}]})");
  CHECK(story_text(story, false) ==
        "Request a, ticket 7: is being answered\n"
        "  12:00:01.000  +0.000 s  granted attempt 1 at one, which had room, with priority 0\n"
        "The attempt has run for 12.4 s.\n");
}
