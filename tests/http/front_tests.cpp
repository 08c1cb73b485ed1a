// The front's own answers: who is let in, what exists, what is wrong with a request.

#include "front_fixture.hpp"

namespace vorrang::http::tests {

namespace {

const std::string models = R"(
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi, api_key: sk-hidden}
    model_info: {id: mock-one}
  - model_name: other
    litellm_params: {model: openai/y, api_base: http://127.0.0.1:9/v1, api_key: sk-other}
  - model_name: limited
    litellm_params: {model: openai/z, api_base: http://127.0.0.1:9/v1, api_key: k, tpm: 1000}
    model_info: {id: limited-one}
  - model_name: bedrock-only
    litellm_params: {model: bedrock/anything}
router_settings:
  timeout: 100
  default_priority: 40
  model_group_alias: {alias: m, ghost: {model: m, hidden: true}}
)";

const std::string keyed = models + R"(
general_settings: {master_key: sk-master}
vorrang_settings:
  min_priority: -10
  keys:
    - {key: sk-batch, name: batch, default_priority: 500, best_priority: 100}
    - {key: sk-narrow, name: narrow, models: [m]}
)";

std::string bearer(const std::string& key) {
  return "Authorization: Bearer " + key + "\r\n";
}

std::string chat(const std::string& more) {
  return R"({"model":"m","messages":[{"role":"user","content":"hi"}])" +
         (more.empty() ? "" : "," + more) + "}";
}

} // namespace

TEST_CASE("unknown paths and wrong methods are told apart", "[front]") {
  tested_front gateway(models);
  CHECK(gateway.answer(get("/nonsense")).status == 404);
  CHECK(gateway.judged_by_head);
  CHECK(error_of(gateway.answer(get("/nonsense")))["code"] == "404");
  const auto wrong = gateway.answer(get("/v1/chat/completions"));
  CHECK(wrong.status == 405);
  CHECK(field(wrong, "allow").find("POST") != std::string::npos);
  CHECK(gateway.answer(get("/v1/responses/resp_1")).status == 404);
  CHECK(error_of(gateway.answer(get("/v1/responses/resp_1")))["message"].get<std::string>().find(
            "esponses") != std::string::npos);
}

TEST_CASE("an error before the body closes a connection that announced one", "[front]") {
  tested_front gateway(keyed);
  CHECK(gateway.answer(post(chat(""))).close);
  CHECK(gateway.judged_by_head);
  CHECK_FALSE(gateway.answer(get("/v1/models")).close);
}

TEST_CASE("keys decide who is let in", "[front]") {
  tested_front gateway(keyed);
  for (const auto& path : {"/v1/models", "/health", "/v1/model/info", "/nonsense"}) {
    INFO(path);
    const auto none = gateway.answer(get(path));
    CHECK(none.status == 401);
    CHECK(error_of(none)["type"] == "authentication_error");
    CHECK(gateway.answer(get(path, bearer("sk-wrong"))).status == 401);
  }
  for (const auto& path : {"/", "/health/liveliness", "/health/liveness", "/health/readiness"}) {
    INFO(path);
    CHECK(gateway.answer(get(path)).status == 200);
  }
  CHECK(gateway.answer(get("/v1/models", bearer("sk-master"))).status == 200);
  CHECK(gateway.answer(get("/v1/models", "x-litellm-api-key: sk-wrong\r\n" + bearer("sk-master")))
            .status == 401);
  CHECK(gateway.answer(post(chat(""))).status == 401);
  gateway.begun(post(chat(""), bearer("sk-batch")));
}

TEST_CASE("a key may be held to models", "[front]") {
  tested_front gateway(keyed);
  gateway.begun(post(chat(""), bearer("sk-narrow")));
  const auto refused =
      gateway.answer(post(R"({"model":"other","messages":[]})", bearer("sk-narrow")));
  CHECK(refused.status == 403);
  CHECK(error_of(refused)["type"] == "permission_error");
  const auto message = error_of(refused)["message"].get<std::string>();
  CHECK(message.find("other") != std::string::npos);
  CHECK(message.find("limited") == std::string::npos);
  gateway.begun(post(R"({"model":"other","messages":[]})", bearer("sk-batch")));
  // What it may not use it does not see either.
  const auto page = json::parse(gateway.answer(get("/v1/models", bearer("sk-narrow"))).body);
  REQUIRE(page["data"].size() == 1);
  CHECK(page["data"][0]["id"] == "m");
}

