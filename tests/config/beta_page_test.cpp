// The files of LiteLLM's page on request prioritization: as printed, and with the slip mended.
#include "catch.hpp"
#include "read.hpp"

#include "config/printer.hpp"

#include <sstream>

using namespace vorrang::config;
using namespace vorrang::config::test;
using std::chrono::milliseconds;

namespace {

const char* const as_printed = R"(model_list:
    - model_name: gpt-3.5-turbo-fake-model
      litellm_params:
        model: gpt-3.5-turbo
        mock_response: "hello world!" 
        api_key: my-good-key

litellm_settings:
    request_timeout: 600 # Will keep retrying until timeout occurs

router_settings:
    redis_host; os.environ/REDIS_HOST
    redis_password: os.environ/REDIS_PASSWORD
    redis_port: os.environ/REDIS_PORT
)";

const variables redis_set = {{"REDIS_HOST", "cache.internal"},
                             {"REDIS_PASSWORD", "a-long-password"},
                             {"REDIS_PORT", "6380"}};

std::string corrected() {
  std::string text = as_printed;
  text.replace(text.find("redis_host;"), 11, "redis_host:");
  return text;
}

} // namespace

TEST_CASE("the page's YAML as printed gives one precise error") {
  const auto result = read(as_printed, redis_set);
  REQUIRE(errors(result) ==
          std::vector<std::string>{
              "config.yaml:12:5: router_settings.redis_host: expected ':' after the key, found "
              "';': write `redis_host: os.environ/REDIS_HOST`"});
  CHECK(warnings(result).empty());
  CHECK(result.has_errors());
}

TEST_CASE("the page's first form, without request_timeout, gives the same error") {
  std::string text = as_printed;
  const auto start = text.find("litellm_settings");
  text.erase(start, text.find("router_settings") - start);
  const auto result = read(text, redis_set);
  REQUIRE(errors(result).size() == 1);
  CHECK(errors(result)[0].rfind("config.yaml:9:5: router_settings.redis_host: ", 0) == 0);
}

TEST_CASE("the page's YAML corrected loads") {
  const auto result = read(corrected(), redis_set);
  INFO(join(errors(result)));
  REQUIRE(result.diagnostics.empty());
  const auto& all = result.settings;
  REQUIRE(all.groups.size() == 1);
  CHECK(all.groups[0].name == "gpt-3.5-turbo-fake-model");
  REQUIRE(all.deployments.size() == 1);
  const auto& only = all.deployments[0];
  REQUIRE(only.mock.has_value());
  CHECK(only.mock->text == "hello world!");
  CHECK(only.provider == "openai");
  CHECK(only.api_base.empty());
  CHECK(only.api_key.reveal() == "my-good-key");
  CHECK(all.router.timeout == milliseconds(600'000));
  REQUIRE(all.router.redis.has_value());
  CHECK(all.router.redis->host == "cache.internal");
  CHECK(all.router.redis->port == 6380);
  CHECK(all.router.redis->password.reveal() == "a-long-password");
}

TEST_CASE("the page's corrected YAML without the variables names each of them") {
  const auto result = read(corrected());
  const auto found = errors(result);
  CHECK(found.size() == 3);
  CHECK(has_line(found, "config.yaml:12:5: router_settings.redis_host: ", {"REDIS_HOST"}));
  CHECK(has_line(found, "config.yaml:13:5: router_settings.redis_password: ", {"REDIS_PASSWORD"}));
  CHECK(has_line(found, "config.yaml:14:5: router_settings.redis_port: ", {"REDIS_PORT"}));
}

TEST_CASE("the page's Router arguments as router_settings") {
  const auto result = read(R"(model_list:
  - model_name: gpt-3.5-turbo
    litellm_params:
      model: gpt-3.5-turbo
      mock_response: Hello world this is Macintosh! # fakes the LLM API call
      rpm: 1
router_settings:
  timeout: 2 # timeout request if takes > 2s
  routing_strategy: usage-based-routing-v2
  polling_interval: 0.03 # poll queue every 3ms if no healthy deployments
)");
  REQUIRE(result.diagnostics.empty());
  const auto& all = result.settings;
  CHECK(all.deployments.at(0).rpm == 1U);
  CHECK(all.deployments.at(0).mock->text == "Hello world this is Macintosh!");
  CHECK_FALSE(all.deployments.at(0).max_parallel_requests.has_value());
  CHECK(all.router.timeout == milliseconds(2'000));
  CHECK(all.router.polling_interval == milliseconds(30));
  CHECK(all.router.routing_strategy == routing_strategy::usage_based_v2);
  CHECK(all.router.default_priority == 255);
  CHECK_FALSE(all.router.redis.has_value());
  CHECK(resolve(all, "gpt-3.5-turbo")->group == 0);
}

TEST_CASE("the slip is found wherever it stands, and does not hide other errors") {
  SECTION("last in its mapping") {
    const auto result = read(with_mock("router_settings:\n"
                                       "  redis_port: 6379\n"
                                       "  redis_host; localhost\n"));
    REQUIRE(errors(result).size() == 1);
    CHECK(has_line(errors(result), "config.yaml:9:3: router_settings.redis_host: ", {"';'"}));
  }
  SECTION("in the middle") {
    const auto result = read(with_mock("router_settings:\n"
                                       "  redis_port: 6379\n"
                                       "  redis_host; localhost\n"
                                       "  num_retries: x\n"));
    REQUIRE(errors(result).size() == 2);
    CHECK(has_line(errors(result), "config.yaml:9:3: router_settings.redis_host: "));
    CHECK(has_line(errors(result), "config.yaml:10:3: router_settings.num_retries: "));
  }
  SECTION("alone in its mapping") {
    const auto result = read(with_mock("router_settings:\n  redis_host; localhost\n"));
    REQUIRE(errors(result).size() == 1);
    CHECK(has_line(errors(result), "config.yaml:7:1: router_settings: ", {"redis_host", "':'"}));
  }
  SECTION("two of them, one with =") {
    const auto result = read(with_mock("router_settings:\n"
                                       "  redis_host; localhost\n"
                                       "  redis_port = 6379\n"
                                       "  num_retries: 2\n"));
    REQUIRE(errors(result).size() == 2);
    CHECK(has_line(errors(result), "config.yaml:8:3: router_settings.redis_host: ", {"';'"}));
    CHECK(has_line(errors(result), "config.yaml:9:3: router_settings.redis_port: ", {"'='"}));
  }
}

TEST_CASE("what was understood is printed, secrets masked") {
  const auto result = read(corrected(), redis_set);
  std::ostringstream out;
  CHECK(print_check(out, result));
  const auto text = out.str();
  INFO(text);
  CHECK(text.find("gpt-3.5-turbo-fake-model") != std::string::npos);
  CHECK(text.find("redis://cache.internal:6380/0") != std::string::npos);
  CHECK(text.find("a-long-password") == std::string::npos);
  CHECK(text.find("my-good-key") == std::string::npos);
  CHECK(text.find("0 errors, 0 warnings") != std::string::npos);
}
