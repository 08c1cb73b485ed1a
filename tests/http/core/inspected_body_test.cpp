#include "catch.hpp"

#include "http/inspected_body.hpp"

#include <string>

using namespace vorrang::http;

namespace {

inspected_body look_at(std::string_view body) {
  body_scanner scanner(body_scanner::measuring::yes);
  scanner.feed(body);
  return inspect(body, scanner);
}

void check_refused(std::string_view body, our_error code, std::string_view param) {
  INFO(body);
  const auto got = look_at(body);
  CHECK(got.fault.code == code);
  CHECK(got.fault.param == param);
  CHECK_FALSE(got.fault.message.empty());
}

std::string with(const std::string& member) {
  return "{\"model\":\"m\"," + member + ",\"messages\":[]}";
}

} // namespace

TEST_CASE("our fields of a body") {
  const auto got = look_at(
      R"({"model":"g\u0070t","priority":-3,"stream":true,"timeout":1.5,"max_tokens":7,"n":2,)"
      R"("max_completion_tokens":9,"stream_options":{"x":1,"include_usage":true},"tags":["a",1,"b"],)"
      R"("store":true,"disable_fallbacks":true,"previous_response_id":"resp_1","messages":[],)"
      R"("keepalive_seconds":0,"mock_response":"hi","mock_delay":0.25,"mock_timeout":true,"other":1})");
  REQUIRE_FALSE(got.fault);
  CHECK(got.model == "gpt");
  CHECK(got.priority == -3);
  CHECK(got.stream);
  CHECK(got.timeout == std::chrono::milliseconds(1500));
  CHECK(got.max_tokens == 7U);
  CHECK(got.max_completion_tokens == 9U);
  CHECK(got.n == 2);
  CHECK(got.client_asked_usage);
  CHECK(got.tags == std::vector<std::string>{"a", "b"});
  CHECK(got.store);
  CHECK(got.disable_fallbacks);
  CHECK(got.previous_response_id == "resp_1");
  CHECK(got.keepalive == std::chrono::milliseconds(0));
  CHECK(got.mock_response == "hi");
  CHECK(got.mock_delay == std::chrono::milliseconds(250));
  CHECK(got.mock_timeout);
  CHECK(got.members.size() == got.names.size());
  CHECK(got.has(body_field::messages));
  CHECK_FALSE(got.has(body_field::prompt));
}

TEST_CASE("fields that are absent or null") {
  for (const char* body :
       {R"({"messages":[]})",
        R"({"model":null,"priority":null,"stream":null,"timeout":null,"n":null,"tags":null,)"
        R"("stream_options":null,"max_tokens":null,"extra_body":null,"metadata":null})"}) {
    const auto got = look_at(body);
    CHECK_FALSE(got.fault);
    CHECK_FALSE(got.model);
    CHECK_FALSE(got.priority);
    CHECK_FALSE(got.stream);
    CHECK_FALSE(got.timeout);
    CHECK_FALSE(got.max_tokens);
    CHECK_FALSE(got.client_asked_usage);
    CHECK(got.n == 1);
    CHECK(got.tags.empty());
  }
}

TEST_CASE("a priority is an integer of 32 bits") {
  for (const char* text : {"0", "-1", "255", "2000", "2147483647", "-2147483648"}) {
    CHECK(look_at(with("\"priority\":" + std::string(text))).priority == std::stoi(text));
    CHECK(read_priority(text) == std::stoi(text));
  }
  for (const char* text : {"\"5\"", "5.0", "5.5", "1e2", "true", "false", "[1]", "{}", "\"\"",
                           "2147483648", "-2147483649", "99999999999999999999999999"}) {
    check_refused(with("\"priority\":" + std::string(text)), our_error::bad_field, "priority");
  }
  for (const char* text : {"", "high", "1.5", "2147483648", "1 2", "0x10", "+1", " 1"}) {
    CHECK_FALSE(read_priority(text));
  }
}