TEST_CASE("priority comes from body, header, key, router, in this order", "[front]") {
  tested_front gateway(keyed);
  const auto priority = [&](const std::string& key, const std::string& field_text,
                            const std::string& more) {
    return gateway.begun(post(chat(more), bearer(key) + field_text))->wanted().priority;
  };
  CHECK(priority("sk-master", "", "") == 40);
  CHECK(priority("sk-batch", "", "") == 500);
  CHECK(priority("sk-master", "x-vorrang-priority: 7\r\n", "") == 7);
  CHECK(priority("sk-master", "x-vorrang-priority: 7\r\n", R"("priority":9)") == 9);
  CHECK(priority("sk-master", "x-vorrang-priority: 7\r\n", R"("priority":null)") == 7);
  CHECK(priority("sk-master", "", R"("priority":0)") == 0);
  CHECK(priority("sk-master", "", R"("priority":-11)") == -10);
  CHECK(priority("sk-batch", "", R"("priority":99)") == 100);
  CHECK(priority("sk-batch", "x-vorrang-priority: -3\r\n", "") == 100);
  CHECK(priority("sk-batch", "", R"("priority":101)") == 101);

  tested_front plain("model_list: [{model_name: m, litellm_params: {model: openai/x, "
                     "mock_response: x}}]");
  CHECK(plain.begun(post(chat("")))->wanted().priority == 255);
}

TEST_CASE("a priority that is no 32-bit integer is refused", "[front]") {
  tested_front gateway(models);
  for (const auto* wrong : {"\"5\"", "5.0", "true", "[1]", "2147483648"}) {
    INFO(wrong);
    const auto refused = gateway.answer(post(chat("\"priority\":" + std::string(wrong))));
    CHECK(refused.status == 400);
    CHECK(error_of(refused)["param"] == "priority");
  }
  for (const auto* wrong : {"5.0", "x", "", "2147483648", "1 2"}) {
    INFO(wrong);
    const auto line = "x-vorrang-priority: " + std::string(wrong) + "\r\n";
    const auto refused = gateway.answer(post(chat(""), line));
    CHECK(refused.status == 400);
    CHECK(error_of(refused)["param"] == "priority");
    // The body wins, so its header does not matter.
    CHECK(gateway.begun(post(chat(R"("priority":3)"), line))->wanted().priority == 3);
  }
}

TEST_CASE("the deadline can be shortened, never lengthened", "[front]") {
  tested_front gateway(models);
  const auto limit = [&](const std::string& fields, const std::string& more) {
    const auto deadline = gateway.begun(post(chat(more), fields))->wanted().deadline;
    return std::chrono::duration_cast<std::chrono::milliseconds>(deadline - start);
  };
  CHECK(limit("", "") == 100s);
  CHECK(limit("", R"("timeout":2.5)") == 2500ms);
  CHECK(limit("", R"("timeout":500)") == 100s);
  CHECK(limit("x-litellm-timeout: 3\r\n", "") == 3s);
  CHECK(limit("x-litellm-timeout: 3\r\n", R"("timeout":2)") == 2s);
  CHECK(limit("x-litellm-timeout: 2\r\n", R"("timeout":3)") == 2s);
  CHECK(limit("x-litellm-timeout: 1e9\r\n", "") == 100s);
  CHECK(limit("x-stainless-read-timeout: 30\r\n", "") == 29s);
  CHECK(limit("x-stainless-timeout: 30\r\n", "") == 29s);
  CHECK(limit("x-stainless-timeout: 30\r\nx-stainless-read-timeout: 20\r\n", "") == 19s);
  CHECK(limit("x-stainless-timeout: 0.5\r\n", "") == 250ms);
  CHECK(limit("x-stainless-timeout: 30\r\n", R"("stream":true)") == 100s);
  for (const auto* ignored : {"0", "-1", "nan", "inf", "none"}) {
    INFO(ignored);
    CHECK(limit("x-stainless-timeout: " + std::string(ignored) + "\r\n", "") == 100s);
  }
  for (const auto* wrong : {"0", "-1", "nan", "soon"}) {
    INFO(wrong);
    CHECK(gateway.answer(post(chat(""), "x-litellm-timeout: " + std::string(wrong) + "\r\n"))
              .status == 400);
  }
}

