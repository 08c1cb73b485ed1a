#include "catch.hpp"

#include "http/mock_answer.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

using namespace vorrang;
using namespace vorrang::http;
using nlohmann::json;

namespace {

const std::string text = "Gr\xc3\xbc\xc3\x9f"
                         "e, \xe4\xb8\x96\xe7\x95\x8c! \xf0\x9f\x98\x80 ok";
const std::vector<std::string> pieces = {"Gr\xc3\xbc",
                                         "\xc3\x9f"
                                         "e,",
                                         " \xe4\xb8\x96\xe7\x95\x8c", "! \xf0\x9f\x98\x80", " ok"};

config::mock says(const std::string& words) {
  config::mock out;
  out.text = words;
  return out;
}

mock_request asks(body_api api) {
  mock_request out;
  out.api = api;
  out.model = "group";
  out.id = "42";
  out.created_s = 1700000000;
  return out;
}

json whole(body_api api, std::uint32_t n = 1) {
  auto request = asks(api);
  request.n = n;
  request.inputs = n;
  const auto got = mock_answer(says(text), request);
  CHECK(got.status == 200);
  return json::parse(got.body);
}

/// The data of each event, `[DONE]` as a string; checks the framing.
std::vector<json> events(const mock_request& request, std::vector<std::string>* types = nullptr) {
  std::vector<json> out;
  for (const auto& event : mock_events(says(text), request)) {
    REQUIRE(event.substr(event.size() - 2) == "\n\n");
    REQUIRE(event.find("\n\n") == event.size() - 2);
    const auto at = event.find("data: ");
    if (types != nullptr) {
      types->push_back(event.substr(7, event.find('\n') - 7));
    }
    const auto data = event.substr(at + 6, event.size() - at - 8);
    out.push_back(data == "[DONE]" ? json(data) : json::parse(data));
  }
  return out;
}

} // namespace

TEST_CASE("a mocked chat answer") {
  const auto got = whole(body_api::chat, 2);
  CHECK(got["id"] == "chatcmpl-42");
  CHECK(got["object"] == "chat.completion");
  CHECK(got["created"] == 1700000000);
  CHECK(got["model"] == "group");
  REQUIRE(got["choices"].size() == 2);
  for (int index : {0, 1}) {
    CHECK(got["choices"][index]["index"] == index);
    CHECK(got["choices"][index]["finish_reason"] == "stop");
    CHECK(got["choices"][index]["message"]["role"] == "assistant");
    CHECK(got["choices"][index]["message"]["content"] == text);
  }
  CHECK(got["usage"] ==
        json{{"prompt_tokens", 10}, {"completion_tokens", 20}, {"total_tokens", 30}});
  CHECK(whole(body_api::chat, 128)["choices"].size() == 128);
}

TEST_CASE("a mocked chat stream") {
  auto got = events(asks(body_api::chat));
  REQUIRE(got.size() == pieces.size() + 2);
  CHECK(got.back() == "[DONE]");
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto& choice = got[i]["choices"][0];
    CHECK(choice["delta"]["content"] == pieces[i]);
    CHECK(choice["delta"].contains("role") == (i == 0));
    CHECK(choice["finish_reason"].is_null());
    CHECK(got[i]["object"] == "chat.completion.chunk");
    CHECK(got[i]["id"] == "chatcmpl-42");
    CHECK(got[i]["model"] == "group");
    CHECK_FALSE(got[i].contains("usage"));
  }
  const auto& last = got[pieces.size()]["choices"][0];
  CHECK(last["delta"] == json::object());
  CHECK(last["finish_reason"] == "stop");

  auto request = asks(body_api::chat);
  request.include_usage = true;
  got = events(request);
  REQUIRE(got.size() == pieces.size() + 3);
  CHECK(got[got.size() - 2]["choices"] == json::array());
  CHECK(got[got.size() - 2]["usage"]["total_tokens"] == 30);

  request = asks(body_api::chat);
  request.n = 2;
  std::string texts[2];
  int ends = 0;
  for (const auto& event : events(request)) {
    if (event.is_object()) {
      const auto& choice = event["choices"][0];
      texts[choice["index"].get<int>()] += choice["delta"].value("content", "");
      ends += choice["finish_reason"] == "stop" ? 1 : 0;
    }
  }
  CHECK(texts[0] == text);
  CHECK(texts[1] == text);
  CHECK(ends == 2);
}

TEST_CASE("mocked completions") {
  const auto got = whole(body_api::completions, 2);
  CHECK(got["object"] == "text_completion");
  CHECK(got["choices"][1]["text"] == text);
  CHECK(got["choices"][1]["finish_reason"] == "stop");
  CHECK(got["usage"]["total_tokens"] == 30);
  std::string streamed;
  const auto stream = events(asks(body_api::completions));
  for (const auto& event : stream) {
    streamed += event.is_object() ? event["choices"][0]["text"].get<std::string>() : "";
  }
  CHECK(streamed == text);
  CHECK(stream[stream.size() - 2]["choices"][0]["finish_reason"] == "stop");
}

