// A call from its grant to the client's answer.

#include "front_fixture.hpp"

#include "actors/from_config.hpp"
#include "http/upstream_verdict.hpp"

namespace vorrang::http::tests {

namespace {

const std::string groups = R"(
model_list:
  - model_name: m
    litellm_params:
      model: openai/upstream-model
      api_base: http://127.0.0.1:9/v1
      api_key: sk-upstream
      temperature: 0.5
    model_info: {id: first}
  - model_name: m
    litellm_params: {model: openai/second-model, api_base: "http://[::1]:8/v1", api_key: k, timeout: 5, stream_timeout: 7, drop_params: true}
    model_info: {id: second}
  - model_name: "vendor/*"
    litellm_params: {model: "openai/*", api_base: http://127.0.0.1:9/v1, api_key: k}
  - model_name: falls
    litellm_params: {model: openai/z, api_base: http://127.0.0.1:9/v1, api_key: k, tpm: 100000}
  - model_name: mocked
    litellm_params: {model: openai/x, mock_response: "Hallo Welt", mock_delay: 0.25}
    model_info: {id: mock-one}
  - model_name: mock-429
    litellm_params: {model: openai/x, mock_response: litellm.RateLimitError}
  - model_name: mock-never
    litellm_params: {model: openai/x, mock_response: x, mock_timeout: true}
router_settings:
  timeout: 60
  fallbacks: [{falls: [vendor/special]}]
)";

std::string body_of(const std::string& model, const std::string& more = {}) {
  return R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}])" + more + "}";
}

std::string joined(const upstream_request& sent) {
  std::string all;
  for (const auto piece : sent.body)
    all += piece;
  return all;
}

/// Its request to a deployment of its group.
upstream_request sent_by(call& of, deployment_index deployment = 0) {
  auto planned = of.attempt(first_grant(of, deployment), start);
  REQUIRE(std::holds_alternative<upstream_request>(planned));
  return std::get<upstream_request>(std::move(planned));
}

mock_attempt mock_of(call& of) {
  auto planned = of.attempt(first_grant(of), start);
  REQUIRE(std::holds_alternative<mock_attempt>(planned));
  return std::get<mock_attempt>(std::move(planned));
}

std::string error_body_of(const std::string& message, const std::string& code = "x",
                          const std::string& param = {}) {
  return json({{"error",
                {{"message", message},
                 {"type", "some_type"},
                 {"param", param.empty() ? json(nullptr) : json(param)},
                 {"code", code}}}})
      .dump();
}

outcome judged(unsigned status, const std::string& body, const field_pairs& fields = {}) {
  return classify_answer(static_cast<std::uint16_t>(status), make_fields(fields),
                         read_upstream_error(body), wall);
}

/// As the engine says it; its priority is told to the client.
ending ended(end_code code) {
  ending end;
  end.code = code;
  end.waited = 1500ms;
  end.attempts = 2;
  end.retries = 1;
  return end;
}

/// A call whose last attempt brought this answer, and how it ended.
reply last_words(tested_front& gateway, unsigned status, const std::string& body, end_code code,
                 const std::string& path = "/v1/chat/completions") {
  auto one = gateway.begun(post(body_of("m", R"(,"max_tokens":1)"), "", path));
  sent_by(*one);
  one->judge(upstream_head(status, {{"content-type", "text/html"}, {"x-ratelimit-limit", "3"}}),
             body, wall);
  return one->end_reply(ended(code));
}

} // namespace

TEST_CASE("the request for a deployment", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(
      post(body_of("m", R"(,"priority":1,"top_p":0.10)"), "traceparent: 00-a-b-01\r\n"));
  const auto sent = sent_by(*one);
  REQUIRE(sent.address != nullptr);
  CHECK(sent.address->host == "127.0.0.1");
  CHECK(sent.address->port == 9);
  CHECK(sent.deployment->id == "first");
  const std::string head(sent.head);
  CHECK(head.find("POST /v1/chat/completions HTTP/1.1\r\n") == 0);
  CHECK(head.find("Bearer sk-upstream") != std::string::npos);
  CHECK(head.find("00-a-b-01") != std::string::npos);
  CHECK(head.substr(head.size() - 4) == "\r\n\r\n");
  const auto body = joined(sent);
  CHECK(head.find(std::to_string(body.size())) != std::string::npos);
  const auto document = json::parse(body);
  CHECK(document["model"] == "upstream-model");
  CHECK_FALSE(document.contains("priority"));
  CHECK(document["temperature"] == 0.5);
  CHECK(body.find(R"("top_p":0.10)") != std::string::npos);
}

TEST_CASE("each attempt speaks to its own deployment", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m")));
  sent_by(*one);
  const auto sent = sent_by(*one, 1);
  CHECK(sent.deployment->id == "second");
  CHECK(sent.address->host == "::1");
  CHECK(json::parse(joined(sent))["model"] == "second-model");
}

TEST_CASE("a pattern's text goes upstream, a fallback's too", "[call]") {
  tested_front gateway(groups);
  auto direct = gateway.begun(post(body_of("vendor/some")));
  CHECK(json::parse(joined(sent_by(*direct)))["model"] == "some");

  auto fallen = gateway.begun(post(body_of("falls")));
  auto given = first_grant(*fallen);
  given.group = direct->wanted().group;
  given.fallbacks = 1;
  const auto planned = fallen->attempt(given, start);
  CHECK(json::parse(joined(std::get<upstream_request>(planned)))["model"] == "special");
}

