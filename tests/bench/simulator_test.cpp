// Small cases computed by hand: order, limits, hang-ups, refusals, and what the meter says.
#include "catch.hpp"
#include "plans.hpp"

using namespace vorrang;
using namespace vorrang::test;

namespace {

using requests = std::vector<request_index>;
using moments = std::vector<double>;

constexpr limits one_slot{1, 1, 0};

/// The first runs for 2 s; meanwhile an unimportant and an urgent one come.
scenario three_in_line() {
  return plan_of(one_slot, {at(0, 5, 2), at(0.1, 9, 2), at(0.2, 0, 2)});
}

const class_result& of_priority(const run_result& found, std::int32_t priority) {
  for (const auto& each : found.classes)
    if (each.priority == priority)
      return each;
  throw std::logic_error("no such class");
}

} // namespace

TEST_CASE("policy: fifo goes by arrival, and the meter says whom it passed over") {
  const auto found = play(three_in_line(), "fifo");
  CHECK(begins(found).order == requests{0, 1, 2});
  CHECK(begins(found).at_s == moments{0, 2, 4});
  CHECK(of_priority(found, 9).inversions == 1);
  CHECK(of_priority(found, 0).inversions == 0);
  CHECK(of_priority(found, 0).waits == std::vector<duration>{seconds_of(3.8)});
  CHECK(of_priority(found, 0).starved == seconds_of(3.8));
  CHECK(found.useful_slot_seconds == Approx(0.2)); // between the first and the last arrival
  CHECK(of_priority(found, 5).slot_seconds == Approx(0.2));
}

TEST_CASE("policy: the engine and HAProxy's classes go by priority") {
  for (const auto name : {"vorrang", "haproxy"}) {
    INFO(name);
    const auto found = play(three_in_line(), name);
    CHECK(begins(found).order == requests{0, 2, 1});
    CHECK(begins(found).at_s == moments{0, 2, 4});
    for (const auto& each : found.classes)
      CHECK(each.inversions == 0);
  }
}

TEST_CASE("policy: LiteLLM's slots go by arrival, whatever the priority") {
  const auto found = play(three_in_line(), "litellm");
  CHECK(begins(found).order == requests{0, 1, 2});
  CHECK(begins(found).at_s == moments{0, 2, 4});
  CHECK(of_priority(found, 9).inversions == 1);
}

TEST_CASE("policy: equal classes of HAProxy go by arrival, and beyond 2047 all are equal") {
  const auto found = play(plan_of(one_slot, {at(0, 0, 1), at(0.1, 3000, 1), at(0.2, 2500, 1),
                                             at(0.3, -5000, 1), at(0.4, -3000, 1)}),
                          "haproxy");
  CHECK(begins(found).order == requests{0, 3, 4, 1, 2});
  CHECK(of_priority(found, 3000).inversions == 1);
}

TEST_CASE("policy: two equals, the later one first, is out of turn") {
  // Refused in the line's place, the second pauses for at least 0.375 s; the third comes just when
  // the slot is free.
  const auto found =
      play(plan_of(one_slot, {at(0, 1, 1), at(0.9, 1, 1), at(1.1, 1, 0.1)}), "rejection");
  CHECK(begins(found).order == requests{0, 2, 1});
  CHECK(of_priority(found, 1).out_of_turn == 1);
  CHECK(of_priority(found, 1).inversions == 0);
  CHECK(of_priority(found, 1).refusals == 1);
}

TEST_CASE("policy: starved is how long somebody waited and nobody of the class was begun") {
  // Begun at 0, 2 and 5 s: the longest is from 2 to 5 s, not the last one's wait of 4.8 s.
  const auto found = play(plan_of(one_slot, {at(0, 1, 2), at(0.1, 1, 3), at(0.2, 1, 1)}), "fifo");
  CHECK(of_priority(found, 1).starved == seconds_of(3));
  CHECK(of_priority(found, 1).waits.back() == seconds_of(4.8));
}

TEST_CASE("policy: while one waits and one is full, the other's room is counted as free") {
  // LiteLLM's shuffle sends some of ten to a full deployment while the other has room; a line does
  // not.
  std::vector<request> requests;
  for (int i = 0; i < 10; ++i)
    requests.push_back(at(2 * i, 1, 3));
  const auto plan = plan_of({2, 1, 0}, std::move(requests));
  CHECK(play(plan, "fifo").idle_while_waited_seconds == 0);
  CHECK(play(plan, "vorrang").idle_while_waited_seconds == 0);
  CHECK(play(plan, "litellm").idle_while_waited_seconds > 0);
}

