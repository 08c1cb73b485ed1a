// What a reload makes of requests that are there, and of those that come.
#include "front_fixture.hpp"

#include "config/merge_reload.hpp"

namespace vorrang::http::tests {

namespace {

std::string models(const std::string& more, const std::string& base = "http://127.0.0.1:9/v1",
                   const std::string& key = "k") {
  return "model_list:\n"
         "  - model_name: m\n"
         "    litellm_params: {model: openai/x, api_base: '" +
         base + "', api_key: '" + key +
         "'}\n"
         "    model_info: {id: one}\n" +
         more;
}

const std::string second = "  - model_name: m\n"
                           "    litellm_params: {model: openai/second, api_base: "
                           "'http://127.0.0.1:8/v1', api_key: k2}\n"
                           "    model_info: {id: two}\n";
const std::string other = "  - model_name: other\n"
                          "    litellm_params: {model: openai/y, mock_response: hi}\n";

struct reloaded {
  explicit reloaded(const std::string& text) : is(text), now(read_settings(text)) {}

  void prepare(const std::string& text) {
    auto merged = config::merge_reload(*now, *read_settings(text));
    REQUIRE(merged.errors.empty());
    now = std::make_shared<const config::settings>(std::move(merged.settings));
    is.rules.prepare_reload(now);
  }
  void reload(const std::string& text) {
    prepare(text);
    is.rules.begin_reload();
    is.rules.end_reload();
  }

  tested_front is;
  std::shared_ptr<const config::settings> now;
};

upstream_request sent_by(call& of, deployment_index deployment = 0) {
  auto planned = of.attempt(first_grant(of, deployment), start);
  REQUIRE(std::holds_alternative<upstream_request>(planned));
  return std::get<upstream_request>(std::move(planned));
}

request ask_for(const std::string& model) {
  return post(R"({"model":")" + model + R"(","messages":[]})");
}

} // namespace

TEST_CASE("a request that waits may be granted what a reload brings", "[reload]") {
  reloaded front(models(""));
  const auto waits = front.is.begun(ask_for("m"));
  front.prepare(models(second));
  const auto sent = sent_by(*waits, 1);
  REQUIRE(sent.address != nullptr);
  CHECK(sent.address->port == 8);
  CHECK(sent.deployment->id == "two");
  // Requests that begin do not know it before the engine does.
  CHECK(front.is.answer(ask_for("two")).status == 400);
  front.is.rules.begin_reload();
  CHECK(front.is.begun(ask_for("two"))->wanted().pinned == 1);
  front.is.rules.end_reload();
  CHECK(front.is.begun(ask_for("m"))->wanted().group == 0);
}

TEST_CASE("an attempt that runs keeps what it was made of", "[reload]") {
  reloaded front(models(""));
  const auto runs = front.is.begun(ask_for("m"));
  const auto sent = sent_by(*runs);
  front.reload(models("", "http://127.0.0.1:7/v1", "new"));
  front.reload(models("", "http://127.0.0.1:6/v1", "newer"));
  CHECK(sent.address->port == 9);
  CHECK(std::string(sent.head).find("Bearer k\r\n") != std::string::npos);
  answer_head head;
  head.status = 500;
  CHECK(runs->judge(head, "{}", wall).result.kind == outcome_kind::failed);
  // The next one goes by what holds then.
  const auto again = sent_by(*runs);
  CHECK(again.address->port == 6);
  CHECK(std::string(again.head).find("Bearer newer\r\n") != std::string::npos);
}

TEST_CASE("an address that stays is the same one for the pools of connections", "[reload]") {
  reloaded front(models(second));
  const auto waits = front.is.begun(ask_for("m"));
  const auto* before = sent_by(*waits).address;
  const auto* second_before = sent_by(*waits, 1).address;
  front.reload(models(second, "http://127.0.0.1:7/v1"));
  CHECK(sent_by(*waits).address != before);
  CHECK(before->port == 9); // nobody else's ever
  CHECK(sent_by(*waits, 1).address == second_before);
}

TEST_CASE("what is gone has no name, and who waited there is told so", "[reload]") {
  reloaded front(models(other));
  const auto waits = front.is.begun(ask_for("other"));
  front.reload(models(second));
  ending end;
  end.code = end_code::unknown_group;
  end.group = 1;
  const auto told = waits->end_reply(end);
  CHECK(told.status == 400);
  CHECK(error_of(told)["message"] == "Invalid model name passed in model=other. There are: m");
  CHECK(front.is.answer(ask_for("other")).status == 400);
  const auto page = json::parse(front.is.answer(get("/v1/models")).body);
  CHECK(page["data"].size() == 1);
  const auto info = json::parse(front.is.answer(get("/model/info")).body);
  CHECK(info["data"].size() == 2);
  const auto health = json::parse(front.is.answer(get("/health")).body);
  CHECK(health["healthy_count"] == 2);
  CHECK(front.is.rules.plan_probe(1, start).address == nullptr);
}

TEST_CASE("who has had an attempt where its group is gone is told of both", "[reload]") {
  reloaded front(models(other));
  const auto waits = front.is.begun(ask_for("m"));
  sent_by(*waits);
  answer_head head;
  head.status = 500;
  waits->judge(head, "{}", wall);
  front.reload("model_list:\n" + other);
  ending end;
  end.code = end_code::unknown_group;
  end.attempts = 1;
  const auto told = waits->end_reply(end);
  CHECK(told.status == 400);
  CHECK(error_of(told)["message"] == "Invalid model name passed in model=m. There are: other");
  CHECK(field(told, "x-litellm-model-id") == "one");
}

TEST_CASE("keys change with a reload, and so do the fields of browsers", "[reload]") {
  const std::string keys = "general_settings: {master_key: sk-1}\n";
  reloaded front(models(""));
  CHECK(front.is.answer(get("/v1/models")).status == 200);
  front.reload(models(keys));
  const auto refused = front.is.answer(get("/v1/models"));
  CHECK(refused.status == 401);
  CHECK(field(refused, "access-control-allow-origin") == "*");
  CHECK(front.is.answer(get("/v1/models", "Authorization: Bearer sk-1\r\n")).status == 200);
}

TEST_CASE("a key that is taken away while a body comes lets nobody in", "[reload]") {
  const auto keys = [](const std::string& key) {
    return models("general_settings: {master_key: sk-1}\nvorrang_settings: {keys: [" + key +
                  "]}\n");
  };
  reloaded front(keys("sk-2"));
  const auto asked = post(R"({"model":"m","messages":[]})", "Authorization: Bearer sk-2\r\n");
  const auto head = head_of(asked);
  REQUIRE_FALSE(front.is.rules.judge_head(head));
  front.reload(keys("sk-3"));
  body_scanner scanner(body_scanner::measuring::yes);
  scanner.feed(asked.body);
  auto result = front.is.rules.begin(start, head, asked.body, inspect(asked.body, scanner), {});
  REQUIRE(std::holds_alternative<reply>(result));
  CHECK(std::get<reply>(result).status == 401);
}

TEST_CASE("a call outlives its front, also after a reload", "[reload]") {
  std::unique_ptr<call> kept;
  {
    reloaded front(models(""));
    kept = front.is.begun(ask_for("m"));
    front.reload(models(second));
  }
  CHECK(sent_by(*kept).address->port == 9);
}

} // namespace vorrang::http::tests