TEST_CASE("an attempt ends with the deployment's timeout or the deadline", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m")));
  auto sent = sent_by(*one);
  CHECK(sent.until == start + 60s);
  CHECK(sent.until_is_the_deadline);
  CHECK(sent.between_chunks == 60s);
  sent = sent_by(*one, 1);
  CHECK(sent.until == start + 5s);
  CHECK_FALSE(sent.until_is_the_deadline);
  CHECK(sent.between_chunks == 7s);
  auto hasty = gateway.begun(post(body_of("m", R"(,"timeout":2)")));
  sent = sent_by(*hasty, 1);
  CHECK(sent.until == start + 2s);
  CHECK(sent.until_is_the_deadline);

  tested_front both(groups + "  request_timeout: 4\n");
  auto bounded = both.begun(post(body_of("m")));
  CHECK(sent_by(*bounded).until == start + 4s);
  CHECK_FALSE(sent_by(*bounded).until_is_the_deadline);
}

TEST_CASE("outcomes of statuses", "[call]") {
  const auto kind = [](unsigned status) {
    return judged(status, "{}").kind;
  };
  for (const auto status : {200U, 201U, 204U})
    CHECK(kind(status) == outcome_kind::success);
  CHECK(kind(429) == outcome_kind::rate_limited);
  for (const auto status : {408U, 409U, 500U, 502U, 503U, 504U, 529U, 302U})
    CHECK(kind(status) == outcome_kind::failed);
  for (const auto status : {400U, 401U, 403U, 404U, 413U, 422U})
    CHECK(kind(status) == outcome_kind::rejected);
  CHECK(judged(404, "{}").status == 404);
  CHECK(judged(500, "{}").tokens == 0U);
  CHECK(judged(200, "{}").tokens == std::nullopt);
}

TEST_CASE("429s that are none", "[call]") {
  for (const auto* code : {"insufficient_quota", "billing_hard_limit_reached"}) {
    CHECK(judged(429, error_body_of("no money", code)).kind == outcome_kind::rejected);
    CHECK(judged(429, error_body_of("no money", code)).status == 403);
    const auto by_type = json({{"error", {{"message", "x"}, {"type", code}}}}).dump();
    CHECK(judged(429, by_type).status == 403);
  }
  const auto large = judged(429, error_body_of("Request too large for gpt-4 on tokens per min"));
  CHECK(large.kind == outcome_kind::rejected);
  CHECK(large.status == 413);
  const auto plain = judged(429, error_body_of("Slow down. Request too large"));
  CHECK(plain.kind == outcome_kind::rate_limited);
  CHECK(plain.status == 429);
}

TEST_CASE("Retry-After in three forms", "[call]") {
  const auto later = [](const field_pairs& fields) {
    return judged(429, "{}", fields).retry_after;
  };
  CHECK_FALSE(later({}));
  CHECK(later({{"Retry-After", "7"}}) == 7s);
  CHECK(later({{"retry-after-ms", "250"}}) == 250ms);
  CHECK(later({{"Retry-After", "7"}, {"retry-after-ms", "250"}}) == 250ms);
  // 1'800'000'000 is Fri, 15 Jan 2027 08:00:00 GMT.
  CHECK(later({{"Retry-After", "Fri, 15 Jan 2027 08:00:30 GMT"}}) == 30s);
  CHECK_FALSE(later({{"Retry-After", "Fri, 15 Jan 2027 07:59:59 GMT"}}));
  CHECK_FALSE(later({{"Retry-After", "0"}}));
  CHECK_FALSE(later({{"Retry-After", "soon"}}));
  CHECK(judged(503, "{}", {{"Retry-After", "7"}}).retry_after == duration(7s));
}

TEST_CASE("prompts that are too long for the model", "[call]") {
  CHECK(judged(400, error_body_of("x", "context_length_exceeded")).context_window);
  CHECK(judged(400, error_body_of("This model's maximum context length is 4097 tokens"))
            .context_window);
  CHECK_FALSE(judged(400, error_body_of("temperature must be below 2")).context_window);
  CHECK_FALSE(judged(422, error_body_of("x", "context_length_exceeded")).context_window);
}

TEST_CASE("what is against the content policy", "[call]") {
  for (const auto* code : {"content_policy_violation", "content_filter"}) {
    CHECK(judged(400, error_body_of("x", code)).content_policy);
    CHECK_FALSE(judged(422, error_body_of("x", code)).content_policy);
  }
  CHECK_FALSE(judged(400, error_body_of("x", "context_length_exceeded")).content_policy);
}

TEST_CASE("outcomes without an answer", "[call]") {
  CHECK_FALSE(classify_error(transport_error::not_connected).sent);
  CHECK(classify_error(transport_error::not_connected).kind == outcome_kind::failed);
  CHECK(classify_error(transport_error::broken).sent);
  CHECK(classify_error(transport_error::broken).kind == outcome_kind::failed);
  CHECK(classify_error(transport_error::timed_out).timed_out);
  CHECK(classify_error(transport_error::timed_out).kind == outcome_kind::failed);
  CHECK(classify_error(transport_error::not_sent).kind == outcome_kind::not_sent);
  CHECK(classify_error(transport_error::deadline).kind == outcome_kind::cancelled);
}

