// Heads that are written: to clients and to upstreams.
#include "catch.hpp"

#include "http/answer_head.hpp"
#include "http/answer_headers.hpp"
#include "http/head_reader.hpp"
#include "http/head_text.hpp"
#include "http/upstream_head.hpp"

#include <string>
#include <vector>

using namespace vorrang;
using namespace vorrang::http;
using std::chrono::milliseconds;

namespace {

std::string value(const header_fields& fields, const std::string& name) {
  for (const auto& [key, text] : fields) {
    if (equal_ignoring_case(key, name)) {
      return std::string(text);
    }
  }
  return "(absent)";
}

answer_head read_answer(const std::string& bytes) {
  answer_head_reader reader;
  REQUIRE(reader.feed(bytes) == bytes.size());
  INFO(bytes << reader.fault());
  REQUIRE(reader.state() == read_state::done);
  return reader.take_head();
}

} // namespace

TEST_CASE("no field can end a line") {
  auto head = head_text::of_answer(200);
  for (const char* value : {"a\r\nEvil: 1", "a\nb", "a\rb", "\x1b[0m", "\x7f"}) {
    CHECK_FALSE(head.add("X", value));
    CHECK_FALSE(head.add(value, "v"));
  }
  CHECK_FALSE(head.add("X", std::string_view("a\0b", 3)));
  CHECK_FALSE(head.add("", "v"));
  CHECK_FALSE(head.add("X Y", "v"));
  CHECK_FALSE(head.add("X:", "v"));
  CHECK(head.add("X", "v\t\xc3\xa4"));
  CHECK(std::move(head).finish() == "HTTP/1.1 200 OK\r\nX: v\t\xc3\xa4\r\n\r\n");
  CHECK(head_text::of_answer(99).finish().substr(0, 12) == "HTTP/1.1 500");
  CHECK(head_text::of_request("POST", "/a b\r\nX: y").finish() == "POST / HTTP/1.1\r\n\r\n");
  CHECK(head_text::of_request("GET\r\n", "/a").finish() == "POST /a HTTP/1.1\r\n\r\n");
}

