// What an instance tells a shared line, and what it makes of replies written by hand.
#include "actors/queue_report.hpp"
#include "actors/shared/line_session.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <nlohmann/json.hpp>

using namespace vorrang;
using namespace vorrang::test;
using namespace std::chrono_literals;
using json = nlohmann::json;

namespace {

group_settings two_deployments() {
  group_settings result;
  result.name = "m{1}";
  deployment_settings one;
  one.id = "one";
  one.rpm = 5;
  result.deployments.push_back(one);
  one.id = "two";
  result.deployments.push_back(one);
  return result;
}

/// A queue that is led by a line whose server is played by hand.
struct scene {
  group_settings settings = two_deployments();
  group_board board{1};
  group_queue queue{settings, 0, 1, board};
  time_point now = start;
  line_session session{now, queue, "me", "vorrang", false};
  json said = json::array(); ///< the operations of the last call
  std::string settings_said;
  std::string epoch_known;
  std::string members_known;
  bool all_rooms = false;
  std::vector<verdict> verdicts;
  std::uint64_t seq = 0;
  ticket_id next = 1;

  /// The call that goes out now; false if none does.
  bool calls() {
    queue.serve(now);
    for (auto& each : queue.output().verdicts)
      verdicts.push_back(std::move(each.what));
    queue.output().clear();
    const auto call = session.turn(now);
    if (!call)
      return false;
    CHECK(call->key == "vorrang:{m%7b1%7d}:line");
    REQUIRE(call->arguments.size() >= 7);
    CHECK(call->arguments[0] == "me");
    settings_said = call->arguments[1];
    epoch_known = call->arguments[3];
    members_known = call->arguments[5];
    all_rooms = call->arguments[6] == "all";
    said = json::array();
    for (std::size_t i = 7; i < call->arguments.size(); ++i)
      said.push_back(json::parse(call->arguments[i]));
    return true;
  }

  void answer(json more = json::object(), const json& results = json::array()) {
    json reply{{"now", "1700000000000000"},
               {"epoch", "e1"},
               {"seq", ++seq},
               {"results", results},
               {"grants", json::array()},
               {"refused", json::array()},
               {"rooms", json::array()},
               {"next", "0"},
               {"members", 2},
               {"rank", 1},
               {"overruns", 0},
               {"inversions", 0}};
    reply.update(more);
    session.answered(now, {true, reply.dump()});
  }

  /// Until the line knows everything.
  void settle_in() {
    REQUIRE(calls());
    answer();
    REQUIRE(calls());
    answer(json::object(), results_for_all());
    REQUIRE(queue.mode() == line_mode::shared);
    calls();
  }

  /// What a line that agrees says to each operation of the last call.
  json results_for_all() const {
    auto results = json::array();
    for (const auto& each : said)
      results.push_back(each["op"] == "offer"  ? json("1700000000000042")
                        : each["op"] == "mine" ? json::array()
                                               : json(true));
    return results;
  }

  ticket_id offer(std::int32_t priority = 255, duration patience = 600s) {
    ticket_offer offered;
    offered.id = next++;
    offered.since = now;
    offered.wanted.priority = priority;
    offered.wanted.deadline = now + patience;
    const auto id = offered.id;
    queue.offer(now, 0, std::move(offered));
    return id;
  }

  /// The names of the operations of the last call.
  std::vector<std::string> verbs() const {
    std::vector<std::string> result;
    for (const auto& each : said)
      result.push_back(each["op"]);
    return result;
  }

  std::vector<grant> grants() const {
    std::vector<grant> result;
    for (const auto& each : verdicts)
      if (const auto* given = std::get_if<grant>(&each))
        result.push_back(*given);
    return result;
  }
};

json grant_of(const std::string& ticket, const std::string& name = "77") {
  return {{"grant", name},
          {"ticket", ticket},
          {"deployment", "two"},
          {"reason", "healthy-deployment"},
          {"at", "1700000000000000"}};
}

using words = std::vector<std::string>;

} // namespace

