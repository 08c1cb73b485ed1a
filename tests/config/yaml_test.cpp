// YAML as PyYAML's safe_load reads it, and what is no YAML.
#include "catch.hpp"
#include "read.hpp"

#include "config/yaml_text.hpp"
#include "config/yaml_tree.hpp"

#include <string>

using namespace vorrang::config;
using namespace vorrang::config::test;

namespace {

node_ptr parse(const std::string& text, diagnostics& out) {
  return parse_yaml(text, out.add_file("t.yaml"), out);
}

node_ptr parse_good(const std::string& text) {
  diagnostics out;
  auto root = parse(text, out);
  REQUIRE(root);
  REQUIRE_FALSE(out.has_errors());
  return root;
}

std::string first_error(const std::string& text) {
  diagnostics out;
  parse(text, out);
  REQUIRE(out.has_errors());
  for (const auto& each : out.take()) {
    if (each.level == severity::error) {
      return to_text(each);
    }
  }
  return {};
}

} // namespace

TEST_CASE("plain scalars have the types of YAML 1.1") {
  using enum node_type;
  const std::pair<const char*, node_type> cases[] = {{"", null},
                                                     {"~", null},
                                                     {"null", null},
                                                     {"Null", null},
                                                     {"nUll", text},
                                                     {"yes", boolean},
                                                     {"No", boolean},
                                                     {"ON", boolean},
                                                     {"off", boolean},
                                                     {"true", boolean},
                                                     {"y", text},
                                                     {"n", text},
                                                     {"yEs", text},
                                                     {"0", integer},
                                                     {"12", integer},
                                                     {"-12", integer},
                                                     {"+1", integer},
                                                     {"1_000_000", integer},
                                                     {"0x1F", integer},
                                                     {"0b101", integer},
                                                     {"0777", integer},
                                                     {"0o17", text},
                                                     {"089", text},
                                                     {"1:30", integer},
                                                     {"190:20:30", integer},
                                                     {"1:60", text},
                                                     {"1.5", real},
                                                     {"1.", real},
                                                     {".5", real},
                                                     {"1e3", text},
                                                     {"1.0e3", text},
                                                     {"1.0e+3", real},
                                                     {"-.inf", real},
                                                     {".NaN", real},
                                                     {"1:30.5", real},
                                                     {"2024-06-01", text},
                                                     {"1.2.3", text},
                                                     {"-.5", text},
                                                     {"+.5", text},
                                                     {"-.5", text},
                                                     {"+.5", text},
                                                     {"gpt-4", text},
                                                     {"-", text},
                                                     {".", text},
                                                     {"_1", text},
                                                     {"99999999999999999999", integer}};
  for (const auto& [written, type] : cases) {
    INFO(written);
    CHECK(resolve_scalar(written) == type);
  }
}

TEST_CASE("numbers have the values of YAML 1.1") {
  CHECK(parse_integer("1_000_000") == 1'000'000);
  CHECK(parse_integer("0x1F") == 31);
  CHECK(parse_integer("0b101") == 5);
  CHECK(parse_integer("0777") == 511);
  CHECK(parse_integer("-0777") == -511);
  CHECK(parse_integer("1:30") == 90);
  CHECK(parse_integer("9223372036854775807") == 9223372036854775807);
  CHECK_FALSE(parse_integer("9223372036854775808").has_value());
  CHECK_FALSE(parse_integer("1.0").has_value());
  CHECK_FALSE(parse_integer("").has_value());
  CHECK(parse_real("1_000.5") == 1000.5);
  CHECK(parse_real("1e3") == 1000.0);
  CHECK(parse_real("-.5") == -0.5);
  CHECK(parse_real("1:30.5") == 90.5);
  CHECK_FALSE(parse_real("1e999").has_value());
  CHECK_FALSE(parse_real("abc").has_value());
}

TEST_CASE("quoted and tagged scalars") {
  const auto root = parse_good("a: \"1\"\nb: '~'\nc: !!str 5\nd: !!int \"5\"\ne: !!float 5\n");
  CHECK(root->find("a")->value->type == node_type::text);
  CHECK(root->find("b")->value->type == node_type::text);
  CHECK(root->find("c")->value->type == node_type::text);
  CHECK(root->find("d")->value->type == node_type::integer);
  CHECK(root->find("e")->value->type == node_type::real);
  CHECK(first_error("a: !custom 5\n").find("!custom") != std::string::npos);
  CHECK(first_error("a: !!python/object:os.system {}\n").find("tag") != std::string::npos);
  CHECK(first_error("a: !!int abc\n").rfind("t.yaml:1:", 0) == 0);
}