TEST_CASE("keep-alive interval of a waiting stream", "[front]") {
  const auto interval = [](tested_front& gateway, const std::string& fields,
                           const std::string& more) {
    return gateway.begun(post(chat(more), fields))->keep_alive_interval();
  };
  tested_front gateway(models);
  const std::string stream = R"("stream":true)";
  CHECK(interval(gateway, "", stream) == 15s);
  CHECK_FALSE(interval(gateway, "", ""));
  CHECK(interval(gateway, "x-stainless-timeout: 8\r\n", stream) == 4s);
  CHECK(interval(gateway, "x-stainless-timeout: 80\r\n", stream) == 15s);
  CHECK(interval(gateway, "", stream + R"(,"keepalive_seconds":2)") == 2s);
  CHECK_FALSE(interval(gateway, "", stream + R"(,"keepalive_seconds":0)"));
  tested_front off(models + "vorrang_settings: {stream_keepalive: 0}\n");
  CHECK_FALSE(interval(off, "x-stainless-timeout: 8\r\n", stream));

  // A deployment's own: of several the shortest, for nobody knows yet which will answer.
  const auto of_group = [&](const std::vector<std::string>& seconds) {
    std::string text = "model_list:\n";
    for (const auto& each : seconds)
      text +=
          "  - {model_name: m, litellm_params: {model: openai/x, mock_response: hi" + each + "}}\n";
    tested_front own(text);
    return interval(own, "", stream);
  };
  CHECK(of_group({", keepalive_seconds: 4", "", ", keepalive_seconds: 3",
                  ", keepalive_seconds: 0"}) == 3s);
  CHECK(of_group({", keepalive_seconds: 0", ", keepalive_seconds: 5"}) == 5s);
  CHECK_FALSE(of_group({", keepalive_seconds: 0", ""}));
}

TEST_CASE("tags come from the body, else from a header", "[front]") {
  tested_front gateway(models);
  using texts = std::vector<std::string>;
  const auto tags = [&](const std::string& fields, const std::string& more) {
    return gateway.begun(post(chat(more), fields))->wanted().tags;
  };
  CHECK(tags("", R"("tags":["a","b"])") == texts{"a", "b"});
  CHECK(tags("", R"("metadata":{"tags":["c"]})") == texts{"c"});
  CHECK(tags("x-litellm-tags: d, e ,,f\r\n", "") == texts{"d", "e", "f"});
  CHECK(tags("x-litellm-tags: d\r\n", R"("tags":["a"])") == texts{"a"});
  CHECK(tags("", "").empty());
}

TEST_CASE("an unknown model is told which ones exist", "[front]") {
  tested_front gateway(models);
  const auto refused = gateway.answer(post(R"({"model":"no-such","messages":[]})"));
  CHECK(refused.status == 400);
  const auto message = error_of(refused)["message"].get<std::string>();
  CHECK(message.find("Invalid model name passed in model=no-such") == 0);
  CHECK(message.find("other") != std::string::npos);
  CHECK(message.find("alias") != std::string::npos);
  CHECK(message.find("ghost") == std::string::npos);
  CHECK(error_of(refused)["type"] == "invalid_request_error");
}

TEST_CASE("names lead to groups: aliases, ids, paths", "[front]") {
  tested_front gateway(models);
  const auto ask_for = [&](const std::string& name) {
    return gateway.begun(post(R"({"model":")" + name + R"(","messages":[]})"))->wanted();
  };
  const auto plain = ask_for("m");
  CHECK(plain.pinned == no_index);
  CHECK(ask_for("alias").group == plain.group);
  CHECK(ask_for("ghost").group == plain.group);
  const auto pinned = ask_for("mock-one");
  CHECK(pinned.group == plain.group);
  CHECK(pinned.pinned == 0);
  CHECK(ask_for("other").group != plain.group);
  // The path names the model, whatever the body says or lacks.
  CHECK(gateway.begun(post(R"({"messages":[]})", "", "/engines/other/chat/completions"))
            ->wanted()
            .group == ask_for("other").group);
  CHECK(gateway
            .begun(post(R"({"model":"m","messages":[]})", "",
                        "/openai/deployments/other/chat/completions"))
            ->wanted()
            .group == ask_for("other").group);
}