TEST_CASE("shared line: first it asks which line this is, then it announces, then it is led") {
  scene s;
  const auto early = s.offer();
  REQUIRE(s.calls());
  CHECK(s.said.empty());
  CHECK(s.queue.mode() == line_mode::held);
  CHECK_FALSE(s.calls()); // one call at a time
  s.answer();
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"offer", "mine", "ready"});
  CHECK(s.said[0]["arrival"] == "1700000000000000"); // it came before there was a line
  s.answer(json::object(), s.results_for_all());
  CHECK(s.queue.mode() == line_mode::shared);
  CHECK(s.queue.standing_of(early)->waits);
  CHECK(s.grants().empty()); // nothing by itself, though there is room
}

TEST_CASE("shared line: a grant in the reply, its settle, and the ticket's return") {
  scene s;
  s.settle_in();
  s.offer(7);
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"offer"});
  CHECK(s.said[0]["priority"] == 7);
  CHECK_FALSE(s.said[0].contains("eligible")); // all
  s.answer({{"grants", json::array({grant_of("1")})}}, s.results_for_all());
  s.calls();
  REQUIRE(s.grants().size() == 1);
  CHECK(s.grants()[0].deployment == 1);

  attempt_result failed;
  failed.ticket = 1;
  failed.id = s.grants()[0].id;
  failed.result.kind = outcome_kind::rate_limited;
  failed.result.status = 429;
  failed.result.retry_after = 3s;
  s.queue.room_changed(s.now, 1, room{}, std::span(&failed, 1));
  s.session.line().attempt_over(s.now, 1, failed);
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"settle"});
  CHECK(s.said[0]["grant"] == "77");
  CHECK(s.said[0]["kind"] == "rate_limited");
  CHECK(s.said[0]["retry_after"] == 3'000'000);
  CHECK(s.said[0]["again"] == true);
  CHECK(s.said[0]["eligible"] == json::array({1})); // not there for now
  CHECK(s.said[0]["tokens"] == 0);
  s.answer(json::object(), s.results_for_all());
  CHECK_FALSE(s.calls());
  s.now += 3s;
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"eligible"});
}

TEST_CASE("shared line: an offer is confirmed before it is a grant") {
  scene s;
  s.settle_in();
  s.offer();
  REQUIRE(s.calls());
  s.answer(json::object(), s.results_for_all());
  s.session.noted(s.now, json::array({"offer", grant_of("1")}).dump());
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"confirm"});
  CHECK(s.grants().empty());
  SECTION("in time") {
    s.answer(json::object(), json::array({true}));
    s.calls();
    CHECK(s.grants().size() == 1);
  }
  SECTION("too late") {
    s.answer(json::object(), json::array({false}));
    s.calls();
    CHECK(s.grants().empty());
    CHECK(s.queue.standing_of(1)->waits);
  }
}

TEST_CASE("shared line: the note of an offer comes after the reply that has put it in force") {
  scene s;
  s.settle_in();
  s.offer();
  REQUIRE(s.calls());
  const bool queued = GENERATE(false, true);
  if (queued) // before the reply: its confirmation waits while the call is out
    s.session.noted(s.now, json::array({"offer", grant_of("1")}).dump());
  s.answer({{"grants", json::array({grant_of("1")})}}, s.results_for_all());
  if (!queued)
    s.session.noted(s.now, json::array({"offer", grant_of("1")}).dump());
  CHECK_FALSE(s.calls());
  REQUIRE(s.grants().size() == 1);
  CHECK_FALSE(s.queue.standing_of(1)->waits);
}

