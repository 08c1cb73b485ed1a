#include "http/error_reply.hpp"

#include "http/json_string.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace vorrang::http {

namespace {

struct error_row {
  our_error code;
  std::uint16_t status;
  bool closes;
  std::string_view name;
  std::string_view sentence;
};

constexpr error_row rows[] = {
    {our_error::bad_head, 400, true, "bad-head", "Bad request: the request's head is malformed"},
    {our_error::head_too_large, 431, true, "head-too-large",
     "The request's head is larger than 32 KiB; send shorter header fields"},
    {our_error::too_many_fields, 431, true, "too-many-fields",
     "The request has more than 100 header fields"},
    {our_error::bad_body_framing, 400, true, "bad-body-framing",
     "Bad request: the body's chunks are malformed"},
    {our_error::body_too_large, 413, true, "body-too-large",
     "The request's body is larger than this gateway accepts "
     "(general_settings.max_request_size_mb)"},
    {our_error::content_encoding, 415, true, "content-encoding",
     "Compressed bodies are not accepted; send the body without Content-Encoding"},
    {our_error::content_type, 415, true, "content-type",
     "Send the body with Content-Type: application/json"},
    {our_error::head_too_slow, 408, true, "head-too-slow",
     "The request's head was not complete within 10 seconds"},
    {our_error::body_too_slow, 408, true, "body-too-slow",
     "No byte of the request's body came for 30 seconds"},
    {our_error::bad_json, 400, false, "bad-json", "The request's body is not valid JSON"},
    {our_error::bad_field, 400, false, "bad-field", "A field of the request has a wrong value"},
    {our_error::missing_field, 400, false, "missing-field",
     "A field is missing from the request's body"},
    {our_error::duplicate_field, 400, false, "duplicate-field", "A field is there twice"},
    {our_error::forbidden_field, 400, false, "forbidden-field",
     "A field of the request is not accepted from clients; remove it"},
    {our_error::unknown_model, 400, false, "unknown-model",
     "Invalid model name; GET /v1/models lists those that exist"},
    {our_error::endpoint_not_spoken, 400, false, "endpoint-not-spoken",
     "No deployment of this model speaks this API"},
    {our_error::group_not_served, 400, false, "group-not-served",
     "No deployment of this model can be served by this gateway"},
    {our_error::no_deployment, 400, false, "no-deployment",
     "No deployment of this model fits the request"},
    {our_error::no_key, 401, false, "no-key",
     "No API key given; send it as Authorization: Bearer <key>"},
    {our_error::wrong_key, 401, false, "wrong-key", "The API key is not known to this gateway"},
    {our_error::model_not_allowed, 403, false, "model-not-allowed",
     "This API key may not use this model"},
    {our_error::foreign_origin, 403, false, "foreign-origin",
     "Web pages may not use a gateway without keys; configure general_settings.master_key"},
    {our_error::foreign_host, 403, false, "foreign-host",
     "The Host field names another machine; configure general_settings.master_key to be reachable "
     "by other names"},
    {our_error::unknown_path, 404, false, "unknown-path", "There is nothing at this path"},
    {our_error::wrong_method, 405, false, "wrong-method", "This path has no such method"},
    {our_error::unknown_model_page, 404, false, "unknown-model-page",
     "There is no model of this name; GET /v1/models lists those that exist"},
    {our_error::stored_response, 404, false, "stored-response",
     "Stored responses cannot be read, deleted or cancelled through this gateway"},
    {our_error::timed_out_waiting, 408, false, "timed-out-waiting",
     "Request timed out while polling queue"},
    {our_error::timed_out_calling, 408, false, "timed-out-calling", "Request timed out"},
    {our_error::queue_full, 429, false, "queue-full",
     "The queue of this model is full; try again later"},
    {our_error::queue_bytes_full, 429, false, "queue-bytes-full",
     "The gateway holds as many bytes of waiting requests as it may; try again later"},
    {our_error::rate_limited, 429, false, "rate-limited",
     "Every deployment of this model is rate limited beyond this request's deadline"},
    {our_error::draining, 503, false, "draining", "The gateway is shutting down; try again"},
    {our_error::cancelled_by_operator, 503, false, "cancelled-by-operator",
     "Cancelled by the operator"},
    {our_error::too_many_connections, 503, true, "too-many-connections",
     "The gateway has too many connections; try again later"},
    {our_error::all_cooling_down, 429, false, "all-cooling-down",
     "Every deployment of this model is cooling down after failures; try again later"},
    {our_error::not_ready, 503, false, "not-ready", "The gateway is not ready"},
    {our_error::bad_upstream, 502, false, "bad-upstream",
     "The upstream could not be reached or broke off without an answer"},
    {our_error::upstream_too_slow, 504, false, "upstream-too-slow",
     "The upstream did not answer in time"},
    {our_error::upstream_refused_us, 401, false, "upstream-refused-us",
     "the upstream refused the gateway's credentials"},
    {our_error::internal, 500, false, "internal", "An error within the gateway"},
};

const error_row& row_of(our_error code) noexcept {
  const auto* hit = std::find_if(std::begin(rows), std::end(rows),
                                 [&](const auto& row) { return row.code == code; });
  return hit == std::end(rows) ? rows[std::size(rows) - 1] : *hit;
}

/// A message is bounded: parts of it may be a client's or an upstream's words.
constexpr std::size_t message_bytes_max = 2000;
/// Larger bodies of upstream errors are taken as text.
constexpr std::size_t parsed_bytes_max = 256 * 1024;

std::string_view cut(std::string_view text) noexcept {
  if (text.size() <= message_bytes_max) {
    return text;
  }
  auto end = message_bytes_max;
  while (end > message_bytes_max - 4 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return text.substr(0, end);
}

std::string openai_body(std::string_view message, std::string_view type, std::string_view param,
                        std::string_view code) {
  return "{\"error\":{\"message\":" + json_quoted(cut(message)) + ",\"type\":" + json_quoted(type) +
         ",\"param\":" + (param.empty() ? "null" : json_quoted(param)) +
         ",\"code\":" + json_quoted(code) + "}}";
}

std::string anthropic_body(std::string_view message, std::string_view type, std::string_view id) {
  return "{\"type\":\"error\",\"error\":{\"type\":" + json_quoted(type) +
         ",\"message\":" + json_quoted(cut(message)) +
         "},\"request_id\":" + (id.empty() ? "null" : json_quoted(id)) + "}";
}

std::string text_of(const nlohmann::json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end()) {
    return {};
  }
  if (at->is_string()) {
    return at->get<std::string>();
  }
  return at->is_number() ? at->dump() : std::string();
}

nlohmann::json parse(std::string_view body) {
  if (body.size() > parsed_bytes_max) {
    return nlohmann::json::value_t::discarded;
  }
  return nlohmann::json::parse(body.begin(), body.end(), nullptr, false);
}

upstream_error read(const nlohmann::json& document) {
  upstream_error out;
  if (!document.is_object()) {
    return out;
  }
  const auto error = document.find("error");
  if (error != document.end() && error->is_string()) {
    out.message = error->get<std::string>();
    return out;
  }
  const auto& from = error != document.end() && error->is_object() ? *error : document;
  out.message = text_of(from, "message");
  out.type = text_of(from, "type");
  out.param = text_of(from, "param");
  out.code = text_of(from, "code");
  if (const auto detail = document.find("detail");
      out.message.empty() && detail != document.end()) {
    out.message = detail->is_string()
                      ? detail->get<std::string>()
                      : detail->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return out;
}

/// `{"error":{"message":…}}`, and not Anthropic's, which has a `type` beside it.
bool has_form(const nlohmann::json& document, error_form form) {
  if (!document.is_object() || !document.contains("error") || !document["error"].is_object() ||
      !document["error"].contains("message") || !document["error"]["message"].is_string()) {
    return false;
  }
  const bool is_anthropic = text_of(document, "type") == "error";
  return is_anthropic == (form == error_form::anthropic);
}

std::uint64_t retry_after_s(std::optional<std::chrono::milliseconds> wait) noexcept {
  const auto ms = std::clamp<std::int64_t>(wait ? wait->count() : 0, 0, 60'000);
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(ms + 999) / 1000, 1, 60);
}

} // namespace

std::uint16_t status_of(our_error code) noexcept {
  return code == our_error::none ? 200 : row_of(code).status;
}

std::string_view sentence_of(our_error code) noexcept {
  return code == our_error::none ? "no error" : row_of(code).sentence;
}

std::string_view name_of(our_error code) noexcept {
  return code == our_error::none ? "none" : row_of(code).name;
}

std::vector<our_error> all_errors() {
  std::vector<our_error> codes;
  for (const auto& row : rows)
    codes.push_back(row.code);
  return codes;
}

bool closes_connection(our_error code) noexcept {
  return code != our_error::none && row_of(code).closes;
}

std::string_view error_type(std::uint16_t status, error_form form) noexcept {
  const bool anthropic = form == error_form::anthropic;
  switch (status) {
  case 401:
    return "authentication_error";
  case 403:
    return "permission_error";
  case 404:
  case 405:
    return anthropic ? "not_found_error" : "invalid_request_error";
  case 408:
    return anthropic ? "api_error" : "timeout_error";
  case 413:
  case 415:
    return anthropic ? "request_too_large" : "invalid_request_error";
  case 429:
    return "rate_limit_error";
  case 503:
  case 529:
    return anthropic ? "overloaded_error" : "server_error";
  default:
    break;
  }
  if (status >= 500) {
    return anthropic ? "api_error" : "server_error";
  }
  return "invalid_request_error";
}

std::string error_body(std::uint16_t status, std::string_view message, std::string_view param,
                       const error_facts& facts) {
  const auto type = error_type(status, facts.form);
  return facts.form == error_form::anthropic
             ? anthropic_body(message, type, facts.request_id)
             : openai_body(message, type, param, std::to_string(status));
}

reply error_reply(const fault& what, const error_facts& facts) {
  reply out;
  out.status = status_of(what.code);
  out.why = what.code;
  out.close = closes_connection(what.code);
  out.fields.add("content-type", "application/json");
  if (out.status == 429 || out.status == 503) {
    out.fields.add("retry-after", retry_after_s(facts.retry_after));
  } else if (out.status == 408) {
    // openai, anthropic and LangChain would send three requests otherwise.
    out.fields.add("x-should-retry", "false");
  } else if (out.status == 401) {
    out.fields.add("www-authenticate", "Bearer");
  } else if (out.status == 405 && !facts.allow.empty()) {
    out.fields.add("allow", facts.allow);
  }
  out.body = error_body(out.status, what.message.empty() ? sentence_of(what.code) : what.message,
                        what.param, facts);
  return out;
}

upstream_error read_upstream_error(std::string_view body) {
  return read(parse(body));
}

std::string upstream_error_body(std::uint16_t status, std::string_view body,
                                const error_facts& facts) {
  const auto document = parse(body);
  if (has_form(document, facts.form)) {
    return std::string(body);
  }
  auto error = read(document);
  if (error.message.empty()) {
    error.message = body.empty() ? "the upstream answered with status " + std::to_string(status)
                                 : std::string(cut(body));
  }
  if (facts.form == error_form::anthropic) {
    return anthropic_body(error.message, error_type(status, facts.form), facts.request_id);
  }
  return openai_body(error.message,
                     error.type.empty() ? error_type(status, facts.form) : error.type, error.param,
                     error.code.empty() ? std::to_string(status) : error.code);
}

reply credentials_reply(std::uint16_t status, std::string_view group, const error_facts& facts) {
  reply out;
  out.status = status == 403 ? 403 : 401;
  out.why = our_error::upstream_refused_us;
  out.fields.add("content-type", "application/json");
  out.body = error_body(out.status,
                        "the upstream refused the gateway's credentials for group " +
                            std::string(group.substr(0, 200)),
                        "", facts);
  return out;
}

} // namespace vorrang::http
