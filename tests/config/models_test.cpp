// model_list: deployments, limits, ids, providers, mocks, what goes into bodies.
#include "catch.hpp"
#include "read.hpp"

#include "config/providers.hpp"
#include "config/sha256.hpp"

using namespace vorrang::config;
using namespace vorrang::config::test;
using std::chrono::milliseconds;

namespace {

/// The only deployment of a text that must load.
deployment only(const std::string& text, variables set = {}) {
  auto result = read(text, std::move(set));
  INFO(join(errors(result)));
  REQUIRE_FALSE(result.has_errors());
  REQUIRE(result.settings.deployments.size() == 1);
  return result.settings.deployments[0];
}

std::string model(const std::string& name, const std::string& more = "") {
  return "model_list:\n  - model_name: m\n    litellm_params:\n      model: '" + name + "'\n" +
         more;
}

} // namespace

TEST_CASE("limits: an unset one is none, none is derived, 0 is 0") {
  auto made = only(with_params("      rpm: 0\n"));
  CHECK(made.rpm == 0U);
  CHECK_FALSE(made.tpm.has_value());
  CHECK_FALSE(made.max_parallel_requests.has_value());
  made = only(with_params("      max_parallel_requests: 4\n"
                          "router_settings: {default_max_parallel_requests: 9}\n"));
  CHECK(made.max_parallel_requests == 4U);
  made = only(with_params("router_settings: {default_max_parallel_requests: 9}\n"));
  CHECK(made.max_parallel_requests == 9U);
  CHECK_FALSE(made.rpm.has_value());
  CHECK(read(with_params("      rpm: -1\n")).has_errors());
  CHECK(read(with_params("      rpm: true\n")).has_errors());
}

TEST_CASE("rpm and tpm: the deployment, then litellm_params, then model_info") {
  const std::string params = "    litellm_params: {model: openai/x, rpm: 2, tpm: 20}\n";
  const std::string info = "    model_info: {rpm: 3, tpm: 30}\n";
  const std::string head = "model_list:\n  - model_name: m\n";
  CHECK(only(head + params + info + "    rpm: 1\n").rpm == 1U);
  CHECK(only(head + params + info + "    rpm: 1\n").tpm == 20U);
  CHECK(only(head + "    litellm_params: {model: openai/x}\n" + info).rpm == 3U);
}

