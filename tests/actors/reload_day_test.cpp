// A day of reloads in virtual time: random settings among random requests, before a checker that
// knows only the contract.
#include "reload_checker.hpp"
#include "virtual_engine.hpp"

#include <cstdlib>
#include <random>

using namespace vorrang;
using namespace std::chrono_literals;

namespace {

using random_source = std::minstd_rand;

std::uint64_t variable(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

class day {
public:
  explicit day(std::uint64_t seed)
      : random_(static_cast<random_source::result_type>(seed)), engine_(fresh_settings()),
        checker_(engine_.directory().settings) {}

  void run() {
    const auto end_of_day = engine_.now() + 24h;
    while (engine_.now() < end_of_day) {
      // Busy seconds, calm hours: pace by pace.
      constexpr std::chrono::milliseconds paces[] = {200ms, 2s, 20s, 60s};
      pace_ = paces[draw(4)];
      for (int i = 0; i < 200; ++i)
        step();
    }
    end();
  }

  std::size_t reloads = 0;
  std::size_t granted = 0;

private:
  struct request final : request_listener {
    explicit request(day& its) : of(its) {}
    void on_grant(const grant& given) override {
      of.checker_.granted(of.engine_.now(), number, given);
      ++of.granted;
    }
    void on_waiting_again() override {}
    void on_end(const ending& how) override { of.checker_.ended(number, how); }
    void on_position(std::uint32_t) override {}

    day& of;
    ticket_id ticket = 0;
    std::uint64_t number = 0; ///< of those that were opened
  };

  std::uint32_t draw(std::uint32_t below) {
    return std::uniform_int_distribution<std::uint32_t>(0, below - 1)(random_);
  }

  template <class Value>
  std::optional<Value> perhaps(std::uint32_t below) {
    return draw(3) == 0 ? std::nullopt : std::optional(static_cast<Value>(draw(below)));
  }

  /// Of the names a, b, c and d0 … d3 in each, some.
  engine_settings fresh_settings() {
    engine_settings result;
    for (const char* name : {"a", "b", "c"}) {
      if (draw(4) == 0 && !(result.groups.empty() && *name == 'c'))
        continue;
      auto& group = result.groups.emplace_back();
      group.name = name;
      group.num_retries = draw(3);
      group.cooldown_time = draw(2) ? 0s : std::chrono::seconds(draw(20));
      group.max_queue_size = draw(5) == 0 ? draw(8) : 10'000;
      group.strategy = draw(2) ? routing_strategy::least_busy : routing_strategy::usage_based;
      group.tag_filtering = draw(3) == 0;
      const auto count = 1 + draw(4);
      for (std::uint32_t i = 0; i < count; ++i) {
        auto& each = group.deployments.emplace_back();
        each.id = "d" + std::to_string((i + draw(2)) % 4);
        for (std::size_t other = 0; other + 1 < group.deployments.size(); ++other)
          if (group.deployments[other].id == each.id)
            each.id = "d" + std::to_string(4 + i);
        each.rpm = perhaps<std::uint64_t>(12);
        each.max_parallel_requests = perhaps<std::uint32_t>(5);
        if (*name == 'a' && draw(2))
          each.tpm = perhaps<std::uint64_t>(2000);
        if (draw(3) == 0)
          each.tags = {draw(2) ? "x" : "default"};
      }
    }
    return result;
  }

  void step() {
    switch (draw(10)) {
    case 0:
    case 1:
    case 2:
      for (auto more = 1 + draw(draw(6) == 0 ? 8 : 1); more > 0; --more)
        open();
      break;
    case 3:
    case 4:
    case 5:
      settle_one(false);
      break;
    case 6:
      reload();
      break;
    case 7:
      cancel_one();
      break;
    default:
      engine_.advance(std::chrono::milliseconds(draw(static_cast<std::uint32_t>(pace_.count()))));
    }
    engine_.quiet();
    look();
  }

  void reload() {
    // What is on its way then arrives after it.
    if (draw(3) == 0)
      settle_one(true);
    if (draw(3) == 0)
      cancel_one();
    engine_.reload(fresh_settings());
    checker_.reloaded(engine_.directory().settings);
    ++reloads;
  }

  void open() {
    auto made = std::make_unique<request>(*this);
    ask wanted;
    wanted.group = draw(static_cast<std::uint32_t>(checker_.in_force().groups.size()));
    wanted.priority = static_cast<std::int32_t>(draw(4));
    wanted.deadline = engine_.now() + std::chrono::milliseconds(1 + draw(90'000));
    wanted.token_estimate = draw(8) == 0 ? draw(3000) : draw(300);
    if (draw(4) == 0)
      wanted.tags = {"x"};
    made->number = ++opened_;
    checker_.opened(engine_.now(), made->number, wanted);
    made->ticket = engine_.book().open(engine_.now(), wanted, *made);
    listeners_[made->number] = std::move(made);
  }

  /// The number of one that is not over; 0: there is none.
  std::uint64_t any_that(bool holds) {
    std::vector<std::uint64_t> fit;
    for (const auto& [number, each] : checker_.open())
      if (!each.end && each.held.has_value() == holds)
        fit.push_back(number);
    return fit.empty() ? 0 : fit[draw(static_cast<std::uint32_t>(fit.size()))];
  }

  /// `overtaken`: a reload may be heard of before it; then what only the outcome tells is not told.
  void settle_one(bool overtaken) {
    const auto number = any_that(true);
    if (number == 0)
      return;
    const auto& held = *checker_.open().at(number).held;
    outcome how;
    // In c nothing fails: there nobody may wait while there is room.
    const auto drawn = checker_.in_force().groups[held.group].name == "c" ? draw(5) : draw(8);
    how.kind = drawn < 4    ? outcome_kind::success
               : drawn == 4 ? outcome_kind::not_sent
               : drawn == 5 ? outcome_kind::failed
               : drawn == 6 ? outcome_kind::rate_limited
                            : outcome_kind::success;
    how.status = drawn == 5 ? 500 : drawn == 6 ? 429 : 200;
    how.sent = how.kind != outcome_kind::not_sent;
    if (drawn == 6 && !overtaken && draw(2))
      how.retry_after = std::chrono::seconds(1 + draw(40));
    if (how.kind == outcome_kind::success && !overtaken && draw(2))
      how.tokens = draw(600);
    const auto ticket = listeners_.at(number)->ticket;
    checker_.settled(engine_.now(), number, how);
    engine_.book().settle(ticket, how);
  }

  void cancel_one() {
    const auto number = any_that(draw(2) == 0);
    if (number == 0)
      return;
    checker_.cancelled(engine_.now(), number);
    engine_.book().cancel(listeners_.at(number)->ticket);
  }

  void look() {
    checker_.at_rest(engine_.now(), {"c"});
    std::erase_if(listeners_,
                  [&](const auto& each) { return checker_.open().count(each.first) == 0; });
    for (std::size_t i = 0; i < checker_.in_force().groups.size(); ++i)
      REQUIRE(engine_.counters(static_cast<group_index>(i)).inversions == 0);
    if (draw(20) == 0)
      compare();
  }

  /// What the engine says of each deployment is what the checker has counted.
  void compare() {
    const auto& groups = checker_.in_force().groups;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const auto group = static_cast<group_index>(i);
      const auto view = engine_.view(group, 0, 1000);
      REQUIRE(view.waiting == checker_.waiting(group));
      for (std::size_t j = 0; j < groups[i].deployments.size(); ++j) {
        const auto& told = groups[i].deployments[j];
        const auto in_flight = checker_.in_flight(group, static_cast<deployment_index>(j));
        for (const auto& shown : view.deployments) {
          if (shown.id == told.id)
            REQUIRE(shown.in_flight == in_flight);
          if (told.retired && in_flight == 0)
            REQUIRE(shown.id != told.id);
        }
      }
    }
  }

  /// With room for all, everybody who waits is served: no ticket is lost, no slot leaks.
  void end() {
    auto open_wide = checker_.in_force();
    for (auto& group : open_wide.groups) {
      group.retired = false;
      group.tag_filtering = false;
      for (auto& each : group.deployments) {
        each.retired = false;
        each.rpm.reset();
        each.tpm.reset();
        each.max_parallel_requests.reset();
      }
    }
    engine_.reload(open_wide);
    checker_.reloaded(engine_.directory().settings);
    for (int round = 0; round < 400 && !checker_.open().empty(); ++round) {
      engine_.advance(500ms);
      while (const auto number = any_that(true)) {
        outcome done;
        done.kind = outcome_kind::success;
        done.status = 200;
        const auto ticket = listeners_.at(number)->ticket;
        checker_.settled(engine_.now(), number, done);
        engine_.book().settle(ticket, done);
        engine_.quiet();
      }
      look();
    }
    REQUIRE(checker_.open().empty());
    REQUIRE(engine_.book().size() == 0);
    REQUIRE(checker_.in_flight() == 0);
    for (std::size_t i = 0; i < checker_.in_force().groups.size(); ++i)
      for (const auto& each : engine_.view(static_cast<group_index>(i), 0, 0).deployments)
        REQUIRE(each.in_flight == 0);
  }

  random_source random_;
  std::chrono::milliseconds pace_{};
  test::virtual_engine engine_;
  test::reload_checker checker_;
  std::map<std::uint64_t, std::unique_ptr<request>> listeners_;
  std::uint64_t opened_ = 0;
};

} // namespace

TEST_CASE("reload: a day of reloads keeps limits, order, windows and every ticket") {
  const auto first = variable("VORRANG_RELOAD_SEED", 1);
  const auto days = variable("VORRANG_RELOAD_DAYS", 2);
  for (auto seed = first; seed < first + days; ++seed) {
    INFO("VORRANG_RELOAD_SEED=" << seed << " VORRANG_RELOAD_DAYS=1");
    day one(seed);
    one.run();
    CHECK(one.reloads > 2000);
    CHECK(one.granted > 2000);
  }
}
