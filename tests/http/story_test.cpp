// What is remembered of requests, and how the admin port tells it.
#include "http/request_story.hpp"
#include "http/story_page.hpp"

#include "catch.hpp"

#include <nlohmann/json.hpp>

using namespace vorrang;
using namespace vorrang::http;
using namespace std::chrono_literals;

namespace {

constexpr time_point began{1000s};
const std::chrono::system_clock::time_point wall{std::chrono::seconds(1769860800)}; // 12:00 UTC

/// Groups `m` (deployments `one`, `two`) and `n` (`three`).
std::shared_ptr<const metrics_plan> names() {
  auto made = std::make_shared<metrics_plan>();
  made->groups.resize(2);
  made->groups[0].name = "m";
  made->groups[0].deployments = {"one", "two"};
  made->groups[1].name = "n";
  made->groups[1].deployments = {"three"};
  return made;
}

grant granted(ticket_id ticket, time_point at, std::uint32_t attempt = 1) {
  grant given;
  given.ticket = ticket;
  given.at = at;
  given.attempt = attempt;
  given.deployment = 1;
  given.priority = 7;
  return given;
}

outcome result(outcome_kind kind, std::uint16_t status) {
  outcome made;
  made.kind = kind;
  made.status = status;
  return made;
}

ask wanted(std::int32_t priority) {
  ask made;
  made.priority = priority;
  return made;
}

nlohmann::json page_of(const story_ring& ring, const std::string& id, ticket_id ticket = 0,
                       const std::vector<operator_note>& notes = {}, const ticket_view& view = {}) {
  story_findings findings{ring.find(id, ticket), ring.kept_since(), names()};
  const auto story = latest_story(findings.events, ticket);
  return nlohmann::json::parse(
      story_page(id, story, findings, notes, view, began + 10s, wall + 10s));
}

} // namespace

TEST_CASE("story: from the ticket to the answer, with a 429 and a fallback on the way") {
  story_ring ring;
  request_story story(ring);
  story.opened("id-1", 42, wanted(5), began);
  story.granted(granted(42, began + 1s));
  auto limited = result(outcome_kind::rate_limited, 429);
  limited.retry_after = 1500ms;
  story.tried(limited, began + 2s);
  story.falls_back(1, began + 3s);
  auto second = granted(42, began + 4s, 2);
  second.group = 1;
  second.deployment = 0;
  second.reason = grant_reason::head_of_line;
  story.granted(second);
  story.tried(result(outcome_kind::success, 200), began + 5s);
  story.over(200, began + 6s);

  const auto page = page_of(ring, "id-1", 0, {{began + 500ms, 42, 7}, {began + 500ms, 9, 1}});
  CHECK(page["ticket"] == "42");
  CHECK(page["state"] == "over");
  CHECK(page["is_complete"] == true);
  CHECK(page["kept_since"].is_null());
  CHECK(page["waits"].is_null());
  const auto& events = page["events"];
  REQUIRE(events.size() == 8);
  CHECK(events[0] == nlohmann::json::parse(R"({"at": "2026-01-31T12:00:00.000Z", "after_ms": 0,
          "what": "arrived", "model": "m", "priority": 5})"));
  CHECK(
      (events[1]["what"] == "moved" && events[1]["priority"] == 7 && events[1]["after_ms"] == 500));
  CHECK(events[2] == nlohmann::json::parse(R"({"at": "2026-01-31T12:00:01.000Z", "after_ms": 1000,
          "what": "granted", "model": "m", "deployment": "two", "by": "healthy-deployment",
          "attempt": 1, "priority": 7})"));
  CHECK(events[3] == nlohmann::json::parse(R"({"at": "2026-01-31T12:00:02.000Z", "after_ms": 2000,
          "what": "attempt", "model": "m", "deployment": "two", "result": "rate-limited",
          "status": 429, "error": null, "retry_after_ms": 1500, "took_ms": 1000})"));
  CHECK((events[4]["what"] == "fallback" && events[4]["model"] == "n"));
  CHECK(events[4]["after_ms"] == 3000);
  CHECK((events[5]["by"] == "head-of-line" && events[5]["deployment"] == "three"));
  CHECK((events[6]["result"] == "success" && events[6]["retry_after_ms"].is_null()));
  CHECK((events[7]["what"] == "over" && events[7]["how"] == "answered" &&
         events[7]["status"] == 200 && events[7]["is_cut"] == false));
  // By its ticket it is the same.
  CHECK(page_of(ring, "42", 42)["events"].size() == 7);
}

TEST_CASE("story: how a connection failed, and that the next attempt knows nothing of it") {
  story_ring ring;
  request_story story(ring);
  story.opened("a", 1, wanted(0), began);
  story.granted(granted(1, began));
  story.upstream_failed(transport_error::not_connected);
  story.tried(result(outcome_kind::failed, 0), began);
  CHECK((page_of(ring, "a")["state"] == "waiting" && page_of(ring, "a")["running_ms"].is_null()));
  story.granted(granted(1, began + 3s, 2));
  CHECK((page_of(ring, "a")["state"] == "granted" && page_of(ring, "a")["running_ms"] == 7000));
  story.tried(result(outcome_kind::failed, 500), began);
  story.ended(end_code::attempts_exhausted);
  story.over(500, began);
  const auto events = page_of(ring, "a")["events"];
  REQUIRE(events.size() == 6);
  CHECK(events[2]["error"] == "not-connected");
  CHECK(events[2]["status"].is_null());
  CHECK(events[4]["error"].is_null());
  CHECK(events[5]["how"] == "attempts-exhausted");
}

