// Rules on values as such: variables, types, unknown keys, includes, where errors stand.
#include "catch.hpp"
#include "read.hpp"

#include "config/printer.hpp"
#include "config/spelling.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace vorrang::config;
using namespace vorrang::config::test;
using std::chrono::milliseconds;
namespace fs = std::filesystem;

namespace {

/// A folder that goes away with the test.
class folder {
public:
  folder() {
    std::string name = (fs::temp_directory_path() / "vorrang-config-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string write(const std::string& name, const std::string& text) const {
    const auto full = path_ / name;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
    return full.string();
  }

private:
  fs::path path_;
};

std::string mock_model(const std::string& name) {
  return "  - model_name: " + name + "\n    litellm_params: {model: openai/x, mock_response: hi}\n";
}

} // namespace

TEST_CASE("os.environ/NAME is replaced in every text") {
  const auto result =
      read(with_params("      rpm: os.environ/RPM\n"
                       "      temperature: os.environ/TEMPERATURE\n"
                       "      tags: [os.environ/TAG]\n"
                       "      drop_params: 'os.environ/DROP'\n"),
           {{"RPM", "60"}, {"TEMPERATURE", "0.5"}, {"TAG", "gold"}, {"DROP", "true"}});
  REQUIRE(result.diagnostics.empty());
  const auto& made = result.settings.deployments.at(0);
  CHECK(made.rpm == 60U);
  CHECK(made.tags == std::vector<std::string>{"gold"});
  CHECK(made.drop_params);
  CHECK(made.body_defaults == R"({"temperature":"0.5"})");
}

TEST_CASE("a variable's value is not looked up again, and only a beginning counts") {
  const auto result = read(with_params("      organization: os.environ/A\n"
                                       "      user: see os.environ/B\n"),
                           {{"A", "os.environ/B"}, {"B", "no"}});
  CHECK(result.settings.deployments.at(0).organization == "os.environ/B");
  CHECK(result.settings.deployments.at(0).body_defaults == R"({"user":"see os.environ/B"})");
}

TEST_CASE("a variable that is not set is null, with a warning that names it and the line") {
  const auto result = read(with_params("      rpm: os.environ/NOT_THERE\n"));
  CHECK_FALSE(result.has_errors());
  CHECK(has_line(warnings(result),
                 "config.yaml:6:7: model_list[0].litellm_params.rpm: ", {"NOT_THERE", "not set"}));
  CHECK_FALSE(result.settings.deployments.at(0).rpm.has_value());
}

TEST_CASE("a variable without a name is an error everywhere") {
  const auto result = read(with_params("      rpm: os.environ/\n"));
  CHECK(has_line(errors(result), "config.yaml:6:7: model_list[0].litellm_params.rpm: ",
                 {"name of a variable", "os.environ/"}));
}

TEST_CASE("a variable that is not set is an error for keys, Redis and api_base") {
  const auto result = read("model_list:\n"
                           "  - model_name: m\n"
                           "    litellm_params:\n"
                           "      model: openai/x\n"
                           "      api_base: os.environ/NONE\n"
                           "general_settings:\n"
                           "  master_key: os.environ/NONE\n"
                           "vorrang_settings:\n"
                           "  keys:\n"
                           "    - key: os.environ/NONE\n"
                           "    - os.environ/NONE\n"
                           "router_settings:\n"
                           "  redis_url: os.environ/NONE\n",
                           {{"OPENAI_API_KEY", "sk-of-openai-1234"}});
  const auto found = errors(result);
  INFO(join(found));
  CHECK(found.size() == 5);
  CHECK(has_line(found, "config.yaml:5:7: model_list[0].litellm_params.api_base: ", {"NONE"}));
  CHECK(has_line(found, "config.yaml:7:3: general_settings.master_key: ", {"NONE"}));
  CHECK(has_line(found, "config.yaml:10:7: vorrang_settings.keys[0].key: ", {"NONE"}));
  CHECK(has_line(found, "config.yaml:11:7: vorrang_settings.keys[1]: ", {"NONE"}));
  CHECK(has_line(found, "config.yaml:13:3: router_settings.redis_url: ", {"NONE"}));
}

TEST_CASE("environment_variables are seen by os.environ, before those of the process") {
  const auto result = read("environment_variables:\n"
                           "  LIMIT: 7\n"
                           "  COPY: os.environ/OUTER\n"
                           "model_list:\n"
                           "  - model_name: m\n"
                           "    litellm_params:\n"
                           "      model: openai/x\n"
                           "      api_key: os.environ/COPY\n"
                           "      rpm: os.environ/LIMIT\n",
                           {{"LIMIT", "1"}, {"OUTER", "sk-outer-secret-99"}});
  REQUIRE(result.diagnostics.empty());
  CHECK(result.settings.deployments.at(0).rpm == 7U);
  CHECK(result.settings.deployments.at(0).api_key.reveal() == "sk-outer-secret-99");
  REQUIRE(result.settings.environment.size() == 2);
  CHECK(result.settings.environment[0].first == "LIMIT");
}

TEST_CASE("an unknown key is a warning with its line and the closest known key") {
  const auto result = read(with_mock("router_settings:\n"
                                     "  num_retires: 3\n"
                                     "  zzz: 1\n"
                                     "routr_settings: {}\n"));
  CHECK_FALSE(result.has_errors());
  CHECK(has_line(warnings(result), "config.yaml:8:3: router_settings.num_retires: unknown key",
                 {"did you mean `num_retries`?"}));
  CHECK(has_line(warnings(result), "config.yaml:9:3: router_settings.zzz: unknown key"));
  CHECK_FALSE(has_line(warnings(result), "config.yaml:9:3", {"did you mean"}));
  CHECK(has_line(warnings(result), "config.yaml:10:1: routr_settings: ", {"`router_settings`"}));
}

TEST_CASE("a LiteLLM key that Vorrang does not support says so") {
  const auto result = read(with_mock("general_settings:\n"
                                     "  database_url: postgres://x\n"
                                     "litellm_settings:\n"
                                     "  callbacks: [prometheus]\n"
                                     "guardrails: []\n"));
  CHECK_FALSE(result.has_errors());
  const auto found = warnings(result);
  CHECK(has_line(found, "config.yaml:8:3: general_settings.database_url: LiteLLM's",
                 {"not supported", "virtual keys do not work"}));
  CHECK(has_line(found, "config.yaml:10:3: litellm_settings.callbacks: LiteLLM's"));
  CHECK(has_line(found, "config.yaml:11:1: guardrails: LiteLLM's"));
}

TEST_CASE("wrong types are errors that say what was expected, all at once") {
  const auto result = read("model_list: {}\n"
                           "router_settings:\n"
                           "  timeout: soon\n"
                           "  num_retries: -1\n"
                           "  default_priority: 1.5\n"
                           "  disable_cooldowns: 3\n"
                           "  polling_interval: [1]\n"
                           "  retry_policy: 5\n"
                           "  fallbacks: {a: b}\n"
                           "litellm_settings: []\n"
                           "general_settings:\n"
                           "  master_key: 1234567890123\n");
  const auto found = errors(result);
  INFO(join(found));
  CHECK(found.size() == 10);
  CHECK(has_line(found, "config.yaml:1:1: model_list: expected a list"));
  CHECK(has_line(found, "config.yaml:3:3: router_settings.timeout: expected a number", {"soon"}));
  CHECK(has_line(found, "config.yaml:4:3: router_settings.num_retries: expected a whole number"));
  CHECK(has_line(found, "config.yaml:5:3: router_settings.default_priority: expected a whole"));
  CHECK(has_line(found, "config.yaml:6:3: router_settings.disable_cooldowns: expected true or"));
  CHECK(has_line(found, "config.yaml:7:3: router_settings.polling_interval: ", {"a list"}));
  CHECK(has_line(found, "config.yaml:8:3: router_settings.retry_policy: expected a mapping"));
  CHECK(has_line(found, "config.yaml:9:3: router_settings.fallbacks: expected a list"));
  CHECK(has_line(found, "config.yaml:10:1: litellm_settings: expected a mapping"));
  CHECK(has_line(found, "config.yaml:12:3: general_settings.master_key: expected text"));
  CHECK_FALSE(has_line(found, "config.yaml:12:3", {"1234567890123"}));
}

TEST_CASE("numbers in quotes, and whole numbers with a point, are accepted") {
  const auto result = read(with_params("      rpm: \"1_000\"\n"
                                       "      tpm: 60.0\n"
                                       "      timeout: '2.5'\n"
                                       "      drop_params: 'on'\n"));
  REQUIRE(result.diagnostics.empty());
  const auto& made = result.settings.deployments.at(0);
  CHECK(made.rpm == 1000U);
  CHECK(made.tpm == 60U);
  CHECK(made.timeout == milliseconds(2500));
  CHECK(made.drop_params);
}

TEST_CASE("include: lists are appended, other keys replaced, errors name the file") {
  const folder at;
  const auto main = at.write("main.yaml", "include:\n  - sub/more.yaml\n  - other.yaml\n"
                                          "model_list:\n" +
                                              mock_model("a") +
                                              "router_settings: {num_retries: 1, timeout: 5}\n");
  at.write("sub/more.yaml", "include: deep.yaml\nmodel_list:\n" + mock_model("b"));
  at.write("sub/deep.yaml", "model_list:\n" + mock_model("c"));
  at.write("other.yaml", "router_settings:\n  num_retries: 4\n  num_retires: 1\n");
  const auto result = read_file(main, fixed_environment({}));
  INFO(join(errors(result)));
  CHECK_FALSE(result.has_errors());
  const auto& all = result.settings;
  REQUIRE(all.groups.size() == 3);
  CHECK(all.groups[0].name == "a");
  CHECK(all.groups[1].name == "b");
  CHECK(all.groups[2].name == "c");
  CHECK(all.router.num_retries == 4);
  CHECK(all.router.timeout == milliseconds(600'000));
  const auto folder_name = fs::path(main).parent_path().string();
  CHECK(has_line(warnings(result), folder_name + "/other.yaml:1:1: router_settings: replaces"));
  CHECK(has_line(warnings(result), folder_name + "/other.yaml:3:3: router_settings.num_retires"));
}

TEST_CASE("include: files that are missing, include each other or go too deep") {
  const folder at;
  SECTION("missing") {
    const auto main =
        at.write("main.yaml", "include: [none.yaml]\nmodel_list:\n" + mock_model("a"));
    const auto result = read_file(main, fixed_environment({}));
    REQUIRE(errors(result).size() == 1);
    CHECK(has_line(errors(result), main + ":1:11: include[0]: ", {"none.yaml", "No such file"}));
  }
  SECTION("each other") {
    const auto main = at.write("main.yaml", "include: b.yaml\nmodel_list:\n" + mock_model("a"));
    at.write("b.yaml", "include: main.yaml\n");
    const auto result = read_file(main, fixed_environment({}));
    REQUIRE(errors(result).size() == 1);
    CHECK(errors(result)[0].find("b.yaml:1:1: include: ") != std::string::npos);
    CHECK(errors(result)[0].find("itself") != std::string::npos);
  }
  SECTION("too deep") {
    for (int i = 0; i < 20; ++i) {
      at.write(std::to_string(i) + ".yaml", "include: " + std::to_string(i + 1) + ".yaml\n");
    }
    const auto main = at.write("main.yaml", "include: 0.yaml\nmodel_list:\n" + mock_model("a"));
    CHECK(has_line(errors(read_file(main, fixed_environment({}))), "", {"levels"}));
  }
  SECTION("broken inside") {
    const auto main = at.write("main.yaml", "include: b.yaml\nmodel_list:\n" + mock_model("a"));
    const auto broken = at.write("b.yaml", "router_settings:\n  timeout: soon\n");
    const auto result = read_file(main, fixed_environment({}));
    CHECK(has_line(errors(result), broken + ":2:3: router_settings.timeout: "));
  }
}

TEST_CASE("a file that cannot be read is an error like any other") {
  const auto none = read_file("/nowhere/config.yaml", fixed_environment({}));
  REQUIRE(errors(none).size() == 1);
  CHECK(has_line(errors(none), "/nowhere/config.yaml: ", {"No such file"}));
  CHECK(has_line(errors(read_file("/", fixed_environment({}))), "/: ", {"a folder"}));
}

TEST_CASE("many findings: the first 200 are kept, errors before warnings, the rest counted") {
  std::string text = with_mock("router_settings:\n");
  for (int i = 0; i < 300; ++i) {
    text += "  strange_key_" + std::to_string(i) + ": 1\n";
  }
  text += "vorrang_settings:\n  admin_port: 99999\n";
  const auto result = read(text);
  CHECK(result.diagnostics.size() == 200);
  CHECK(result.diagnostics_dropped == 101);
  CHECK(result.has_errors());
  std::ostringstream out;
  print_diagnostics(out, result, false);
  CHECK(out.str().find("and 101 more") != std::string::npos);
}

TEST_CASE("keys with line breaks in their names do not break the lines of messages") {
  const auto result = read(with_mock("\"a\\nconfig.yaml:1:1: b\": 1\n"));
  for (const auto& line : warnings(result)) {
    CHECK(line.find('\n') == std::string::npos);
  }
}

TEST_CASE("the closest word") {
  CHECK(edit_distance("rpm", "rmp", 3) == 1);
  CHECK(edit_distance("", "abc", 3) == 3);
  CHECK(edit_distance("abc", "xyz", 2) == 3);
  CHECK(edit_distance("kitten", "sitting", 5) == 3);
  CHECK(closest("num_retires", {"timeout", "num_retries"}) == "num_retries");
  CHECK_FALSE(closest("zzz", {"timeout", "num_retries"}).has_value());
  CHECK_FALSE(closest(std::string(1000, 'a'), {"a"}).has_value());
}
