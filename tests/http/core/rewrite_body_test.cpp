#include "catch.hpp"
#include "seed.hpp"

#include "http/rewrite_body.hpp"

#include <nlohmann/json.hpp>

#include <random>
#include <string>
#include <vector>

using namespace vorrang::http;
using nlohmann::json;

namespace {

inspected_body look_at(std::string_view body) {
  body_scanner scanner;
  scanner.feed(body);
  auto out = inspect(body, scanner);
  INFO(body << ": " << out.fault.message);
  REQUIRE_FALSE(out.fault);
  return out;
}

struct result {
  std::string text;
  bool usage_added;
};

result rewritten(const std::string& body, rewrite_plan plan = {}) {
  if (plan.model.empty()) {
    plan.model = "upstream";
  }
  const auto out = rewrite_body(body, look_at(body), plan);
  const auto text = out.joined();
  CHECK(out.size == text.size());
  for (const auto slice : out.slices) {
    CHECK_FALSE(slice.empty());
  }
  REQUIRE(json::accept(text));
  return {text, out.usage_added};
}

body_members members(std::string_view text) {
  auto out = parse_body_members(text);
  REQUIRE(out);
  return *out;
}

} // namespace

TEST_CASE("only what must change changes") {
  CHECK(rewritten(R"({"model":"m","messages":[]})").text ==
        R"({"model":"upstream","messages":[]})");
  CHECK(rewritten(" { \"a\" : 1 ,\t\"model\"  : \"m\"  ,\n\"b\":[1.0e+2,-0] }\r\n").text ==
        " { \"a\" : 1 ,\t\"model\"  : \"upstream\"  ,\n\"b\":[1.0e+2,-0] }\r\n");
  CHECK(rewritten(R"({"mod\u0065l":"m"})").text == R"({"mod\u0065l":"upstream"})");
  CHECK(rewritten(R"({"a":1})").text == R"({"a":1,"model":"upstream"})");
  CHECK(rewritten("{ }").text == R"({"model":"upstream" })");
  CHECK(rewritten(R"({"x":1,"x":2,"model":"m"})").text == R"({"x":1,"x":2,"model":"upstream"})");
  rewrite_plan odd;
  odd.model = "a\"\n";
  CHECK(rewritten(R"({"model":"m"})", odd).text == R"({"model":"a\"\n"})");
}

TEST_CASE("an untouched body is few slices") {
  const std::string body = R"({"a":1,"b":2,"model":"m","c":3,"d":4,"e":5})";
  const auto out = rewrite_body(body, look_at(body), {.model = "u"});
  REQUIRE(out.slices.size() == 3);
  CHECK(out.slices[0].data() == body.data());
  CHECK(out.slices[2] == R"(,"c":3,"d":4,"e":5})");
}

TEST_CASE("never forwarded, wherever it stands") {
  const std::vector<std::string> ours = {"priority",
                                         "timeout",
                                         "request_timeout",
                                         "stream_timeout",
                                         "num_retries",
                                         "max_retries",
                                         "fallbacks",
                                         "context_window_fallbacks",
                                         "disable_fallbacks",
                                         "tags",
                                         "cache",
                                         "caching",
                                         "guardrails",
                                         "litellm_x",
                                         "mock_y",
                                         "no-log",
                                         "ttl",
                                         "keepalive_seconds",
                                         "metadata",
                                         "pr\\u0069ority"};
  for (const auto& name : ours) {
    INFO(name);
    const auto member = "\"" + name + "\": " + (name == "timeout" ? "1" : "null") + " ";
    CHECK(rewritten("{" + member + R"(,"a":1,"model":"m"})").text ==
          R"({"a":1,"model":"upstream"})");
    CHECK(rewritten(R"({"a":1 , )" + member + R"(,"model":"m"})").text ==
          R"({"a":1 ,"model":"upstream"})");
    CHECK(rewritten(R"({"a":1,"model":"m" , )" + member + "}").text ==
          R"({"a":1,"model":"upstream" })");
    CHECK(rewritten("{" + member + "}").text == R"({"model":"upstream" })");
  }
  CHECK(rewritten(R"({"ttl":1,"model":"m","tags":[],"a":1,"cache":1,"ttls":2})").text ==
        R"({"model":"upstream","a":1,"ttls":2})");
}

TEST_CASE("metadata goes to those who store, and to Anthropic's API") {
  const std::string stored = R"({"metadata":{"a":1},"model":"m","store":true})";
  CHECK(rewritten(stored).text == R"({"metadata":{"a":1},"model":"upstream","store":true})");
  CHECK(rewritten(R"({"metadata":{"a":1},"model":"m","store":false})").text ==
        R"({"model":"upstream","store":false})");
  rewrite_plan anthropic;
  anthropic.api = body_api::messages;
  CHECK(rewritten(R"({"metadata":{"user_id":"u"},"model":"m"})", anthropic).text ==
        R"({"metadata":{"user_id":"u"},"model":"upstream"})");
}