TEST_CASE("a group that cannot be served says why", "[front]") {
  tested_front gateway(models);
  const auto refused = gateway.answer(post(R"({"model":"bedrock-only","messages":[]})"));
  CHECK(refused.status == 400);
  const auto& all = gateway.rules.settings();
  const auto found = config::resolve(all, "bedrock-only");
  REQUIRE(found);
  CHECK(error_of(refused)["message"] == all.groups[found->group].unservable.value());
}

TEST_CASE("a group that does not speak an API says so", "[front]") {
  tested_front gateway(R"(
model_list:
  - model_name: vllm
    litellm_params: {model: hosted_vllm/x, api_base: "http://127.0.0.1:9/v1"}
  - model_name: vllm-plus
    litellm_params: {model: hosted_vllm/x, api_base: "http://127.0.0.1:8/v1"}
    model_info: {supported_endpoints: [/v1/responses, /v1/messages]}
  - model_name: openai
    litellm_params: {model: openai/x, api_key: k, api_base: "http://127.0.0.1:9/v1"}
  - model_name: claude
    litellm_params: {model: anthropic/claude, api_key: k, api_base: "http://127.0.0.1:9/v1"}
  - model_name: mock
    litellm_params: {model: hosted_vllm/x, mock_response: hi}
)");
  const auto status = [&](const std::string& model, const std::string& path) {
    auto result = gateway.begin(
        post(R"({"model":")" + model + R"(","messages":[],"input":"x","max_tokens":5})", "", path));
    const auto* refused = std::get_if<reply>(&result);
    return refused ? refused->status : 0;
  };
  for (const auto* model : {"vllm", "vllm-plus", "openai", "claude", "mock"})
    CHECK(status(model, "/v1/chat/completions") == 0);
  CHECK(status("vllm", "/v1/responses") == 400);
  CHECK(status("vllm", "/v1/messages") == 400);
  CHECK(status("openai", "/v1/responses") == 0);
  CHECK(status("openai", "/v1/messages") == 400);
  CHECK(status("claude", "/v1/messages") == 0);
  CHECK(status("claude", "/v1/responses") == 400);
  for (const auto* model : {"vllm-plus", "mock"}) {
    CHECK(status(model, "/v1/messages") == 0);
    CHECK(status(model, "/v1/responses") == 0);
  }
}

TEST_CASE("bodies that are wrong are refused before any ask", "[front]") {
  tested_front gateway(models);
  const auto refused = [&](const std::string& body, const std::string& path) {
    const auto answer = gateway.answer(post(body, "", path));
    CHECK(answer.status == 400);
    return error_of(answer);
  };
  const std::string chats = "/v1/chat/completions";
  refused("{", chats);
  CHECK(refused(R"({"messages":[]})", chats)["param"] == "model");
  CHECK(refused(R"({"model":"m"})", chats)["param"] == "messages");
  CHECK(refused(R"({"model":"m"})", "/v1/completions")["param"] == "prompt");
  CHECK(refused(R"({"model":"m"})", "/v1/embeddings")["param"] == "input");
  CHECK(refused(chat(R"("api_base":"http://evil")"), chats)["param"] == "api_base");
  CHECK(refused(chat(R"("model":"m")"), chats)["param"] == "model");
}

TEST_CASE("the token estimate is made where a limit needs it", "[front]") {
  tested_front gateway(models);
  const auto body = [](const std::string& model) {
    return R"({"model":")" + model +
           R"(","messages":[{"role":"user","content":"12345678"}],"max_tokens":10,"n":2})";
  };
  CHECK(gateway.begun(post(body("m")))->wanted().token_estimate == 0);
  const auto wanted = gateway.begun(post(body("limited")))->wanted();
  CHECK(wanted.token_estimate >= 22);
  CHECK(wanted.token_estimate < 40);
  CHECK(wanted.prompt_estimate + 20 == wanted.token_estimate);
  CHECK(wanted.bytes == body("limited").size());
}

TEST_CASE("disable_fallbacks is heard", "[front]") {
  tested_front gateway(models);
  CHECK(gateway.begun(post(chat("")))->wanted().may_fall_back);
  CHECK_FALSE(gateway.begun(post(chat(R"("disable_fallbacks":true)")))->wanted().may_fall_back);
}