TEST_CASE("a good answer: model restamped, fields told, tokens counted", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m", R"(,"priority":3)"), "x-litellm-call-id: mine\r\n"));
  auto given = first_grant(*one);
  given.waited = 12ms;
  given.attempt = 2;
  given.retries = 1;
  given.reason = grant_reason::head_of_line;
  one->attempt(given, start);
  const std::string text =
      R"({ "id":"x", "model" : "upstream-2024","choices":[],"usage":{"total_tokens":42}, "odd":1.50 })";
  const auto head = upstream_head(200, {{"Content-Type", "application/json"},
                                        {"x-ratelimit-remaining-requests", "9"},
                                        {"x-custom", "c"}});
  CHECK(one->look_at_head(head) == head_verdict::read_whole);
  const auto verdict = one->judge(head, text, wall);
  CHECK(verdict.good);
  CHECK(verdict.result.kind == outcome_kind::success);
  CHECK(verdict.result.tokens == 42U);
  const auto answer = one->good_reply();
  CHECK(answer.status == 200);
  CHECK(answer.body ==
        R"({ "id":"x", "model" : "m","choices":[],"usage":{"total_tokens":42}, "odd":1.50 })");
  CHECK(field(answer, "content-type") == "application/json");
  CHECK(field(answer, "x-ratelimit-remaining-requests") == "9");
  CHECK(field(answer, "llm_provider-x-custom") == "c");
  CHECK(field(answer, "x-vorrang-request-id") == "mine");
  CHECK(field(answer, "x-litellm-call-id") == "mine");
  CHECK(field(answer, "x-vorrang-priority") == "3");
  CHECK(field(answer, "x-vorrang-wait-ms") == "12");
  CHECK(field(answer, "x-vorrang-granted-by") == "head-of-line");
  CHECK(field(answer, "x-vorrang-attempts") == "2");
  CHECK(field(answer, "x-litellm-attempted-retries") == "1");
  CHECK(field(answer, "x-litellm-attempted-fallbacks") == "0");
  CHECK(field(answer, "x-litellm-model-id") == "first");
  CHECK(field(answer, "x-litellm-model-group") == "m");
  CHECK(field(answer, "x-litellm-request-prioritization-used") == "True");
  CHECK(field(answer, "x-litellm-priority").empty());
}

TEST_CASE("a ticket that the operator moved tells its new priority", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m", R"(,"priority":3)"), "", "/queue/chat/completions"));
  auto given = first_grant(*one);
  given.priority = -2;
  one->attempt(given, start);
  one->judge(upstream_head(200), "{}", wall);
  const auto answer = one->good_reply();
  CHECK(field(answer, "x-vorrang-priority") == "-2");
  CHECK(field(answer, "x-litellm-priority") == "-2");
  auto end = ended(end_code::timed_out);
  end.priority = 8;
  CHECK(field(one->end_reply(end), "x-vorrang-priority") == "8");
}

TEST_CASE("what only some answers tell", "[call]") {
  tested_front gateway(groups + "general_settings: {master_key: sk-m}\n");
  const std::string key = "Authorization: Bearer sk-m\r\n";
  const auto answer = [&](const std::string& path, const std::string& more) {
    auto one = gateway.begun(post(body_of("m", more), key, path));
    sent_by(*one);
    one->judge(upstream_head(200), "{}", wall);
    return one->good_reply();
  };
  const auto plain = answer("/v1/chat/completions", "");
  CHECK(field(plain, "x-litellm-request-prioritization-used").empty());
  CHECK(field(plain, "access-control-allow-origin") == "*");
  CHECK(field(answer("/queue/chat/completions", R"(,"priority":0)"), "x-litellm-priority") == "0");
}

TEST_CASE("how requests end without an answer", "[call]") {
  tested_front gateway(groups);
  const auto end = [&](end_code code, std::optional<duration> later = {}) {
    auto one = gateway.begun(post(body_of("m")));
    auto how = ended(code);
    how.retry_after = later;
    return one->end_reply(how);
  };
  auto answer = end(end_code::timed_out);
  CHECK(answer.status == 408);
  CHECK(error_of(answer)["message"] == "Request timed out while polling queue");
  CHECK(field(answer, "x-should-retry") == "false");
  CHECK(field(answer, "x-vorrang-wait-ms") == "1500");
  CHECK(field(answer, "x-vorrang-attempts") == "2");

  answer = end(end_code::queue_full, 2500ms);
  CHECK(answer.status == 429);
  CHECK(field(answer, "retry-after") == "3");
  CHECK(field(end(end_code::queue_full), "retry-after") == "1");
  CHECK(field(end(end_code::queue_full, 1000s), "retry-after") == "60");

  answer = end(end_code::rate_limited_beyond_deadline, 50s);
  CHECK(answer.status == 429);
  CHECK(error_of(answer)["type"] == "rate_limit_error");
  CHECK(field(answer, "retry-after") == "50");

  answer = end(end_code::attempts_exhausted);
  CHECK(answer.status == 502);
  CHECK(error_of(answer)["type"] == "server_error");
  CHECK(end(end_code::no_deployment).status == 400);
  CHECK(end(end_code::unknown_group).status == 400);
  answer = end(end_code::cancelled_by_operator);
  CHECK(answer.status == 503);
  CHECK(error_of(answer)["message"] == "Cancelled by the operator");
  CHECK(end(end_code::draining).status == 503);
  CHECK_FALSE(field(end(end_code::draining), "retry-after").empty());
}

TEST_CASE("an attempt's timeout is a 504, even after answers", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m")));
  sent_by(*one);
  one->judge(upstream_head(500), error_body_of("before"), wall);
  sent_by(*one);
  const auto verdict = one->judge(transport_error::timed_out);
  CHECK_FALSE(verdict.over);
  auto end = ended(end_code::attempts_exhausted);
  end.timed_out = true;
  CHECK(one->end_reply(end).status == 504);
}

