#include "http/mock_answer.hpp"

#include "http/json_string.hpp"
#include "http/json_walk.hpp"

#include <algorithm>

namespace vorrang::http {

namespace {

constexpr std::uint32_t choices_max = 128;
constexpr std::uint32_t inputs_max = 2048;
constexpr std::string_view vector_text = "[0.25,-0.5,0.125,0.75,-0.25,0.5,-0.125,0.0625]";

std::string number(std::int64_t value) {
  return std::to_string(value);
}

std::string chat_usage() {
  return "{\"prompt_tokens\":" + number(mock_prompt_tokens) +
         ",\"completion_tokens\":" + number(mock_completion_tokens) +
         ",\"total_tokens\":" + number(mock_prompt_tokens + mock_completion_tokens) + "}";
}

std::string io_usage(bool with_total) {
  return "{\"input_tokens\":" + number(mock_prompt_tokens) +
         ",\"output_tokens\":" + number(mock_completion_tokens) +
         (with_total ? ",\"total_tokens\":" + number(mock_prompt_tokens + mock_completion_tokens)
                     : std::string()) +
         "}";
}

/// The text in pieces of mock_piece_points, each valid UTF-8.
std::vector<std::string_view> pieces_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    std::size_t size = 0;
    for (std::size_t point = 0; point < mock_piece_points && size < text.size(); ++point) {
      size += std::max<std::size_t>(1, utf8_sequence(text.substr(size)));
    }
    out.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

/// `{"id":…,"object":…,"created":…,"model":…,"choices":[` of chat and completions.
std::string choices_begin(const mock_request& request, std::string_view object) {
  const bool is_chat = request.api == body_api::chat;
  return "{\"id\":" + json_quoted((is_chat ? "chatcmpl-" : "cmpl-") + std::string(request.id)) +
         ",\"object\":" + json_quoted(object) + ",\"created\":" + number(request.created_s) +
         ",\"model\":" + json_quoted(request.model) + ",\"choices\":[";
}

std::string whole_choices(std::string_view text, const mock_request& request) {
  const bool is_chat = request.api == body_api::chat;
  auto out = choices_begin(request, is_chat ? "chat.completion" : "text_completion");
  const auto content = json_quoted(text);
  for (std::uint32_t index = 0; index < request.n; ++index) {
    out += index > 0 ? "," : "";
    out += "{\"index\":" + number(index);
    out += is_chat ? ",\"message\":{\"role\":\"assistant\",\"content\":" + content + "}"
                   : ",\"text\":" + content + ",\"logprobs\":null";
    out += ",\"finish_reason\":\"stop\"}";
  }
  return out + "],\"usage\":" + chat_usage() + "}";
}

std::string embeddings(const mock_request& request) {
  std::string out = "{\"object\":\"list\",\"data\":[";
  for (std::uint32_t index = 0; index < request.inputs; ++index) {
    out += index > 0 ? "," : "";
    out += "{\"object\":\"embedding\",\"index\":" + number(index) + ",\"embedding\":";
    out += vector_text;
    out += "}";
  }
  return out + "],\"model\":" + json_quoted(request.model) +
         ",\"usage\":{\"prompt_tokens\":" + number(mock_prompt_tokens) +
         ",\"total_tokens\":" + number(mock_prompt_tokens) + "}}";
}

std::string response_item(std::string_view text, const mock_request& request, bool completed) {
  return "{\"type\":\"message\",\"id\":" + json_quoted("msg_" + std::string(request.id)) +
         ",\"status\":" + (completed ? "\"completed\"" : "\"in_progress\"") +
         ",\"role\":\"assistant\",\"content\":[" +
         (completed
              ? "{\"type\":\"output_text\",\"text\":" + json_quoted(text) + ",\"annotations\":[]}"
              : std::string()) +
         "]}";
}

std::string response(std::string_view text, const mock_request& request, bool completed) {
  return "{\"id\":" + json_quoted("resp_" + std::string(request.id)) +
         ",\"object\":\"response\",\"created_at\":" + number(request.created_s) +
         ",\"status\":" + (completed ? "\"completed\"" : "\"in_progress\"") +
         ",\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"metadata\":{}" +
         ",\"model\":" + json_quoted(request.model) + ",\"output\":[" +
         (completed ? response_item(text, request, true) : std::string()) +
         "],\"parallel_tool_calls\":true,\"temperature\":null,\"tool_choice\":\"auto\"" +
         ",\"tools\":[],\"top_p\":null,\"usage\":" + (completed ? io_usage(true) : "null") + "}";
}

std::string message(std::string_view text, const mock_request& request, bool completed) {
  return "{\"id\":" + json_quoted("msg_" + std::string(request.id)) +
         ",\"type\":\"message\",\"role\":\"assistant\",\"model\":" + json_quoted(request.model) +
         ",\"content\":[" +
         (completed ? "{\"type\":\"text\",\"text\":" + json_quoted(text) + "}" : std::string()) +
         "],\"stop_reason\":" + (completed ? "\"end_turn\"" : "null") +
         ",\"stop_sequence\":null,\"usage\":" +
         (completed ? io_usage(false)
                    : "{\"input_tokens\":" + number(mock_prompt_tokens) + ",\"output_tokens\":0}") +
         "}";
}

std::string data_event(std::string_view data) {
  return "data: " + std::string(data) + "\n\n";
}

std::vector<std::string> choice_events(std::string_view text, const mock_request& request) {
  const bool is_chat = request.api == body_api::chat;
  const auto begin = choices_begin(request, is_chat ? "chat.completion.chunk" : "text_completion");
  const auto event = [&](std::uint32_t index, const std::string& delta, const char* reason) {
    return data_event(begin + "{\"index\":" + number(index) + "," + delta +
                      ",\"finish_reason\":" + reason + "}]}");
  };
  auto pieces = pieces_of(text);
  if (pieces.empty()) {
    pieces.emplace_back();
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto content = json_quoted(pieces[i]);
    const auto delta = is_chat
                           ? "\"delta\":{" + std::string(i == 0 ? "\"role\":\"assistant\"," : "") +
                                 "\"content\":" + content + "}"
                           : "\"text\":" + content + ",\"logprobs\":null";
    for (std::uint32_t index = 0; index < request.n; ++index) {
      out.push_back(event(index, delta, "null"));
    }
  }
  const std::string last = is_chat ? "\"delta\":{}" : "\"text\":\"\",\"logprobs\":null";
  for (std::uint32_t index = 0; index < request.n; ++index) {
    out.push_back(event(index, last, "\"stop\""));
  }
  if (request.include_usage) {
    out.push_back(data_event(begin + "],\"usage\":" + chat_usage() + "}"));
  }
  out.push_back(data_event("[DONE]"));
  return out;
}

std::vector<std::string> response_events(std::string_view text, const mock_request& request) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& type, const std::string& rest) {
    out.push_back("event: " + type + "\ndata: {\"type\":" + json_quoted(type) +
                  ",\"sequence_number\":" + number(static_cast<std::int64_t>(out.size())) + "," +
                  rest + "}\n\n");
  };
  const std::string place = "\"item_id\":" + json_quoted("msg_" + std::string(request.id)) +
                            ",\"output_index\":0,\"content_index\":0";
  const auto part = [](std::string_view content) {
    return ",\"part\":{\"type\":\"output_text\",\"text\":" + json_quoted(content) +
           ",\"annotations\":[]}";
  };
  add("response.created", "\"response\":" + response(text, request, false));
  add("response.output_item.added",
      "\"output_index\":0,\"item\":" + response_item(text, request, false));
  add("response.content_part.added", place + part(""));
  for (const auto piece : pieces_of(text)) {
    add("response.output_text.delta", place + ",\"delta\":" + json_quoted(piece));
  }
  add("response.output_text.done", place + ",\"text\":" + json_quoted(text));
  add("response.content_part.done", place + part(text));
  add("response.output_item.done",
      "\"output_index\":0,\"item\":" + response_item(text, request, true));
  add("response.completed", "\"response\":" + response(text, request, true));
  return out;
}

