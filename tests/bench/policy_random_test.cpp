// Random traces, all policies: nothing lost, no limit broken, and the engine in perfect order.
#include "catch.hpp"
#include "plans.hpp"

#include <algorithm>
#include <numeric>
#include <random>

using namespace vorrang;
using namespace vorrang::test;

namespace {

constexpr std::uint64_t first_seed = 1;
constexpr std::uint64_t seeds = 60;

/// Up to three deployments under up to twice what they take.
scenario random_plan(std::uint64_t seed, bool with_brown_outs) {
  std::mt19937_64 random(seed);
  const auto between = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  scenario plan;
  plan.seed = seed;
  plan.each.deployments = static_cast<std::size_t>(between(1, 3));
  plan.each.slots = static_cast<std::uint32_t>(between(1, 4));
  plan.each.rpm = static_cast<std::uint32_t>(between(0, 3) == 0 ? 0 : between(5, 40));
  double at_s = 0;
  for (int i = between(50, 400); i > 0; --i) {
    at_s += between(0, 3) == 0 ? 0 : between(0, 1000) / 1000.0; // some at the same instant
    std::optional<double> deadline;
    if (between(0, 4) > 0)
      deadline = between(1, 120);
    plan.requests.push_back(at(at_s, between(-2, 4), between(1, 4000) / 1000.0, deadline));
  }
  for (int i = with_brown_outs ? between(1, 3) : 0; i > 0; --i) {
    const auto begin = between(0, 100);
    plan.brown_outs.push_back({static_cast<std::size_t>(between(0, 2)) % plan.each.deployments,
                               seconds_of(begin), seconds_of(begin + between(1, 60))});
  }
  return plan;
}

/// The most at once, and the most begun in any 60 s, of the calls that a deployment took.
std::pair<std::size_t, std::size_t> most(const run_result& found, std::uint32_t deployment) {
  std::vector<std::pair<time_point, int>> changes;
  std::vector<time_point> begins;
  for (const auto& each : found.attempts) {
    if (each.deployment != deployment || !each.taken)
      continue;
    begins.push_back(each.begin);
    changes.emplace_back(each.begin, 1);
    changes.emplace_back(each.end, -1); // sorts before a begin at the same instant
  }
  std::ranges::sort(changes);
  std::size_t at_once = 0;
  int running = 0;
  for (const auto& [when, change] : changes) {
    running += change;
    at_once = std::max(at_once, static_cast<std::size_t>(std::max(running, 0)));
  }
  std::size_t in_a_minute = 0;
  for (std::size_t first = 0, i = 0; i < begins.size(); ++i) {
    while (begins[first] + std::chrono::seconds(60) <= begins[i])
      ++first;
    in_a_minute = std::max(in_a_minute, i - first + 1);
  }
  return {at_once, in_a_minute};
}

void check_limits(const scenario& plan, const run_result& found) {
  for (std::uint32_t i = 0; i < plan.each.deployments; ++i) {
    const auto [at_once, in_a_minute] = most(found, i);
    CHECK(at_once <= plan.each.slots);
    if (plan.each.rpm != 0)
      CHECK(in_a_minute <= plan.each.rpm);
  }
}

void check_conservation(const scenario& plan, const run_result& found) {
  REQUIRE(found.times_ended.size() == plan.requests.size());
  CHECK(std::ranges::count(found.times_ended, 1U) ==
        static_cast<std::ptrdiff_t>(plan.requests.size()));
  std::uint64_t answered = 0;
  std::uint64_t missed = 0;
  for (const auto& each : found.classes) {
    CHECK(each.answered + each.missed == each.requests);
    CHECK(each.waits.size() == each.requests);
    answered += each.answered;
    missed += each.missed;
  }
  const auto ended_as = [&](final_state how) {
    return static_cast<std::uint64_t>(std::ranges::count(found.ends, how));
  };
  CHECK(answered == ended_as(final_state::answered));
  CHECK(missed == ended_as(final_state::missed));
  std::vector<int> successes(plan.requests.size());
  for (const auto& each : found.attempts)
    successes[each.which] += each.status == 200 ? 1 : 0;
  for (std::size_t i = 0; i < successes.size(); ++i)
    CHECK(successes[i] == (found.ends[i] == final_state::answered ? 1 : 0));
}

std::uint64_t inversions(const run_result& found) {
  return std::accumulate(found.classes.begin(), found.classes.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& each) { return sum + each.inversions; });
}
std::uint64_t out_of_turn(const run_result& found) {
  return std::accumulate(
      found.classes.begin(), found.classes.end(), std::uint64_t{0},
      [](std::uint64_t sum, const auto& each) { return sum + each.out_of_turn; });
}

} // namespace

TEST_CASE("policy: on random traces every arrival ends once, and what is taken is within limits") {
  for (auto seed = first_seed; seed < first_seed + seeds; ++seed) {
    const auto plan = random_plan(seed, seed % 2 == 0);
    for (const auto name : policy_names) {
      INFO("seed " << seed << ", " << name);
      const auto found = play(plan, name);
      check_conservation(plan, found);
      check_limits(plan, found);
    }
  }
}

TEST_CASE("policy: on random traces the engine inverts nothing and sends nothing beyond a limit") {
  for (auto seed = first_seed; seed < first_seed + seeds; ++seed) {
    const bool with_brown_outs = seed % 2 == 0;
    INFO("seed " << seed);
    const auto found = play(random_plan(seed, with_brown_outs), "vorrang");
    CHECK(found.own_inversions == 0U);
    CHECK(found.beyond_limits == 0);
    if (with_brown_outs)
      continue; // others may pass whoever is in a back-off
    CHECK(inversions(found) == 0);
    CHECK(out_of_turn(found) == 0);
    CHECK(found.idle_while_waited_seconds == 0);
  }
}

TEST_CASE("policy: the meter notices the order of the others on the same traces") {
  std::uint64_t fifo = 0;
  std::uint64_t litellm_turn = 0;
  std::uint64_t rejection = 0;
  double litellm_idle = 0;
  for (auto seed = first_seed; seed < first_seed + seeds; ++seed) {
    const auto plan = random_plan(seed, false);
    const auto line = play(plan, "fifo");
    fifo += inversions(line);
    CHECK(out_of_turn(line) == 0);
    const auto shuffled = play(plan, "litellm");
    litellm_turn += out_of_turn(shuffled);
    litellm_idle += shuffled.idle_while_waited_seconds;
    rejection += inversions(play(plan, "rejection"));
  }
  CHECK(fifo > 0);
  CHECK(litellm_turn > 0);
  CHECK(litellm_idle > 0);
  CHECK(rejection > 0);
}

TEST_CASE("policy: the same trace and seed give the same run") {
  const auto plan = random_plan(first_seed + 1, true);
  for (const auto name : policy_names) {
    INFO(name);
    const auto one = play(plan, name);
    const auto two = play(plan, name);
    REQUIRE(one.attempts.size() == two.attempts.size());
    for (std::size_t i = 0; i < one.attempts.size(); ++i) {
      CHECK(one.attempts[i].which == two.attempts[i].which);
      CHECK(one.attempts[i].begin == two.attempts[i].begin);
      CHECK(one.attempts[i].deployment == two.attempts[i].deployment);
    }
  }
}
