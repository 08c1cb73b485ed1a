// The real engine against the reference model.
#include "catch.hpp"

#include "engine_driver.hpp"
#include "environment.hpp"
#include "generator.hpp"

#include <cstdio>

using namespace vorrang::history;

TEST_CASE("the engine passes all histories") {
  const auto events = from_environment("VORRANG_HISTORY_EVENTS", 1'000'000);
  const auto seed = from_environment("VORRANG_HISTORY_SEED", 1);
  const auto result = run_histories(seed, events, make_engine_driver);
  if (!result.ok)
    std::fputs(result.text.c_str(), stderr);
  REQUIRE(result.ok);
  WARN("seeds " << seed << " to " << result.seed << ": " << result.events << " events, "
                << result.grants << " grants, " << result.lost << " deployments not followed");
}

TEST_CASE("the engine chooses by weight") {
  const auto text = check_weights(make_engine_driver);
  INFO(text);
  CHECK(text.empty());
}

// Not run by itself: `engine_history_tests "[triage]"` shows what breaks, and how often.
TEST_CASE("which rules break", "[.][triage]") {
  const auto text =
      triage(from_environment("VORRANG_HISTORY_SEED", 1),
             from_environment("VORRANG_HISTORY_EVENTS", 1'000'000), make_engine_driver);
  std::fputs(text.c_str(), stderr);
  CHECK(text.empty());
}