std::vector<std::string> message_events(std::string_view text, const mock_request& request) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& type, const std::string& rest) {
    out.push_back("event: " + type + "\ndata: {\"type\":" + json_quoted(type) + rest + "}\n\n");
  };
  add("message_start", ",\"message\":" + message(text, request, false));
  add("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
  for (const auto piece : pieces_of(text)) {
    add("content_block_delta",
        ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":" + json_quoted(piece) + "}");
  }
  add("content_block_stop", ",\"index\":0");
  add("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                       "\"usage\":{\"output_tokens\":" +
                           number(mock_completion_tokens) + "}");
  add("message_stop", "");
  return out;
}

reply error(std::uint16_t status, std::string_view message, std::string_view type,
            std::string_view param, std::string_view code) {
  reply out;
  out.status = status;
  out.fields.add("content-type", "application/json");
  out.body = "{\"error\":{\"message\":" + json_quoted(message) + ",\"type\":" + json_quoted(type) +
             ",\"param\":" + (param.empty() ? "null" : json_quoted(param)) +
             ",\"code\":" + json_quoted(code) + "}}";
  return out;
}

/// A mock makes no more than this, whatever is asked for.
std::optional<reply> refusal_of(const mock_request& request) {
  const auto refused = [](const char* field, std::uint32_t asked, std::uint32_t most) {
    return error(400,
                 "A mock's " + std::string(field) + " must be at most " + number(most) + ", not " +
                     number(asked),
                 "invalid_request_error", field, "400");
  };
  switch (request.api) {
  case body_api::chat:
  case body_api::completions:
    if (request.n > choices_max)
      return refused("n", request.n, choices_max);
    break;
  case body_api::embeddings:
    if (request.inputs > inputs_max)
      return refused("input", request.inputs, inputs_max);
    break;
  default:
    break;
  }
  return std::nullopt;
}