TEST_CASE("an answer of status 200 that is none is a failure that says what came", "[call]") {
  tested_front gateway(groups);
  const auto said = [&](const std::string& body, field_pairs fields = {}) {
    auto one = gateway.begun(post(body_of("m")));
    sent_by(*one);
    const auto verdict = one->judge(upstream_head(200, std::move(fields)), body, wall);
    CHECK_FALSE(verdict.good);
    CHECK_FALSE(verdict.over);
    CHECK(verdict.result.kind == outcome_kind::failed);
    CHECK(verdict.result.sent);
    const auto answer = one->end_reply(ended(end_code::attempts_exhausted));
    CHECK(answer.status == 502);
    CHECK(error_of(answer)["type"] == "server_error");
    return error_of(answer)["message"].get<std::string>();
  };
  const std::string expected = " where a JSON object is expected";
  const std::string came = "No usable answer: the upstream answered with status 200 and ";
  CHECK(said("<html>sorry</html>") == came + "a page of HTML or XML" + expected);
  CHECK(said(R"({"choices":[)") == came + "broken JSON" + expected);
  CHECK(said("") == came + "an empty body" + expected);
  CHECK(said("data: {}\n\n") == came + "an event stream" + expected);
  CHECK(said("[1]") == came + "text that is none" + expected);
  CHECK(said(R"({"choices":[]})", {{"Content-Encoding", "gzip"}}) ==
        "No usable answer: the upstream sent a body in Content-Encoding gzip, which nobody asked "
        "for");
}

TEST_CASE("a coded body is not read, and its status stands", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m", R"(,"stream":true)")));
  sent_by(*one);
  const auto head = upstream_head(
      429, {{"Content-Encoding", "br"}, {"Retry-After", "7"}, {"Content-Type", "text/html"}});
  CHECK(one->look_at_head(head) == head_verdict::no_use);
  const auto verdict = one->judge(head, "\x1f\x8b", wall);
  CHECK(verdict.result.kind == outcome_kind::rate_limited);
  CHECK(verdict.result.retry_after == duration(7s));
  const auto answer = one->end_reply(ended(end_code::attempts_exhausted));
  CHECK(answer.status == 429);
  CHECK(error_of(answer)["message"].get<std::string>().find("Content-Encoding br") !=
        std::string::npos);
  CHECK(one->look_at_head(upstream_head(200, {{"Content-Encoding", "identity"}})) ==
        head_verdict::read_whole);
}

TEST_CASE("a broken attempt's words are forgotten by the next", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m")));
  sent_by(*one);
  one->judge(transport_error::not_http, "the upstream sent nonsense");
  sent_by(*one);
  one->judge(transport_error::not_connected);
  const auto answer = one->end_reply(ended(end_code::attempts_exhausted));
  CHECK(answer.status == 502);
  CHECK(error_of(answer)["message"] ==
        "The upstream could not be reached or broke off without an answer");
}

TEST_CASE("a connection that breaks after an answer leaves that answer", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m")));
  sent_by(*one);
  one->judge(upstream_head(500), error_body_of("first words"), wall);
  sent_by(*one);
  one->judge(transport_error::broken);
  const auto answer = one->end_reply(ended(end_code::attempts_exhausted));
  CHECK(answer.status == 500);
  CHECK(error_of(answer)["message"] == "first words");
}

TEST_CASE("the last answer keeps status and words", "[call]") {
  tested_front gateway(groups);
  auto answer =
      last_words(gateway, 422, error_body_of("wrong", "the_code", "the_param"), end_code::rejected);
  CHECK(answer.status == 422);
  CHECK(error_of(answer)["message"] == "wrong");
  CHECK(error_of(answer)["param"] == "the_param");
  CHECK(error_of(answer)["code"] == "the_code");
  CHECK(field(answer, "content-type") == "application/json");
  CHECK(field(answer, "x-ratelimit-limit") == "3");

  answer = last_words(gateway, 500, "<h1>oops</h1>", end_code::attempts_exhausted);
  CHECK(answer.status == 500);
  CHECK(error_of(answer)["message"].get<std::string>().find("oops") != std::string::npos);
  // A redirect is no answer.
  CHECK(last_words(gateway, 302, "", end_code::attempts_exhausted).status == 502);
}

TEST_CASE("the gateway's own credentials are not the client's business", "[call]") {
  tested_front gateway(groups);
  for (const auto status : {401U, 403U}) {
    const auto answer = last_words(gateway, status, error_body_of("Incorrect API key sk-upstream"),
                                   end_code::attempts_exhausted);
    CHECK(answer.status == status);
    CHECK(error_of(answer)["message"] ==
          "the upstream refused the gateway's credentials for group m");
    CHECK(answer.body.find("sk-upstream") == std::string::npos);
    // Nor when the deadline comes first.
    CHECK(last_words(gateway, status, error_body_of("key sk-upstream"), end_code::timed_out)
              .body.find("sk-upstream") == std::string::npos);
  }
}

TEST_CASE("a 408 repeats the upstream's last message", "[call]") {
  tested_front gateway(groups);
  const auto answer =
      last_words(gateway, 429, error_body_of("Rate limit reached for x"), end_code::timed_out);
  CHECK(answer.status == 408);
  const auto message = error_of(answer)["message"].get<std::string>();
  CHECK(message.find("Request timed out while polling queue") == 0);
  CHECK(message.find("Rate limit reached for x") != std::string::npos);
}

TEST_CASE("the deadline during a call is a 408 of its own", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m")));
  sent_by(*one);
  const auto verdict = one->judge(transport_error::deadline);
  CHECK(verdict.over);
  CHECK(verdict.result.kind == outcome_kind::cancelled);
  const auto answer = one->last_reply();
  CHECK(answer.status == 408);
  CHECK(error_of(answer)["message"] == "Request timed out");
  CHECK(field(answer, "x-should-retry") == "false");
}

