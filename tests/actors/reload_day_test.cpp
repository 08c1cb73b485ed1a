// A day of reloads in virtual time: random settings among random requests, against a plain model.
#include "catch.hpp"
#include "virtual_engine.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
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
        in_force_(engine_.directory().settings) {}

  void run(std::size_t events) {
    for (std::size_t i = 0; i < events; ++i) {
      switch (draw(10)) {
      case 0:
      case 1:
      case 2:
        open();
        break;
      case 3:
      case 4:
      case 5:
        settle_one();
        break;
      case 6:
        reload();
        break;
      case 7:
        cancel_one();
        break;
      default:
        engine_.advance(std::chrono::milliseconds(draw(draw(4) == 0 ? 20'000 : 900)));
      }
      engine_.quiet();
      look();
    }
    end();
  }

  std::size_t reloads = 0;
  std::size_t granted = 0;

private:
  struct request final : request_listener {
    explicit request(day& its) : of(its) {}
    void on_grant(const grant& given) override { of.on_grant(*this, given); }
    void on_waiting_again() override {}
    void on_end(const ending& how) override {
      REQUIRE_FALSE(over);
      over = true;
      end = how;
    }
    void on_position(std::uint32_t) override {}

    day& of;
    ticket_id ticket = 0;
    ask wanted;
    std::uint64_t number = 0; ///< of those that were opened
    std::optional<grant> held;
    std::optional<ending> end;
    /// It was granted once; what comes back may stay away from where it failed.
    bool attempted = false;
    bool over = false;
  };
  struct place {
    std::deque<time_point> grants; ///< of the last minute, but those of which nothing was sent
    std::size_t in_flight = 0;
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
        if (draw(3) == 0)
          each.tags = {draw(2) ? "x" : "default"};
      }
    }
    return result;
  }

  void reload() {
    engine_.reload(fresh_settings());
    // From here on: whatever is heard, is by these.
    in_force_ = engine_.directory().settings;
    ++reloads;
  }

  void open() {
    auto made = std::make_unique<request>(*this);
    made->wanted.group = draw(static_cast<std::uint32_t>(in_force_.groups.size()));
    made->wanted.priority = static_cast<std::int32_t>(draw(4));
    made->wanted.deadline = engine_.now() + std::chrono::milliseconds(1 + draw(90'000));
    if (draw(4) == 0)
      made->wanted.tags = {"x"};
    made->number = ++opened_;
    made->ticket = engine_.book().open(engine_.now(), made->wanted, *made);
    open_.push_back(std::move(made));
  }

  request* any_that(bool holds) {
    std::vector<request*> fit;
    for (const auto& each : open_)
      if (!each->over && each->held.has_value() == holds)
        fit.push_back(each.get());
    return fit.empty() ? nullptr : fit[draw(static_cast<std::uint32_t>(fit.size()))];
  }

  void settle_one() {
    auto* one = any_that(true);
    if (!one)
      return;
    outcome how;
    const auto drawn = draw(8);
    how.kind = drawn < 5    ? outcome_kind::success
               : drawn == 5 ? outcome_kind::failed
               : drawn == 6 ? outcome_kind::rate_limited
                            : outcome_kind::not_sent;
    how.status = drawn == 5 ? 500 : drawn == 6 ? 429 : 200;
    how.sent = how.kind != outcome_kind::not_sent;
    auto& at = places_[{one->held->group, one->held->deployment}];
    --at.in_flight;
    if (!how.sent)
      forget_unit(at, one->held->at);
    one->held.reset();
    one->over = how.kind == outcome_kind::success;
    engine_.book().settle(one->ticket, how);
  }

  void cancel_one() {
    auto* one = any_that(draw(2) == 0);
    if (!one)
      return;
    if (one->held) {
      auto& at = places_[{one->held->group, one->held->deployment}];
      --at.in_flight;
      forget_unit(at, one->held->at); // nothing was sent
      one->held.reset();
    }
    one->over = true;
    engine_.book().cancel(one->ticket);
  }

  static void forget_unit(place& at, time_point when) {
    const auto unit = std::find(at.grants.begin(), at.grants.end(), when);
    if (unit != at.grants.end())
      at.grants.erase(unit);
  }

  void on_grant(request& to, const grant& given) {
    REQUIRE_FALSE(to.over);
    REQUIRE_FALSE(to.held);
    REQUIRE(given.at == engine_.now());
    const auto& group = in_force_.groups[given.group];
    const auto& told = group.deployments[given.deployment];
    REQUIRE_FALSE(group.retired);
    REQUIRE_FALSE(told.retired);
    auto& at = places_[{given.group, given.deployment}];
    while (!at.grants.empty() && at.grants.front() + 60s <= given.at)
      at.grants.pop_front();
    INFO("group " << group.name << ", deployment " << told.id << ", after " << reloads
                  << " reloads");
    if (told.rpm)
      REQUIRE(at.grants.size() < *told.rpm);
    if (told.max_parallel_requests)
      REQUIRE(at.in_flight < *told.max_parallel_requests);
    at.grants.push_back(given.at);
    ++at.in_flight;
    to.held = given;
    to.attempted = true;
    ++granted;
    // Those that have had no attempt may go wherever this one goes, tags aside: in order.
    if (!group.tag_filtering)
      for (const auto& other : open_)
        if (!other->attempted && !other->over && other->wanted.group == given.group)
          REQUIRE_FALSE(is_before(*other, to));
  }

  static bool is_before(const request& a, const request& b) {
    return a.wanted.priority != b.wanted.priority ? a.wanted.priority < b.wanted.priority
                                                  : a.number < b.number;
  }

  /// At rest: endings are those that may be, and nobody who could go waits.
  void look() {
    for (const auto& each : open_) {
      if (!each->end)
        continue;
      const auto code = each->end->code;
      INFO("it ended with " << static_cast<int>(code));
      if (code == end_code::unknown_group)
        REQUIRE(in_force_.groups[each->wanted.group].retired);
      if (code == end_code::timed_out)
        REQUIRE(each->wanted.deadline <= engine_.now());
      REQUIRE(code != end_code::draining);
      REQUIRE(code != end_code::cancelled);
    }
    std::erase_if(open_, [](const auto& each) { return each->over; });
    for (const auto& each : open_) {
      const auto& group = in_force_.groups[each->wanted.group];
      if (!each->held)
        REQUIRE_FALSE(group.retired); // it would have ended
      if (!each->held)
        REQUIRE(each->wanted.deadline > engine_.now());
    }
    for (std::size_t i = 0; i < in_force_.groups.size(); ++i)
      REQUIRE(engine_.counters(static_cast<group_index>(i)).inversions == 0);
    if (draw(20) == 0)
      compare();
  }

  /// What the engine says of each deployment is what the model has counted.
  void compare() {
    for (std::size_t i = 0; i < in_force_.groups.size(); ++i) {
      const auto view = engine_.view(static_cast<group_index>(i), 0, 1000);
      std::size_t waiting = 0;
      for (const auto& each : open_)
        waiting += !each->held && each->wanted.group == i ? 1 : 0;
      REQUIRE(view.waiting == waiting);
      for (std::size_t j = 0; j < in_force_.groups[i].deployments.size(); ++j) {
        const auto& told = in_force_.groups[i].deployments[j];
        const auto& at = places_[{static_cast<group_index>(i), static_cast<deployment_index>(j)}];
        for (const auto& shown : view.deployments)
          if (shown.id == told.id)
            REQUIRE(shown.in_flight == at.in_flight);
        if (told.retired && at.in_flight == 0)
          for (const auto& shown : view.deployments)
            REQUIRE(shown.id != told.id);
      }
    }
  }

  /// With room for all, everybody who waits is served: no ticket is lost, no slot leaks.
  void end() {
    auto open_wide = in_force_;
    for (auto& group : open_wide.groups) {
      group.retired = false;
      group.tag_filtering = false;
      for (auto& each : group.deployments) {
        each.retired = false;
        each.rpm.reset();
        each.max_parallel_requests.reset();
      }
    }
    engine_.reload(open_wide);
    in_force_ = engine_.directory().settings;
    for (int round = 0; round < 400 && !open_.empty(); ++round) {
      engine_.advance(500ms);
      while (auto* one = any_that(true)) {
        --places_[{one->held->group, one->held->deployment}].in_flight;
        one->held.reset();
        one->over = true;
        outcome done;
        done.kind = outcome_kind::success;
        done.status = 200;
        engine_.book().settle(one->ticket, done);
        engine_.quiet();
      }
      look();
    }
    REQUIRE(open_.empty());
    REQUIRE(engine_.book().size() == 0);
    for (const auto& [where, at] : places_)
      REQUIRE(at.in_flight == 0);
    for (std::size_t i = 0; i < in_force_.groups.size(); ++i)
      for (const auto& each : engine_.view(static_cast<group_index>(i), 0, 0).deployments)
        REQUIRE(each.in_flight == 0);
  }

  random_source random_;
  test::virtual_engine engine_;
  engine_settings in_force_;
  std::vector<std::unique_ptr<request>> open_;
  std::map<std::pair<group_index, deployment_index>, place> places_;
  std::uint64_t opened_ = 0;
};

} // namespace

TEST_CASE("reload: a day of reloads keeps limits, order, windows and every ticket") {
  const auto first = variable("VORRANG_RELOAD_SEED", 1);
  const auto days = variable("VORRANG_RELOAD_DAYS", 20);
  std::size_t reloads = 0;
  std::size_t granted = 0;
  for (auto seed = first; seed < first + days; ++seed) {
    INFO("VORRANG_RELOAD_SEED=" << seed << " VORRANG_RELOAD_DAYS=1");
    day one(seed);
    one.run(2000);
    reloads += one.reloads;
    granted += one.granted;
  }
  CHECK(reloads > 150 * days);
  CHECK(granted > 100 * days);
}