TEST_CASE("mocked embeddings") {
  const auto got = whole(body_api::embeddings, 3);
  CHECK(got["object"] == "list");
  REQUIRE(got["data"].size() == 3);
  for (int i : {0, 1, 2}) {
    CHECK(got["data"][i]["index"] == i);
    CHECK(got["data"][i]["embedding"] == got["data"][0]["embedding"]);
  }
  CHECK(got["data"][0]["embedding"][0].is_number_float());
  CHECK(mock_events(says(text), asks(body_api::embeddings)).empty());
  const auto inputs = [](std::string_view body) {
    body_scanner scanner;
    scanner.feed(body);
    return count_inputs(body, inspect(body, scanner));
  };
  CHECK(inputs(R"({"input":"a"})") == 1);
  CHECK(inputs(R"({"input":["a","b"]})") == 2);
  CHECK(inputs(R"({"input":[1,2,3]})") == 1);
  CHECK(inputs(R"({"input":[[1],[2,3]]})") == 2);
  CHECK(inputs(R"({"input":[]})") == 1);
  CHECK(inputs(R"({})") == 1);
}

TEST_CASE("a mock refuses to make more than it can, and says how many that is") {
  const auto refused = [](body_api api, std::uint32_t many, const char* field, const char* bound) {
    auto request = asks(api);
    request.n = request.inputs = many;
    CHECK(mock_events(says(text), request).empty());
    const auto got = mock_answer(says(text), request);
    CHECK(got.status == 400);
    const auto error = json::parse(got.body)["error"];
    CHECK(error["param"] == field);
    CHECK(error["type"] == "invalid_request_error");
    CHECK(error["message"].get<std::string>().find(bound) != std::string::npos);
  };
  refused(body_api::chat, 129, "n", "128");
  refused(body_api::completions, 1'000'000, "n", "128");
  refused(body_api::embeddings, 2049, "input", "2048");
  CHECK(whole(body_api::embeddings, 2048)["data"].size() == 2048);
}

TEST_CASE("mocked responses") {
  const auto got = whole(body_api::responses);
  CHECK(got["object"] == "response");
  CHECK(got["status"] == "completed");
  CHECK(got["output"][0]["content"][0]["text"] == text);
  CHECK(got["usage"]["total_tokens"] == 30);
  std::vector<std::string> types;
  std::string streamed;
  int number = 0;
  const auto stream = events(asks(body_api::responses), &types);
  for (const auto& event : stream) {
    CHECK(event["type"] == types[static_cast<std::size_t>(number)]);
    CHECK(event["sequence_number"] == number++);
    streamed +=
        event["type"] == "response.output_text.delta" ? event["delta"].get<std::string>() : "";
  }
  CHECK(streamed == text);
  CHECK(types.front() == "response.created");
  CHECK(types.back() == "response.completed");
  CHECK(stream.back()["response"] == got);
}

TEST_CASE("mocked messages") {
  const auto got = whole(body_api::messages);
  CHECK(got["type"] == "message");
  CHECK(got["content"][0]["text"] == text);
  CHECK(got["stop_reason"] == "end_turn");
  CHECK(got["usage"]["output_tokens"] == 20);
  std::vector<std::string> types;
  std::string streamed;
  for (const auto& event : events(asks(body_api::messages), &types)) {
    streamed +=
        event["type"] == "content_block_delta" ? event["delta"]["text"].get<std::string>() : "";
  }
  CHECK(streamed == text);
  CHECK(types.front() == "message_start");
  CHECK(types.back() == "message_stop");
}

TEST_CASE("mocked errors act like an upstream's") {
  const std::tuple<const char*, int, const char*> rows[] = {
      {"litellm.RateLimitError", 429, "rate_limit_exceeded"},
      {"litellm.InternalServerError", 500, "500"},
      {"litellm.ContextWindowExceededError", 400, "context_length_exceeded"}};
  for (const auto& [name, status, code] : rows) {
    const auto mock = mock_from_text(name);
    REQUIRE(mock);
    const auto got = mock_answer(*mock, asks(body_api::chat));
    CHECK(got.status == status);
    CHECK(json::parse(got.body)["error"]["code"] == code);
    CHECK(mock_events(*mock, asks(body_api::chat)).empty());
  }
  CHECK_FALSE(mock_from_text(""));
  CHECK(mock_from_text("hi")->text == "hi");
  CHECK(mock_events(says(""), asks(body_api::chat)).size() == 3);
}