TEST_CASE("usage of a stream that only we asked for is left out where it is refused", "[call]") {
  tested_front gateway(groups);
  const auto streamed = R"(,"stream":true)";
  const auto asks = [](const upstream_request& request) {
    return json::parse(joined(request)).contains("stream_options");
  };
  const auto refusals = {
      std::pair(400, error_body_of("no", "unknown_parameter", "stream_options")),
      std::pair(400, error_body_of("no", "invalid", "stream_options.include_usage")),
      std::pair(422, std::string(R"({"detail":[{"loc":["body","stream_options"],)"
                                 R"("msg":"Extra inputs are not permitted"}]})"))};
  for (const auto& [status, body] : refusals) {
    // Deployment 0 of the group has no drop_params.
    tested_front fresh(groups);
    auto one = fresh.begun(post(body_of("m", streamed)));
    CHECK(asks(sent_by(*one, 0)));
    auto verdict = one->judge(upstream_head(status), body, wall);
    REQUIRE(verdict.again != nullptr);
    CHECK_FALSE(asks(*verdict.again));
    // Refused all the same: there is nothing more of ours to leave out.
    verdict = one->judge(upstream_head(status), body, wall);
    CHECK(verdict.again == nullptr);
    CHECK(verdict.result.kind == outcome_kind::rejected);
    // The next request knows, there and not elsewhere.
    auto two = fresh.begun(post(body_of("m", streamed)));
    CHECK_FALSE(asks(sent_by(*two, 0)));
    auto three = fresh.begun(post(body_of("m", streamed)));
    CHECK(asks(sent_by(*three, 1)));
  }
  // What the client asked for itself is its own, and another refusal is no reason.
  const auto refusal = refusals.begin()->second;
  auto own = gateway.begun(
      post(body_of("m", R"(,"stream":true,"stream_options":{"include_usage":true})")));
  CHECK(asks(sent_by(*own, 0)));
  CHECK(own->judge(upstream_head(400), refusal, wall).again == nullptr);
  auto other = gateway.begun(post(body_of("m", streamed)));
  sent_by(*other, 0);
  CHECK(other->judge(upstream_head(400), error_body_of("no", "unknown_parameter", "seed"), wall)
            .again == nullptr);
  CHECK(other->judge(upstream_head(500), refusal, wall).again == nullptr);
}

TEST_CASE("drop_params: a refused field is left out, once, and remembered", "[call]") {
  tested_front gateway(groups);
  const auto body = body_of("m", R"(,"reasoning_effort":"low","max_tokens":5)");
  auto one = gateway.begun(post(body));
  CHECK(json::parse(joined(sent_by(*one, 1))).contains("reasoning_effort"));
  auto verdict = one->judge(upstream_head(400),
                            error_body_of("no", "unsupported_parameter", "reasoning_effort"), wall);
  REQUIRE(verdict.again != nullptr);
  auto document = json::parse(joined(*verdict.again));
  CHECK_FALSE(document.contains("reasoning_effort"));
  CHECK(document["max_tokens"] == 5);
  CHECK(std::string(verdict.again->head).find(std::to_string(joined(*verdict.again).size())) !=
        std::string::npos);
  // Once on a grant.
  verdict = one->judge(upstream_head(400),
                       error_body_of("no", "unsupported_parameter", "max_tokens"), wall);
  CHECK(verdict.again == nullptr);
  CHECK(verdict.result.kind == outcome_kind::rejected);

  // What is left out already is no reason to send the same once more.
  auto same = gateway.begun(post(body));
  sent_by(*same, 1);
  CHECK(same->judge(upstream_head(400),
                    error_body_of("no", "unsupported_parameter", "reasoning_effort"), wall)
            .again == nullptr);

  // The next request knows; and max_tokens is renamed.
  auto two = gateway.begun(post(body));
  CHECK_FALSE(json::parse(joined(sent_by(*two, 1))).contains("reasoning_effort"));
  verdict = two->judge(upstream_head(400),
                       error_body_of("no", "unsupported_parameter", "max_tokens"), wall);
  REQUIRE(verdict.again != nullptr);
  document = json::parse(joined(*verdict.again));
  CHECK(document["max_completion_tokens"] == 5);
  CHECK_FALSE(document.contains("max_tokens"));

  // Not for a field the request lacks, another code, or a deployment without drop_params.
  const auto again = [&](deployment_index where, const std::string& code,
                         const std::string& param) {
    auto other = gateway.begun(post(body_of("m", R"(,"seed":1)")));
    sent_by(*other, where);
    return other->judge(upstream_head(400), error_body_of("no", code, param), wall).again !=
           nullptr;
  };
  CHECK(again(1, "unknown_parameter", "seed"));
  CHECK_FALSE(again(1, "unknown_parameter", "absent"));
  CHECK_FALSE(again(1, "invalid_value", "seed"));
  CHECK_FALSE(again(0, "unknown_parameter", "seed"));
}

TEST_CASE("drop_params never drops what makes the request", "[call]") {
  tested_front gateway(groups);
  for (const auto* field_name : {"model", "messages", "stream"}) {
    INFO(field_name);
    auto one = gateway.begun(post(body_of("m", R"(,"stream":true)")));
    sent_by(*one, 1);
    CHECK(one->judge(upstream_head(400), error_body_of("no", "unsupported_value", field_name), wall)
              .again == nullptr);
  }
}