TEST_CASE("per deployment: failures allowed, in litellm_params before model_info") {
  const std::string info = "    model_info:\n"
                           "      cooldown_time: 7\n"
                           "      allowed_fails: 9\n"
                           "      allowed_fails_policy: {TimeoutErrorAllowedFails: 8}\n";
  auto made = only(with_params(info));
  CHECK(made.cooldown_time == milliseconds(7'000));
  CHECK(made.allowed_fails == 9U);
  REQUIRE(made.allowed_fails_policy);
  CHECK(made.allowed_fails_policy->timeout == 8U);
  made = only(with_params("      cooldown_time: 1\n"
                          "      allowed_fails: 0\n"
                          "      allowed_fails_policy: {RateLimitErrorAllowedFails: 2}\n" +
                          info));
  CHECK(made.cooldown_time == milliseconds(1'000));
  CHECK(made.allowed_fails == 0U);
  REQUIRE(made.allowed_fails_policy);
  CHECK(made.allowed_fails_policy->rate_limit == 2U);
  CHECK_FALSE(made.allowed_fails_policy->timeout);
  CHECK(only(with_params("router_settings: {allowed_fails: 4}\n")).allowed_fails == std::nullopt);
  CHECK(read(with_params("      allowed_fails: many\n")).has_errors());
}

TEST_CASE("per deployment: reliability and routing keys") {
  const auto made = only(with_params("      max_retries: 7\n"
                                     "      cooldown_time: 0\n"
                                     "      timeout: 30\n"
                                     "      stream_timeout: 0.5\n"
                                     "      weight: 0.25\n"
                                     "      order: -1\n"
                                     "      tags: gold\n"
                                     "      keepalive_seconds: 3\n"
                                     "      organization: org-1\n"
                                     "      extra_headers: {X-A: b, X-N: 5}\n"
                                     "    model_info:\n"
                                     "      max_input_tokens: 8000\n"
                                     "      supported_endpoints: [/v1/responses]\n"
                                     "      mode: embedding\n"
                                     "      allowed_fails: 9\n"
                                     "      anything: kept\n"));
  CHECK(made.num_retries == 7U);
  CHECK(made.cooldown_time == milliseconds(0));
  CHECK(made.timeout == milliseconds(30'000));
  CHECK(made.stream_timeout == milliseconds(500));
  CHECK(made.weight == 0.25);
  CHECK(made.order == -1);
  CHECK(made.tags == std::vector<std::string>{"gold"});
  CHECK(made.stream_keepalive == milliseconds(3'000));
  CHECK(made.organization == "org-1");
  CHECK(made.extra_headers == header_list{{"X-A", "b"}, {"X-N", "5"}});
  CHECK(made.max_input_tokens == 8000U);
  CHECK(made.supported_endpoints == std::vector<std::string>{"/v1/responses"});
  CHECK(made.mode == "embedding");
  CHECK(made.allowed_fails == 9U);
  CHECK(made.model_info.find(R"("anything":"kept")") != std::string::npos);
  CHECK(made.where.line == 2);
  CHECK(only(with_params("      num_retries: 1\n      max_retries: 7\n")).num_retries == 1U);
  CHECK(read(with_params("      timeout: 0\n")).has_errors());
  CHECK(only(with_params("      timeout: 0.0001\n")).timeout == milliseconds(1));
}

TEST_CASE("ids: given, else hashed, never of the limits") {
  const auto base = only(with_params(""));
  CHECK(base.id.size() == 32);
  CHECK_FALSE(base.id_is_given);
  CHECK(base.id == only(with_params("      rpm: 5\n      tpm: 7\n      weight: 2\n")).id);
  CHECK(base.id != only(with_params("      api_base: http://other/v1\n")).id);
  CHECK(base.id != only(with_params("      api_version: v2\n")).id);
  CHECK(base.id.find("upstream") == std::string::npos);
  CHECK(only(with_params("    model_info: {id: mine}\n")).id == "mine");
  CHECK(only(with_params("    model_info: {id: 5}\n")).id == "5");

  const std::string item = "  - model_name: m\n    litellm_params: {model: openai/x, rpm: 1}\n";
  const auto twins = read("model_list:\n" + item + item);
  REQUIRE(twins.settings.deployments.size() == 2);
  CHECK(twins.settings.deployments[1].id == twins.settings.deployments[0].id + "-2");

  const auto groups = read("model_list:\n"
                           "  - {model_name: a, litellm_params: {model: openai/x}}\n"
                           "  - {model_name: b, litellm_params: {model: openai/x}}\n");
  REQUIRE(groups.settings.deployments.size() == 2);
  CHECK(groups.settings.deployments[1].id.size() == 32);
  CHECK(groups.settings.deployments[1].id != groups.settings.deployments[0].id);

  const std::string named =
      "  - {model_name: m, litellm_params: {model: openai/x}, model_info: {id: a}}\n";
  const auto same = read("model_list:\n" + named + named);
  CHECK(has_line(errors(same), "config.yaml:3:", {"model_list[1].model_info.id", "line 2"}));
}

TEST_CASE("two limited entries with the same base, model and key give a warning") {
  const std::string item = "  - model_name: m\n    litellm_params: {model: openai/x, rpm: 1}\n";
  CHECK(has_line(warnings(read("model_list:\n" + item + item)),
                 "config.yaml:4:5: model_list[1]: ", {"line 2"}));
  const std::string free = "  - model_name: m\n    litellm_params: {model: openai/x}\n";
  CHECK_FALSE(has_line(warnings(read("model_list:\n" + free + free)), "", {"same base"}));
}

TEST_CASE("the provider and the model's name there") {
  const auto placed = [](const std::string& name, const std::string& more = "") {
    const auto made = only(model(name, more));
    return made.provider + " " + made.upstream_model;
  };
  CHECK(placed("openai/gpt-4o") == "openai gpt-4o");
  CHECK(placed("openrouter/openai/gpt-4o") == "openrouter openai/gpt-4o");
  CHECK(placed("gpt-4o") == "openai gpt-4o");
  CHECK(placed("chatgpt-4o-latest") == "openai chatgpt-4o-latest");
  CHECK(placed("o3-mini") == "openai o3-mini");
  CHECK(placed("text-embedding-3-small") == "openai text-embedding-3-small");
  CHECK(placed("claude-3-5-haiku") == "anthropic claude-3-5-haiku");
  CHECK(placed("my-own", "      api_base: http://x/v1\n") == "openai my-own");
  CHECK(placed("meta/Llama", "      api_base: http://x/v1\n") == "openai meta/Llama");
  CHECK(placed("my-own", "      custom_llm_provider: groq\n") == "groq my-own");
  CHECK(placed("groq/x", "      custom_llm_provider: groq\n") == "groq x");
}

TEST_CASE("every provider of the table can be configured") {
  CHECK(provider_names().size() >= 21);
  for (const auto name : provider_names()) {
    INFO(name);
    const auto made = only(model(std::string(name) + "/x", "      api_base: http://h:1/v1/\n"
                                                           "      api_key: k\n"));
    CHECK(made.provider == name);
    CHECK(made.api_base == "http://h:1/v1");
  }
}

TEST_CASE("base: api_base or base_url, else the provider's variable, else its default") {
  CHECK(only(model("openai/x")).api_base == "https://api.openai.com/v1");
  CHECK(only(model("openai/x"), {{"OPENAI_BASE_URL", "http://v/v1/"}}).api_base == "http://v/v1");
  CHECK(only(model("openai/x"), {{"OPENAI_API_BASE", "http://w/v1"}}).api_base == "http://w/v1");
  CHECK(only(model("hosted_vllm/x"), {{"HOSTED_VLLM_API_BASE", "http://v/v1"}}).api_base ==
        "http://v/v1");
  CHECK(
      only(model("openai/x", "      base_url: http://b/v1//\n"), {{"OPENAI_BASE_URL", "http://v"}})
          .api_base == "http://b/v1");
  CHECK(has_line(errors(read(model("hosted_vllm/x"))),
                 "config.yaml:4:7: model_list[0].litellm_params.api_base: expected `api_base`",
                 {"HOSTED_VLLM_API_BASE"}));
}

TEST_CASE("base: mistral, ollama and anthropic get /v1 if it is absent") {
  const auto base = [](const std::string& name, const std::string& url) {
    return only(model(name, "      api_base: " + url + "\n")).api_base;
  };
  CHECK(base("mistral/x", "http://m") == "http://m/v1");
  CHECK(base("ollama/x", "http://localhost:11434/") == "http://localhost:11434/v1");
  CHECK(base("ollama_chat/x", "http://o/v1/") == "http://o/v1");
  CHECK(base("anthropic/x", "https://api.anthropic.com") == "https://api.anthropic.com/v1");
  CHECK(base("mistral/x", "http://m/v1/chat/completions") == "http://m/v1/chat/completions");
  CHECK(base("openai/x", "http://m") == "http://m");
}

TEST_CASE("what an error quotes holds no secret") {
  const auto quoted = [](const std::string& params) {
    std::string all;
    for (const auto& each :
         read("model_list:\n  - model_name: m\n    litellm_params: {model: openai/x, " + params +
              "}\n")
             .diagnostics)
      all += to_text(each) + "\n";
    return all;
  };
  for (const char* params :
       {"api_base: 'http://user:sk-marked@host/v1'", "api_base: 'https://host/v1?key=sk-marked'",
        "api_base: 'sk-marked@host'", "api_base: 'https://host:0?sk-marked'",
        "api_base: 'https://host/v1', headers: sk-marked",
        "api_base: 'https://host/v1', extra_headers: sk-marked"}) {
    INFO(params);
    CHECK_FALSE(quoted(params).empty());
    CHECK(quoted(params).find("sk-marked") == std::string::npos);
  }
  CHECK(quoted("api_base: 'http://user:sk-marked@host/v1?a=b'").find("http://…@host/v1?…") !=
        std::string::npos);
}

TEST_CASE("base: what is no usable URL is an error") {
  for (const std::string url :
       {"localhost:8000", "ftp://x", "http://", "http://:80", "http://a b", "http://u:p@x/v1",
        "http://x:0/v1", "http://x:99999", "http://x/v1?a=b", "http://x/#f", "http://x:8o/v1"}) {
    INFO(url);
    const auto found = errors(read(model("openai/x", "      api_base: '" + url + "'\n")));
    CHECK(has_line(found, "config.yaml:5:7: model_list[0].litellm_params.api_base: expected"));
  }
  CHECK(only(model("openai/x", "      api_base: http://[::1]:8000/v1\n")).api_base ==
        "http://[::1]:8000/v1");
}

TEST_CASE("azure: api-version by key, URL, variable, default") {
  const std::string base = "      api_base: https://r.openai.azure.com/\n      api_key: k\n";
  auto made = only(model("azure/dep", base));
  CHECK(made.api_base == "https://r.openai.azure.com");
  CHECK(made.api_version == "2025-02-01-preview");
  CHECK(only(model("azure/dep", base + "      api_version: 2024-06-01\n")).api_version ==
        "2024-06-01");
  CHECK(only(model("azure/dep", base), {{"AZURE_API_VERSION", "v"}}).api_version == "v");
  made = only(model(
      "azure/dep", "      api_base: https://r/openai/deployments/d/chat/completions?api-version=q\n"
                   "      api_key: k\n"));
  CHECK(made.api_version == "q");
  CHECK(made.api_base == "https://r/openai/deployments/d/chat/completions");
}

TEST_CASE("key: api_key, else the provider's variable, with a warning if there is none") {
  CHECK(only(model("openai/x", "      api_key: mine\n"), {{"OPENAI_API_KEY", "v"}})
            .api_key.reveal() == "mine");
  CHECK(only(model("openai/x"), {{"OPENAI_API_KEY", "v"}}).api_key.reveal() == "v");
  CHECK(only(model("azure/x", "      api_base: http://a\n"), {{"AZURE_API_KEY", "v"}})
            .api_key.reveal() == "v");
  CHECK(only(model("anthropic/x"), {{"ANTHROPIC_API_KEY", "v"}}).api_key.reveal() == "v");
  CHECK(has_line(warnings(read(model("openai/x"))), "config.yaml:4:7: ", {"OPENAI_API_KEY"}));
  CHECK(read(model("ollama/x")).diagnostics.empty());
  CHECK(read(model("openai/x", "      api_key: \"a\\nb\"\n")).has_errors());
}

TEST_CASE("key: another host's key does not take the place of an unset variable") {
  const auto text = model("openai/x", "      api_base: http://elsewhere/v1\n"
                                      "      api_key: os.environ/UNSET\n");
  CHECK(only(text, {{"OPENAI_API_KEY", "sk-of-openai"}}).api_key.empty());
  CHECK(only(model("openai/x", "      api_key: os.environ/UNSET\n"),
             {{"OPENAI_API_KEY", "sk-of-openai"}})
            .api_key.reveal() == "sk-of-openai");
}

TEST_CASE("a deployment that cannot be served is reported and left out") {
  const std::string text = "model_list:\n"
                           "  - model_name: good\n"
                           "    litellm_params: {model: openai/x, api_key: k}\n"
                           "  - model_name: bad\n"
                           "    litellm_params:\n"
                           "      model: bedrock/claude\n"
                           "      aws_region_name: x\n";
  const auto result = read(text);
  CHECK_FALSE(result.has_errors());
  CHECK_FALSE(result.passes_check());
  CHECK(has_line(left_out(result),
                 "config.yaml:6:7: model_list[1].litellm_params.model: ", {"`bedrock`", "openai"}));
  CHECK(result.settings.deployments.size() == 1);
  REQUIRE(result.settings.left_out.size() == 1);
  CHECK(result.settings.left_out[0].unsupported.has_value());
  REQUIRE(result.settings.groups.size() == 2);
  CHECK(result.settings.groups[1].deployments.empty());
  REQUIRE(result.settings.groups[1].unservable.has_value());
  CHECK(result.settings.groups[1].unservable->find("bedrock") != std::string::npos);
  CHECK_FALSE(result.settings.groups[0].unservable.has_value());

  CHECK(has_line(errors(read(text + "vorrang_settings: {strict: true}\n")), "config.yaml:6:7: "));
  CHECK(has_line(errors(read(model("vertex_ai/gemini"))),
                 "config.yaml:1:1: model_list: ", {"at least one"}));
  CHECK(has_line(left_out(read(model("mystery"))), "config.yaml:4:7: ", {"api_base"}));
}

TEST_CASE("model_list: what is missing") {
  CHECK(has_line(errors(read("router_settings: {}\n")), "config.yaml:1:1: model_list: expected"));
  CHECK(has_line(errors(read("model_list: []\n")), "config.yaml:1:1: model_list: ", {"empty"}));
  CHECK(has_line(errors(read("model_list:\n  - 5\n")), "config.yaml:2:5: model_list[0]: "));
  const auto found = errors(read("model_list:\n  - litellm_params: {}\n  - model_name: m\n"));
  CHECK(has_line(found, "config.yaml:2:5: model_list[0].model_name: expected `model_name`"));
  CHECK(has_line(found, "config.yaml:2:21: model_list[0].litellm_params.model: expected"));
  CHECK(has_line(found, "config.yaml:3:5: model_list[1]: expected `litellm_params`"));
}

TEST_CASE("mocks: the text, the errors, delay and timeout, an empty text is none") {
  CHECK(only(with_mock("")).mock->text == "hello");
  const auto mocked = [](const std::string& params) {
    return only(with_params(params)).mock;
  };
  CHECK_FALSE(mocked("      mock_response: \"\"\n").has_value());
  CHECK(mocked("      mock_response: litellm.RateLimitError\n")->outcome ==
        mock_outcome::rate_limit_error);
  CHECK(mocked("      mock_response: litellm.InternalServerError\n")->outcome ==
        mock_outcome::internal_server_error);
  CHECK(mocked("      mock_response: litellm.ContextWindowExceededError\n")->outcome ==
        mock_outcome::context_window_exceeded_error);
  CHECK(mocked("      mock_response: x\n      mock_delay: 0.25\n")->delay == milliseconds(250));
  CHECK(mocked("      mock_timeout: true\n")->timeout);
  CHECK(has_line(warnings(read(with_params("      mock_delay: 1\n"))), "config.yaml:6:7: "));
  CHECK(has_line(warnings(read(with_params("      mock_response: litellm.Timeout\n"))),
                 "config.yaml:6:7: "));
  CHECK(only(model("bedrock/x", "      mock_response: hi\n")).mock.has_value());
}

TEST_CASE("keys that are no settings are defaults of the body") {
  const auto result = read(with_params("      temperature: 0.5\n"
                                       "      max_tokens: 1_000\n"
                                       "      stop: [a, \"b\\n\"]\n"
                                       "      logit_bias: {50256: -100}\n"
                                       "      store: yes\n"
                                       "      user: ~\n"
                                       "      vendor_switch: on\n"
                                       "      extra_body: {guided: {a: 1}}\n"
                                       "      additional_drop_params: [seed]\n"));
  CHECK(result.diagnostics.empty());
  const auto& made = result.settings.deployments.at(0);
  CHECK(made.body_defaults == R"({"temperature":0.5,"max_tokens":1000,"stop":["a","b\n"],)"
                              R"("logit_bias":{"50256":-100},"store":true,"vendor_switch":true})");
  CHECK(made.extra_body == R"({"guided":{"a":1}})");
  CHECK(made.additional_drop_params == std::vector<std::string>{"seed"});
}

TEST_CASE("a slip in a setting's name is told, and LiteLLM's own keys do not go upstream") {
  const auto result = read(with_params("      rmp: 5\n"
                                       "      input_cost_per_token: 0.1\n"
                                       "      aws_region_name: x\n"));
  CHECK(has_line(warnings(result), "config.yaml:6:7: model_list[0].litellm_params.rmp: unknown",
                 {"`rpm`"}));
  CHECK(has_line(warnings(result), "config.yaml:7:7: ", {"not supported"}));
  CHECK(result.settings.deployments.at(0).body_defaults == R"({"rmp":5})");
}

TEST_CASE("headers that cannot be sent are errors") {
  for (const std::string header : {"'a b': c", "X: \"a\\r\\nb\"", "Content-Length: 5",
                                   "transfer-encoding: chunked", "X: [a]"}) {
    INFO(header);
    CHECK(read(with_params("      extra_headers: {" + header + "}\n")).has_errors());
  }
}

TEST_CASE("certificates: for all, for one, by file") {
  const std::string off = "litellm_settings: {ssl_verify: false}\n";
  CHECK_FALSE(only(with_params(off)).ssl_verify);
  CHECK(only(with_params("      ssl_verify: true\n" + off)).ssl_verify);
  const auto made = only(with_params("      ssl_verify: /etc/ca.pem\n"
                                     "      ssl_certificate: /etc/me.pem\n"));
  CHECK(made.ssl_verify);
  CHECK(made.ssl_ca_file == "/etc/ca.pem");
  CHECK(made.ssl_certificate == "/etc/me.pem");
  CHECK(has_line(warnings(read(with_params("      ssl_verify: false\n"))), "config.yaml:6:7: "));
}

TEST_CASE("SHA-256 by its published examples") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
