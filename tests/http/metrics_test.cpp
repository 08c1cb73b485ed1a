// What is counted of requests, and what Prometheus is told of it.
#include "actors/shared/link_counts.hpp"
#include "config/settings.hpp"
#include "http/live_history.hpp"
#include "http/metrics_page.hpp"
#include "http/request_meter.hpp"

#include "catch.hpp"

#include <sstream>

using namespace vorrang;
using namespace vorrang::http;
using namespace std::chrono_literals;

namespace {

/// Groups `m` (deployments `one`, `two`) and `n` (`three`); classes begin at 0 and at 10.
config::settings small_settings() {
  config::settings made;
  made.gateway.metrics_priority_classes = {0, 10};
  for (const auto* name : {"m", "n"})
    made.groups.emplace_back().name = name;
  for (const auto* id : {"one", "two", "three"}) {
    const std::size_t group = id == std::string("three") ? 1 : 0;
    made.groups[group].deployments.push_back(made.deployments.size());
    made.deployments.emplace_back().id = id;
  }
  return made;
}

/// The lines of one family, without those of other names that begin alike.
std::string family(const std::string& page, const std::string& name) {
  std::istringstream lines(page);
  std::string found;
  bool is_inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# HELP ", 0) == 0)
      is_inside = line.rfind("# HELP " + name + " ", 0) == 0;
    if (is_inside)
      found += line + "\n";
  }
  return found;
}

std::vector<std::string> without_zeros(const std::string& lines) {
  std::istringstream all(lines);
  std::vector<std::string> kept;
  for (std::string line; std::getline(all, line);)
    if (line[0] != '#' && line.substr(line.rfind(' ') + 1) != "0")
      kept.push_back(line);
  return kept;
}

struct counted {
  config::settings settings = small_settings();
  metrics_board board{settings};
  std::shared_ptr<loop_metrics> set = board.make_set(0);
  time_point now = time_point() + 1000s;

  ask wanted(std::int32_t priority = 5, group_index group = 0) const {
    ask made;
    made.group = group;
    made.priority = priority;
    return made;
  }
  static grant given(std::uint32_t attempt = 1, std::uint32_t retries = 0, group_index group = 0) {
    grant made;
    made.group = group;
    made.attempt = attempt;
    made.retries = retries;
    made.priority = 5;
    made.waited = 300ms;
    return made;
  }
  static outcome well() {
    outcome made;
    made.kind = outcome_kind::success;
    made.status = 200;
    made.tokens = 30;
    return made;
  }

  metrics_facts facts() const {
    metrics_facts made;
    made.plan = board.plan();
    made.sets = board.sets();
    made.at = now;
    return made;
  }
  std::string page() const { return metrics_text(facts()); }
};

} // namespace

TEST_CASE("metrics: classes of priorities are told by their numbers") {
  using names = std::vector<std::string>;
  CHECK(names_of_classes({0, 10, 100, 1000}) ==
        names{"below 0", "0-9", "10-99", "100-999", "1000 and above"});
  CHECK(names_of_classes({-10, -5, 0, 1}) ==
        names{"below -10", "-10 to -6", "-5 to -1", "0", "1 and above"});
  CHECK(names_of_classes({}) == names{"all"});
  metrics_plan plan;
  CHECK(plan.class_of(7) == 0);
  plan.boundaries = {0, 10};
  CHECK(plan.class_of(-1) == 0);
  CHECK(plan.class_of(0) == 1);
  CHECK(plan.class_of(9) == 1);
  CHECK(plan.class_of(10) == 2);
  CHECK(plan.class_of(std::numeric_limits<std::int32_t>::max()) == 2);
  CHECK(plan.class_of(std::numeric_limits<std::int32_t>::min()) == 0);
}

TEST_CASE("metrics: every status has a place") {
  for (unsigned status = 0; status < 1200; ++status) {
    const auto label = status_labels.at(status_place(status));
    const auto text = std::to_string(status);
    const bool is_known = label == text;
    const bool is_class = status >= 200 && status < 600 && label[0] == text[0] && label[1] == 'x';
    CHECK((is_known || is_class || (label == "other" && (status < 200 || status >= 600))));
  }
}