TEST_CASE("a response is continued where it was made", "[call]") {
  tested_front gateway(groups);
  const std::string path = "/v1/responses";
  const auto begun = [&](const std::string& more) {
    return gateway.begun(post(R"({"model":"m","input":"x")" + more + "}", "", path));
  };
  auto one = begun("");
  sent_by(*one, 1);
  REQUIRE(one->judge(upstream_head(200), R"({"id":"resp_1","model":"up"})", wall).good);
  CHECK(begun(R"(,"previous_response_id":"resp_1")")->wanted().pinned == 1);
  CHECK(begun(R"(,"previous_response_id":"resp_2")")->wanted().pinned == no_index);

  auto streamed = begun(R"(,"stream":true)");
  sent_by(*streamed);
  streamed->relay().feed("event: response.created\ndata: {\"type\":\"response.created\","
                         "\"response\":{\"id\":\"resp_2\",\"model\":\"up\"}}\n\n");
  streamed->judge_stream(std::nullopt, false);
  CHECK(begun(R"(,"previous_response_id":"resp_2")")->wanted().pinned == 0);
  // In another group that deployment is unknown.
  auto elsewhere = gateway.begun(
      post(R"({"model":"vendor/x","input":"x","previous_response_id":"resp_1"})", "", path));
  CHECK(elsewhere->wanted().pinned == no_index);
}

TEST_CASE("a path that names the model fills it in upstream", "[call]") {
  tested_front gateway(groups);
  for (const auto* body : {R"({"messages":[]})", R"({"model":"other","messages":[]})"}) {
    auto one = gateway.begun(post(body, "", "/openai/deployments/m/chat/completions"));
    CHECK(json::parse(joined(sent_by(*one)))["model"] == "upstream-model");
    REQUIRE(one->judge(upstream_head(200), R"({"model":"up"})", wall).good);
    CHECK(one->good_reply().body == R"({"model":"m"})");
  }
}

TEST_CASE("embeddings are not streamed", "[call]") {
  tested_front gateway(groups);
  auto one =
      gateway.begun(post(R"({"model":"m","input":"x","stream":true})", "", "/v1/embeddings"));
  CHECK_FALSE(one->stream_client());
  CHECK_FALSE(one->keep_alive_interval());
}

TEST_CASE("a mock answers like an upstream", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("mocked", R"(,"n":2)")));
  auto planned = mock_of(*one);
  CHECK(planned.delay == 250ms);
  CHECK(planned.until == start + 60s);
  CHECK(planned.events.empty());
  const auto verdict = one->judge(std::move(planned.head), std::move(planned.body), wall);
  CHECK(verdict.good);
  CHECK(verdict.result.tokens == 30U);
  const auto answer = one->good_reply();
  const auto document = json::parse(answer.body);
  CHECK(document["model"] == "mocked");
  CHECK(document["choices"].size() == 2);
  CHECK(document["choices"][0]["message"]["content"] == "Hallo Welt");
  CHECK(document["created"] == 1'800'000'000);
  CHECK(field(answer, "x-litellm-model-id") == "mock-one");

  auto limited = gateway.begun(post(body_of("mock-429")));
  planned = mock_of(*limited);
  CHECK(limited->judge(std::move(planned.head), std::move(planned.body), wall).result.kind ==
        outcome_kind::rate_limited);
  CHECK(limited->end_reply(ended(end_code::attempts_exhausted)).status == 429);

  auto silent = gateway.begun(post(body_of("mock-never")));
  CHECK(mock_of(*silent).never_answers);
}

TEST_CASE("a mock streams", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("mocked", R"(,"stream":true)")));
  CHECK(one->stream_client());
  auto planned = mock_of(*one);
  REQUIRE_FALSE(planned.events.empty());
  std::string text;
  for (const auto& event : planned.events)
    text += one->relay().feed(event);
  text += one->relay().finish();
  CHECK(one->relay().complete());
  CHECK(text.find("\"model\":\"mocked\"") != std::string::npos);
  CHECK(text.substr(text.size() - 14) == "data: [DONE]\n\n");
  const auto verdict = one->judge_stream(std::nullopt, false);
  CHECK(verdict.result.kind == outcome_kind::success);
  CHECK(verdict.result.tokens == 30U);
  const auto head = one->stream_head(nullptr);
  CHECK(head.status == 200);
  CHECK(field(head, "content-type") == "text/event-stream");
  CHECK(field(head, "x-litellm-model-id") == "mock-one");
}

TEST_CASE("a stream is for clients that want one", "[call]") {
  tested_front gateway(groups);
  const auto head = upstream_head(200, {{"content-type", "text/event-stream; charset=utf-8"}});
  const auto verdict = [&](const std::string& more, const answer_head& of) {
    auto one = gateway.begun(post(body_of("m", more)));
    sent_by(*one);
    return one->look_at_head(of);
  };
  CHECK(verdict(R"(,"stream":true)", head) == head_verdict::stream);
  CHECK(verdict("", head) == head_verdict::read_whole);
  CHECK(verdict(R"(,"stream":true)", upstream_head(500, {{"content-type", "text/event-stream"}})) ==
        head_verdict::read_whole);
  CHECK(verdict(R"(,"stream":true)", upstream_head(200, {{"content-type", "application/json"}})) ==
        head_verdict::read_whole);
}

TEST_CASE("usage is asked for where the client did not, and withheld", "[call]") {
  tested_front gateway(groups);
  const std::string chunk =
      R"(data: {"model":"up","choices":[{"index":0,"delta":{"content":"Ha"}}]})"
      "\n\n";
  const std::string usage =
      R"(data: {"model":"up","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}})"
      "\n\n";
  const auto relayed = [&](const std::string& more, bool asks_upstream) {
    auto one = gateway.begun(post(body_of("m", R"(,"stream":true)" + more)));
    const auto document = json::parse(joined(sent_by(*one)));
    CHECK(document.value("/stream_options/include_usage"_json_pointer, false) == asks_upstream);
    std::string text(one->relay().feed(chunk));
    text += one->relay().feed(usage);
    text += one->relay().feed("data: [DONE]\n\n");
    CHECK(one->judge_stream(std::nullopt, false).result.tokens == 7U);
    return text;
  };
  auto text = relayed("", true);
  CHECK(text.find("total_tokens") == std::string::npos);
  CHECK(text.find("\"model\":\"m\"") != std::string::npos);
  CHECK(text.find("[DONE]") != std::string::npos);
  text = relayed(R"(,"stream_options":{"include_usage":true})", true);
  CHECK(text.find("total_tokens") != std::string::npos);

  tested_front off(groups + "general_settings: {always_include_stream_usage: false}\n");
  auto one = off.begun(post(body_of("m", R"(,"stream":true)")));
  CHECK_FALSE(json::parse(joined(sent_by(*one))).contains("stream_options"));
}