TEST_CASE("the head of an answer") {
  const header_fields fields = {{"content-type", "application/json"},
                                {"Connection", "x"},
                                {"Transfer-Encoding", "gzip"},
                                {"content-length", "99"},
                                {"x-a", "b\r\nc: d"}};
  const auto render = [&](answer_framing framing, std::uint16_t status = 200) {
    return render_answer_head(status, fields, framing);
  };
  CHECK(render({5, 1, true}) == "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                                "Content-Length: 5\r\n\r\n");
  CHECK(render({5, 1, false}).find("Connection: close\r\n") != std::string::npos);
  CHECK(render({5, 0, true}).find("Connection: close\r\n") != std::string::npos);
  CHECK(read_answer(render({std::nullopt, 1, true})).framing == body_framing::chunked);
  const auto old = read_answer(render({std::nullopt, 0, true}));
  CHECK(old.framing == body_framing::until_close);
  CHECK_FALSE(old.keep_alive);
  CHECK(render({0, 1, true}, 204).find("Content-Length") == std::string::npos);
  CHECK(render_answer_head(200, {}, {1, 1, true}, "x").find("Date: x\r\n") != std::string::npos);
  CHECK(chunk_begin(26) == "1a\r\n");
  CHECK(chunk_begin(~std::uint64_t{0}) == "ffffffffffffffff\r\n");
}

TEST_CASE("what the gateway tells") {
  gateway_facts facts;
  header_fields fields;
  add_gateway_fields(fields, facts);
  CHECK(fields.empty());
  facts.request_id = "id";
  facts.priority = -3;
  facts.waited = milliseconds(12);
  facts.granted_by = "head-of-line";
  facts.attempts = 2;
  facts.retries = 1;
  facts.fallbacks = 0;
  facts.model_id = "dep";
  facts.model_group = "group";
  add_gateway_fields(fields, facts);
  CHECK(value(fields, "x-vorrang-request-id") == "id");
  CHECK(value(fields, "x-litellm-call-id") == "id");
  CHECK(value(fields, "x-vorrang-priority") == "-3");
  CHECK(value(fields, "x-vorrang-wait-ms") == "12");
  CHECK(value(fields, "x-vorrang-granted-by") == "head-of-line");
  CHECK(value(fields, "x-vorrang-attempts") == "2");
  CHECK(value(fields, "x-litellm-model-id") == "dep");
  CHECK(value(fields, "x-litellm-model-group") == "group");
  CHECK(value(fields, "x-litellm-attempted-retries") == "1");
  CHECK(value(fields, "x-litellm-attempted-fallbacks") == "0");
  CHECK(value(fields, "x-litellm-request-prioritization-used") == "(absent)");
  CHECK(value(fields, "x-litellm-priority") == "(absent)");
  facts.client_set_priority = facts.queue_path = true;
  fields = {};
  add_gateway_fields(fields, facts);
  CHECK(value(fields, "x-litellm-request-prioritization-used") == "True");
  CHECK(value(fields, "x-litellm-priority") == "-3");
}

TEST_CASE("what passes from an upstream") {
  const auto upstream = make_fields({{"Content-Type", "application/json"},
                                     {"x-ratelimit-remaining-tokens", "5"},
                                     {"x-request-id", "r"},
                                     {"Request-Id", "q"},
                                     {"openai-processing-ms", "9"},
                                     {"Server", "s"},
                                     {"Date", "d"},
                                     {"Retry-After", "3"},
                                     {"cf-ray", "c"},
                                     {"Content-Length", "7"},
                                     {"Transfer-Encoding", "chunked"},
                                     {"Connection", "x-hop, close"},
                                     {"x-hop", "h"},
                                     {"Set-Cookie", "c"},
                                     {"X-Vorrang-Priority", "0"},
                                     {"Access-Control-Allow-Origin", "evil"},
                                     {"Content-Encoding", "gzip"},
                                     {"Keep-Alive", "k"}});
  using pairs = std::vector<std::pair<std::string, std::string>>;
  header_fields fields;
  add_upstream_fields(fields, upstream);
  CHECK(to_pairs(fields) == pairs{{"Content-Type", "application/json"},
                                  {"x-ratelimit-remaining-tokens", "5"},
                                  {"x-request-id", "r"},
                                  {"Request-Id", "q"},
                                  {"openai-processing-ms", "9"},
                                  {"llm_provider-Server", "s"},
                                  {"llm_provider-Date", "d"},
                                  {"llm_provider-Retry-After", "3"},
                                  {"llm_provider-cf-ray", "c"},
                                  {"llm_provider-Set-Cookie", "c"},
                                  {"llm_provider-X-Vorrang-Priority", "0"},
                                  {"llm_provider-Access-Control-Allow-Origin", "evil"}});
  CHECK(to_pairs(header_fields{{"A", "b"}, {"C", ""}}) == pairs{{"A", "b"}, {"C", ""}});
  header_fields of_error;
  add_upstream_fields(of_error, upstream, passed_on::error);
  CHECK(value(of_error, "content-type") == "(absent)");
  CHECK(value(of_error, "retry-after") == "3");
  CHECK(value(of_error, "x-request-id") == "r");
}

TEST_CASE("browsers") {
  header_fields fields;
  add_browser_fields(fields);
  CHECK(value(fields, "access-control-allow-origin") == "*");
  CHECK(value(fields, "access-control-allow-credentials") == "(absent)");
  for (const char* name : {"x-vorrang-priority", "x-vorrang-wait-ms", "retry-after",
                           "x-litellm-model-id", "x-ratelimit-remaining-requests"}) {
    CHECK(value(fields, "access-control-expose-headers").find(name) != std::string::npos);
  }
  const auto preflight = preflight_reply("authorization,x-any", "POST, OPTIONS");
  CHECK(preflight.status == 204);
  CHECK(value(preflight.fields, "access-control-allow-headers") == "authorization,x-any");
  CHECK(value(preflight.fields, "access-control-allow-methods") == "POST, OPTIONS");
  CHECK(value(preflight.fields, "access-control-max-age") == "600");
  CHECK(value(preflight_reply("", "GET").fields, "access-control-allow-headers") == "(absent)");
}

TEST_CASE("a client's own id") {
  const auto id = [](const std::string& text) {
    const auto fields = make_fields({{"x-litellm-call-id", text}});
    return std::string(id_from_client(fields));
  };
  CHECK(id("my-own-id") == "my-own-id");
  CHECK(id("").empty());
  CHECK(id("a b").empty());
  CHECK(id("a\"b").empty());
  CHECK(id("\xc3\xa4").empty());
  CHECK(id(std::string(129, 'x')).empty());
  CHECK(id(std::string(128, 'x')).size() == 128);
}

TEST_CASE("dates and Retry-After") {
  const auto then = std::chrono::system_clock::from_time_t(784111777);
  CHECK(http_date(then) == "Sun, 06 Nov 1994 08:49:37 GMT");
  const auto after = [&](const std::vector<std::pair<std::string, std::string>>& fields) {
    return read_retry_after(make_fields(fields), then);
  };
  CHECK(after({{"Retry-After", "3"}}) == milliseconds(3000));
  CHECK(after({{"retry-after", "1.5"}}) == milliseconds(1500));
  CHECK(after({{"retry-after", "2"}, {"retry-after-ms", "250"}}) == milliseconds(250));
  CHECK(after({{"retry-after", "999999"}}) == milliseconds(3'600'000));
  CHECK(after({{"retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"}}) == milliseconds(3000));
  CHECK(after({{"retry-after", "Sunday, 06-Nov-94 08:49:40 GMT"}}) == milliseconds(3000));
  CHECK(after({{"retry-after", "Sun Nov  6 08:49:40 1994"}}) == milliseconds(3000));
  CHECK(after({{"retry-after", "Saturday, 06-Nov-43 08:49:40 GMT"}}) == milliseconds(3'600'000));
  CHECK_FALSE(after({{"retry-after", "Friday, 06-Nov-45 08:49:40 GMT"}})); // 1945
  CHECK(after({{"retry-after", "Sat, 06 Nov 2094 08:49:40 GMT"}}) == milliseconds(3'600'000));
  for (const char* none :
       {"0", "-1", "soon", "", "Sun, 06 Nov 1994 08:49:37 GMT", "inf", "nan", "1e999",
        "Sun, 31 Feb 1995 08:49:37 GMT", "Sun, 06 Xxx 1995 08:49:37 GMT"}) {
    INFO(none);
    CHECK_FALSE(after({{"retry-after", none}}));
  }
  CHECK_FALSE(after({}));
}

TEST_CASE("addresses of upstreams") {
  const auto address = parse_upstream_address("https://api.openai.com/v1/");
  REQUIRE(address);
  CHECK(address->tls);
  CHECK(address->host == "api.openai.com");
  CHECK(address->port == 443);
  CHECK(address->host_field == "api.openai.com");
  CHECK(address->base_path == "/v1");
  const auto other = parse_upstream_address("HTTP://[::1]:8000?x=1");
  REQUIRE(other);
  CHECK_FALSE(other->tls);
  CHECK(other->host == "::1");
  CHECK(other->port == 8000);
  CHECK(other->host_field == "[::1]:8000");
  CHECK(other->base_path.empty());
  CHECK(other->base_query == "x=1");
  CHECK(parse_upstream_address("http://h")->port == 80);
  for (const char* bad : {"", "ftp://x", "api.openai.com", "http://", "http://u:p@h", "http://h:0",
                          "http://h:99999", "http://h:x", "http://h:", "http://h/a b",
                          "http://h/\r\nX: y", "http://[::1", "http://[::1]x"}) {
    INFO(bad);
    CHECK_FALSE(parse_upstream_address(bad));
  }
}

TEST_CASE("targets of upstreams") {
  const auto target = [](const std::string& provider, const std::string& base,
                         std::string_view path, const std::string& version = "") {
    config::deployment deployment;
    deployment.provider = provider;
    deployment.api_version = version;
    const auto address = parse_upstream_address(base);
    REQUIRE(address);
    return upstream_target(deployment, *address, path, "my model/1");
  };
  CHECK(target("openai", "https://h/v1", "/chat/completions") == "/v1/chat/completions");
  CHECK(target("openai", "https://h", "/embeddings") == "/embeddings");
  CHECK(target("openai", "https://h/v1/chat/completions", "/chat/completions") ==
        "/v1/chat/completions");
  CHECK(target("openai", "https://h/v1?k=v", "/chat/completions") == "/v1/chat/completions?k=v");
  CHECK(target("anthropic", "https://h/v1", "/messages/count_tokens") ==
        "/v1/messages/count_tokens");
  CHECK(target("azure", "https://h", "/chat/completions", "2024-02-01") ==
        "/openai/deployments/my%20model%2F1/chat/completions?api-version=2024-02-01");
  CHECK(target("azure", "https://h/openai", "/embeddings", "v") ==
        "/openai/deployments/my%20model%2F1/embeddings?api-version=v");
  CHECK(target("azure", "https://h/openai/deployments/d", "/responses", "v") ==
        "/openai/responses?api-version=v");
  CHECK(target("openai", "https://h/v1/chat/completions", "/completions", "") == "/v1/completions");
  CHECK(target("openai", "https://h/v1/chat/completions", "/embeddings", "") == "/v1/embeddings");
  CHECK(target("openai", "https://h/v1/chat/completions", "/chat/completions", "") ==
        "/v1/chat/completions");
  CHECK(target("azure", "https://h/openai/deployments/d", "/chat/completions", "v") ==
        "/openai/deployments/d/chat/completions?api-version=v");
  CHECK(target("azure", "https://h/openai/v1", "/chat/completions", "v") ==
        "/openai/v1/chat/completions?api-version=v");
  CHECK(target("azure", "https://h", "/responses", "v") == "/openai/responses?api-version=v");
  CHECK(path_of(body_api::chat) == "/chat/completions");
  CHECK(path_of(body_api::messages) == "/messages");
}

TEST_CASE("the head of a request to an upstream") {
  config::deployment deployment;
  deployment.provider = "openai";
  deployment.api_key = config::secret("sk-up");
  deployment.organization = "org";
  deployment.extra_headers = {{"X-Extra", "e"},
                              {"Connection", "x"},
                              {"Host", "evil"},
                              {"Content-Length", "0"},
                              {"X-Bad", "a\r\nb"}};
  const auto address = *parse_upstream_address("http://h:8000/v1");
  const auto client = make_fields({{"Host", "localhost:4000"},
                                   {"Authorization", "Bearer sk-client"},
                                   {"api-key", "sk-client"},
                                   {"x-api-key", "sk-client"},
                                   {"Content-Type", "text/plain"},
                                   {"Accept", "text/event-stream"},
                                   {"traceparent", "00-1"},
                                   {"OpenAI-Beta", "b"},
                                   {"Cookie", "c"},
                                   {"x-mine", "m"},
                                   {"x-stainless-os", "s"},
                                   {"x-litellm-tags", "t"},
                                   {"x-vorrang-priority", "1"},
                                   {"X-Extra", "client"},
                                   {"x-goog-api-key", "sk-client"},
                                   {"Connection", "keep-alive, x-hop"},
                                   {"x-hop", "named in Connection"},
                                   {"Transfer-Encoding", "chunked"},
                                   {"Accept-Encoding", "gzip"},
                                   {"User-Agent", "u"},
                                   {"Expect", "100-continue"}});
  const auto render = [&](bool forward) {
    return render_upstream_head(deployment, address, "/v1/chat/completions", client, 12, forward);
  };
  CHECK(render(false) == "POST /v1/chat/completions HTTP/1.1\r\n"
                         "Host: h:8000\r\n"
                         "Accept: text/event-stream\r\n"
                         "traceparent: 00-1\r\n"
                         "OpenAI-Beta: b\r\n"
                         "Content-Type: application/json\r\n"
                         "X-Extra: e\r\n"
                         "OpenAI-Organization: org\r\n"
                         "Authorization: Bearer sk-up\r\n"
                         "Accept-Encoding: identity\r\n"
                         "Content-Length: 12\r\n\r\n");
  const auto forwarded = render(true);
  CHECK(forwarded.find("x-mine: m\r\n") != std::string::npos);
  CHECK(forwarded.find("sk-client") == std::string::npos);
  for (const char* name :
       {"stainless", "litellm", "vorrang", "client\r\n", "Cookie", "x-hop", "gzip", "Expect"}) {
    INFO(name);
    CHECK(forwarded.find(name) == std::string::npos);
  }
  // What we send passes our own door.
  head_reader door;
  CHECK(door.feed(forwarded) == forwarded.size());
  CHECK(door.state() == read_state::done);
}

TEST_CASE("a traced request's context goes upstream in place of the client's") {
  const config::deployment deployment;
  const auto address = *parse_upstream_address("http://h");
  const auto client = make_fields({{"TraceParent", "00-client"}, {"tracestate", "a=1"}});
  const auto context = [&](const trace_fields* trace) {
    const auto head = render_upstream_head(deployment, address, "/", client, 0, false, trace);
    std::string found;
    for (const char* line :
         {"TraceParent: 00-client\r\n", "traceparent: 00-ours\r\n", "tracestate: a=1\r\n"})
      found += head.find(line) == std::string::npos ? '-' : '+';
    return found;
  };
  CHECK(context(nullptr) == "+-+");
  trace_fields trace{"00-ours", true};
  CHECK(context(&trace) == "-++");
  trace.keep_tracestate = false;
  CHECK(context(&trace) == "-+-");
}

TEST_CASE("keys travel in their provider's style") {
  config::deployment deployment;
  deployment.api_key = config::secret("sk");
  const auto address = *parse_upstream_address("http://h");
  const auto render = [&](const std::string& provider, const char* target) {
    deployment.provider = provider;
    return render_upstream_head(deployment, address, target, make_fields({}), 0, false);
  };
  const auto has = [](const std::string& head, const char* line) {
    return head.find(line) != std::string::npos;
  };
  CHECK(has(render("azure", "/openai"), "\r\napi-key: sk\r\n"));
  CHECK_FALSE(has(render("azure", "/openai"), "Authorization"));
  CHECK(has(render("anthropic", "/v1/messages"), "\r\nx-api-key: sk\r\n"));
  CHECK(has(render("anthropic", "/v1/messages"), "\r\nanthropic-version: 2023-06-01\r\n"));
  CHECK(has(render("anthropic", "/v1/chat/completions"), "\r\nAuthorization: Bearer sk\r\n"));
  deployment.extra_headers = {{"authorization", "Bearer other"}};
  CHECK_FALSE(has(render("openai", "/"), "Bearer sk"));
  deployment.extra_headers.clear();
  deployment.api_key = config::secret("");
  CHECK_FALSE(has(render("openai", "/"), "Authorization"));
}