TEST_CASE("metrics: a request that waits, is tried twice and answered") {
  counted all;
  auto& counts = *all.set;
  {
    request_meter meter(counts, all.wanted(), all.now);
    meter.opened();
    CHECK(counts.of(0, 1).requests.value() == 1);
    CHECK(counts.of(0, 1).waiting.value() == 1);
    meter.granted(all.given());
    CHECK(counts.of(0, 1).waiting.value() == 0);
    meter.attempt_begins(all.given(), all.now);
    meter.upstream_answered(503);
    outcome failed;
    failed.kind = outcome_kind::failed;
    failed.status = 503;
    meter.settled(failed, all.now + 20ms);
    meter.waits_again();
    CHECK(counts.of(0, 1).waiting.value() == 1);
    meter.granted(all.given(2, 1));
    meter.attempt_begins(all.given(2, 1), all.now + 1s);
    meter.upstream_answered(200);
    meter.settled(all.well(), all.now + 3s);
    meter.answered_well();
    meter.answered(200);
  }
  const auto page = all.page();
  using lines = std::vector<std::string>;
  CHECK(without_zeros(family(page, "vorrang_requests_total")) ==
        lines{R"(vorrang_requests_total{group="m",priority_class="0-9"} 1)"});
  CHECK(without_zeros(family(page, "vorrang_requests_waiting")).empty());
  CHECK(without_zeros(family(page, "vorrang_grants_total")) ==
        lines{R"(vorrang_grants_total{group="m",deployment="one",reason="healthy-deployment"} 2)"});
  CHECK(without_zeros(family(page, "vorrang_upstream_answers_total")) ==
        lines{R"(vorrang_upstream_answers_total{group="m",deployment="one",code="200"} 1)",
              R"(vorrang_upstream_answers_total{group="m",deployment="one",code="503"} 1)"});
  CHECK(without_zeros(family(page, "vorrang_upstream_errors_total")).empty());
  CHECK(without_zeros(family(page, "vorrang_retries_total")) ==
        lines{R"(vorrang_retries_total{group="m"} 1)"});
  CHECK(without_zeros(family(page, "vorrang_requests_ended_total")) ==
        lines{R"(vorrang_requests_ended_total{group="m",reason="answered"} 1)"});
  CHECK(without_zeros(family(page, "vorrang_request_answers_total")) ==
        lines{R"(vorrang_request_answers_total{group="m",code="200"} 1)"});
  CHECK(without_zeros(family(page, "vorrang_tokens_total")) ==
        lines{R"(vorrang_tokens_total{group="m",deployment="one"} 30)"});
  // The first wait alone; both calls.
  CHECK(counts.of(0, 1).wait.count(3) == 1);
  CHECK(counts.of(0, 1).wait.sum_ns() == 300'000'000);
  CHECK(counts.of(0, 1).call.count(1) == 1);
  CHECK(counts.of(0, 1).call.count(5) == 1);
}