TEST_CASE("story: a stream that broke off is good for its deployment, and not for its client") {
  story_ring ring;
  request_story story(ring);
  story.opened("a", 1, wanted(0), began);
  story.granted(granted(1, began));
  story.upstream_failed(transport_error::broken);
  story.tried(result(outcome_kind::success, 200), began);
  story.over(200, began, true);
  const auto events = page_of(ring, "a")["events"];
  REQUIRE(events.size() == 4);
  CHECK((events[2]["result"] == "success" && events[2]["error"] == "broken"));
  CHECK((events[3]["how"] == "answered" && events[3]["is_cut"] == true));
}

TEST_CASE("story: a ring forgets the oldest, and says so") {
  story_ring ring(8);
  request_story first(ring);
  first.opened("first", 1, wanted(5), began);
  CHECK_FALSE(ring.kept_since());
  for (ticket_id ticket = 2; ticket <= 4; ++ticket) {
    request_story other(ring);
    const auto at = began + std::chrono::seconds(ticket);
    other.opened("other", ticket, wanted(1), at);
    other.granted(granted(ticket, at));
  }
  first.granted(granted(1, began + 5s)); // the ring is full, and complete
  REQUIRE(ring.kept_since());
  CHECK(page_of(ring, "first")["is_complete"] == true);
  first.tried(result(outcome_kind::failed, 503), began + 6s);
  const auto page = page_of(ring, "first");
  CHECK(page["is_complete"] == false);
  CHECK(page["kept_since"] == "2026-01-31T12:00:02.000Z");
  REQUIRE(page["events"].size() == 2);
  CHECK(page["events"][0]["what"] == "granted");
  // The same id three times: the latest.
  const auto others = page_of(ring, "other");
  CHECK((others["ticket"] == "4" && others["others"] == 2));
  CHECK(ring.find("absent", 0).empty());
}

TEST_CASE("story: a client that chooses a ticket's number for its id does not hide the ticket") {
  story_ring ring;
  request_story waits(ring), impostor(ring), later(ring);
  waits.opened("mine", 562950037307393, wanted(5), began);
  impostor.opened("562950037307393", 7, wanted(0), began + 1s);
  impostor.over(200, began + 2s);
  later.opened("562950037307393", 8, wanted(0), began + 3s);
  const auto page = page_of(ring, "562950037307393", 562950037307393);
  CHECK((page["ticket"] == "562950037307393" && page["state"] == "waiting"));
  CHECK(page["others"] == 2);
  REQUIRE(page["events"].size() == 1);
  CHECK(page["events"][0]["priority"] == 5);
  CHECK(page_of(ring, "8", 8)["events"][0]["priority"] == 0);
  // Of a ticket that is forgotten, or was never here, there is the request alone.
  CHECK(page_of(ring, "562950037307393", 9)["ticket"] == "8");
}

TEST_CASE("story: a request without a ticket has none, and after the end there is nothing") {
  story_ring ring;
  request_story story(ring);
  story.upstream_failed(transport_error::broken);
  story.tried(result(outcome_kind::failed, 0), began);
  story.over(502, began);
  CHECK(ring.find("", 0).empty());
  request_story other(ring);
  other.opened("a", 1, wanted(0), began);
  other.over(200, began);
  other.over(200, began);
  CHECK(ring.find("a", 0).size() == 2);
}

TEST_CASE("story: what it waits for") {
  story_ring ring;
  request_story story(ring);
  story.opened("a", 1, wanted(5), began);
  ticket_view view;
  view.waits = true;
  view.waiting = 4;
  view.at = began + 10s;
  view.ticket.priority = 5;
  view.ticket.position = 2;
  view.ticket.waited = 10s;
  view.ticket.deadline = began + 12s;
  view.ticket.why = wait_reason::all_full;
  view.obstacles = {{"one", obstacle_kind::rpm, 60, 60, 0, 12400ms},
                    {"two", obstacle_kind::cooling, 0, 0, 0, 3s},
                    {"x", obstacle_kind::tpm, 90, 100, 20, {}},
                    {"y", obstacle_kind::nothing, 0, 0, 0, {}}};
  CHECK(page_of(ring, "a", 0, {}, view)["waits"] == nlohmann::json::parse(R"(
    {"priority": 5, "position": 2, "waiting": 4, "waited_ms": 10000, "deadline_in_ms": 2000,
     "why": "all-full", "deployments": [
       {"id": "one", "why": "rpm", "used": 60, "limit": 60, "until_ms": 12400},
       {"id": "two", "why": "cooling", "until_ms": 3000},
       {"id": "x", "why": "tpm", "used": 90, "limit": 100, "needed": 20},
       {"id": "y", "why": "nothing"}]})"));
}
