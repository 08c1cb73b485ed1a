// Pages about models, and answers that are read and restamped.
#include "catch.hpp"
#include "seed.hpp"

#include "http/model_restamp.hpp"
#include "http/models_page.hpp"
#include "http/sse_reader.hpp"

#include <nlohmann/json.hpp>

#include <random>
#include <string>
#include <vector>

using namespace vorrang;
using namespace vorrang::http;
using nlohmann::json;

namespace {

config::settings two_groups() {
  config::settings all;
  config::deployment one;
  one.id = "dep-1";
  one.group_name = "m";
  one.model = "openai/gpt";
  one.provider = "openai";
  one.api_key = config::secret("sk-secret");
  one.api_base = "https://h/v1?key=sk-secret";
  one.extra_headers = {{"x", "sk-secret"}};
  one.rpm = 5;
  one.model_info = R"({"owner":"me"})";
  auto two = one;
  two.id = "dep-2";
  two.rpm = 7;
  auto three = one;
  three.id = "dep-3";
  three.group = 1;
  three.group_name = "family/*";
  three.rpm.reset();
  all.deployments = {one, two, three};
  all.groups.resize(2);
  all.groups[0].name = "m";
  all.groups[0].deployments = {0, 1};
  all.groups[1].name = "family/*";
  all.groups[1].deployments = {2};
  all.aliases.resize(2);
  all.aliases[0].name = "alias";
  all.aliases[0].model = "m";
  all.aliases[0].target.group = 0;
  all.aliases[1].name = "hidden";
  all.aliases[1].model = "m";
  all.aliases[1].hidden = true;
  all.aliases[1].target.group = 0;
  config::index_names(all);
  return all;
}

std::vector<std::string> ids(const json& page) {
  std::vector<std::string> out;
  for (const auto& entry : page["data"]) {
    out.push_back(entry["id"]);
  }
  return out;
}

} // namespace

TEST_CASE("the list of models") {
  const auto all = two_groups();
  const auto page = json::parse(models_page(all, models_form::openai, 1700000000));
  CHECK(page["object"] == "list");
  CHECK(ids(page) == std::vector<std::string>{"m", "family/*", "alias"});
  CHECK(page["data"][0]["object"] == "model");
  CHECK(page["data"][0]["created"] == 1700000000);
  CHECK(page["data"][0].contains("owned_by"));
  const auto theirs = json::parse(models_page(all, models_form::anthropic, 1700000000));
  CHECK(ids(theirs) == ids(page));
  CHECK(theirs["data"][0]["type"] == "model");
  CHECK(theirs["data"][0]["display_name"] == "m");
  CHECK(theirs["data"][0]["created_at"] == "2023-11-14T22:13:20Z");
  CHECK(theirs["has_more"] == false);
  CHECK(theirs["first_id"] == "m");
  CHECK(theirs["last_id"] == "alias");
  config::client_key narrow;
  narrow.models = {"m"};
  CHECK(ids(json::parse(models_page(all, models_form::openai, 0, &narrow))) ==
        std::vector<std::string>{"m"});
}

TEST_CASE("one model") {
  const auto all = two_groups();
  for (const char* name : {"m", "family/x", "alias", "hidden", "dep-1"}) {
    const auto page = model_page(all, name, models_form::openai, 0);
    INFO(name);
    REQUIRE(page);
    CHECK(json::parse(*page)["id"] == name);
  }
  CHECK_FALSE(model_page(all, "nobody", models_form::openai, 0));
  config::client_key narrow;
  narrow.models = {"m"};
  CHECK_FALSE(model_page(all, "alias", models_form::openai, 0, &narrow));
}

