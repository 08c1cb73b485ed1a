#include "catch.hpp"

#include "http/routes.hpp"

#include <string>

using namespace vorrang::http;

namespace {

constexpr auto get = http_method::get;
constexpr auto post = http_method::post;

} // namespace

TEST_CASE("every path of the table") {
  struct row {
    http_method method;
    const char* path;
    route to;
    const char* model;
  };
  const row rows[] = {
      {post, "/v1/chat/completions", route::chat, ""},
      {post, "/chat/completions", route::chat, ""},
      {post, "/engines/m/chat/completions", route::chat, "m"},
      {post, "/engines/a/b/chat/completions", route::chat, "a/b"},
      {post, "/openai/deployments/m/chat/completions", route::chat, "m"},
      {post, "/v1/completions", route::completions, ""},
      {post, "/completions", route::completions, ""},
      {post, "/engines/m/completions", route::completions, "m"},
      {post, "/openai/deployments/m/completions", route::completions, "m"},
      {post, "/queue/chat/completions", route::chat, ""},
      {post, "/v1/embeddings", route::embeddings, ""},
      {post, "/embeddings", route::embeddings, ""},
      {post, "/openai/deployments/m/embeddings", route::embeddings, "m"},
      {post, "/v1/responses", route::responses, ""},
      {post, "/responses", route::responses, ""},
      {get, "/v1/responses/resp_1", route::stored_response, ""},
      {http_method::delete_, "/v1/responses/resp_1", route::stored_response, ""},
      {post, "/v1/responses/resp_1/cancel", route::stored_response, ""},
      {post, "/v1/messages", route::messages, ""},
      {post, "/v1/messages/count_tokens", route::count_tokens, ""},
      {get, "/v1/models", route::models, ""},
      {get, "/models", route::models, ""},
      {get, "/v1/models/m", route::model, "m"},
      {get, "/v1/models/family/x", route::model, "family/x"},
      {get, "/v1/model/info", route::model_info, ""},
      {get, "/model/info", route::model_info, ""},
      {get, "/model_group/info", route::model_group_info, ""},
      {get, "/health/liveliness", route::liveliness, ""},
      {get, "/health/liveness", route::liveliness, ""},
      {get, "/health/readiness", route::readiness, ""},
      {get, "/health", route::health, ""},
      {get, "/health/backlog", route::backlog, ""},
      {post, "/api/event_logging/batch", route::event_logging, ""},
      {get, "/", route::home, ""},
  };
  for (const auto& row : rows) {
    INFO(row.path);
    auto match = find_route(row.method, row.path);
    CHECK(match.to == row.to);
    CHECK(match.model == row.model);
    CHECK_FALSE(match.wrong_method);
    CHECK(match.queue_path == (std::string(row.path) == "/queue/chat/completions"));
    // One trailing and one doubled slash are tolerated.
    CHECK(find_route(row.method, std::string(row.path) + "/").to == row.to);
    CHECK(find_route(row.method, "/" + std::string(row.path)).to == row.to);
    // Everything but stored responses has one method (and HEAD beside GET).
    if (row.to != route::stored_response) {
      CHECK(find_route(row.method == get ? post : get, row.path).wrong_method);
      CHECK(find_route(http_method::put, row.path).wrong_method);
      CHECK(find_route(http_method::head, row.path).wrong_method == (row.method == post));
    }
    CHECK(find_route(http_method::options, row.path).preflight);
    CHECK_FALSE(find_route(http_method::options, row.path).wrong_method);
  }
}

TEST_CASE("paths that do not exist") {
  for (const char* path : {"", "/v1", "/v1/chat", "/v1/chat/completions/x", "/v2/chat/completions",
                           "/engines/", "/engines//", "/V1/models", "/openai/deployments/m/images",
                           "/healthy", "/v1/models///", "*x"}) {
    INFO(path);
    CHECK(find_route(post, path).to == route::unknown);
    CHECK_FALSE(find_route(post, path).wrong_method);
  }
}

TEST_CASE("what a route means") {
  CHECK(find_route(post, "/v1/messages").is_anthropic());
  CHECK(find_route(post, "/v1/messages").api() == body_api::messages);
  CHECK(find_route(post, "/v1/embeddings").api() == body_api::embeddings);
  CHECK(find_route(post, "/v1/chat/completions").is_relayed());
  CHECK_FALSE(find_route(get, "/v1/chat/completions").is_relayed());
  CHECK_FALSE(find_route(get, "/v1/models").is_relayed());
  CHECK(find_route(get, "/health/readiness").is_open());
  CHECK(find_route(http_method::options, "/v1/models").is_open());
  CHECK_FALSE(find_route(get, "/health").is_open());
  CHECK(find_route(get, "/v1/chat/completions").allowed == "POST, OPTIONS");
  CHECK(find_route(http_method::options, "*").preflight);
}

TEST_CASE("what is not there below /v1/messages is not there in Anthropic's words") {
  for (const char* path : {"/v1/messages/nope", "/v1/messages/batches", "/v1//messages/nope/"}) {
    INFO(path);
    const auto match = find_route(post, path);
    CHECK(match.to == route::unknown);
    CHECK(match.is_anthropic());
  }
  for (const char* path : {"/v1/messagesnope", "/v1/nope", "/messages/nope"})
    CHECK_FALSE(find_route(post, path).is_anthropic());
}
