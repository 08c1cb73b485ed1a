// The files that the documentation shows: they load, and it names what the code knows.
#include "catch.hpp"
#include "read.hpp"

#include "config/providers.hpp"

#include <fstream>
#include <sstream>

using namespace vorrang::config;
using namespace vorrang::config::test;

namespace {

std::string in_source(const std::string& name) {
  return std::string(VORRANG_SOURCE_DIR) + "/" + name;
}

} // namespace

TEST_CASE("the examples load without a word, and need no network") {
  for (const std::string name : {"examples/demo.yaml", "examples/beta-page.yaml"}) {
    INFO(name);
    const auto result = read_file(in_source(name), fixed_environment({}));
    CHECK(result.diagnostics.empty());
    REQUIRE_FALSE(result.settings.deployments.empty());
    for (const auto& each : result.settings.deployments) {
      // The provider that ./dev run starts is on this machine.
      CHECK((each.mock.has_value() || each.api_base.rfind("http://127.0.0.1:", 0) == 0));
    }
  }
}

TEST_CASE("docs/configuration.md names every provider and its variables") {
  std::ifstream file(in_source("docs/configuration.md"));
  std::ostringstream held;
  held << file.rdbuf();
  const auto text = held.str();
  for (const auto name : provider_names()) {
    const auto& each = *find_provider(name);
    std::istringstream words(std::string(name) + " " + std::string(each.default_base) + " " +
                             std::string(each.key_variables) + " " +
                             std::string(each.base_variables));
    for (std::string word; words >> word;) {
      INFO(word);
      CHECK(text.find("`" + word + "`") != std::string::npos);
    }
  }
}
