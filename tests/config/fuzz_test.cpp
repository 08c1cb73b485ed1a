// Broken files: whatever is done to a good one, reading it neither crashes nor forgets to say why.
#include "catch.hpp"
#include "read.hpp"

#include "config/printer.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <sstream>

using namespace vorrang::config;
using namespace vorrang::config::test;

namespace {

const char* const whole_file = R"(environment_variables: {TOKEN: abc}
defaults: &defaults
  rpm: 1_000
  temperature: 0.5
model_list:
  - model_name: chat
    litellm_params:
      <<: *defaults
      model: openai/gpt-4o
      api_key: os.environ/TOKEN
      tags: [gold, "silver"]
      extra_headers: {X-A: b}
      timeout: '2.5'
  - model_name: azure-*
    litellm_params: {<<: *defaults, model: azure/*, api_base: "https://r:443/", order: 0x10}
    model_info: {id: pin, max_input_tokens: 8000, mode: chat}
  - model_name: fake
    litellm_params:
      model: fake
      mock_response: |
        several
        lines
      mock_delay: .5
router_settings:
  routing_strategy: least-busy
  redis_url: redis://:pw@host:6379/1
  fallbacks: [{chat: [fake]}, {"*": fake}]
  model_group_alias: {gpt: chat, nick: {model: fake, hidden: yes}}
  retry_policy: {RateLimitErrorRetries: 3}
litellm_settings:
  request_timeout: 600
  default_fallbacks: fake
general_settings:
  master_key: sk-master-key-1234
vorrang_settings:
  keys:
    - {key: sk-a, name: a, best_priority: -5, models: ["chat", "azure-*"]}
  max_queue_size: 100
)";

/// Bytes and pieces that matter to YAML or to us.
const std::vector<std::string> pieces = {":",
                                         ";",
                                         "-",
                                         "- ",
                                         "\n",
                                         "\n  ",
                                         "  ",
                                         "\t",
                                         "[",
                                         "]",
                                         "{",
                                         "}",
                                         "\"",
                                         "'",
                                         "#",
                                         "&a ",
                                         "*a",
                                         "<<: ",
                                         "!!str ",
                                         "!x ",
                                         "|\n",
                                         ">-\n",
                                         "---\n",
                                         "...\n",
                                         "%",
                                         "@",
                                         "`",
                                         "~",
                                         "null",
                                         "yes",
                                         "0x",
                                         ".inf",
                                         ".nan",
                                         "1e999",
                                         "99999999999999999999",
                                         "os.environ/",
                                         "os.environ/TOKEN",
                                         "include: config.yaml\n",
                                         "=",
                                         "? ",
                                         ",",
                                         "\\u0000",
                                         "\xff",
                                         "\xc3",
                                         std::string(1, '\0'),
                                         "\x04",
                                         "*",
                                         "é",
                                         "-1",
                                         "{{{{",
                                         "[[[[",
                                         "&x [*x]"};

/// The same seed makes the same file; VORRANG_FUZZ_SEED sets the first, VORRANG_FUZZ_RUNS how many.
std::string mutate(std::mt19937_64& random) {
  std::string text = whole_file;
  const auto below = [&](std::size_t bound) {
    return random() % std::max<std::size_t>(bound, 1);
  };
  for (auto left = 1 + below(6); left > 0; --left) {
    const auto at = below(text.size() + 1);
    switch (below(6)) {
    case 0:
      text.insert(at, pieces[below(pieces.size())]);
      break;
    case 1:
      text.erase(at, below(20));
      break;
    case 2:
      text.insert(at, text.substr(below(text.size()), below(60)));
      break;
    case 3:
      if (at < text.size()) {
        text[at] = static_cast<char>(below(256));
      }
      break;
    case 4:
      text.replace(std::min(at, text.size()), std::min<std::size_t>(below(8), text.size() - at),
                   pieces[below(pieces.size())]);
      break;
    default: // a line of its own elsewhere
      text.insert(at == 0 ? 0 : text.rfind('\n', at) + 1, pieces[below(pieces.size())] + "\n");
    }
  }
  return text;
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void check(const std::string& text) {
  const auto result = read(text);
  std::ostringstream out;
  const bool passes = print_check(out, result);
  print_settings(out, result.settings);
  if (result.has_errors()) {
    REQUIRE_FALSE(passes);
    return;
  }
  // What may be served holds together.
  const auto& all = result.settings;
  REQUIRE_FALSE(all.deployments.empty());
  for (std::size_t i = 0; i < all.deployments.size(); ++i) {
    const auto& each = all.deployments[i];
    REQUIRE(each.group < all.groups.size());
    REQUIRE_FALSE(each.id.empty());
    REQUIRE((each.mock || !each.api_base.empty()));
    const auto& members = all.groups[each.group].deployments;
    REQUIRE(std::count(members.begin(), members.end(), i) == 1);
  }
  for (const auto& each : all.groups) {
    REQUIRE((each.unservable || !each.deployments.empty()));
    REQUIRE(resolve(all, each.name).has_value());
    REQUIRE(each.fallbacks.size() <= 5);
  }
}

} // namespace

TEST_CASE("the file that is to be broken is good") {
  const auto result = read(whole_file);
  INFO(join(errors(result)));
  CHECK_FALSE(result.has_errors());
  check(whole_file);
}

TEST_CASE("mutations of a good file never crash") {
  const auto seed = number_from("VORRANG_FUZZ_SEED", 1);
  const auto runs = number_from("VORRANG_FUZZ_RUNS", 3'000);
  for (std::uint64_t i = 0; i < runs; ++i) {
    std::mt19937_64 random(seed + i);
    const auto text = mutate(random);
    INFO("VORRANG_FUZZ_SEED=" << seed + i << "\n" << text);
    check(text);
  }
}

TEST_CASE("every beginning of a good file is read or refused") {
  const std::string text = whole_file;
  for (std::size_t length = 0; length <= text.size(); ++length) {
    INFO(length);
    check(text.substr(0, length));
  }
}