TEST_CASE("metrics: endings, fallbacks, hang-ups and probes") {
  counted all;
  auto& counts = *all.set;
  const auto ended = [&](group_index group, end_code code) {
    return counts.of(group).ended[static_cast<std::size_t>(code)].value();
  };
  {
    request_meter meter(counts, all.wanted(), all.now);
    meter.opened();
    meter.falls_back(1);
    CHECK(counts.of(0, 1).waiting.value() == 0);
    CHECK(counts.of(1, 1).waiting.value() == 1);
    CHECK(counts.of(0).fallbacks.value() == 1);
    ending end;
    end.code = end_code::timed_out;
    end.priority = 5;
    end.waited = 2s;
    meter.ended(end);
    CHECK(counts.of(1, 1).waiting.value() == 0);
    meter.given_up(end_code::cancelled, all.now + 3s); // the client does not wait for the answer
  }
  CHECK(ended(0, end_code::timed_out) == 1);
  CHECK(ended(0, end_code::cancelled) == 0);
  CHECK(counts.of(0, 1).wait.sum_ns() == 2'000'000'000);
  {
    request_meter meter(counts, all.wanted(-1), all.now);
    meter.opened();
    meter.given_up(end_code::cancelled, all.now + 1s);
    CHECK(counts.of(0, 0).waiting.value() == 0);
    CHECK(counts.of(0, 0).wait.sum_ns() == 1'000'000'000);
  }
  CHECK(ended(0, end_code::cancelled) == 1);
  {
    // Its coroutine dies with the gateway.
    request_meter meter(counts, all.wanted(), all.now);
    meter.opened();
  }
  CHECK(counts.of(0, 1).waiting.value() == 0);
  {
    request_meter meter(counts, all.wanted(), all.now);
    meter.opened();
    auto probe = all.given();
    probe.reason = grant_reason::head_of_line;
    meter.granted(probe);
    meter.attempt_begins(probe, all.now);
    meter.upstream_failed(transport_error::not_connected);
    outcome failed;
    failed.kind = outcome_kind::failed;
    meter.settled(failed, all.now);
    meter.waits_again();
    meter.granted(probe);
    meter.attempt_begins(probe, all.now);
    meter.upstream_answered(200);
    meter.settled(failed, all.now); // of a body that could not be used
    meter.attempt_begins(probe, all.now);
    meter.upstream_answered(200);
    meter.stream_begins(all.now + 40ms);
    CHECK(counts.of(0).open_streams.value() == 1);
    meter.settled(all.well(), all.now + 2s);
    meter.stream_ends(true);
    CHECK(counts.of(0).open_streams.value() == 0);
  }
  using lines = std::vector<std::string>;
  const auto page = all.page();
  CHECK(without_zeros(family(page, "vorrang_probes_total")) ==
        lines{R"(vorrang_probes_total{group="m",deployment="one",result="failed"} 2)",
              R"(vorrang_probes_total{group="m",deployment="one",result="healed"} 1)"});
  CHECK(
      without_zeros(family(page, "vorrang_upstream_errors_total")) ==
      lines{R"(vorrang_upstream_errors_total{group="m",deployment="one",reason="not-connected"} 1)",
            R"(vorrang_upstream_errors_total{group="m",deployment="one",reason="not-http"} 1)"});
  CHECK(without_zeros(family(page, "vorrang_streams_broken_total")) ==
        lines{R"(vorrang_streams_broken_total{group="m"} 1)"});
}

TEST_CASE("metrics: what has no ticket is no request") {
  counted all;
  {
    request_meter meter(*all.set, all.wanted(), all.now);
    meter.attempt_begins(all.given(), all.now);
    meter.upstream_answered(200);
    meter.settled(all.well(), all.now);
    meter.answered_well();
    meter.answered(200);
  }
  const auto page = all.page();
  CHECK(without_zeros(family(page, "vorrang_requests_total")).empty());
  CHECK(without_zeros(family(page, "vorrang_requests_ended_total")).empty());
  CHECK(without_zeros(family(page, "vorrang_request_answers_total")).empty());
  CHECK(without_zeros(family(page, "vorrang_upstream_answers_total")).size() == 1);
}

TEST_CASE("metrics: loops are summed, also while one of them has grown") {
  counted all;
  auto second = all.board.make_set(1);
  all.set->of(1).retries.add(2);
  second->of(1).retries.add(3);
  // A ticket that one loop took and another ended.
  all.set->of(0, 2).waiting.change(-1);
  second->of(0, 2).waiting.change(3);
  // Beyond the plan: counted where nobody looks.
  second->of(2).retries.add(100);
  second->deployment(0, 7).tokens.add(100);

  auto grown = small_settings();
  grown.gateway.metrics_priority_classes = {7};
  grown.groups.emplace_back().name = "late";
  grown.groups[0].deployments.push_back(3);
  grown.groups[2].deployments.push_back(4);
  grown.deployments.emplace_back().id = "four";
  grown.deployments.emplace_back().id = "five";
  REQUIRE(all.board.follow(grown, all.now));
  auto& kept = second->of(1);
  second->follow(all.board.plan());
  kept.retries.add(5);
  second->of(2).retries.add(7);
  second->deployment(0, 2).tokens.add(11);
  second->deployment(2, 0).tokens.add(13);

  const auto page = all.page();
  CHECK(family(page, "vorrang_retries_total") ==
        "# HELP vorrang_retries_total Attempts that were retries, where they went.\n"
        "# TYPE vorrang_retries_total counter\n"
        "vorrang_retries_total{group=\"m\"} 0\n"
        "vorrang_retries_total{group=\"n\"} 10\n"
        "vorrang_retries_total{group=\"late\"} 7\n");
  CHECK(without_zeros(family(page, "vorrang_tokens_total")) ==
        std::vector<std::string>{R"(vorrang_tokens_total{group="m",deployment="four"} 11)",
                                 R"(vorrang_tokens_total{group="late",deployment="five"} 13)"});
  CHECK(without_zeros(family(page, "vorrang_requests_waiting")) ==
        std::vector<std::string>{
            R"(vorrang_requests_waiting{group="m",priority_class="10 and above"} 2)"});
  CHECK(family(page, "vorrang_loop_stalled_seconds") ==
        "# HELP vorrang_loop_stalled_seconds For how long a loop has not come to what was handed "
        "to it last; 0 once it has.\n"
        "# TYPE vorrang_loop_stalled_seconds gauge\n"
        "vorrang_loop_stalled_seconds{loop=\"0\"} 0\n"
        "vorrang_loop_stalled_seconds{loop=\"1\"} 0\n");
}

TEST_CASE("metrics: a thousand reloads leave one set for each loop, and each count at its place") {
  metrics_board board(small_settings());
  const auto set = board.make_set(0);
  auto grown = small_settings();
  std::vector<const loop_metrics::by_deployment*> places;
  const auto now = time_point() + 1000s;
  for (std::size_t i = 0; i < 1000; ++i) {
    auto& group = grown.groups.emplace_back();
    group.name = "late-" + std::to_string(i);
    group.deployments.push_back(grown.deployments.size());
    grown.deployments.emplace_back().id = "of-" + group.name;
    REQUIRE(board.follow(grown, now));
    REQUIRE_FALSE(board.follow(grown, now + 1s));
    set->follow(board.plan());
    const auto index = static_cast<group_index>(grown.groups.size() - 1);
    set->of(index, 2).requests.add(i + 1);
    set->deployment(index, 0).tokens.add(i + 1);
    places.push_back(&set->deployment(index, 0));
  }
  CHECK(board.sets().size() == 1);
  for (std::size_t i = 0; i < 1000; ++i) {
    const auto index = static_cast<group_index>(grown.groups.size() - 1000 + i);
    REQUIRE(set->find_class(*board.plan(), index, 2)->requests.value() == i + 1);
    REQUIRE(set->find_deployment(*board.plan(), index, 0) == places[i]);
    REQUIRE(places[i]->tokens.value() == i + 1);
  }
}

TEST_CASE("metrics: what was removed is told of for an hour, and goes on counting") {
  counted all;
  all.set->of(1).retries.add(2);
  all.set->deployment(0, 1).tokens.add(3);
  all.set->of(1, 2).waiting.change(1);
  auto fewer = all.settings;
  fewer.groups[1].retired = true;
  fewer.deployments[2].retired = true;
  fewer.deployments[1].retired = true;
  REQUIRE(all.board.follow(fewer, all.now));
  REQUIRE_FALSE(all.board.follow(fewer, all.now + 30min)); // another reload
  all.set->follow(all.board.plan());
  all.now += 1h - 1ns;
  const auto told = all.page();
  CHECK(told.find(R"(vorrang_retries_total{group="n"} 2)") != std::string::npos);
  CHECK(told.find(R"(vorrang_tokens_total{group="m",deployment="two"} 3)") != std::string::npos);
  all.now += 1ns;
  const auto later = all.page();
  CHECK(later.find(R"(group="n")") == std::string::npos);
  CHECK(later.find(R"(deployment="two")") == std::string::npos);
  CHECK(later.find(R"(vorrang_tokens_total{group="m",deployment="one"} 0)") != std::string::npos);
  all.set->of(1).retries.add(5); // the last of its requests
  REQUIRE(all.board.follow(all.settings, all.now));
  const auto back = all.page();
  CHECK(back.find(R"(vorrang_retries_total{group="n"} 7)") != std::string::npos);
  CHECK(back.find(R"(vorrang_tokens_total{group="m",deployment="two"} 3)") != std::string::npos);
}

TEST_CASE("metrics: the exact text of a histogram") {
  counted all;
  all.set->lag.observe(400us);
  all.set->lag.observe(500us); // a bound belongs to its bucket
  all.set->lag.observe(7ms);
  all.set->lag.observe(3s);
  all.set->lag.observe(-1s); // a clock that is read late
  all.set->lag_asked_at = (all.now - 1500ms).time_since_epoch().count();
  const auto page = all.page();
  CHECK(family(page, "vorrang_loop_lag_seconds") ==
        "# HELP vorrang_loop_lag_seconds How long a loop took to come to what was handed to it, "
        "once a second.\n"
        "# TYPE vorrang_loop_lag_seconds histogram\n"
        "vorrang_loop_lag_seconds_count{loop=\"0\"} 5\n"
        "vorrang_loop_lag_seconds_sum{loop=\"0\"} 3.0079\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"0.0005\"} 3\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"0.001\"} 3\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"0.005\"} 3\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"0.01\"} 4\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"0.05\"} 4\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"0.1\"} 4\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"0.5\"} 4\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"2.5\"} 4\n"
        "vorrang_loop_lag_seconds_bucket{loop=\"0\",le=\"+Inf\"} 5\n");
  CHECK(without_zeros(family(page, "vorrang_loop_stalled_seconds")) ==
        std::vector<std::string>{R"(vorrang_loop_stalled_seconds{loop="0"} 1.5)"});
}

TEST_CASE("metrics: lines, limits, refusals and Redis") {
  counted all;
  auto facts = all.facts();
  queue_view view;
  view.group = 0;
  view.name = "m";
  view.oldest_waits = {0ms, 2500ms, 1ms};
  view.overruns = 1;
  view.limits_differ = true;
  view.outages = 2;
  view.state = line_state::local;
  deployment_report full;
  full.id = "one";
  full.full = true;
  full.in_flight = 2;
  full.max_parallel_requests = 2;
  full.rpm_used = 7;
  full.rpm = 10;
  full.cooldowns = 3;
  deployment_report cools;
  cools.id = "two";
  cools.cooling = true;
  cools.cooldown_ends_in = 1500ms;
  view.deployments = {full, cools};
  facts.views.push_back(view); // n has not answered in time
  link_counts link;
  link.round_trips.observe(300us);
  link.failed.add();
  facts.link = &link;
  facts.redis_is_up = true;
  all.set->answered(429, our_error::queue_full);
  all.set->answered(200, our_error::none);
  facts.connections_refused = 4;
  facts.version = "1.2";
  const auto page = metrics_text(facts);
  const auto all_of = [&](const std::string& name) {
    const auto lines = family(page, name);
    const auto type = lines.find("\n# TYPE");
    return lines.substr(lines.find('\n', type + 1) + 1);
  };
  CHECK(without_zeros(all_of("vorrang_oldest_wait_seconds")) ==
        std::vector<std::string>{
            R"(vorrang_oldest_wait_seconds{group="m",priority_class="0-9"} 2.5)",
            R"(vorrang_oldest_wait_seconds{group="m",priority_class="10 and above"} 0.001)"});
  CHECK(all_of("vorrang_limits_differ") == "vorrang_limits_differ{group=\"m\"} 1\n");
  CHECK(all_of("vorrang_queue_outages_total") == "vorrang_queue_outages_total{group=\"m\"} 2\n");
  CHECK(all_of("vorrang_limit_overruns_total") == "vorrang_limit_overruns_total{group=\"m\"} 1\n");
  CHECK(all_of("vorrang_queue_state") == "vorrang_queue_state{group=\"m\",state=\"alone\"} 0\n"
                                         "vorrang_queue_state{group=\"m\",state=\"shared\"} 0\n"
                                         "vorrang_queue_state{group=\"m\",state=\"local\"} 1\n"
                                         "vorrang_queue_state{group=\"m\",state=\"held\"} 0\n");
  CHECK(all_of("vorrang_deployment_cooling") ==
        "vorrang_deployment_cooling{group=\"m\",deployment=\"one\"} 0\n"
        "vorrang_deployment_cooling{group=\"m\",deployment=\"two\"} 1\n");
  CHECK(all_of("vorrang_cooldown_remaining_seconds") ==
        "vorrang_cooldown_remaining_seconds{group=\"m\",deployment=\"one\"} 0\n"
        "vorrang_cooldown_remaining_seconds{group=\"m\",deployment=\"two\"} 1.5\n");
  CHECK(without_zeros(all_of("vorrang_cooldowns_total")).size() == 1);
  CHECK(all_of("vorrang_parallel_requests_limit") ==
        "vorrang_parallel_requests_limit{group=\"m\",deployment=\"one\"} 2\n");
  CHECK(all_of("vorrang_window_requests") ==
        "vorrang_window_requests{group=\"m\",deployment=\"one\"} 7\n"
        "vorrang_window_requests{group=\"m\",deployment=\"two\"} 0\n");
  CHECK(all_of("vorrang_window_tokens_limit").empty());
  CHECK(without_zeros(all_of("vorrang_refusals_total")) ==
        std::vector<std::string>{R"(vorrang_refusals_total{reason="queue-full"} 1)",
                                 R"(vorrang_refusals_total{reason="too-many-connections"} 4)"});
  CHECK(without_zeros(all_of("vorrang_answers_total")) ==
        std::vector<std::string>{R"(vorrang_answers_total{code="200"} 1)",
                                 R"(vorrang_answers_total{code="429"} 1)"});
  CHECK(all_of("vorrang_redis_up") == "vorrang_redis_up 1\n");
  CHECK(all_of("vorrang_redis_calls_failed_total") == "vorrang_redis_calls_failed_total 1\n");
  CHECK(without_zeros(all_of("vorrang_redis_round_trip_seconds")).size() > 10);
  CHECK(all_of("vorrang_build_info").rfind("vorrang_build_info{version=\"1.2\",compiler=\"", 0) ==
        0);
  CHECK(page.find("vorrang_oldest_wait_seconds{group=\"n\"") == std::string::npos);
}

TEST_CASE("metrics: a page without Redis says nothing of it, and names escape what they must") {
  auto settings = small_settings();
  settings.groups[0].name = "a\"b\\c\nd";
  metrics_board board(settings);
  const auto set = board.make_set(0);
  metrics_facts facts;
  facts.plan = board.plan();
  facts.sets = board.sets();
  const auto page = metrics_text(facts);
  CHECK(page.find("vorrang_redis") == std::string::npos);
  CHECK(page.find(R"(vorrang_retries_total{group="a\"b\\c d"} 0)") != std::string::npos);
}

TEST_CASE("metrics: what the process uses") {
  const auto told = read_process_figures();
  CHECK(told.cpu_seconds > 0);
  CHECK(told.resident_bytes > 1'000'000);
  CHECK(told.open_descriptors > 0);
  CHECK(told.open_descriptors < told.descriptors_max);
  CHECK(told.start_time_seconds > 1e9);
}

TEST_CASE("history: grants and waits of the last minutes, by class") {
  counted all;
  live_history history;
  const auto grant_one = [&](duration waited) {
    request_meter meter(*all.set, all.wanted(), all.now);
    meter.opened();
    auto given = all.given();
    given.waited = waited;
    meter.granted(given);
  };
  grant_one(100ms); // before the first look: of no known time
  history.sample(all.now, all.board);
  CHECK(history.of(0).steps.empty());
  for (int i = 0; i < 9; ++i)
    grant_one(100ms);
  grant_one(20s);
  history.sample(all.now + 4s, all.board); // too soon
  CHECK(history.of(0).steps.empty());
  history.sample(all.now + 6s, all.board);
  const auto seen = history.of(0);
  REQUIRE(seen.steps.size() == 1);
  CHECK(seen.steps[0].length == 6s);
  CHECK(seen.steps[0].end == all.now + 6s);
  REQUIRE(seen.classes == all.board.plan()->classes);
  const auto place = all.board.plan()->class_of(5);
  const auto& point = seen.steps[0].classes.at(place);
  CHECK(point.grants == 10);
  CHECK(point.waits == 10);
  CHECK(point.median_ms == 67); // 5 of the 9 between 25 and 100 ms
  CHECK(point.p90_ms == 100);
  for (std::size_t i = 0; i < seen.classes.size(); ++i)
    if (i != place)
      CHECK(seen.steps[0].classes[i].grants == 0);
  CHECK(history.of(1).steps.at(0).classes.at(place).grants == 0);
  // Nothing happened: a step without entries; and the oldest leave.
  for (std::size_t i = 0; i < live_history::steps_max; ++i)
    history.sample(all.now + 12s + i * 5s, all.board);
  const auto later = history.of(0);
  REQUIRE(later.steps.size() == live_history::steps_max);
  for (const auto& step : later.steps)
    CHECK_FALSE(step.classes.at(place).median_ms);
}

TEST_CASE("history: waits are estimated within their buckets") {
  std::array<std::uint64_t, wait_bounds.size() + 1> buckets{};
  CHECK_FALSE(estimate_ms(buckets, 0.5));
  buckets[0] = 10; // up to 5 ms
  CHECK(estimate_ms(buckets, 0.5) == 3);
  CHECK(estimate_ms(buckets, 1.0) == 5);
  buckets[wait_bounds.size()] = 100; // beyond the last bound
  CHECK(estimate_ms(buckets, 0.9) == 600'000);
}
