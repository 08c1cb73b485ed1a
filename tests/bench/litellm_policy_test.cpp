// The model of LiteLLM by hand: the scheduler's poll rule, cooldowns, retries.
#include "bench/policy/litellm_policy.hpp"
#include "catch.hpp"
#include "plans.hpp"

#include <algorithm>
#include <array>

using namespace vorrang;
using namespace vorrang::test;

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Notes what the policy does; time and answers come from the test.
struct hand : stage {
  struct sent {
    request_index which;
    std::size_t deployment;
  };
  struct refused {
    request_index which;
    std::optional<duration> retry_after;
  };
  struct wake {
    time_point at;
    std::uint64_t token;
  };

  scenario told;
  time_point time = beginning;
  std::vector<sent> sends;
  std::vector<refused> refusals;
  std::vector<wake> wakes;

  explicit hand(std::size_t deployments, std::vector<request> requests)
      : told(plan_of({deployments, 4, 0}, std::move(requests))) {}

  time_point now() const override { return time; }
  const scenario& plan() const override { return told; }
  void send(request_index which, std::size_t deployment) override {
    sends.push_back({which, deployment});
  }
  void refuse(request_index which, std::optional<duration> retry_after) override {
    refusals.push_back({which, retry_after});
  }
  void wake_at(time_point at, std::uint64_t token) override { wakes.push_back({at, token}); }

  /// Wakes it for all that is due at `at`, once.
  void wake_due(policy& of, time_point at) {
    time = at;
    std::vector<wake> due;
    std::erase_if(wakes, [&](const wake& each) {
      if (each.at > at)
        return false;
      due.push_back(each);
      return true;
    });
    for (const auto& each : due)
      of.woken(each.token);
  }
  void ask(policy& of, request_index which) {
    of.ask(which);
    wake_due(of, time);
  }
  std::vector<request_index> order_of_refusals() const {
    std::vector<request_index> result;
    for (const auto& each : refusals)
      result.push_back(each.which);
    return result;
  }
};

answer limited(duration retry_after) {
  return {429, retry_after};
}

/// Both deployments cool: until 10 s and until 20 s after the beginning.
void cool_both(hand& where, litellm_policy& model) {
  where.ask(model, 0);
  REQUIRE(where.sends.size() == 1);
  model.over(0, where.sends[0].deployment, limited(seconds(10)));
  REQUIRE(where.sends.size() == 2);
  CHECK(where.sends[1].which == 0);
  CHECK(where.sends[1].deployment != where.sends[0].deployment);
  CHECK(where.refusals.empty());
  model.over(0, where.sends[1].deployment, limited(seconds(20)));
}

} // namespace

TEST_CASE("litellm: while one is healthy every poll is granted, whatever its place") {
  hand where(1, {at(0, 9, 1), at(0, 0, 1), at(0, 5, 1)});
  litellm_policy model(where);
  for (request_index i = 0; i < 3; ++i)
    model.ask(i);
  CHECK(where.sends.empty());
  where.wake_due(model, beginning);
  REQUIRE(where.sends.size() == 3);
  for (request_index i = 0; i < 3; ++i)
    CHECK(where.sends[i].which == i);
}

TEST_CASE("litellm: a 429 cools one of several, and where all cool it is not tried again") {
  hand where(2, {at(0, 1, 1)});
  litellm_policy model(where);
  cool_both(where, model);
  CHECK(where.sends.size() == 2); // one of two retries was left
  REQUIRE(where.refusals.size() == 1);
  CHECK(where.refusals[0].retry_after == std::nullopt);
}

TEST_CASE("litellm: while all cool the head is granted, into a 429, and the others poll") {
  hand where(2, {at(0, 1, 1), at(1, 9, 1), at(1, 0, 1), at(1, 5, 1)});
  litellm_policy model(where);
  cool_both(where, model);
  where.refusals.clear();
  where.time = beginning + seconds(1);
  for (const request_index i : {1, 2, 3})
    model.ask(i);
  // Each is polled once, in the order of asking: first 1 (not the head), then 2 (the head), then 3,
  // which is the head by then.
  where.wake_due(model, where.time);
  CHECK(where.order_of_refusals() == std::vector<request_index>{2, 3});
  CHECK(where.refusals[0].retry_after == seconds(9));
  where.wake_due(model, where.time + milliseconds(29));
  CHECK(where.refusals.size() == 2);
  where.wake_due(model, where.time + milliseconds(1));
  CHECK(where.order_of_refusals() == std::vector<request_index>{2, 3, 1});
  CHECK(where.sends.size() == 2);
}

TEST_CASE("litellm: who hangs up leaves the heap, and the next is the head") {
  hand where(2, {at(0, 1, 1), at(1, 9, 1), at(1, 0, 1)});
  litellm_policy model(where);
  cool_both(where, model);
  where.refusals.clear();
  model.ask(1);
  model.ask(2);
  model.gone(2);
  where.wake_due(model, where.time);
  CHECK(where.order_of_refusals() == std::vector<request_index>{1});
}

