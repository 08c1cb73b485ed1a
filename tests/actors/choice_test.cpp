// Which of several healthy deployments: order, each strategy, weights by count.
#include "actors/choice.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <cmath>

using namespace vorrang;
using namespace vorrang::test;

namespace {

/// Candidates over settings that live as long as they do.
struct field {
  std::vector<deployment_settings> settings;
  std::vector<candidate> candidates;

  explicit field(std::size_t count) : settings(count) {
    for (std::size_t i = 0; i < count; ++i) {
      candidates.emplace_back();
      candidates[i].deployment = static_cast<deployment_index>(i);
      candidates[i].settings = &settings[i];
    }
  }
  field(const field&) = delete;
  field& operator=(const field&) = delete;

  /// How often each was drawn in `draws`.
  std::vector<int> draw(routing_strategy strategy, int draws) const {
    choice_random random(42);
    std::vector<int> result(settings.size());
    for (int i = 0; i < draws; ++i) {
      auto all = candidates; // choose() may thin it out
      ++result[choose(strategy, all, random)];
    }
    return result;
  }
};

constexpr int draws = 20000;

/// Within five standard deviations of `share`; the seed is fixed, so this is repeatable.
bool near_share(int count, double share) {
  const auto deviation = std::sqrt(draws * share * (1 - share));
  return std::abs(count - draws * share) <= 5 * deviation;
}

const auto shuffle = routing_strategy::simple_shuffle;

} // namespace

TEST_CASE("choice: the only one") {
  for (const auto strategy : {shuffle, routing_strategy::usage_based, routing_strategy::least_busy,
                              routing_strategy::latency_based}) {
    field f(1);
    f.settings[0].weight = 0;
    CHECK(f.draw(strategy, 3) == std::vector<int>{3});
  }
}

TEST_CASE("choice: even without weights and limits") {
  const field f(4);
  for (const auto count : f.draw(shuffle, draws))
    CHECK(near_share(count, 0.25));
}

TEST_CASE("choice: by weight if a candidate has one, a missing one is 0") {
  field f(4);
  f.settings[0].weight = 1;
  f.settings[1].weight = 3;
  f.settings[2].rpm = 1000000; // weight goes before rpm
  const auto counts = f.draw(shuffle, draws);
  CHECK(near_share(counts[0], 0.25));
  CHECK(near_share(counts[1], 0.75));
  CHECK(counts[2] == 0);
  CHECK(counts[3] == 0);
}

TEST_CASE("choice: by rpm, else by tpm") {
  field f(3);
  f.settings[0].rpm = 10;
  f.settings[1].rpm = 90;
  f.settings[1].tpm = 5;
  f.settings[2].tpm = 1000000;
  auto counts = f.draw(shuffle, draws);
  CHECK(near_share(counts[0], 0.1));
  CHECK(near_share(counts[1], 0.9));
  CHECK(counts[2] == 0);
  f.settings[0].rpm.reset();
  f.settings[1].rpm.reset();
  f.settings[1].tpm = 1000000;
  counts = f.draw(shuffle, draws);
  CHECK(counts[0] == 0);
  CHECK(near_share(counts[1], 0.5));
  CHECK(near_share(counts[2], 0.5));
}

TEST_CASE("choice: a weight of 0 is used only when no other is healthy") {
  field f(3);
  f.settings[0].weight = 0;
  f.settings[1].weight = 0.001;
  f.settings[2].weight = 0;
  CHECK(f.draw(shuffle, draws) == std::vector<int>{0, draws, 0});
  f.settings[1].weight = 0;
  for (const auto count : f.draw(shuffle, draws))
    CHECK(near_share(count, 1.0 / 3));
}

TEST_CASE("choice: only the lowest order is a candidate, none is the last") {
  for (const auto strategy : {shuffle, routing_strategy::usage_based, routing_strategy::least_busy,
                              routing_strategy::latency_based}) {
    field f(4);
    f.settings[0].weight = 100; // of a higher order: its weight does not count either
    f.settings[0].order = 2;
    f.settings[1].order = 1;
    f.settings[2].order = 1;
    f.candidates[1].in_flight = f.candidates[2].in_flight = 9;
    f.candidates[1].window_tokens = f.candidates[2].window_tokens = 9;
    f.candidates[1].latency = f.candidates[2].latency = seconds(9);
    const auto counts = f.draw(strategy, draws);
    CHECK(counts[0] == 0);
    CHECK(counts[3] == 0);
    CHECK(near_share(counts[1], 0.5));
  }
  field negative(2);
  negative.settings[0].order = 0;
  negative.settings[1].order = -1;
  CHECK(negative.draw(shuffle, 10) == std::vector<int>{0, 10});
}

TEST_CASE("choice: usage based takes the least tokens, then the least requests") {
  field f(4);
  for (auto& c : f.candidates)
    c.window_tokens = 50;
  f.candidates[0].window_tokens = 51;
  f.candidates[1].window_requests = 2;
  f.candidates[2].window_requests = 1;
  f.candidates[3].window_requests = 1;
  f.candidates[0].in_flight = 0;
  f.candidates[3].in_flight = 7; // does not matter here
  const auto counts = f.draw(routing_strategy::usage_based, draws);
  CHECK(counts[0] == 0);
  CHECK(counts[1] == 0);
  CHECK(near_share(counts[2], 0.5));
  CHECK(near_share(counts[3], 0.5));
}

TEST_CASE("choice: least busy takes the least in flight") {
  field f(3);
  f.candidates[0].in_flight = 3;
  f.candidates[1].in_flight = 1;
  f.candidates[2].in_flight = 2;
  f.candidates[1].window_tokens = 1000;
  CHECK(f.draw(routing_strategy::least_busy, 10) == std::vector<int>{0, 10, 0});
}

TEST_CASE("choice: latency based takes the fastest, and tries an unknown one first") {
  field f(3);
  f.candidates[0].latency = milliseconds(30);
  f.candidates[1].latency = milliseconds(20);
  f.candidates[2].latency = milliseconds(40);
  CHECK(f.draw(routing_strategy::latency_based, 10) == std::vector<int>{0, 10, 0});
  f.candidates[2].latency = {};
  CHECK(f.draw(routing_strategy::latency_based, 10) == std::vector<int>{0, 0, 10});
}

TEST_CASE("choice: the same seed draws the same") {
  const field f(5);
  CHECK(f.draw(shuffle, 1000) == f.draw(shuffle, 1000));
}