TEST_CASE("a stream that breaks before its first event may be tried again", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m", R"(,"stream":true)")));
  sent_by(*one);
  one->relay().feed("data: {\"half\"");
  auto verdict = one->judge_stream(transport_error::broken, false);
  CHECK(verdict.result.kind == outcome_kind::failed);
  CHECK_FALSE(verdict.good);

  sent_by(*one);
  one->relay().feed("data: {\"choices\":[]}\n\n");
  verdict = one->judge_stream(transport_error::broken, false);
  CHECK(verdict.result.kind == outcome_kind::success);
  const auto text = one->broken_stream_text(transport_error::broken);
  CHECK(text.find("data: {\"error\":") == 0);
  CHECK(text.substr(text.size() - 2) == "\n\n");

  sent_by(*one);
  verdict = one->judge_stream(std::nullopt, true);
  CHECK(verdict.result.kind == outcome_kind::cancelled);
  CHECK(verdict.over);
}

TEST_CASE("a stream that is none is a failure before its first event", "[call]") {
  tested_front gateway(groups);
  const auto said = [&](const std::string& text) {
    auto one = gateway.begun(post(body_of("m", R"(,"stream":true)")));
    sent_by(*one);
    CHECK(one->relay().feed(text).empty());
    CHECK(one->relay().finish().empty());
    std::optional<transport_error> error;
    if (!one->relay().fault().empty())
      error = transport_error::not_http;
    const auto verdict = one->judge_stream(error, false);
    CHECK_FALSE(verdict.good);
    CHECK(verdict.result.kind == outcome_kind::failed);
    return error_of(one->end_reply(ended(end_code::attempts_exhausted)))["message"]
        .get<std::string>();
  };
  CHECK(said("<html>\n\n</html>") ==
        "No usable answer: the upstream sent text that is no event stream");
  CHECK(said("data: {\"model\":\n\n") ==
        "No usable answer: the upstream sent an event whose JSON is broken");
  CHECK(said("data: " + std::string((16 << 20) + 1, 'x')) ==
        "No usable answer: the upstream sent an event of more than 16 MiB");
  CHECK(said("") == "No usable answer: the upstream sent a stream without any event");
}

TEST_CASE("broken JSON within a stream is not passed on", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("m", R"(,"stream":true)")));
  sent_by(*one);
  const auto text =
      std::string(one->relay().feed("data: {\"a\":1}\n\ndata: {\"b\":\n\ndata: {}\n\n"));
  CHECK(text == "data: {\"a\":1}\n\n");
  CHECK(one->relay().feed("data: {}\n\n").empty());
  CHECK(one->judge_stream(transport_error::not_http, false).good);
  CHECK(one->broken_stream_text(transport_error::not_http).find("whose JSON is broken") !=
        std::string::npos);
}

TEST_CASE("tokens of a stream without usage are its prompt and its deltas", "[call]") {
  tested_front gateway(groups);
  auto one = gateway.begun(post(body_of("falls", R"(,"stream":true)")));
  sent_by(*one);
  one->relay().feed(R"(data: {"choices":[{"delta":{"role":"assistant","content":""}}]})"
                    "\n\n");
  for (int i = 0; i < 3; ++i)
    one->relay().feed(R"(data: {"choices":[{"delta":{"content": "\"a"}}]})"
                      "\n\n");
  one->relay().feed(R"(data: {"choices":[{"delta":{},"finish_reason":"stop"}]})"
                    "\n\n");
  REQUIRE(one->wanted().prompt_estimate > 0);
  CHECK(one->judge_stream(std::nullopt, false).result.tokens == one->wanted().prompt_estimate + 3U);
}

TEST_CASE("events pass whole, whatever the pieces", "[call]") {
  relay_rules rules;
  rules.model = "m";
  const std::string stream = ": comment\n\n"
                             "event: chunk\r\nid: 4\r\ndata: {\"model\":\"up\",\"x\":1.50}\r\n\r\n"
                             "id: 5\ndata: {\"model\":\nodd: 1\ndata: \"up\"}\n\n"
                             "data: no json\n\n"
                             "data: [DONE]\n\n";
  std::string whole;
  {
    stream_relay relay(rules);
    whole = relay.feed(stream);
    whole += relay.finish();
  }
  CHECK(whole.find(": comment\n\n") == 0);
  CHECK(whole.find("event: chunk\r\nid: 4\r\ndata: {\"model\":\"m\",\"x\":1.50}\r\n\r\n") !=
        std::string::npos);
  CHECK(whole.find("id: 5\ndata: {\"model\":\ndata: \"m\"}\nodd: 1\n\n") != std::string::npos);
  CHECK(whole.find("data: no json\n\n") != std::string::npos);
  for (std::size_t size = 1; size < 9; ++size) {
    stream_relay relay(rules);
    std::string pieces;
    for (std::size_t at = 0; at < stream.size(); at += size)
      pieces += relay.feed(std::string_view(stream).substr(at, size));
    pieces += relay.finish();
    CHECK(pieces == whole);
  }
}