TEST_CASE("fields of a wrong type") {
  check_refused(R"({"model":5})", our_error::bad_field, "model");
  check_refused(R"({"model":""})", our_error::bad_field, "model");
  check_refused(R"({"model":[]})", our_error::bad_field, "model");
  check_refused(with(R"("stream":"yes")"), our_error::bad_field, "stream");
  check_refused(with(R"("stream":1)"), our_error::bad_field, "stream");
  check_refused(with(R"("timeout":"soon")"), our_error::bad_field, "timeout");
  check_refused(with(R"("timeout":0)"), our_error::bad_field, "timeout");
  check_refused(with(R"("timeout":-1)"), our_error::bad_field, "timeout");
  check_refused(with(R"("extra_body":1)"), our_error::bad_field, "extra_body");
  // They would go upstream at the top level and undo what was decided there.
  check_refused(with(R"("extra_body":{"model":"gpt-5"})"), our_error::bad_field, "extra_body");
  check_refused(with(R"("extra_body":{"\u0073tream":true})"), our_error::bad_field, "extra_body");
  check_refused(with(R"("extra_body":{"api\u005fbase":"http://x"})"), our_error::forbidden_field,
                "extra_body");
  CHECK(look_at(with(R"("timeout":1e300)")).timeout == std::chrono::hours(2400));
  CHECK(look_at(with(R"("timeout":1e999)")).timeout == std::chrono::hours(2400));
  CHECK(look_at(with(R"("timeout":0.0001)")).timeout == std::chrono::milliseconds(1));
}

TEST_CASE("fields that clients may not send") {
  for (const std::string name :
       {"api_key", "api_base", "base_url", "api_version", "custom_llm_provider", "model_list"}) {
    check_refused(with("\"" + name + "\":\"x\""), our_error::forbidden_field, name);
    check_refused(with("\"" + name + "\":null"), our_error::forbidden_field, name);
  }
  check_refused(with(R"("api\u005fkey":"x")"), our_error::forbidden_field, "api_key");
  CHECK_FALSE(look_at(with(R"("x":{"api_key":1})")).fault);
}

TEST_CASE("a second field of ours") {
  const std::pair<std::string, std::string> ours[] = {
      {"model", "\"m\""}, {"priority", "1"},    {"stream", "false"},       {"timeout", "5"},
      {"metadata", "{}"}, {"num_retries", "1"}, {"mock_response", "\"\""}, {"mock_other", "1"},
      {"litellm_x", "1"}, {"fallbacks", "[]"},  {"extra_body", "{}"},      {"stream_options", "{}"},
      {"store", "true"},  {"tags", "[]"},       {"no-log", "true"}};
  for (const auto& [name, value] : ours) {
    const auto member = "\"" + name + "\":" + value;
    check_refused("{" + member + "," + member + ",\"messages\":[]}", our_error::duplicate_field,
                  name);
  }
  check_refused(R"({"model":"m","mod\u0065l":"m"})", our_error::duplicate_field, "model");
  check_refused(R"({"\u0070riority":0,"priority":null})", our_error::duplicate_field, "priority");
  CHECK_FALSE(look_at(R"({"model":"m","top_p":1,"top_p":2,"messages":[],"messages":[]})").fault);
  CHECK_FALSE(look_at(with(R"("x":{"model":1,"model":2,"priority":"a"})")).fault);
}

TEST_CASE("bodies that are none") {
  for (const char* body : {"", " ", "{", "[]", "\"x\"", "null", "42", "{}x", "{\"a\":\"\xff\"}"}) {
    check_refused(body, our_error::bad_json, "");
  }
}

TEST_CASE("what an API cannot do without") {
  const auto missing = [](const char* body, body_api api, bool named = false) {
    return missing_field(look_at(body), api, named).param;
  };
  CHECK(missing(R"({"messages":[]})", body_api::chat) == "model");
  CHECK(missing(R"({"messages":[]})", body_api::chat, true).empty());
  CHECK(missing(R"({"model":"m"})", body_api::chat) == "messages");
  CHECK(missing(R"({"model":"m","messages":null})", body_api::chat) == "messages");
  CHECK(missing(R"({"model":"m","prompt":"x"})", body_api::completions).empty());
  CHECK(missing(R"({"model":"m","messages":[]})", body_api::completions) == "prompt");
  CHECK(missing(R"({"model":"m"})", body_api::embeddings) == "input");
  CHECK(missing(R"({"model":"m"})", body_api::responses) == "input");
  CHECK(missing(R"({"model":"m","prompt":{"id":"p"}})", body_api::responses).empty());
  CHECK(missing(R"({"model":"m"})", body_api::messages) == "messages");
}

TEST_CASE("tags of the metadata") {
  CHECK(look_at(R"({"metadata":{"tags":["a","b"]}})").tags == std::vector<std::string>{"a", "b"});
  CHECK(look_at(R"({"metadata":{"tags":["a"]},"tags":["c"]})").tags ==
        std::vector<std::string>{"c"});
  CHECK(look_at(R"({"metadata":5,"tags":"x"})").tags.empty());
}

TEST_CASE("the estimate of tokens") {
  const auto measure = [](std::string_view body) {
    return look_at(body).text;
  };
  const auto chat = measure(
      R"({"messages":[{"role":"user","content":"12345"},{"role":"user","content":[)"
      R"({"type":"text","text":"\u00e9\n6"},{"type":"image_url","image_url":{"url":"data:aaaaaaaaaaaaaaaa"}},)"
      R"({"type":"input_audio","input_audio":{"data":"bbbb"}}]}],"model":"m"})");
  CHECK(chat.text_bytes == 5 + 4);
  CHECK(chat.non_text_parts == 2);
  CHECK(prompt_estimate(chat) == 3 + 2000);
  CHECK(measure(R"({"prompt":["ab","c"]})").text_bytes == 3);
  CHECK(measure(R"({"input":[1,2,3]})").text_bytes == 12);
  CHECK(measure(R"({"input":[[1,2],[3]]})").text_bytes == 12);
  CHECK(measure(R"({"input":"abcd","instructions":"ef","system":[{"type":"text","text":"gh"}]})")
            .text_bytes == 8);
  CHECK(measure(R"({"messages":[{"role":"tool","content":null}],"tools":[{"a":1}]})").text_bytes ==
        9);

  const auto estimate = [](std::string_view body, body_api api = body_api::chat) {
    return token_estimate(look_at(body), api);
  };
  CHECK(estimate(R"({"prompt":"12345678"})") == 2 + 256);
  CHECK(estimate(R"({"prompt":"123456789"})") == 3 + 256);
  CHECK(estimate(R"({"prompt":"1234","max_tokens":10})") == 1 + 10);
  CHECK(estimate(R"({"prompt":"1234","max_tokens":10,"max_completion_tokens":20,"n":3})") ==
        1 + 60);
  CHECK(estimate(R"({"input":"1234"})", body_api::embeddings) == 1);
  // What extra_body adds goes upstream too: {"max_tokens":900} is 18 bytes, so 5 tokens more.
  CHECK(estimate(R"({"prompt":"","max_tokens":5,"extra_body":{"max_tokens":900}})") == 5 + 900);
  CHECK(estimate(R"({"extra_body":{"n":50},"prompt":"","max_tokens":5,"n":2})") == 2 + 250);
  CHECK(token_estimate(look_at(R"({"prompt":"1234"})"), body_api::chat, 900) == 1 + 900);
  CHECK(estimate(R"({"prompt":"","max_tokens":18446744073709551615,"n":4000000000})") ==
        0xFFFFFFFFU);
}