/// What an upstream would say.
reply error_answer(config::mock_outcome outcome) {
  std::uint16_t status = 500;
  std::string message, type, code;
  switch (outcome) {
  case config::mock_outcome::rate_limit_error:
    status = 429;
    message = "litellm.RateLimitError: this is a mock rate limit error";
    type = "rate_limit_error";
    code = "rate_limit_exceeded";
    break;
  case config::mock_outcome::context_window_exceeded_error:
    status = 400;
    message = "litellm.ContextWindowExceededError: this is a mock context window error";
    type = "invalid_request_error";
    code = "context_length_exceeded";
    break;
  default:
    message = "litellm.InternalServerError: this is a mock internal server error";
    type = "server_error";
    code = "500";
    break;
  }
  return error(status, message, type, "", code);
}

} // namespace

reply mock_answer(const config::mock& mock, const mock_request& request) {
  if (mock.outcome != config::mock_outcome::answer) {
    return error_answer(mock.outcome);
  }
  if (auto refused = refusal_of(request)) {
    return std::move(*refused);
  }
  reply out;
  out.fields.add("content-type", "application/json");
  switch (request.api) {
  case body_api::embeddings:
    out.body = embeddings(request);
    break;
  case body_api::responses:
    out.body = response(mock.text, request, true);
    break;
  case body_api::messages:
    out.body = message(mock.text, request, true);
    break;
  default:
    out.body = whole_choices(mock.text, request);
    break;
  }
  return out;
}

std::vector<std::string> mock_events(const config::mock& mock, const mock_request& request) {
  if (mock.outcome != config::mock_outcome::answer || refusal_of(request)) {
    return {};
  }
  switch (request.api) {
  case body_api::embeddings:
    return {};
  case body_api::responses:
    return response_events(mock.text, request);
  case body_api::messages:
    return message_events(mock.text, request);
  default:
    return choice_events(mock.text, request);
  }
}

std::optional<config::mock> mock_from_text(std::string_view text) {
  if (text.empty()) {
    return std::nullopt;
  }
  config::mock out;
  if (text == "litellm.RateLimitError") {
    out.outcome = config::mock_outcome::rate_limit_error;
  } else if (text == "litellm.InternalServerError") {
    out.outcome = config::mock_outcome::internal_server_error;
  } else if (text == "litellm.ContextWindowExceededError") {
    out.outcome = config::mock_outcome::context_window_exceeded_error;
  } else {
    out.text = std::string(text);
  }
  return out;
}

std::uint32_t count_inputs(std::string_view body, const inspected_body& inspected) {
  const auto* input = inspected.find(body_field::input);
  if (input == nullptr || input->kind != json_kind::array) {
    return 1;
  }
  std::uint32_t count = 0;
  bool is_tokens = false;
  each_element(input->value.of(body), [&](std::string_view element) {
    is_tokens = is_tokens || kind_of(element) == json_kind::number;
    ++count;
  });
  return is_tokens || count == 0 ? 1 : count;
}

} // namespace vorrang::http
