// What a name means: groups, patterns, aliases, pins, fallbacks.
#include "catch.hpp"
#include "read.hpp"

using namespace vorrang::config;
using namespace vorrang::config::test;

namespace {

std::string item(const std::string& name, const std::string& model, const std::string& id = "") {
  return "  - model_name: '" + name + "'\n    litellm_params: {model: '" + model +
         "', api_key: k}\n" + (id.empty() ? "" : "    model_info: {id: '" + id + "'}\n");
}

settings load(const std::string& text) {
  auto result = read(text);
  INFO(join(errors(result)));
  REQUIRE_FALSE(result.has_errors());
  return std::move(result.settings);
}

/// "<group> [<pinned deployment>] <matched texts>"
std::string meaning(const settings& all, const std::string& name) {
  const auto found = resolve(all, name);
  if (!found) {
    return "nothing";
  }
  CHECK(found->name == name);
  auto out = all.groups.at(found->group).name;
  if (found->deployment) {
    out += " [" + all.deployments.at(*found->deployment).id + "]";
  }
  for (const auto& each : found->matched) {
    out += " (" + each + ")";
  }
  return out;
}

std::vector<std::string> names(const std::vector<target>& targets) {
  std::vector<std::string> out;
  for (const auto& each : targets) {
    out.push_back(each.name);
  }
  return out;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE("patterns match any text, also none") {
  std::vector<std::string> matched;
  CHECK(matches_pattern("a*", "abc", &matched));
  CHECK(matched == list{"bc"});
  CHECK(matches_pattern("a*", "a", &matched));
  CHECK(matched == list{""});
  CHECK(matches_pattern("a*c*e", "abcde", &matched));
  CHECK(matched == list{"b", "d"});
  CHECK(matches_pattern("**", "x"));
  CHECK(matches_pattern("", ""));
  CHECK_FALSE(matches_pattern("a*c", "abd"));
  CHECK_FALSE(matches_pattern("ab*bc", "abc"));
  CHECK_FALSE(matches_pattern("a*b*c", "acb"));
  CHECK_FALSE(matches_pattern("abc", "ab"));
  CHECK_FALSE(matches_pattern("*x", ""));
}

TEST_CASE("an exact name, an alias, a pin, then the longest pattern") {
  const auto all = load("model_list:\n" + item("*", "openai/*") + item("openai/*", "openai/*") +
                        item("openai/gpt-4*", "openai/gpt-4*", "pin") + item("chat", "openai/a") +
                        "router_settings:\n"
                        "  model_group_alias:\n"
                        "    fast: chat\n"
                        "    hidden: {model: openai/gpt-4o, hidden: true}\n");
  CHECK(meaning(all, "chat") == "chat");
  CHECK(meaning(all, "fast") == "chat");
  CHECK(meaning(all, "hidden") == "openai/gpt-4* (o)");
  CHECK(meaning(all, "pin") == "openai/gpt-4* [pin]");
  CHECK(meaning(all, "openai/gpt-4o") == "openai/gpt-4* (o)");
  CHECK(meaning(all, "openai/o3") == "openai/* (o3)");
  CHECK(meaning(all, "whatever") == "* (whatever)");
  CHECK(all.aliases.at(1).hidden);
  const auto hashed = all.deployments.at(3).id;
  CHECK(meaning(all, hashed) == "chat [" + hashed + "]");
}

TEST_CASE("names are case-sensitive, and unknown ones mean nothing") {
  const auto all = load("model_list:\n" + item("chat", "openai/a"));
  CHECK(meaning(all, "Chat") == "nothing");
  CHECK(meaning(all, "") == "nothing");
  CHECK(meaning(all, "chat ") == "nothing");
}

TEST_CASE("a pattern is one group, and * upstream takes the matched text") {
  const auto all =
      load("model_list:\n" + item("a-*-b-*", "openai/x-*-y-*") + item("f*", "openai/fixed"));
  CHECK(all.groups.size() == 2);
  const auto found = resolve(all, "a-1-b-2");
  REQUIRE(found.has_value());
  CHECK(upstream_model_for(all.deployments[0], found->matched) == "x-1-y-2");
  CHECK(upstream_model_for(all.deployments[0], {"1"}) == "x-1-y-1");
  CHECK(upstream_model_for(all.deployments[0], {}) == "x-*-y-*");
  CHECK(upstream_model_for(all.deployments[1], {"oo"}) == "fixed");
}

TEST_CASE("settings built by hand resolve without an index") {
  settings all;
  group one;
  one.name = "g";
  one.deployments = {0};
  all.groups.push_back(one);
  deployment only;
  only.id = "d";
  all.deployments.push_back(only);
  CHECK(meaning(all, "g") == "g");
  CHECK(meaning(all, "d") == "g [d]");
}

TEST_CASE("equal names are one group, in order") {
  const auto all =
      load("model_list:\n" + item("a", "openai/1") + item("b", "openai/2") + item("a", "openai/3"));
  REQUIRE(all.groups.size() == 2);
  CHECK(all.groups[0].deployments == std::vector<std::size_t>{0, 2});
  CHECK(all.groups[1].deployments == std::vector<std::size_t>{1});
  CHECK(all.deployments[2].group == 0);
}

TEST_CASE("aliases that mean nothing are errors, those in the way of a group warnings") {
  const auto result = read("model_list:\n" + item("chat", "openai/a") +
                           "router_settings:\n"
                           "  model_group_alias:\n"
                           "    fast: chta\n"
                           "    odd: 5\n"
                           "    none: {hidden: true}\n"
                           "    chat: chat\n");
  const auto found = errors(result);
  CHECK(found.size() == 3);
  CHECK(has_line(found, "config.yaml:6:5: router_settings.model_group_alias.fast: ",
                 {"did you mean `chat`?"}));
  CHECK(has_line(found, "config.yaml:7:5: router_settings.model_group_alias.odd: "));
  CHECK(has_line(found, "config.yaml:8:5: router_settings.model_group_alias.none: "));
  CHECK(has_line(warnings(result), "config.yaml:9:5: router_settings.model_group_alias.chat: "));
}

TEST_CASE("fallbacks: own, else those of *, else the default ones") {
  const std::string models = "model_list:\n" + item("a", "openai/1") + item("b", "openai/2") +
                             item("c", "openai/3") + item("d", "openai/4");
  auto all = load(models + "router_settings:\n"
                           "  fallbacks:\n"
                           "    - a: [b, c]\n"
                           "    - b: d\n"
                           "  context_window_fallbacks: [{a: [d]}, {'*': [c]}]\n"
                           "litellm_settings: {default_fallbacks: [c, d]}\n");
  CHECK(names(all.groups[0].fallbacks) == list{"b", "c"});
  CHECK(names(all.groups[1].fallbacks) == list{"d"});
  CHECK(names(all.groups[2].fallbacks) == list{"d"});
  CHECK(names(all.groups[3].fallbacks) == list{"c"});
  CHECK(names(all.groups[0].context_window_fallbacks) == list{"d"});
  CHECK(names(all.groups[1].context_window_fallbacks) == list{"c"});
  CHECK(all.groups[2].context_window_fallbacks.empty());

  all = load(models + "litellm_settings:\n"
                      "  default_fallbacks: [c]\n"
                      "  fallbacks: [{'*': [d]}, {b: []}]\n");
  CHECK(names(all.groups[0].fallbacks) == list{"d"});
  CHECK(all.groups[1].fallbacks.empty());
}

TEST_CASE("fallbacks: each group once, never itself, as many as max_fallbacks") {
  std::string models = "model_list:\n";
  for (const char c : std::string("abcdefgh")) {
    models += item(std::string(1, c), "openai/x");
  }
  auto all = load(models + "router_settings: {fallbacks: [{a: [a, b, b, c, d, e, f, g, h]}]}\n");
  CHECK(names(all.groups[0].fallbacks) == list{"b", "c", "d", "e"}); // with `a`, five are visited
  all = load(models + "router_settings: {fallbacks: [{a: [b, c, d]}], max_fallbacks: 2}\n");
  CHECK(names(all.groups[0].fallbacks) == list{"b", "c"});
}

TEST_CASE("fallbacks: to patterns, aliases and pins") {
  const auto all = load("model_list:\n" + item("a", "openai/1") + item("x/*", "openai/*") +
                        item("c", "openai/3", "pin") +
                        "router_settings:\n"
                        "  model_group_alias: {nick: c}\n"
                        "  fallbacks: [{a: [x/big, nick]}, {nick: [a]}, {'x/*': [pin]}]\n");
  const auto& of_a = all.groups[0].fallbacks;
  REQUIRE(of_a.size() == 2);
  CHECK(of_a[0].matched == list{"big"});
  CHECK(of_a[1].group == 2);
  CHECK(names(all.groups[2].fallbacks) == list{"a"});
  REQUIRE(all.groups[1].fallbacks.size() == 1);
  CHECK(all.groups[1].fallbacks[0].deployment == 2U);
}

TEST_CASE("fallbacks: a deployment of a group that is visited before") {
  const auto result =
      read("model_list:\n" + item("a", "openai/1", "a1") + item("a", "openai/2", "a2") +
           item("b", "openai/3", "b1") + item("b", "openai/4", "b2") +
           "router_settings:\n"
           "  fallbacks:\n"
           "    - a: [b2, b1]\n"
           "    - b: [b1, a2]\n");
  const auto& groups = result.settings.groups;
  REQUIRE(groups[0].fallbacks.size() == 1);
  CHECK(groups[0].fallbacks[0].group == 1);
  CHECK(groups[0].fallbacks[0].deployment == 3U);
  REQUIRE(groups[1].fallbacks.size() == 1);
  CHECK(groups[1].fallbacks[0].deployment == 1U);
  CHECK(warnings(result).size() == 2);
  CHECK(has_line(warnings(result), "config.yaml:16:7: ", {"`b1`", "visited once", "`b`"}));
  CHECK(has_line(warnings(result), "config.yaml:17:7: ", {"`b1`", "visited once", "`b`"}));
}

TEST_CASE("fallbacks: each unknown name of a list is told") {
  const auto result = read(with_mock("router_settings:\n  fallbacks: [{fake: [fakee, nobody]}]\n"));
  const auto found = errors(result);
  INFO(join(found));
  CHECK(found.size() == 2);
  CHECK(has_line(found, "config.yaml:8:16: router_settings.fallbacks[0].fake[0]: ", {"`fake`?"}));
  CHECK(has_line(found, "config.yaml:8:16: router_settings.fallbacks[0].fake[1]: ", {"nobody"}));
}

TEST_CASE("fallbacks: unknown names") {
  const auto result = read("model_list:\n" + item("chat", "openai/1") + item("x/*", "openai/*") +
                           item("lost", "bedrock/x") +
                           "router_settings:\n"
                           "  fallbacks:\n"
                           "    - chat: [chatt]\n"
                           "    - caht: [chat]\n"
                           "    - x/one: [chat]\n"
                           "    - x/*: [lost, chat]\n"
                           "    - 5\n");
  CHECK(has_line(errors(result), "config.yaml:10:7: router_settings.fallbacks[0].chat: ",
                 {"`chatt`", "did you mean `chat`?"}));
  CHECK(has_line(errors(result), "config.yaml:14:7: router_settings.fallbacks[4]: "));
  CHECK(errors(result).size() == 2);
  CHECK(has_line(warnings(result), "config.yaml:11:7: ", {"no effect", "`chat`"}));
  CHECK(has_line(warnings(result), "config.yaml:12:7: ", {"`x/*`"}));
  CHECK(has_line(warnings(result), "config.yaml:13:7: ", {"`lost`", "passed over"}));
  CHECK(names(result.settings.groups[1].fallbacks) == list{"chat"});
}