TEST_CASE("shared line: one that asks who is there is told once") {
  scene s;
  s.settle_in();
  s.offer();
  // A call whose reply says whether the line opens; whether there is something to say to that.
  const auto looks = [&](bool opens) {
    s.now += 4s;
    REQUIRE(s.calls());
    s.answer({{"opening", opens}}, s.results_for_all());
    return s.calls();
  };
  for (int round = 0; round < 2; ++round) {
    REQUIRE(looks(true));
    CHECK(s.verbs() == words{"ready"});
    s.answer({{"opening", true}}, s.results_for_all());
    CHECK_FALSE(s.calls());
    CHECK_FALSE(looks(true));
    CHECK_FALSE(looks(false));
  }
}

TEST_CASE("shared line: what nobody wants any more goes back") {
  scene s;
  s.settle_in();
  const auto gone = s.offer();
  REQUIRE(s.calls());
  s.queue.cancel(gone);
  s.answer({{"grants", json::array({grant_of("1")})}}, s.results_for_all());
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"settle", "cancel"});
  CHECK(s.said[0]["kind"] == "not_sent");
  CHECK(s.grants().empty());
}

TEST_CASE("shared line: after a call without a reply everything is said again, settles first") {
  scene s;
  s.settle_in();
  s.offer();
  s.offer();
  REQUIRE(s.calls());
  s.answer({{"grants", json::array({grant_of("1")})}}, s.results_for_all());
  s.calls();
  attempt_result over;
  over.ticket = 1;
  over.id = s.grants().at(0).id;
  over.result.kind = outcome_kind::success;
  s.queue.room_changed(s.now, 1, room{}, std::span(&over, 1));
  s.session.line().attempt_over(s.now, 1, over);
  REQUIRE(s.calls());
  s.session.answered(s.now, {false, "the connection is gone"});
  CHECK(s.queue.mode() == line_mode::held);
  s.now += 500ms;
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"settle"});
  s.answer(json::object(), s.results_for_all());
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"offer", "used", "mine", "ready"});
  CHECK(s.said[0]["ticket"] == "2");
  CHECK(s.said[0]["arrival"] == "1700000000000042"); // its number
}

TEST_CASE("shared line: a grant whose reply was lost is found, and used") {
  scene s;
  s.settle_in();
  s.offer();
  REQUIRE(s.calls());
  s.session.answered(s.now, {false, "lost"});
  s.now += 500ms;
  REQUIRE(s.calls());
  s.answer();
  REQUIRE(s.calls());
  REQUIRE(s.verbs() == words{"offer", "mine", "ready"});
  auto results = s.results_for_all();
  results[1] = json::array({grant_of("1")});
  s.answer(json::object(), results);
  s.calls();
  CHECK(s.grants().size() == 1);
}

TEST_CASE("shared line: 2 s without it the queue grants by itself, and tells it afterwards") {
  scene s;
  s.settle_in();
  CHECK(s.session.line().members().count == 2);
  s.offer();
  REQUIRE(s.calls());
  s.session.answered(s.now, {false, "away"});
  s.now += 1999ms;
  s.calls();
  CHECK(s.queue.mode() == line_mode::held);
  s.now += 1ms;
  s.session.answered(s.now, {false, "away"});
  s.calls();
  CHECK(s.session.is_down());
  CHECK(s.session.outages() == 1);
  REQUIRE(s.queue.mode() == line_mode::own);
  room empty;
  empty.slots = 1;
  s.queue.room_changed(s.now, 0, empty, {});
  s.queue.room_changed(s.now, 1, room{}, {});
  s.queue.serve(s.now);
  REQUIRE(s.queue.output().takes.size() == 1);
  const auto made = s.queue.output().takes[0];
  s.session.line().granted_here(s.now, made.deployment, made.what);
  s.session.answered(s.now, {false, "away"});
  s.now += 300ms;
  REQUIRE(s.calls());
  s.answer();
  CHECK(s.queue.mode() == line_mode::held); // until it is announced
  REQUIRE(s.calls());
  REQUIRE(s.verbs() == words{"hold", "used", "mine", "ready"});
  CHECK(s.said[0]["grant"] == "1.me-1");
  CHECK(s.said[0]["deployment"] == 1);
  CHECK(s.said[1]["entries"].size() == 1);
  s.answer(json::object(), s.results_for_all());
  CHECK(s.queue.mode() == line_mode::shared);
}