TEST_CASE("without a key pages and foreign names are kept out", "[front]") {
  tested_front gateway(models, {"my-box", "192.0.2.7"});
  const auto status = [&](const std::string& host, const std::string& fields) {
    auto asked = get("/v1/models", fields);
    asked.host = host;
    return gateway.answer(asked).status;
  };
  for (const auto* own : {"localhost", "LOCALHOST:4000", "127.0.0.1", "127.8.9.1:4000", "0.0.0.0",
                          "[::]:4000", "[::1]", "my-box", "My-Box:4000", "192.0.2.7:4000"}) {
    INFO(own);
    CHECK(status(own, "") == 200);
  }
  for (const auto* foreign : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example",
                              "203.0.113.9", "my-box.evil.example"}) {
    INFO(foreign);
    CHECK(status(foreign, "") == 403);
  }
  CHECK(status("localhost", "Origin: http://localhost:3000\r\n") == 403);
  CHECK(status("localhost", "Origin: null\r\n") == 403);
  CHECK(status("localhost", bearer("sk-anything")) == 200);
  request preflight{"OPTIONS", "/v1/chat/completions",
                    "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n", "",
                    "localhost"};
  const auto refused = gateway.answer(preflight);
  CHECK(refused.status == 403);
  CHECK(field(refused, "access-control-allow-origin").empty());
}

TEST_CASE("with a key browsers may come, and read errors too", "[front]") {
  tested_front gateway(keyed);
  request preflight{"OPTIONS", "/v1/chat/completions",
                    "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n"
                    "Access-Control-Request-Headers: authorization, x-any\r\n",
                    "", "elsewhere.example"};
  const auto allowed = gateway.answer(preflight);
  CHECK((allowed.status == 200 || allowed.status == 204));
  CHECK(field(allowed, "access-control-allow-origin") == "*");
  CHECK(field(allowed, "access-control-max-age") == "600");
  CHECK(field(allowed, "access-control-allow-headers").find("x-any") != std::string::npos);
  CHECK(field(allowed, "access-control-allow-methods").find("POST") != std::string::npos);
  for (const auto& answer :
       {gateway.answer(get("/v1/models", bearer("sk-master"))), gateway.answer(get("/v1/models")),
        gateway.answer(get("/nonsense", bearer("sk-master"))),
        gateway.answer(post(R"({"model":"?","messages":[]})", bearer("sk-master"))),
        gateway.rules.refuse({our_error::bad_head, {}, {}}, nullptr)}) {
    INFO(answer.status);
    CHECK(field(answer, "access-control-allow-origin") == "*");
    CHECK(field(answer, "access-control-expose-headers").find("x-vorrang-priority") !=
          std::string::npos);
    CHECK(field(answer, "access-control-allow-credentials").empty());
  }
  tested_front open(models);
  CHECK(field(open.answer(get("/v1/models")), "access-control-allow-origin").empty());
}

TEST_CASE("the content type matters only without a key", "[front]") {
  tested_front open(models);
  tested_front locked(keyed);
  const auto with = [](const std::string& kind, const std::string& more) {
    return request{"POST", "/v1/chat/completions", kind + more, chat(""), "localhost"};
  };
  for (const auto* kind :
       {"Content-Type: text/plain\r\n", "", "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: text/json; a=application/json\r\n"}) {
    INFO(kind);
    CHECK(open.answer(with(kind, "")).status == 415);
    CHECK(open.judged_by_head);
    locked.begun(with(kind, bearer("sk-master")));
  }
  open.begun(with("Content-Type: Application/JSON; charset=utf-8\r\n", ""));
}

TEST_CASE("codings and lengths are judged by the head", "[front]") {
  tested_front gateway(models + "general_settings: {max_request_size_mb: 1}\n");
  CHECK(gateway.answer(post(chat(""), "Content-Encoding: gzip\r\n")).status == 415);
  CHECK(gateway.judged_by_head);
  gateway.begun(post(chat(""), "Content-Encoding: identity\r\n"));
  CHECK(gateway.rules.body_bytes_max() == 1024 * 1024);
  const auto large = gateway.answer(post(std::string(1024 * 1024 + 1, ' ')));
  CHECK(large.status == 413);
  CHECK(gateway.judged_by_head);
  CHECK(large.close);
}

