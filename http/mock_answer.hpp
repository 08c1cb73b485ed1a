// Answers without any upstream.
#pragma once

#include "config/deployment.hpp"
#include "http/inspected_body.hpp"
#include "http/reply.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::http {

struct mock_request {
  body_api api = body_api::chat;
  std::string_view model;     ///< the name the client asked for
  std::uint32_t n = 1;        ///< choices, 1 to 128; more are refused with 400
  std::uint32_t inputs = 1;   ///< embeddings asked for, 1 to 2048; more are refused with 400
  bool include_usage = false; ///< streamed: a usage chunk at the end
  std::string_view id;        ///< a part of the answer's id; unique text
  std::int64_t created_s = 0; ///< Unix time
};

/// Points of Unicode in a streamed piece.
inline constexpr std::size_t mock_piece_points = 3;
/// Usage of every mock: prompt, completion, total tokens.
inline constexpr unsigned mock_prompt_tokens = 10, mock_completion_tokens = 20;

/// The whole answer: its status, `Content-Type` and body, an error's too.
reply mock_answer(const config::mock& mock, const mock_request& request);
/// The answer as events, each complete with its blank line, `[DONE]` included where the API has it.
/// Empty for errors and embeddings, which are not streamed.
std::vector<std::string> mock_events(const config::mock& mock, const mock_request& request);

/// What a literal `mock_response` means (`litellm.RateLimitError` …); nothing for an empty one.
std::optional<config::mock> mock_from_text(std::string_view text);

/// How many embeddings a request's `input` asks for.
std::uint32_t count_inputs(std::string_view body, const inspected_body& inspected);

} // namespace vorrang::http
