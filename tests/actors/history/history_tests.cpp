// The checker accepts a plain engine, and notices every mistake that one can be given.
#include "catch.hpp"

#include "environment.hpp"
#include "generator.hpp"
#include "toy_engine.hpp"

#include <cstdio>
#include <cstdlib>

using namespace vorrang::history;

TEST_CASE("a plain engine passes all histories") {
  const auto events = from_environment("VORRANG_HISTORY_EVENTS", 3'000'000);
  const auto seed = from_environment("VORRANG_HISTORY_SEED", 1);
  const auto result = run_histories(seed, events, toy_engine());
  if (!result.ok)
    std::fputs(result.text.c_str(), stderr); // Catch would wrap it
  REQUIRE(result.ok);
  WARN("seeds " << seed << " to " << result.seed << ": " << result.events << " events, "
                << result.grants << " grants, " << result.lost << " deployments not followed");
}

TEST_CASE("a plain engine chooses by weight") {
  const auto text = check_weights(toy_engine());
  INFO(text);
  CHECK(text.empty());
  CHECK_FALSE(check_weights(toy_engine(fault::zero_weight_used)).empty());
}

TEST_CASE("each mistake is noticed") {
  for (unsigned i = 1; i < static_cast<unsigned>(fault::count_); ++i) {
    const auto what = static_cast<fault>(i);
    std::uint64_t seed = 0;
    report result;
    // Without the mistake the same history passes, so it is the mistake that was noticed.
    do
      result = run_history(++seed, 300, toy_engine(what));
    while (seed < 2000 && (result.ok || !run_history(seed, 300, toy_engine()).ok));
    INFO(to_string(what));
    CHECK_FALSE(result.ok);
    if (std::getenv("VORRANG_HISTORY_TABLE"))
      WARN(to_string(what) << ": rule " << result.rule << ", seed " << seed);
  }
}