TEST_CASE("shared line: a call that failed at once is not made again at once") {
  scene s;
  s.settle_in();
  s.queue.cancel(s.offer());
  s.offer();
  REQUIRE(s.calls());
  s.session.answered(s.now, {false, "not connected"});
  CHECK_FALSE(s.calls());
  CHECK(s.session.next_event() == s.now + 200ms);
  s.now += 199ms;
  CHECK_FALSE(s.calls());
  s.now += 1ms;
  CHECK(s.calls());
  s.session.answered(s.now, {false, "not connected"});
  s.session.up(s.now);
  CHECK(s.calls());
}

TEST_CASE("shared line: one that fails after a long silence is not away yet") {
  scene s;
  s.settle_in();
  s.now += 4s;
  REQUIRE(s.calls());
  s.session.answered(s.now, {false, "the connection is gone"});
  s.calls();
  CHECK_FALSE(s.session.is_down());
  CHECK(s.session.outages() == 0);
  s.now += 2s;
  s.session.answered(s.now, {false, "the connection is gone"});
  s.calls();
  CHECK(s.session.is_down());
}

TEST_CASE("shared line: one that has begun anew, or has given this instance up, is told again") {
  scene s;
  s.settle_in();
  s.offer();
  REQUIRE(s.calls());
  s.answer(json::object(), s.results_for_all());
  const bool another = GENERATE(true, false);
  s.now += 2s;
  REQUIRE(s.calls());
  CHECK(s.said.empty()); // a look
  CHECK(s.epoch_known == "e1");
  CHECK(s.members_known == "2");
  s.answer(another ? json{{"epoch", "e2"}} : json{{"forgotten", true}});
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"offer", "mine", "ready"});
  CHECK(s.queue.mode() == line_mode::held);
}

TEST_CASE("shared line: one that stops says what is left to say, and that it leaves") {
  scene s;
  s.settle_in();
  s.offer();
  REQUIRE(s.calls());
  s.answer({{"grants", json::array({grant_of("1")})}}, s.results_for_all());
  s.calls();
  s.offer();
  REQUIRE(s.calls()); // it is out, and another one waits to be said
  attempt_result done;
  done.ticket = 1;
  done.id = s.grants()[0].id;
  done.result.kind = outcome_kind::success;
  s.session.line().attempt_over(s.now, s.grants()[0].deployment, done);
  const auto last = s.session.leave();
  REQUIRE(last);
  REQUIRE(last->arguments.size() == 9);
  CHECK(json::parse(last->arguments[7])["op"] == "settle");
  CHECK(json::parse(last->arguments[8]) == json{{"op", "leave"}});
}

TEST_CASE("shared line: one that stops while the line is away says nothing") {
  scene s;
  s.settle_in();
  s.offer();
  REQUIRE(s.calls());
  s.session.answered(s.now, {false, "gone"});
  CHECK_FALSE(s.session.leave());
}

TEST_CASE("shared line: a reload is told under a new name, and who waits is told of anew") {
  auto next = two_deployments(); // outlives the queue
  scene s;
  s.settle_in();
  const auto ticket = s.offer();
  REQUIRE(s.calls());
  CHECK_FALSE(s.said[0].contains("eligible")); // all there are
  s.answer(json::object(), s.results_for_all());
  next.deployments[0].retired = true;
  next.deployments.push_back(next.deployments[1]);
  next.deployments[2].id = "three";
  s.queue.follow(s.now, next, 1);
  s.session.line().settings_changed();
  REQUIRE(s.calls());
  const auto told = json::parse(s.settings_said);
  REQUIRE(told["deployments"].size() == 3);
  CHECK(told["deployments"][0] == json({{"id", "one"}, {"retired", true}}));
  CHECK(told["deployments"][2]["id"] == "three");
  REQUIRE(s.said.size() == 1);
  CHECK(s.said[0]["op"] == "eligible");
  CHECK_FALSE(s.said[0].contains("eligible")); // all that are there now
  // What the line had granted by the settings of before goes back.
  const json granted{
      {"grant", "1.7"}, {"ticket", "1"}, {"deployment", "one"}, {"reason", "healthy-deployment"}};
  s.answer({{"grants", json::array({granted})}}, s.results_for_all());
  REQUIRE(s.calls());
  CHECK(s.said[0]["kind"] == "not_sent");
  CHECK(s.queue.find_waiting(ticket));
}