TEST_CASE("pages of the gateway itself", "[front]") {
  tested_front gateway(keyed);
  const auto page = [&](const std::string& path, const std::string& more = {}) {
    return json::parse(gateway.answer(get(path, bearer("sk-master") + more)).body);
  };
  CHECK(page("/health/liveliness") == "I'm alive!");
  CHECK(page("/v1/models")["object"] == "list");
  CHECK(page("/v1/models")["data"].size() == 5); // four groups and the alias that is not hidden
  CHECK(page("/v1/models/m")["id"] == "m");
  CHECK_FALSE(page("/v1/models", "anthropic-version: 2023-06-01\r\n").contains("object"));
  CHECK(gateway.answer(get("/v1/models/none", bearer("sk-master"))).status == 404);
  CHECK(page("/health/backlog")["in_flight_requests"] == 0);
  gateway.state.requests_in_flight = 4;
  CHECK(page("/health/backlog")["in_flight_requests"] == 4);
  CHECK(gateway.answer(post("{}", bearer("sk-master"), "/api/event_logging/batch")).body ==
        R"({"status":"ok"})");
  CHECK(gateway.answer(get("/")).status == 200);
  CHECK(gateway.answer({"HEAD", "/v1/models", bearer("sk-master"), "", "localhost"}).status == 200);
  for (const auto* path : {"/v1/models", "/v1/model/info", "/model_group/info", "/health"})
    for (const auto* secret : {"sk-hidden", "sk-other", "sk-master", "sk-batch"})
      CHECK(gateway.answer(get(path, bearer("sk-master"))).body.find(secret) == std::string::npos);
}

TEST_CASE("health tells what traffic has shown", "[front]") {
  tested_front gateway(models);
  const auto before = json::parse(gateway.answer(get("/health")).body);
  CHECK(before["healthy_count"] == 3);
  CHECK(before["unhealthy_count"] == 1); // what cannot be served
  queue_view view;
  view.group = 0;
  deployment_report report;
  report.id = "mock-one";
  report.healthy = false;
  report.cooling = true;
  report.cooldown_ends_in = 2s;
  report.last_failure_status = 500;
  view.deployments.push_back(report);
  gateway.state.queues = std::make_shared<std::vector<queue_view>>(1, view);
  const auto after = json::parse(gateway.answer(get("/health")).body);
  CHECK(after["healthy_count"] == 2);
  REQUIRE(after["unhealthy_count"] == 2);
  const auto& cooling = after["unhealthy_endpoints"][0];
  CHECK(cooling["model_id"] == "mock-one");
  CHECK(cooling["state"] == "cooling");
  CHECK(cooling["cooldown_ends_in_ms"] == 2000);
  CHECK(cooling["last_failure_status"] == 500);
}

TEST_CASE("readiness follows draining and Redis", "[front]") {
  tested_front gateway(models);
  const auto status = [&] {
    return gateway.answer(get("/health/readiness")).status;
  };
  CHECK(status() == 200);
  gateway.state.redis_reachable = false;
  CHECK(status() == 200); // local mode is allowed
  gateway.state.redis_reachable = true;
  CHECK(status() == 200);
  gateway.state.draining = true;
  CHECK(status() == 503);

  tested_front held(models + "vorrang_settings: {redis_unavailable: hold}\n");
  held.state.redis_reachable = false;
  CHECK(held.answer(get("/health/readiness")).status == 503);
  held.state.redis_reachable = true;
  CHECK(held.answer(get("/health/readiness")).status == 200);
}

TEST_CASE("while draining no new call is begun", "[front]") {
  tested_front gateway(models);
  gateway.state.draining = true;
  const auto refused = gateway.answer(post(chat("")));
  CHECK(refused.status == 503);
  CHECK(refused.close);
  CHECK_FALSE(field(refused, "retry-after").empty());
  CHECK(gateway.answer(get("/v1/models")).status == 200);
}

