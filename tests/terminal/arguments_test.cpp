// The command lines of the operator's commands.
#include "terminal/arguments.hpp"
#include "terminal/commands.hpp"

#include "catch.hpp"

#include <sstream>

using namespace vorrang;
using namespace vorrang::terminal;

namespace {

using variables = std::map<std::string, std::string, std::less<>>;

arguments read(std::vector<std::string> line, variables told = {}) {
  return read_arguments(std::move(line), config::fixed_environment(std::move(told)));
}

} // namespace

TEST_CASE("arguments: each command takes what it needs") {
  const auto queue = read({"queue", "m", "--json", "--limit", "5", "--offset", "10"});
  REQUIRE_FALSE(queue.exit_status);
  CHECK((queue.asked == verb::queue && queue.model == "m" && queue.json));
  CHECK((queue.limit == 5 && queue.offset == 10));
  CHECK(queue.where.text == "http://127.0.0.1:4001");

  const auto bump = read({"bump", "family/a", "281474993487874", "-5"});
  REQUIRE_FALSE(bump.exit_status);
  CHECK((bump.model == "family/a" && bump.id == "281474993487874" && bump.priority == -5));

  CHECK(read({"bump", "m", "1", "010"}).priority == 10);
  CHECK(read({"bump", "m", "1", "-2147483648"}).priority == -2147483648);
  CHECK(read({"queue", "--offset", "18446744073709551615"}).offset == 18446744073709551615u);

  CHECK(read({"why", "9f86"}).id == "9f86");
  CHECK(read({"check", "a.yaml"}).file == "a.yaml");
  CHECK(read({"check"}, {{"CONFIG_FILE_PATH", "b.yaml"}}).file == "b.yaml");
  CHECK(read({"init"}).file == "config.yaml");
  CHECK(read({"init", "x", "--force"}).force);
}

TEST_CASE("arguments: wrong usage has status 2 and says what is wrong") {
  for (const auto& line :
       std::vector<std::vector<std::string>>{{"bump", "m", "1"},
                                             {"bump", "m", "1", "soon"},
                                             {"bump", "m", "1", "2147483648"},
                                             {"bump", "m", "1", ""},
                                             {"bump", "m", "1", "1.0"},
                                             {"bump", "m", "1", "1 "},
                                             {"bump", "m", "", "1"},
                                             {"bump", "", "1", "1"},
                                             {"cancel", "m"},
                                             {"cancel", "m", ""},
                                             {"why", ""},
                                             {"queue", "--offset", "-1"},
                                             {"queue", "--offset", ""},
                                             {"queue", "--offset", "99999999999999999999"},
                                             {"queue", "--limit", ""},
                                             {"why"},
                                             {"queue", "--limit", "1001"},
                                             {"queue", "--limit", "-1"},
                                             {"queue", "a", "b"},
                                             {"queue", "--colour"},
                                             {"reload", "now"},
                                             {"top", "--url", "ftp://x"},
                                             {"cancel", "m", "1", "--url", ""},
                                             {"queue", ""},
                                             {"check"},
                                             {"check", ""},
                                             {"init", ""}}) {
    const auto result = read(line);
    INFO(line.front() << " " << line.back() << ": " << result.text);
    CHECK(result.exit_status == 2);
    CHECK(result.text.rfind("vorrang " + line.front() + ": ", 0) == 0);
  }
  CHECK(read({"check"}).text.find("CONFIG_FILE_PATH") != std::string::npos);
  for (const auto& name : command_names()) {
    const auto help = read({name, "--help"});
    CHECK(help.exit_status == 0);
    CHECK(help.text.find("Examples:") != std::string::npos);
    CHECK(is_command(name));
  }
  CHECK_FALSE(is_command("--config"));
  CHECK_FALSE(is_command(""));
}

TEST_CASE(
    "arguments: the address comes from --url, then the variable, the key from variables alone") {
  const variables set = {{"VORRANG_ADMIN_URL", "gateway:4001"}, {"VORRANG_MASTER_KEY", "b"}};
  CHECK(read({"queue"}, set).where.host == "gateway");
  CHECK(read({"queue"}, set).key->text == "b");
  CHECK(read({"queue", "--url", "http://[::1]:9"}, set).where.host == "::1");
  CHECK(read({"queue", "--url", "http://[::1]:9"}, set).where.port == 9);
  const variables both = {{"LITELLM_MASTER_KEY", "a"}, {"VORRANG_MASTER_KEY", "b"}};
  CHECK(read({"queue"}, both).key->text == "a");
  CHECK(read({"queue"}, both).key->variable == "LITELLM_MASTER_KEY");
  CHECK_FALSE(read({"queue"}).key);
  CHECK(read({"queue", "--key", "x"}).exit_status == 2);

  const auto wrong = read({"queue"}, {{"VORRANG_ADMIN_URL", "http://"}});
  CHECK(wrong.exit_status == 2);
  CHECK(wrong.text.find("VORRANG_ADMIN_URL") != std::string::npos);
}

TEST_CASE("addresses: what is one, and what is none") {
  std::string trouble;
  const auto https = read_address("https://ops.example/vorrang/", trouble);
  REQUIRE(https);
  CHECK((https->is_https && https->port == 443 && https->prefix == "/vorrang"));
  CHECK(read_address("HTTP://a", trouble)->port == 80);
  for (const auto* wrong :
       {"", "http://", "http://:80", "http://a:0", "http://a:65536", "http://a:b", "http://a:1x",
        "http://[::1", "http://a?b", "http://a b", "gopher://a"}) {
    INFO(wrong);
    CHECK_FALSE(read_address(wrong, trouble));
    CHECK_FALSE(trouble.empty());
  }
  CHECK_FALSE(read_address("http://me:secret@a", trouble));
  CHECK(trouble.find("secret") == std::string::npos);
  CHECK(encode_segment("family/a b%?é") == "family%2Fa%20b%25%3F%C3%A9");
}

TEST_CASE("commands: an address where nobody listens is said, and what to do") {
  std::ostringstream out, errors;
  command_context context{config::fixed_environment({}), out, errors};
  CHECK(run_command({"queue", "--url", "http://127.0.0.1:1"}, context) == 1);
  CHECK(out.str().empty());
  CHECK(errors.str().find("cannot reach http://127.0.0.1:1") != std::string::npos);
  CHECK(errors.str().find("--url") != std::string::npos);
}