TEST_CASE("pages about deployments and groups hold no secret") {
  const auto all = two_groups();
  const auto text = model_info_page(all);
  CHECK(text.find("sk-secret") == std::string::npos);
  const auto page = json::parse(text);
  std::vector<std::string> names;
  for (const auto& entry : page["data"])
    names.push_back(entry["model_name"]);
  REQUIRE(names == std::vector<std::string>{"m", "m", "family/*", "alias", "alias"});
  CHECK(page["data"][4]["model_info"]["id"] == "dep-2");
  CHECK(page["data"][0]["model_name"] == "m");
  CHECK(page["data"][0]["litellm_params"]["model"] == "openai/gpt");
  CHECK(page["data"][0]["litellm_params"]["api_base"] == "https://h/v1");
  CHECK(page["data"][0]["model_info"]["id"] == "dep-1");
  CHECK(page["data"][0]["model_info"]["owner"] == "me");
  const auto groups = json::parse(model_group_info_page(all));
  CHECK(groups["data"][0]["model_group"] == "m");
  CHECK(groups["data"][0]["rpm"] == 12);
  CHECK(groups["data"][0]["providers"] == json{"openai"});
  CHECK(groups["data"][1]["rpm"].is_null());
  REQUIRE(groups["data"].size() == 3);
  CHECK(groups["data"][2]["model_group"] == "alias");
  CHECK(groups["data"][2]["rpm"] == 12);
  CHECK(json::parse(liveliness_page()) == "I'm alive!");
  CHECK(json::parse(readiness_page(true, "", "0.1"))["status"] == "healthy");
  CHECK(json::parse(readiness_page(false, "draining", "0.1"))["reason"] == "draining");
}

TEST_CASE("an answer that is nothing but an error") {
  const auto is_error = [](std::string_view document) {
    return restamp_model(document, "m").error_only;
  };
  CHECK(is_error(R"({"error":{"message":"no","code":502}})"));
  CHECK(is_error(R"({"id":"gen-1","error":"no"})"));
  CHECK(is_error(R"({"type":"error","error":{"type":"overloaded_error","message":"busy"}})"));
  CHECK_FALSE(is_error(R"({"error":null})"));
  CHECK_FALSE(is_error(R"({"choices":[],"error":{"message":"cut off"}})"));
  CHECK_FALSE(is_error(R"({"object":"response","output":[],"error":{"code":"server_error"}})"));
  CHECK_FALSE(is_error(R"({"type":"response.failed","response":{"error":{}},"error":{}})"));
  CHECK_FALSE(is_error(R"({"data":[],"error":"partial"})"));
  CHECK_FALSE(is_error(R"({"choices":[{"error":{}}]})"));
}

TEST_CASE("the client's name is put into an answer") {
  const auto got = restamp_model(
      " {\"id\": \"x\", \"model\" : \"gpt-4o-2024\",\"choices\":[{\"model\":\"keep\"}],"
      "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}}\n",
      "my \"name\"");
  CHECK(got.is_object);
  CHECK(got.text ==
        " {\"id\": \"x\", \"model\" : \"my \\\"name\\\"\",\"choices\":[{\"model\":\"keep\"}],"
        "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}}\n");
  CHECK(got.usage.prompt_tokens == 5U);
  CHECK(got.usage.completion_tokens == 7U);
  CHECK(got.usage.total_tokens == 12U);
  CHECK_FALSE(got.usage_only);

  for (const char* same :
       {"{\"a\":1}", "[1]", "not json", "", "{\"model\":5}", "{\"model\":null}"}) {
    CHECK(restamp_model(same, "m").text == same);
  }
  CHECK_FALSE(restamp_model("[1]", "m").is_object);
  const auto cut = restamp_model("{\"model\":\"a\",\"text\":\"\xE2\x82\"}", "b");
  CHECK(cut.is_object); // half a character, as it came
  CHECK(cut.text == "{\"model\":\"b\",\"text\":\"\xE2\x82\"}");
  const auto deep = "{\"a\":" + std::string(400, '[') + std::string(400, ']') + "}";
  CHECK(restamp_model(deep, "b").is_object);
  CHECK(restamp_model(deep, "b").text == deep);
  CHECK(restamp_model(R"({"mod\u0065l":"a"})", "b").text == R"({"mod\u0065l":"b"})");
  CHECK(restamp_model(
            R"({"type":"message_start","message":{"id":1,"model":"a","usage":{"input_tokens":3}}})",
            "b")
            .text ==
        R"({"type":"message_start","message":{"id":1,"model":"b","usage":{"input_tokens":3}}})");
  const auto response = restamp_model(
      R"({"response":{"model":"a","usage":{"input_tokens":3,"output_tokens":4}}})", "b");
  CHECK(response.text.find("\"model\":\"b\"") != std::string::npos);
  CHECK(response.usage.total_tokens == 7U);
  CHECK(restamp_model(R"({"choices":[ ],"usage":{"total_tokens":1}})", "b").usage_only);
  CHECK_FALSE(restamp_model(R"({"choices":[],"usage":null})", "b").usage_only);
  CHECK_FALSE(restamp_model(R"({"choices":[{}],"usage":{"total_tokens":1}})", "b").usage_only);
}