TEST_CASE("defaults, extra body and dropped fields") {
  const auto defaults = members(R"({"temperature":0.25,"max_tokens":99,"model":"no","seed":1})");
  const auto extra = members(R"({"top_k":7,"user":"config"})");
  const std::vector<std::string> drop = {"logit_bias", "seed", "model"};
  rewrite_plan plan;
  plan.defaults = &defaults;
  plan.extra_body = &extra;
  plan.drop = &drop;
  CHECK(rewritten(R"({"model":"m"})", plan).text ==
        R"({"model":"upstream","top_k":7,"user":"config","temperature":0.25,"max_tokens":99})");
  CHECK(rewritten(R"({"model":"m","temperature":1,"logit_bias":{},"seed":4,"user":"u"} )", plan)
            .text ==
        R"({"model":"upstream","temperature":1,"top_k":7,"user":"config","max_tokens":99} )");
  // null is a value, and the two names of the limit count as one.
  CHECK(
      rewritten(R"({"model":"m","temperature":null,"max_completion_tokens":5})", plan).text ==
      R"({"model":"upstream","temperature":null,"max_completion_tokens":5,"top_k":7,"user":"config"})");
  CHECK(rewritten(
            R"({"model":"m","extra_body":{"top_k":1,"priority":3},"temperature":1,"max_tokens":2})",
            plan)
            .text ==
        R"({"model":"upstream","temperature":1,"max_tokens":2,"top_k":1,"user":"config"})");
  CHECK_FALSE(parse_body_members("[]"));
  CHECK_FALSE(parse_body_members("{"));
  CHECK(members(R"({"a":1,"\u0061":2})").members.size() == 1);
  CHECK(members(R"({"a":1,"\u0061":2})").find("a")->value == "2");
}

TEST_CASE("fields that a deployment is known to refuse") {
  const std::vector<std::string> refused = {"reasoning_effort"};
  rewrite_plan plan;
  plan.drop_also = &refused;
  plan.rename_max_tokens = true;
  CHECK(rewritten(R"({"model":"m","reasoning_effort":"low","max_tokens": 5,"a":1})", plan).text ==
        R"({"model":"upstream","max_completion_tokens": 5,"a":1})");
  CHECK(rewritten(R"({"max_tokens": 5,"max_completion_tokens":6,"model":"m"})", plan).text ==
        R"({"max_completion_tokens":6,"model":"upstream"})");
}

TEST_CASE("usage is asked for where the client did not") {
  rewrite_plan plan;
  plan.add_stream_usage = true;
  const auto added = [&](const std::string& body, body_api api = body_api::chat) {
    auto here = plan;
    here.api = api;
    return rewritten(body, here);
  };
  const auto plain = added(R"({"model":"m","stream":true})");
  CHECK(plain.text ==
        R"({"model":"upstream","stream":true,"stream_options":{"include_usage":true}})");
  CHECK(plain.usage_added);
  CHECK(added(R"({"stream_options":null,"model":"m","stream":true})").text ==
        R"({"stream_options":{"include_usage":true},"model":"upstream","stream":true})");
  CHECK(
      added(R"({"stream_options":{"x":1,"include_usage":false},"model":"m","stream":true})").text ==
      R"({"stream_options":{"x":1,"include_usage":true},"model":"upstream","stream":true})");
  for (const char* body : {R"({"model":"m"})", R"({"model":"m","stream":false})",
                           R"({"stream_options":{"include_usage":true},"model":"m","stream":true})",
                           R"({"stream_options":5,"model":"m","stream":true})"}) {
    INFO(body);
    CHECK_FALSE(added(body).usage_added);
    CHECK(added(body).text == rewritten(body).text);
  }
  CHECK_FALSE(added(R"({"model":"m","stream":true})", body_api::responses).usage_added);
  CHECK_FALSE(rewritten(R"({"model":"m","stream":true})").usage_added);
}

TEST_CASE("random bodies become what a parser would make of them") {
  const auto seed = vorrang::test::seed();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::vector<std::string> names = {
      "model",   "priority", "a",    "b",        "c",     "temperature", "tags", "mock_x",
      "drop_me", "messages", "seed", "metadata", "store", "litellm_y",   "top_k"};
  const std::vector<std::string> values = {
      "1",    "-2.5e3", "\"t\\u00e9,}\"", "[1,{\"model\":2}]", "{}", "{\"priority\":[]}",
      "null", "\"\""};
  const std::string blanks[] = {"", " ", "\n\t", "  "};
  const auto blank = [&] {
    return blanks[random() % 4];
  };
  const auto defaults = members(R"({"temperature":0.5,"seed":3})");
  const auto extra = members(R"({"top_k":9})");
  const std::vector<std::string> drop = {"drop_me"};
  for (int round = 0; round < 20'000; ++round) {
    std::string body = blank() + "{" + blank();
    json expected = json::object();
    bool store = false;
    std::vector<std::string> left = names;
    std::vector<std::pair<std::string, std::string>> sent;
    for (auto count = random() % 8; count > 0 && !left.empty(); --count) {
      const auto at = static_cast<std::ptrdiff_t>(random() % left.size());
      const auto name = left[static_cast<std::size_t>(at)];
      left.erase(left.begin() + at);
      auto value = values[random() % values.size()];
      if (name == "model") {
        value = "\"m\"";
      } else if (name == "priority") {
        value = "7";
      } else if (name == "store") {
        store = random() % 2 != 0;
        value = store ? "true" : "false";
      }
      sent.emplace_back(name, value);
      body += (sent.size() > 1 ? "," + blank() : "") + "\"" + name + "\"" + blank() + ":" +
              blank() + value + blank();
    }
    body += "}" + blank();
    for (const auto& [name, value] : sent) {
      if (!is_never_forwarded(name, body_api::chat, store) && name != "drop_me") {
        expected[name] = json::parse(value);
      }
    }
    for (const auto& each : defaults.members) {
      if (!expected.contains(each.key)) {
        expected[each.key] = json::parse(each.value);
      }
    }
    expected["top_k"] = 9;
    expected["model"] = "upstream";
    rewrite_plan plan;
    plan.model = "upstream";
    plan.defaults = &defaults;
    plan.extra_body = &extra;
    plan.drop = &drop;
    const auto text = rewrite_body(body, look_at(body), plan).joined();
    const auto got = json::parse(text, nullptr, false);
    if (got != expected) {
      FAIL(body << " became " << text);
    }
  }
}
