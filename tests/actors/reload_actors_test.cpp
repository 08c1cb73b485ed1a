// Reloads of the engine's actors in virtual time: one stimulus, one expectation.
#include "actors/shared/line_link.hpp"
#include "catch.hpp"
#include "virtual_engine.hpp"

using namespace vorrang;
using namespace std::chrono_literals;

namespace {

struct listener final : request_listener {
  void on_grant(const grant& given) override { grants.push_back(given); }
  void on_waiting_again() override {}
  void on_end(const ending& how) override { end = how; }
  void on_position(std::uint32_t) override {}
  void on_freed() override { ++freed; }

  std::vector<grant> grants;
  int freed = 0;
  std::optional<ending> end;
};

group_settings group_of(const std::string& name, std::optional<std::uint32_t> slots = 1) {
  group_settings result;
  result.name = name;
  auto& only = result.deployments.emplace_back();
  only.id = name + "-1";
  only.max_parallel_requests = slots;
  return result;
}

engine_settings settings_of(std::vector<group_settings> groups) {
  engine_settings result;
  result.groups = std::move(groups);
  return result;
}

outcome answered() {
  outcome result;
  result.kind = outcome_kind::success;
  result.status = 200;
  return result;
}

/// A server that keeps a line for this instance, the first of two, and agrees to everything.
struct agreeing_server final : line_link {
  void call(line_call what, std::function<void(line_answer)> then) override {
    if (is_away)
      return then({false, "it is away"});
    std::string results;
    for (auto i = 7u; i < what.arguments.size(); ++i) { // of each operation
      const auto is = [&](const char* verb) {
        return what.arguments[i].find("\"op\":\"" + std::string(verb)) != std::string::npos;
      };
      results += results.empty() ? "" : ",";
      results += is("mine") ? "[]" : is("show") ? R"({"total":0,"tickets":[]})" : "true";
    }
    then({true, R"({"now":"1700000000000000","epoch":"e1","members":2,"rank":0,"next":"0",)"
                R"("grants":[],"refused":[],"rooms":[],"overruns":0,"inversions":0,"seq":)" +
                    std::to_string(++calls) + ",\"results\":[" + results + "]}"});
  }
  void listen(const std::string&, std::function<void(std::string)>) override {}
  bool is_up() const override { return !is_away; }
  void on_up(std::function<void()>) override {}

  bool is_away = false;
  std::uint64_t calls = 0;
};

struct fixture {
  explicit fixture(std::vector<group_settings> groups) : engine(settings_of(std::move(groups))) {}

  ticket_id open(listener& to, group_index group = 0, ask wanted = {}) {
    wanted.group = group;
    wanted.deadline = engine.now() + 600s;
    const auto ticket = engine.book().open(engine.now(), wanted, to);
    engine.quiet();
    return ticket;
  }
  void settle(ticket_id ticket, const outcome& result = answered()) {
    engine.book().settle(ticket, result);
    engine.quiet();
  }
  void reload(std::vector<group_settings> groups) {
    engine.reload(settings_of(std::move(groups)));
    engine.quiet();
  }

  test::virtual_engine engine;
};

} // namespace

TEST_CASE("reload: more slots are granted at once, fewer bind the next grant only") {
  fixture f({group_of("a", 1)});
  listener first, second, third;
  const auto one = f.open(first);
  const auto two = f.open(second);
  f.open(third);
  CHECK(second.grants.empty());
  f.reload({group_of("a", 2)});
  CHECK(second.grants.size() == 1);
  CHECK(third.grants.empty());
  f.reload({group_of("a", 1)});
  CHECK(f.engine.view(0, 0, 10).deployments[0].in_flight == 2);
  f.settle(one);
  CHECK(third.grants.empty());
  f.settle(two);
  CHECK(third.grants.size() == 1);
}

TEST_CASE("reload: a window goes on") {
  auto limited = group_of("a", {});
  limited.deployments[0].rpm = 3;
  fixture f({limited});
  listener heard[3];
  f.open(heard[0]);
  f.engine.advance(10s);
  f.open(heard[1]);
  limited.deployments[0].rpm = 2;
  f.reload({limited});
  f.open(heard[2]);
  f.engine.advance(50s - 1ms);
  CHECK(heard[2].grants.empty());
  f.engine.advance(1ms);
  CHECK(heard[2].grants.size() == 1);
}

TEST_CASE("reload: a new group and a new deployment serve") {
  fixture f({group_of("a", 1)});
  listener first, second, third;
  f.open(first);
  const auto waits = f.open(second);
  auto wider = group_of("a", 1);
  wider.deployments.emplace_back().id = "a-2";
  f.reload({group_of("b"), wider});
  REQUIRE(second.grants.size() == 1);
  CHECK(second.grants[0].deployment == 1);
  f.settle(waits);
  f.open(third, 1);
  REQUIRE(third.grants.size() == 1);
  CHECK(third.grants[0].group == 1);
  CHECK(f.engine.directory().settings.groups[1].name == "b");
}

