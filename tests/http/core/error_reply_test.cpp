#include "catch.hpp"

#include "http/error_reply.hpp"

#include <nlohmann/json.hpp>

#include <string>

using namespace vorrang::http;
using nlohmann::json;
using std::chrono::milliseconds;

namespace {

std::string field(const reply& from, const std::string& name) {
  for (const auto& [key, value] : from.fields) {
    if (key == name) {
      return std::string(value);
    }
  }
  return "";
}

reply anthropic(our_error code) {
  error_facts facts;
  facts.form = error_form::anthropic;
  facts.request_id = "req-1";
  return error_reply({code, "", ""}, facts);
}

} // namespace

TEST_CASE("statuses and types of the error table") {
  struct row {
    our_error code;
    int status;
    const char* type;
    const char* anthropic_type;
  };
  const row rows[] = {
      {our_error::bad_json, 400, "invalid_request_error", "invalid_request_error"},
      {our_error::unknown_model, 400, "invalid_request_error", "invalid_request_error"},
      {our_error::no_key, 401, "authentication_error", "authentication_error"},
      {our_error::wrong_key, 401, "authentication_error", "authentication_error"},
      {our_error::model_not_allowed, 403, "permission_error", "permission_error"},
      {our_error::foreign_origin, 403, "permission_error", "permission_error"},
      {our_error::unknown_path, 404, "invalid_request_error", "not_found_error"},
      {our_error::wrong_method, 405, "invalid_request_error", "not_found_error"},
      {our_error::timed_out_waiting, 408, "timeout_error", "api_error"},
      {our_error::body_too_large, 413, "invalid_request_error", "request_too_large"},
      {our_error::content_encoding, 415, "invalid_request_error", "request_too_large"},
      {our_error::queue_full, 429, "rate_limit_error", "rate_limit_error"},
      {our_error::head_too_large, 431, "invalid_request_error", "invalid_request_error"},
      {our_error::bad_upstream, 502, "server_error", "api_error"},
      {our_error::upstream_too_slow, 504, "server_error", "api_error"},
      {our_error::draining, 503, "server_error", "overloaded_error"},
  };
  for (const auto& row : rows) {
    INFO(name_of(row.code));
    const auto openai = error_reply({row.code, "", ""});
    CHECK(openai.status == row.status);
    CHECK(status_of(row.code) == row.status);
    CHECK(field(openai, "content-type") == "application/json");
    const auto body = json::parse(openai.body);
    CHECK(body["error"]["type"] == row.type);
    CHECK(body["error"]["code"] == std::to_string(row.status));
    CHECK(body["error"]["param"].is_null());
    CHECK(body["error"]["message"] == std::string(sentence_of(row.code)));
    CHECK(body.size() == 1);
    const auto other = anthropic(row.code);
    const auto theirs = json::parse(other.body);
    CHECK(other.status == row.status);
    CHECK(theirs["type"] == "error");
    CHECK(theirs["error"]["type"] == row.anthropic_type);
    CHECK(theirs["request_id"] == "req-1");
  }
}

TEST_CASE("the numbers of our errors are pinned, each has a row of its own") {
  std::vector<std::string_view> names;
  for (int number = 1; number < 256; ++number) {
    const auto code = static_cast<our_error>(number);
    const auto name = name_of(code);
    if (name == "internal" && number != 120) {
      continue; // no such error
    }
    CHECK(std::find(names.begin(), names.end(), name) == names.end());
    names.push_back(name);
  }
  CHECK(names.size() == 41);
  CHECK(static_cast<int>(our_error::timed_out_waiting) == 80);
  CHECK(static_cast<int>(our_error::bad_upstream) == 100);
  CHECK(static_cast<int>(our_error::unknown_model) == 25);
}

