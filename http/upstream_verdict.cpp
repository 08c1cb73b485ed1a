#include "http/upstream_verdict.hpp"

#include "http/answer_headers.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace vorrang::http {

namespace {

bool begins_ignoring_case(std::string_view text, std::string_view beginning) {
  return text.size() >= beginning.size() &&
         equal_ignoring_case(text.substr(0, beginning.size()), beginning);
}

bool holds_ignoring_case(std::string_view text, std::string_view part) {
  const auto found =
      std::search(text.begin(), text.end(), part.begin(), part.end(), [](char a, char b) {
        return equal_ignoring_case({&a, 1}, {&b, 1});
      });
  return found != text.end();
}

bool is_either(const upstream_error& error, std::string_view name) {
  return error.code == name || error.type == name;
}

} // namespace

std::optional<std::string_view> foreign_coding(const head_fields& fields) {
  const auto coding = fields.find("content-encoding");
  if (!coding || coding->empty() || equal_ignoring_case(*coding, "identity"))
    return std::nullopt;
  return coding->substr(0, 100);
}

std::string what_came_for_json(std::uint16_t status, std::string_view body) {
  const auto first = body.find_first_not_of(" \t\r\n");
  const auto text = first == std::string_view::npos ? std::string_view() : body.substr(first);
  std::string_view what = "text that is none";
  if (text.empty())
    what = "an empty body";
  else if (text.front() == '<')
    what = "a page of HTML or XML";
  else if (text.front() == '{')
    what = "broken JSON";
  else if (begins_ignoring_case(text, "data:") || begins_ignoring_case(text, "event:"))
    what = "an event stream";
  return "the upstream answered with status " + std::to_string(status) + " and " +
         std::string(what) + " where a JSON object is expected";
}

bool is_context_window_error(const upstream_error& error) {
  // OpenAI's code; then the sentences of OpenAI, vLLM, Anthropic, Mistral, Groq and Together.
  static constexpr std::array<std::string_view, 7> sentences = {
      "maximum context length", "context window",        "context length exceeded",
      "prompt is too long",     "too many input tokens", "longer than the model's context",
      "exceed context limit"};
  if (error.code == "context_length_exceeded" || error.type == "context_length_exceeded")
    return true;
  return std::any_of(sentences.begin(), sentences.end(), [&](std::string_view sentence) {
    return holds_ignoring_case(error.message, sentence);
  });
}

bool is_content_policy_error(const upstream_error& error) {
  // OpenAI's and Azure's.
  return is_either(error, "content_policy_violation") || is_either(error, "content_filter");
}

bool is_unsupported_field_error(const upstream_error& error) {
  return !error.param.empty() &&
         (error.code == "unsupported_parameter" || error.code == "unsupported_value" ||
          error.code == "unknown_parameter");
}

bool refuses_stream_usage(std::uint16_t status, const upstream_error& error) {
  static constexpr std::string_view field = "stream_options";
  return (status == 400 || status == 422) &&
         (begins_ignoring_case(error.param, field) || holds_ignoring_case(error.message, field));
}

outcome classify_answer(std::uint16_t status, const head_fields& fields,
                        const upstream_error& error, std::chrono::system_clock::time_point wall) {
  outcome result;
  result.status = status;
  if (status >= 200 && status < 300) {
    result.kind = outcome_kind::success;
    return result;
  }
  result.tokens = 0;
  if (const auto later = read_retry_after(fields, wall))
    result.retry_after = *later;
  if (status == 429) {
    result.kind = outcome_kind::rate_limited;
    if (is_either(error, "insufficient_quota") || is_either(error, "billing_hard_limit_reached")) {
      result.kind = outcome_kind::rejected;
      result.status = 403;
    } else if (begins_ignoring_case(error.message, "Request too large")) {
      result.kind = outcome_kind::rejected;
      result.status = 413;
    }
  } else if (status == 408 || status == 409 || status >= 500 || status < 400) {
    result.kind = outcome_kind::failed;
  } else {
    result.kind = outcome_kind::rejected;
    result.context_window = status == 400 && is_context_window_error(error);
    result.content_policy = status == 400 && is_content_policy_error(error);
  }
  return result;
}

std::uint16_t status_of(const upstream_error& error) noexcept {
  std::uint16_t code = 0;
  const char* const end = error.code.data() + error.code.size();
  const auto read = std::from_chars(error.code.data(), end, code);
  if (read.ec == std::errc() && read.ptr == end && code >= 400 && code < 600)
    return code;
  // OpenAI's, Anthropic's and vLLM's.
  static constexpr std::pair<std::string_view, std::uint16_t> names[] = {
      {"rate_limit_exceeded", 429},     {"rate_limit_error", 429},      {"insufficient_quota", 429},
      {"context_length_exceeded", 400}, {"invalid_request_error", 400}, {"BadRequestError", 400},
      {"authentication_error", 401},    {"permission_error", 403},      {"not_found_error", 404},
      {"request_too_large", 413},       {"overloaded_error", 529}};
  const auto* const known = std::find_if(std::begin(names), std::end(names), [&](const auto& each) {
    return is_either(error, each.first);
  });
  return known == std::end(names) ? 502 : known->second;
}

outcome classify_error(transport_error error) {
  outcome result;
  result.kind = outcome_kind::failed;
  switch (error) {
  case transport_error::not_connected:
    result.sent = false;
    result.tokens = 0;
    break;
  case transport_error::broken:
  case transport_error::not_http:
    break;
  case transport_error::timed_out:
    result.timed_out = true;
    break;
  case transport_error::deadline:
    result.kind = outcome_kind::cancelled;
    break;
  case transport_error::not_sent:
    result.kind = outcome_kind::not_sent;
    result.sent = false;
    result.tokens = 0;
    break;
  }
  return result;
}

} // namespace vorrang::http