TEST_CASE("litellm: all that wait are let through when one has cooled") {
  hand where(2, {at(0, 1, 1), at(1, 9, 1), at(1, 0, 1), at(1, 5, 1)});
  litellm_policy model(where);
  cool_both(where, model);
  where.sends.clear();
  where.refusals.clear();
  where.time = beginning + seconds(10) - milliseconds(15);
  model.ask(1);
  model.ask(2); // polled later than 1, which is then not the head
  where.wake_due(model, where.time);
  REQUIRE(where.order_of_refusals() == std::vector<request_index>{2});
  where.wake_due(model, beginning + seconds(10) + milliseconds(15));
  REQUIRE(where.sends.size() == 1);
  CHECK(where.sends[0].which == 1);
}

TEST_CASE("litellm: equal priorities are ordered by chance") {
  constexpr request_index count = 50;
  hand where(2, std::vector<request>(count + 1, at(0, 1, 1)));
  litellm_policy model(where);
  cool_both(where, model);
  where.refusals.clear();
  for (request_index i = 1; i <= count; ++i)
    model.ask(i);
  for (int tick = 0; where.refusals.size() < count && tick < 100; ++tick)
    where.wake_due(model, beginning + milliseconds(30) * tick);
  const auto order = where.order_of_refusals();
  REQUIRE(order.size() == count);
  CHECK_FALSE(std::ranges::is_sorted(order));
}

TEST_CASE("litellm: a cooldown that runs is not made longer by a second 429") {
  hand where(2, {at(0, 1, 1), at(0, 1, 1), at(0, 1, 1), at(0, 1, 1)});
  litellm_policy model(where);
  where.ask(model, 0);
  const auto cooled = where.sends[0].deployment;
  // Others, until a second one runs there too.
  request_index other = 0;
  for (request_index i = 1; i < 4 && other == 0; ++i) {
    where.ask(model, i);
    if (where.sends.back().deployment == cooled)
      other = i;
  }
  REQUIRE(other != 0); // by the scenario's seed
  const auto before = where.sends.size();
  model.over(0, cooled, limited(seconds(10)));
  model.over(other, cooled, limited(seconds(30)));
  REQUIRE(where.sends.size() == before + 2); // both tried again at the other one
  for (auto i = before; i < before + 2; ++i)
    CHECK(where.sends[i].deployment != cooled);
  // Ten seconds later there are two to choose from again: of 40 calls some go there.
  where.time = beginning + seconds(10);
  bool seen = false;
  for (int i = 0; i < 40 && !seen; ++i) {
    model.over(0, where.sends[before].deployment, {200, {}});
    where.ask(model, 0);
    seen = where.sends.back().deployment == cooled;
    where.sends[before] = where.sends.back();
  }
  CHECK(seen);
}

TEST_CASE("litellm: half of five calls a minute that fail cool one of several, for 5 s") {
  hand where(2, std::vector<request>(10, at(0, 1, 1)));
  litellm_policy model(where);
  std::array<int, 2> failed{};
  for (request_index i = 0; i < 10; ++i) {
    where.ask(model, i);
    while (!where.sends.empty()) {
      const auto last = where.sends.back();
      where.sends.clear();
      ++failed[last.deployment];
      model.over(last.which, last.deployment, {503, {}});
    }
  }
  CHECK(failed == std::array<int, 2>{5, 5});
  REQUIRE(where.refusals.back().retry_after);
  CHECK(*where.refusals.back().retry_after == seconds(5));
}

TEST_CASE("litellm: exactly half of the calls that fail do not cool") {
  hand where(2, std::vector<request>(40, at(0, 1, 1)));
  litellm_policy model(where);
  std::array<int, 2> calls{};
  for (request_index i = 0; i < 40; ++i) {
    where.ask(model, i);
    while (!where.sends.empty()) {
      const auto last = where.sends.back();
      where.sends.clear();
      const bool fails = ++calls[last.deployment] % 2 == 0;
      model.over(last.which, last.deployment,
                 {fails ? std::uint16_t{503} : std::uint16_t{200}, {}});
    }
  }
  // All that was refused had spent its retries; nobody was told to wait for a cooldown.
  for (const auto& each : where.refusals)
    CHECK(each.retry_after == std::nullopt);
  CHECK(calls[0] >= 10);
  CHECK(calls[1] >= 10);
}

TEST_CASE("litellm: one deployment never cools for a 429, and is tried again after it") {
  hand where(1, {at(0, 1, 1)});
  litellm_policy model(where);
  where.ask(model, 0);
  for (std::size_t tries = 1; tries <= 3; ++tries) {
    REQUIRE(where.sends.size() == tries);
    model.over(0, 0, limited(seconds(60)));
    if (tries == 3)
      break;
    REQUIRE(where.wakes.size() == 1);
    CHECK(where.wakes[0].at == where.time + seconds(60));
    where.wake_due(model, where.wakes[0].at);
  }
  CHECK(where.refusals.size() == 1); // two retries and no more
  CHECK(where.wakes.empty());
}

TEST_CASE("litellm: without a Retry-After one deployment is tried again after 0.5, then 1 s") {
  hand where(1, {at(0, 1, 1)});
  litellm_policy model(where);
  where.ask(model, 0);
  for (const double least : {0.5, 1.0}) {
    model.over(0, 0, {503, {}});
    REQUIRE(where.wakes.size() == 1);
    const auto pause = in_seconds(where.wakes[0].at - where.time);
    CHECK(pause >= least);
    CHECK(pause <= least + 0.75);
    where.wake_due(model, where.wakes[0].at);
  }
  model.over(0, 0, {503, {}});
  CHECK(where.sends.size() == 3);
  CHECK(where.refusals.size() == 1);
}