TEST_CASE("an event cut off at the end of a stream is still passed on", "[call]") {
  relay_rules rules;
  rules.model = "m";
  stream_relay relay(rules);
  CHECK(relay.feed("data: {\"model\":\"up\"}").empty());
  CHECK_FALSE(relay.begun());
  CHECK(std::string(relay.finish()).find("\"m\"") != std::string::npos);
  CHECK(relay.begun());
  CHECK_FALSE(relay.complete());
}

TEST_CASE("Anthropic's usage comes in two events", "[call]") {
  relay_rules rules;
  rules.api = endpoint::messages;
  rules.model = "m";
  stream_relay relay(rules);
  const auto text = std::string(relay.feed(
      "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude\","
      "\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n"));
  CHECK(text.find("\"model\":\"m\"") != std::string::npos);
  relay.feed("event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":"
             "15}}\n\n");
  CHECK_FALSE(relay.complete());
  relay.feed("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
  CHECK(relay.complete());
  CHECK(relay.reported_tokens() == 40U);
}

TEST_CASE("texts for those who wait", "[call]") {
  tested_front gateway(R"(
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi}
    model_info: {id: one}
)");
  auto chat = gateway.begun(post(body_of("m", R"(,"stream":true)")));
  CHECK(chat->waiting_text(3) == ": waiting position=3\n\n");
  auto given = first_grant(*chat);
  given.waited = 2s;
  chat->attempt(given, start);
  CHECK(chat->early_text() ==
        ": granted-by=healthy-deployment wait-ms=2000 attempts=1 model-id=one\n\n");
  const auto late = chat->as_events(chat->end_reply(ended(end_code::timed_out)));
  CHECK(late.find("data: {\"error\":") == 0);
  CHECK(late.find('\n') == late.size() - 2);
  reply whole;
  whole.body = "{\n \"a\": 1\n}";
  CHECK(chat->as_events(whole) == "data: {  \"a\": 1 }\n\ndata: [DONE]\n\n");

  auto messages =
      gateway.begun(post(body_of("m", R"(,"stream":true,"max_tokens":1)"), "", "/v1/messages"));
  CHECK(messages->waiting_text(3).find("event: ping\ndata: {") == 0);
  const auto failed = messages->as_events(messages->end_reply(ended(end_code::draining)));
  CHECK(failed.find("event: error\ndata: {\"type\":\"error\"") == 0);
  auto responses =
      gateway.begun(post(R"({"model":"m","input":"x","stream":true})", "", "/v1/responses"));
  const auto event = responses->as_events(responses->end_reply(ended(end_code::draining)));
  const std::string before = "event: error\ndata: ";
  REQUIRE(event.find(before) == 0);
  CHECK(event.find('\n', before.size()) == event.size() - 2);
  const auto data = json::parse(event.substr(before.size()));
  CHECK(data["type"] == "error");
  CHECK(data["code"] == "503");
  CHECK(data["message"] == data["error"]["message"]);
  CHECK(data["param"].is_null());
  CHECK(data["error"]["type"] == "server_error");
}

TEST_CASE("the engine's indices follow the configuration's", "[call]") {
  const auto settings = read_settings(groups + R"(
vorrang_settings: {max_queue_size: 5}
)");
  const auto engine = to_engine_settings(*settings);
  REQUIRE(engine.groups.size() == settings->groups.size());
  for (std::size_t g = 0; g < engine.groups.size(); ++g) {
    CHECK(engine.groups[g].name == settings->groups[g].name);
    CHECK(engine.groups[g].max_queue_size == 5);
    REQUIRE(engine.groups[g].deployments.size() == settings->groups[g].deployments.size());
    for (std::size_t d = 0; d < engine.groups[g].deployments.size(); ++d) {
      const auto* found =
          find_deployment(*settings, static_cast<group_index>(g), static_cast<deployment_index>(d));
      REQUIRE(found != nullptr);
      CHECK(found->id == engine.groups[g].deployments[d].id);
      CHECK(place_in_group(*settings, g, settings->groups[g].deployments[d]) == d);
    }
  }
  const auto falls = config::resolve(*settings, "falls");
  const auto vendor = config::resolve(*settings, "vendor/x");
  REQUIRE((falls && vendor));
  CHECK(engine.groups[falls->group].fallbacks ==
        std::vector<fallback_target>{static_cast<group_index>(vendor->group)});
  CHECK(find_deployment(*settings, 99, 0) == nullptr);
  CHECK(find_deployment(*settings, 0, 99) == nullptr);
  CHECK(place_in_group(*settings, 0, 99) == no_index);
}

TEST_CASE("groups without deployments keep their index and are no fallback", "[call]") {
  const auto settings = read_settings(R"(
model_list:
  - model_name: gone
    litellm_params: {model: bedrock/x}
  - model_name: m
    litellm_params: {model: openai/x, mock_response: x}
  - model_name: n
    litellm_params: {model: openai/x, mock_response: x}
router_settings:
  fallbacks: [{m: [gone, n]}]
  disable_cooldowns: true
)");
  const auto engine = to_engine_settings(*settings);
  const auto gone = config::resolve(*settings, "gone");
  const auto m = config::resolve(*settings, "m");
  const auto n = config::resolve(*settings, "n");
  REQUIRE((gone && m && n));
  CHECK(engine.groups[gone->group].deployments.empty());
  CHECK(engine.groups[m->group].fallbacks ==
        std::vector<fallback_target>{static_cast<group_index>(n->group)});
  CHECK(engine.groups[m->group].cooldown_time == duration::zero());
  CHECK(engine.groups[m->group].deployments[0].cooldown_time == duration::zero());
}

} // namespace vorrang::http::tests