TEST_CASE("request ids are the client's or new", "[front]") {
  tested_front gateway(models);
  const auto own = gateway.answer(get("/v1/models", "x-litellm-call-id: mine-1\r\n"));
  CHECK(field(own, "x-vorrang-request-id") == "mine-1");
  CHECK(field(own, "x-litellm-call-id") == "mine-1");
  const auto one = field(gateway.answer(get("/v1/models")), "x-vorrang-request-id");
  const auto two = field(gateway.answer(get("/v1/models")), "x-vorrang-request-id");
  CHECK_FALSE(one.empty());
  CHECK(one != two);
  CHECK(gateway.begun(post(chat(""), "x-litellm-call-id: mine-2\r\n"))->request_id() == "mine-2");
}

TEST_CASE("Anthropic's paths get Anthropic's errors", "[front]") {
  tested_front gateway(models);
  const auto refused = gateway.answer(post(R"({"model":"?","messages":[]})", "", "/v1/messages"));
  CHECK(refused.status == 400);
  const auto body = json::parse(refused.body);
  CHECK(body["type"] == "error");
  CHECK(body["error"]["type"] == "invalid_request_error");
  CHECK(body["request_id"] == field(refused, "x-vorrang-request-id"));
  const auto head = head_of(post("{}", "", "/v1/messages"));
  CHECK(
      json::parse(gateway.rules.refuse({our_error::body_too_large, {}, {}}, &head).body)["type"] ==
      "error");
}

TEST_CASE("tokens are counted by an upstream that can, else estimated", "[front]") {
  tested_front gateway(R"(
model_list:
  - model_name: claude
    litellm_params: {model: anthropic/claude-x, api_key: k, api_base: "http://127.0.0.1:9/v1"}
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi}
)");
  const std::string messages = R"(,"messages":[{"role":"user","content":"12345678"}]})";
  const std::string path = "/v1/messages/count_tokens";
  const auto estimate = gateway.answer(post(R"({"model":"m")" + messages, "", path));
  CHECK(estimate.status == 200);
  CHECK(json::parse(estimate.body)["input_tokens"] == 2);
  auto counted = gateway.begun(post(R"({"model":"claude")" + messages, "", path));
  CHECK_FALSE(counted->needs_ticket());
  const auto sent = counted->attempt(counted->ungated_grant(start), start);
  const auto& asked = std::get<upstream_request>(sent);
  CHECK(asked.head.find("POST /v1/messages/count_tokens HTTP/1.1\r\n") == 0);
  CHECK(gateway.begun(post(R"({"model":"claude","max_tokens":1)" + messages, "", "/v1/messages"))
            ->needs_ticket());
}

TEST_CASE("mocks in bodies are obeyed only where that is allowed", "[front]") {
  tested_front gateway(models);
  for (const auto* mock : {R"("mock_response":"litellm.RateLimitError")", R"("mock_timeout":true)"})
    gateway.begun(post(chat(mock)));
  tested_front allowing(
      models + "general_settings: {dangerously_allow_mock_testing_request_params: true}\n");
  const auto status = [&](const std::string& text) {
    return allowing.answer(post(chat(R"("mock_response":"litellm.)" + text + "\""))).status;
  };
  CHECK(status("RateLimitError") == 429);
  CHECK(status("InternalServerError") == 500);
  CHECK(status("ContextWindowExceededError") == 400);
  CHECK(allowing.answer(post(chat(R"("mock_timeout":true)"))).status == 408);
  auto own = allowing.begun(post(chat(R"("mock_response":"own words")")));
  const auto planned = own->attempt(first_grant(*own), start);
  CHECK(std::get<mock_attempt>(planned).body.find("own words") != std::string::npos);
}

TEST_CASE("refusals of the gateway have their status", "[front]") {
  tested_front gateway(models);
  const auto status = [&](our_error code) {
    return gateway.rules.refuse({code, {}, {}}, nullptr).status;
  };
  CHECK(status(our_error::too_many_connections) == 503);
  CHECK(status(our_error::queue_bytes_full) == 429);
  CHECK(status(our_error::body_too_large) == 413);
  CHECK(status(our_error::head_too_large) == 431);
  CHECK(status(our_error::bad_head) == 400);
  CHECK(gateway.rules.refuse({our_error::bad_head, {}, {}}, nullptr).close);
  CHECK_FALSE(gateway.rules.refuse({our_error::queue_bytes_full, {}, {}}, nullptr).close);
}

} // namespace vorrang::http::tests