TEST_CASE("what goes with an error") {
  CHECK(field(error_reply({our_error::timed_out_waiting, "", ""}), "x-should-retry") == "false");
  CHECK(field(error_reply({our_error::timed_out_calling, "", ""}), "x-should-retry") == "false");
  CHECK(field(error_reply({our_error::bad_json, "", ""}), "x-should-retry").empty());

  const auto wait = [](milliseconds after, our_error code = our_error::queue_full) {
    error_facts facts;
    facts.retry_after = after;
    return field(error_reply({code, "", ""}, facts), "retry-after");
  };
  CHECK(wait(milliseconds(1)) == "1");
  CHECK(wait(milliseconds(0)) == "1");
  CHECK(wait(milliseconds(-5)) == "1");
  CHECK(wait(milliseconds(1001)) == "2");
  CHECK(wait(milliseconds(59'001)) == "60");
  CHECK(wait(milliseconds(3'600'000), our_error::draining) == "60");
  CHECK(field(error_reply({our_error::queue_full, "", ""}), "retry-after") == "1");
  CHECK(wait(milliseconds(5000), our_error::bad_json).empty());

  error_facts facts;
  facts.allow = "GET";
  CHECK(field(error_reply({our_error::wrong_method, "", ""}, facts), "allow") == "GET");
  CHECK(error_reply({our_error::bad_head, "", ""}).close);
  CHECK(error_reply({our_error::body_too_large, "", ""}).close);
  CHECK_FALSE(error_reply({our_error::bad_json, "", ""}).close);
  CHECK_FALSE(error_reply({our_error::timed_out_waiting, "", ""}).close);
}

TEST_CASE("messages are quoted and bounded") {
  const auto hostile =
      json::parse(error_reply({our_error::unknown_model, "no \"x\"}\r\n\xff", "mod\nel"}).body);
  CHECK(hostile["error"]["message"] == "no \"x\"}\r\n\xEF\xBF\xBD");
  CHECK(hostile["error"]["param"] == "mod\nel");
  std::string characters;
  for (int i = 0; i < 3000; ++i) {
    characters += "\xe4\xb8\x96";
  }
  const auto body = json::parse(error_reply({our_error::bad_json, characters, ""}).body);
  const auto message = body["error"]["message"].get<std::string>();
  CHECK(message.size() <= 2000);
  CHECK(message.size() > 1990);
  CHECK(characters.compare(0, message.size(), message) == 0);
}

TEST_CASE("errors of upstreams") {
  const std::string openai = R"({"error":{"message":"m","type":"t","param":"p","code":"c"},"x":1})";
  CHECK(upstream_error_body(400, openai) == openai);
  CHECK(read_upstream_error(openai).code == "c");
  CHECK(read_upstream_error(openai).param == "p");
  CHECK(read_upstream_error(R"({"error":{"message":"m","code":400}})").code == "400");

  const std::string theirs =
      R"({"type":"error","error":{"type":"overloaded_error","message":"m"}})";
  const auto wrapped = json::parse(upstream_error_body(529, theirs));
  CHECK(wrapped["error"]["message"] == "m");
  CHECK(wrapped["error"]["type"] == "overloaded_error");
  CHECK(wrapped["error"]["code"] == "529");
  error_facts anthropic_facts;
  anthropic_facts.form = error_form::anthropic;
  CHECK(upstream_error_body(529, theirs, anthropic_facts) == theirs);
  CHECK(json::parse(upstream_error_body(429, openai, anthropic_facts))["error"]["type"] ==
        "rate_limit_error");

  const auto message = [](const char* body) {
    return json::parse(upstream_error_body(500, body))["error"]["message"].get<std::string>();
  };
  CHECK(message(R"({"object":"error","message":"vllm","code":400})") == "vllm");
  CHECK(message(R"({"detail":"fast"})") == "fast");
  CHECK(message(R"({"detail":[{"loc":1}]})") == R"([{"loc":1}])");
  CHECK(message(R"({"error":"text"})") == "text");
  CHECK(message("<html>bad gateway</html>") == "<html>bad gateway</html>");
  CHECK(message("\xff\xfe") == "\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(message("").find("500") != std::string::npos);
  CHECK(message("[1,2]") == "[1,2]");
  CHECK(message(R"({"error":{"message":5,"type":{}}})") == "5");
  CHECK(message(std::string(600'000, 'x').c_str()).size() == 2000);
  CHECK(message((std::string(100'000, '[')).c_str()).size() == 2000);
}

TEST_CASE("an upstream that refuses our credentials") {
  for (const std::uint16_t status : {std::uint16_t{401}, std::uint16_t{403}}) {
    const auto got = credentials_reply(status, "gpt-4");
    CHECK(got.status == status);
    CHECK(json::parse(got.body)["error"]["message"] ==
          "the upstream refused the gateway's credentials for group gpt-4");
    CHECK(json::parse(got.body)["error"]["code"] == std::to_string(status));
  }
}