TEST_CASE("policy: calls a minute are held back by who counts them") {
  const auto plan = plan_of({1, 5, 2}, {at(0, 1, 0.5), at(1, 1, 0.5), at(2, 1, 0.5)});
  for (const auto name : {"vorrang", "fifo"}) {
    INFO(name);
    const auto found = play(plan, name);
    CHECK(begins(found).at_s == moments{0, 1, 60});
    CHECK(found.beyond_limits == 0);
    CHECK(of_priority(found, 1).refusals == 0);
  }
}

TEST_CASE("policy: HAProxy sends beyond the rate, and its clients obey the Retry-After") {
  const auto found = play(plan_of({1, 5, 1}, {at(0, 1, 1), at(1, 1, 1)}), "haproxy");
  // 429 at 1.05 s; the window returns 58.95 s later, in whole seconds 59.
  REQUIRE(found.attempts.size() == 3);
  CHECK(begins(found).order == requests{0, 1, 1});
  CHECK(found.attempts[1].status == 429);
  CHECK(since(found.attempts[1].end) == Approx(1.05));
  CHECK(since(found.attempts[2].begin) == Approx(60.05));
  CHECK(found.attempts[2].status == 200);
  CHECK(found.beyond_limits == 1);
  CHECK(of_priority(found, 1).refusals == 1);
}

TEST_CASE("policy: who hangs up while it waits is never sent, during a call frees the slot") {
  for (const auto name : policy_names) {
    INFO(name);
    const auto found =
        play(plan_of(one_slot, {at(0, 1, 10, 3), at(1, 1, 1, 1), at(1.5, 1, 1)}), name);
    CHECK(found.ends ==
          std::vector{final_state::missed, final_state::missed, final_state::answered});
    REQUIRE(found.attempts.size() == 2);
    CHECK(since(found.attempts[0].end) == 3);
    CHECK(found.attempts[0].status == 0);
    CHECK(found.attempts[1].which == 2);
    if (name != std::string_view("rejection"))
      CHECK(since(found.attempts[1].begin) == 3);
    CHECK(of_priority(found, 1).missed == 2);
    CHECK(found.wasted_slot_seconds == Approx(1.5)); // up to the last arrival
  }
}

TEST_CASE("policy: a refused client asks again, after a pause that doubles") {
  auto plan = plan_of(one_slot, {at(0, 1, 10), at(1, 1, 1)});
  plan.seed = 7;
  const auto found = play(plan, "rejection");
  auto expected = seconds_of(1);
  std::uint64_t refusals = 0;
  while (expected < seconds_of(10))
    expected += client_back_off({}, 7, 1, static_cast<std::uint32_t>(refusals++), {});
  REQUIRE(found.attempts.size() == 2);
  CHECK(found.attempts[1].begin == beginning + expected);
  CHECK(of_priority(found, 1).refusals == refusals);
  CHECK(refusals >= 4); // 0.5 + 1 + 2 + 4 s do not suffice for 9 s
  CHECK(refusals <= 6);
}

TEST_CASE("policy: a client's pause: 0.5 s doubling to 8 s less a quarter, or its Retry-After") {
  for (std::uint32_t refusals = 0; refusals < 40; ++refusals) {
    const auto most = std::min(8.0, 0.5 * (1 << std::min(refusals, 10U)));
    const auto pause = in_seconds(client_back_off({}, 1, 3, refusals, {}));
    CHECK(pause <= most);
    CHECK(pause >= most * 0.75);
  }
  using std::chrono::seconds;
  CHECK(client_back_off({}, 1, 3, 0, seconds(60)) == seconds(60));
  CHECK(client_back_off({}, 1, 3, 0, seconds(61)) < seconds(1));
  CHECK(client_back_off({}, 1, 3, 0, seconds(0)) > seconds(0));
}

TEST_CASE("policy: a deployment that browns out fails what is sent to it, not what runs there") {
  auto plan = plan_of(one_slot, {at(0, 1, 5), at(6, 1, 1)});
  plan.brown_outs = {{0, seconds_of(3), seconds_of(6.2)}};
  const auto found = play(plan, "fifo");
  REQUIRE(found.attempts.size() == 3);
  CHECK(found.attempts[0].status == 200);
  CHECK(found.attempts[1].status == 503);
  CHECK(since(found.attempts[1].end) == Approx(6.5));
  CHECK(found.attempts[2].which == 1);
  CHECK(found.attempts[2].status == 200);
}

TEST_CASE("policy: an unknown name is none") {
  struct nowhere : stage {
    scenario none;
    time_point now() const override { return {}; }
    const scenario& plan() const override { return none; }
    void send(request_index, std::size_t) override {}
    void refuse(request_index, std::optional<duration>) override {}
    void wake_at(time_point, std::uint64_t) override {}
  } where;
  CHECK(make_policy("lifo", where) == nullptr);
  for (const auto name : policy_names)
    CHECK(make_policy(name, where) != nullptr);
}
