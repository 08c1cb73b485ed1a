#include "http/router_request.hpp"

#include "http/body_scanner.hpp"
#include "http/error_reply.hpp"
#include "http/inspected_body.hpp"
#include "http/request_head.hpp"

#include <nlohmann/json.hpp>

namespace vorrang::http {

namespace {

using nlohmann::json;

std::string path_of(completion_kind kind) {
  return kind == completion_kind::chat ? "/v1/chat/completions" : "/v1/completions";
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

reply refused(const front& rules, std::string message, std::string field) {
  return rules.refuse({our_error::bad_field, std::move(message), std::move(field)}, nullptr);
}

/// The messages as the text of a JSON array, or nothing.
std::optional<std::string> render_messages(const completion_request& from) {
  if (!from.messages_json.empty()) {
    if (!json::accept(from.messages_json))
      return std::nullopt;
    return from.messages_json;
  }
  json list = json::array();
  for (const auto& each : from.messages)
    list.push_back({{"role", each.role}, {"content", each.content}});
  return dumped(list);
}

} // namespace

std::variant<std::string, reply> render_body(const completion_request& from, completion_kind kind,
                                             const front& rules) {
  json body = json::object();
  if (!from.more_json.empty()) {
    body = json::parse(from.more_json, nullptr, false);
    if (!body.is_object())
      return refused(rules, "more_json must be a JSON object", "more_json");
  }
  body["model"] = from.model;
  if (from.priority)
    body["priority"] = *from.priority;
  if (from.timeout)
    body["timeout"] = *from.timeout;
  if (from.stream)
    body["stream"] = true;
  if (kind == completion_kind::text) {
    body["prompt"] = from.prompt;
    return dumped(body);
  }
  const auto messages = render_messages(from);
  if (!messages)
    return refused(rules, "messages_json must be a JSON array of messages", "messages");
  body.erase("messages");
  // As it was given: nothing of it is rewritten.
  std::string text = dumped(body);
  text.pop_back();
  text += ",\"messages\":" + *messages + "}";
  return text;
}

std::variant<reply, std::unique_ptr<call>> begin_completion(const front& rules, time_point now,
                                                            completion_kind kind, std::string body,
                                                            const gateway_state& state) {
  request_head head;
  head.method = http_method::post;
  head.path = path_of(kind);
  head.framing = body_framing::length;
  head.content_length = body.size();
  head.fields = make_fields({{"content-type", "application/json"}});
  if (body.size() > rules.body_bytes_max())
    return rules.refuse({our_error::body_too_large, {}, {}}, &head);
  body_scanner scanner(body_scanner::measuring::yes);
  scanner.feed(body);
  auto inspected = inspect(body, scanner);
  return rules.begin(now, std::move(head), std::move(body), std::move(inspected), state);
}

completion_result to_result(reply answer, completion_facts facts) {
  facts.headers = to_pairs(answer.fields);
  if (answer.status < 400)
    return completion{answer.status, std::move(answer.body), std::move(facts)};
  completion_error error;
  error.status = answer.status;
  error.message = read_upstream_error(answer.body).message;
  error.body = std::move(answer.body);
  error.facts = std::move(facts);
  return error;
}

completion_result to_error(std::uint16_t status, std::string message, completion_facts facts) {
  completion_error error;
  error.status = status;
  error.body = error_body(status, message, {});
  error.message = std::move(message);
  error.facts = std::move(facts);
  return error;
}

} // namespace vorrang::http

namespace vorrang {

std::string completion::text() const {
  const auto document = nlohmann::json::parse(body, nullptr, false);
  if (!document.is_object())
    return {};
  const auto choices = document.find("choices");
  if (choices == document.end() || !choices->is_array() || choices->empty())
    return {};
  const auto& first = choices->front();
  if (!first.is_object())
    return {};
  const auto message = first.find("message");
  const bool is_chat = message != first.end() && message->is_object();
  const auto& holder = is_chat ? *message : first;
  const auto found = holder.find(is_chat ? "content" : "text");
  return found != holder.end() && found->is_string() ? found->get<std::string>() : std::string();
}

} // namespace vorrang