TEST_CASE("merge keys: own keys win, the earlier merged mapping wins over the later") {
  const auto root = parse_good("x: &x {a: 1, b: 1}\n"
                               "y: &y {b: 2, c: 2}\n"
                               "one:\n  <<: *x\n  a: own\n"
                               "many:\n  a: own\n  <<: [*x, *y]\n"
                               "chain:\n  <<: {<<: *y, d: 4}\n"
                               "quoted: {\"<<\": 5}\n");
  const auto value = [&](const char* map, const char* key) {
    return root->find(map)->value->find(key)->value->text;
  };
  CHECK(value("one", "a") == "own");
  CHECK(value("one", "b") == "1");
  CHECK(value("many", "a") == "own");
  CHECK(value("many", "b") == "1");
  CHECK(value("many", "c") == "2");
  CHECK(value("chain", "c") == "2");
  CHECK(value("chain", "d") == "4");
  CHECK(value("quoted", "<<") == "5");
  // Each key once, also for those who go through all of them.
  CHECK(root->find("one")->value->entries.size() == 2);
  CHECK(root->find("many")->value->entries.size() == 3);
  CHECK(first_error("a:\n  <<: 5\n").rfind("t.yaml:2:7: <<: ", 0) == 0);
}

TEST_CASE("of duplicate keys the last counts, with a warning") {
  diagnostics out;
  const auto root = parse("a: 1\nb: 2\na: 3\n", out);
  REQUIRE(root);
  CHECK(root->find("a")->value->text == "3");
  CHECK_FALSE(out.has_errors());
  const auto found = out.take();
  REQUIRE(found.size() == 1);
  CHECK(to_text(found[0]).rfind("t.yaml:3:1: a: ", 0) == 0);
  CHECK(found[0].message.find("line 1") != std::string::npos);
}

TEST_CASE("every key and value knows its place") {
  const auto root = parse_good("a:\n  - b: 1\n    c: [x, y]\n");
  const auto& item = *root->find("a")->value->items.at(0);
  CHECK(item.find("c")->at.line == 3);
  CHECK(item.find("c")->at.column == 5);
  CHECK(item.find("c")->value->items.at(1)->at.column == 12);
}

TEST_CASE("syntax errors have their place") {
  CHECK(first_error("a:\n\tb: 1\n").find("found a tab in line 2") != std::string::npos);
  CHECK(first_error("a: [1, 2\n").rfind("t.yaml:", 0) == 0);
  CHECK(first_error("a: 1\n---\nb: 2\n").find("second") != std::string::npos);
  CHECK(first_error("a: \"\\xff").rfind("t.yaml:1:", 0) == 0);
  CHECK(first_error("a: *nobody\n").rfind("t.yaml:1:", 0) == 0);
  CHECK(first_error("? [1, 2]\n: 3\n").find("key") != std::string::npos);
  CHECK(first_error("a: b: c\n").rfind("t.yaml:1:", 0) == 0);
  CHECK(first_error("a: 1\nb 2\nc: 3\n").rfind("t.yaml:2:1: b: expected ':'", 0) == 0);
}

TEST_CASE("a wrong guess at a missing colon is not told") {
  const auto error = first_error("list:\n  - abc\n - bad: 1\n");
  CHECK(error.find("abc") == std::string::npos);
}

TEST_CASE("bytes that are no text are refused with their place") {
  CHECK(first_error("a: 1\nb: \xff\n") ==
        "t.yaml:2:4: expected UTF-8 text, found a byte that is not UTF-8");
  CHECK(first_error(std::string("a: \x04 b\n")).find("0x04") != std::string::npos);
  CHECK(first_error(std::string("a: \0b\n", 6)).find("0x00") != std::string::npos);
  CHECK(first_error("a: \xed\xa0\x80\n").find("UTF-8") != std::string::npos);
  CHECK(parse_good("\xef\xbb\xbf"
                   "a: \"ü → 😀\"\n")
            ->find("a")
            ->value->text == "ü → 😀");
}

TEST_CASE("limits on size, depth and aliases") {
  CHECK(first_error(std::string(yaml_bytes_max + 1, ' ')).find("8 MiB") != std::string::npos);
  CHECK(first_error("a: " + std::string(100, '[') + std::string(100, ']') + "\n").find("levels") !=
        std::string::npos);
  CHECK(first_error("a: " + std::string(100'000, '[') + "\n").rfind("t.yaml:1:", 0) == 0);
  std::string laughs = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 40; ++i) {
    const auto before = std::to_string(i - 1);
    const auto now = std::to_string(i);
    laughs += "a" + now + ": &a" + now + " [*a" + before + ", *a" + before + "]\n";
  }
  CHECK(first_error(laughs).find("aliases") != std::string::npos);
  CHECK(first_error("a: &a [*a]\n").find("alias") != std::string::npos);
}

TEST_CASE("an empty file, a list and a text are no configuration") {
  CHECK(has_line(errors(read("")), "config.yaml:1:1: expected a mapping", {"empty"}));
  CHECK(has_line(errors(read("# nothing\n")), "config.yaml:", {"empty"}));
  CHECK(has_line(errors(read("- a\n")), "config.yaml:1:1: expected a mapping", {"a list"}));
  CHECK(has_line(errors(read("abc\n")), "config.yaml:1:1: expected a mapping"));
}