TEST_CASE("reload: a group that is gone ends what waits, and finishes what runs") {
  fixture f({group_of("a", 1), group_of("b")});
  listener runs, waits, late;
  const auto running = f.open(runs);
  f.open(waits);
  f.reload({group_of("b")});
  REQUIRE(waits.end);
  CHECK(waits.end->code == end_code::unknown_group);
  auto view = f.engine.view(0, 0, 10);
  CHECK(view.retired);
  REQUIRE(view.deployments.size() == 1);
  CHECK(view.deployments[0].retired);
  CHECK(view.deployments[0].in_flight == 1);
  f.open(late);
  REQUIRE(late.end);
  CHECK(late.end->code == end_code::unknown_group);
  f.settle(running);
  CHECK_FALSE(runs.end);
  CHECK(f.engine.view(0, 0, 10).deployments.empty());
}

TEST_CASE("reload: a deployment that is gone finishes its calls and takes none") {
  auto pair = group_of("a", 1);
  pair.deployments.push_back(pair.deployments[0]);
  pair.deployments[1].id = "a-2";
  fixture f({pair});
  listener heard[4];
  ticket_id tickets[4];
  for (int i = 0; i < 4; ++i)
    tickets[i] = f.open(heard[i]);
  REQUIRE(heard[1].grants.size() == 1);
  const int on_first = heard[0].grants[0].deployment == 0 ? 0 : 1;
  f.reload({group_of("a", 1)});
  f.settle(tickets[1 - on_first]); // on the one that is gone
  CHECK(heard[2].grants.empty());
  f.settle(tickets[on_first]);
  REQUIRE(heard[2].grants.size() == 1);
  CHECK(heard[2].grants[0].deployment == 0);
  CHECK(heard[3].grants.empty());
}

TEST_CASE("reload: a fallback that is gone is passed over, and the first group's error stands") {
  auto first = group_of("a", {});
  first.num_retries = 0;
  first.fallbacks = {{1}, {2}};
  fixture f({first, group_of("b", 0), group_of("c", {})});
  listener heard;
  const auto ticket = f.open(heard);
  outcome failed;
  failed.kind = outcome_kind::failed;
  failed.status = 500;
  f.settle(ticket, failed);
  CHECK(heard.grants.size() == 1); // it waits in b
  first.fallbacks = {{1}};
  f.reload({first, group_of("c", {})});
  REQUIRE(heard.grants.size() == 2);
  CHECK(heard.grants[1].group == 2);
  CHECK_FALSE(heard.end);
}

TEST_CASE(
    "reload: with a queue of no size before or after, nobody waits for a word that is not said") {
  auto none = group_of("a", 1);
  none.max_queue_size = 0;
  fixture f({none});
  listener heard;
  const auto ticket = f.open(heard);
  CHECK(f.engine.book().settle_and_hear(ticket, answered()));
  f.engine.reload(settings_of({group_of("a", 1)}));
  f.engine.quiet();
  CHECK(heard.freed == 1);
  CHECK(f.engine.book().size() == 0);
}

TEST_CASE("reload: an engine of which nothing is left leaves no timer") {
  auto limited = group_of("a", {});
  limited.deployments[0].rpm = 1;
  fixture f({limited, group_of("b")});
  listener first, second;
  const auto one = f.open(first);
  f.open(second);
  f.settle(one);
  f.reload({group_of("b")});
  REQUIRE(second.end);
  f.engine.advance(600s); // the window's end, and the deadline that was waited for
  CHECK(f.engine.time().pending() == 0);
}

TEST_CASE("reload: what is new while the shared line is away is lent this instance's part of it") {
  const auto server = std::make_shared<agreeing_server>();
  auto shared = settings_of({group_of("a", 0)});
  shared.shared.emplace().instance = "first";
  test::virtual_engine engine(shared, duration::max(), server);
  engine.advance(1s);
  REQUIRE(engine.view(0, 0, 0).state == line_state::shared);
  server->is_away = true;
  engine.advance(10s);
  REQUIRE(engine.view(0, 0, 0).state == line_state::local);

  const auto open = [&](listener(&all)[5], group_index where) {
    for (auto& each : all) {
      ask wanted;
      wanted.group = where;
      wanted.deadline = engine.now() + 600s;
      engine.book().open(engine.now(), wanted, each);
    }
  };
  const auto granted = [](const listener(&all)[5]) {
    return std::count_if(std::begin(all), std::end(all),
                         [](const auto& each) { return !each.grants.empty(); });
  };
  listener heard[5];
  open(heard, 0);
  auto& group = shared.groups[0];
  group.deployments.push_back(group.deployments[0]);
  group.deployments[1].id = "a-2";
  group.deployments[1].max_parallel_requests = 4;
  shared.groups.push_back(group_of("b", 4));
  engine.reload(shared);
  listener of_new_group[5];
  open(of_new_group, 1);
  engine.advance(10s);
  CHECK(granted(heard) == 2);
  CHECK(granted(of_new_group) == 2);
}