TEST_CASE("shared line: what its head waits for, whoever holds it") {
  scene s;
  s.settings.deployments[1].rpm.reset();
  s.settings.deployments[1].max_parallel_requests = 2;
  s.settle_in();
  const auto mine = s.offer();
  REQUIRE(s.calls());
  const json one{{"id", "one"}, {"slots", 0}, {"n", 1}, {"requests", 5}, {"tokens", 0}};
  json two{{"id", "two"}, {"slots", 0}, {"n", 2}, {"requests", 9}, {"tokens", 0}};
  s.answer({{"rooms", {one, two}}}, s.results_for_all());
  const auto look = [&](const std::string& holder) {
    queue_view seen;
    s.session.line().show({0, 2}, report_deployments(s.queue, s.now),
                          [&](bool, queue_view& view) { seen = view; });
    REQUIRE(s.calls());
    REQUIRE(s.verbs() == words{"show"});
    const auto ticket = [&](const std::string& id, const std::string& instance) {
      return json{{"ticket", id},
                  {"instance", instance},
                  {"priority", 255},
                  {"arrival", "1700000000000000"},
                  {"attempts", 0}};
    };
    const json page{{"total", 2}, {"tickets", {ticket("1", holder), ticket("2", "other")}}};
    s.answer(json::object(), json::array({page}));
    REQUIRE(seen.tickets.size() == 2);
    CHECK(seen.tickets[0].id == mine);
    CHECK(seen.tickets[1].why == wait_reason::behind_others);
    return seen.tickets[0];
  };
  const auto both = static_cast<int>(missing::rpm) | static_cast<int>(missing::slot);
  for (const char* holder : {"me", "other"}) {
    const auto head = look(holder);
    CHECK(head.why == wait_reason::all_full);
    CHECK(head.waits_for == both);
  }
  two["cooling"] = true;
  two["ends"] = "1700000004000000";
  json cooling = one;
  cooling["cooling"] = true;
  cooling["ends"] = "1700000009000000";
  s.session.line().renew();
  REQUIRE(s.calls());
  s.answer({{"rooms", {cooling, two}}}, s.results_for_all());
  const auto head = look("other");
  CHECK(head.why == wait_reason::all_cooling);
  CHECK(head.ready_in == 4s);
}

TEST_CASE("shared line: nonsense on the wire changes nothing") {
  scene s;
  s.settle_in();
  s.offer();
  for (const char* text :
       {"", "x", "[]", "{}", "[1]", "[\"offer\"]", "[\"offer\",{}]", "[\"offer\",{\"ticket\":1}]",
        "[\"refused\",{\"ticket\":\"1\",\"retry_after\":\"x\"}]",
        "[\"moved\",{\"ticket\":\"1\",\"priority\":\"x\"}]", "{\"epoch\":1}"}) {
    INFO(text);
    s.session.noted(s.now, text);
  }
  REQUIRE(s.calls());
  CHECK(s.verbs() == words{"offer"});
  s.session.answered(s.now, {true, "{\"epoch\":\"e1\"}"});
  CHECK(s.queue.mode() == line_mode::held);
  CHECK(s.session.trouble() == "it answered something else");
}