TEST_CASE("events, at any cut and with any line end") {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    const auto lines = [&](std::vector<std::string> all) {
      std::string out;
      for (const auto& line : all) {
        out += line + end;
      }
      return out;
    };
    const std::vector<std::string> wanted = {
        lines({"data: one", ""}), lines({": comment", ""}),
        lines({"event: error", "data: a", "data:b", "id: 5", ""}), lines({"data", ""}),
        lines({"data: [DONE]", ""})};
    std::string stream;
    for (const auto& event : wanted) {
      stream += event;
    }
    const std::string tail = "data: cut";
    stream += tail;
    for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
      sse_reader reader;
      std::vector<std::string> bytes, data, types;
      std::vector<bool> comments;
      sse_event event;
      const auto take = [&] {
        bytes.emplace_back(event.bytes);
        data.emplace_back(event.data);
        types.emplace_back(event.type);
        comments.push_back(event.is_comment);
      };
      for (std::size_t at = 0; at < stream.size(); at += piece) {
        reader.feed(std::string_view(stream).substr(at, piece));
        while (reader.next(event)) {
          take();
        }
      }
      REQUIRE(bytes == wanted);
      CHECK(data == std::vector<std::string>{"one", "", "a\nb", "", "[DONE]"});
      CHECK(types == std::vector<std::string>{"", "", "error", "", ""});
      CHECK(comments == std::vector<bool>{false, true, false, false, false});
      REQUIRE(reader.last(event));
      CHECK(event.bytes == tail);
      CHECK(event.data == "cut");
      CHECK_FALSE(reader.last(event));
    }
  }
}

TEST_CASE("lines that no event has are foreign") {
  const auto is_foreign = [](const std::string& text) {
    sse_reader reader;
    reader.feed(text + "\n\n");
    sse_event event;
    REQUIRE(reader.next(event));
    return event.is_foreign;
  };
  CHECK(is_foreign("<!doctype html>"));
  CHECK(is_foreign("{\"error\": \"no\"}"));
  CHECK(is_foreign("datum: 1"));
  for (const char* good : {"data: 1", "data", "event: ping", "id: 4", "retry: 3000", ": comment",
                           "unknown: 1\ndata: 2",
                           "\xEF\xBB\xBF"
                           "data: 1"})
    CHECK_FALSE(is_foreign(good));
}

TEST_CASE("an event is bounded") {
  sse_reader reader(100);
  sse_event event;
  for (int i = 0; i < 50; ++i) {
    reader.feed("data: 0123456789\n\n");
    REQUIRE(reader.next(event));
    CHECK_FALSE(reader.next(event));
  }
  CHECK_FALSE(reader.too_large());
  reader.feed("data: " + std::string(90, 'x'));
  CHECK_FALSE(reader.next(event));
  CHECK_FALSE(reader.too_large());
  reader.feed("data: " + std::string(90, 'x'));
  CHECK_FALSE(reader.next(event));
  CHECK(reader.too_large());
  CHECK_FALSE(reader.last(event));
}
