// What a request's body says to us: our own fields, and what is wrong with them.
#pragma once

#include "http/body_scanner.hpp"
#include "http/our_error.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::http {

/// Fields with a meaning for us or for the way a body is sent on; their places are kept.
enum class body_field : std::uint8_t {
  model,
  priority,
  stream,
  timeout,
  stream_timeout,
  request_timeout,
  max_tokens,
  max_completion_tokens,
  max_output_tokens,
  n,
  stream_options,
  tags,
  metadata,
  messages,
  prompt,
  input,
  store,
  extra_body,
  disable_fallbacks,
  mock_response,
  mock_delay,
  mock_timeout,
  keepalive_seconds,
  num_retries,
  fallbacks,
  previous_response_id,
  none ///< any other, and the number of those above
};

/// Made by inspect(). Speaks of places in the body, never of addresses: the body may be moved.
struct inspected_body {
  /// The first thing that is wrong: bad_json, bad_field, duplicate_field or forbidden_field. All
  /// else below is as far as it was understood.
  http::fault fault;

  std::optional<std::string> model; ///< absent or null: nothing; never empty
  std::optional<std::int32_t> priority;
  bool stream = false;
  /// `timeout` in the body, > 0; cut at 100 days.
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<std::uint64_t> max_tokens;            ///< `max_tokens`
  std::optional<std::uint64_t> max_completion_tokens; ///< or `max_output_tokens`
  std::uint32_t n = 1;
  /// `stream_options.include_usage: true` in the request.
  bool client_asked_usage = false;
  std::vector<std::string> tags; ///< `tags`, else `metadata.tags`
  bool store = false;
  bool disable_fallbacks = false;
  /// `stream_timeout` in the body, > 0.
  std::optional<std::chrono::milliseconds> stream_timeout;
  std::optional<std::uint32_t> num_retries;
  /// One of `fallbacks`: for requests to `from` alone, if that is not empty.
  struct fallback {
    std::string from;
    std::string to;
  };
  std::vector<fallback> fallbacks; ///< at most fallbacks_max
  static constexpr std::size_t fallbacks_max = 20;
  std::optional<std::string> previous_response_id;
  /// `keepalive_seconds`; 0 is off.
  std::optional<std::chrono::milliseconds> keepalive;
  std::optional<std::string> mock_response; ///< for those who are allowed mocks in requests
  std::optional<std::chrono::milliseconds> mock_delay;
  bool mock_timeout = false;

  /// As far as the scanner measured it.
  text_measure text;

  /// All top-level members in order. Empty if the body is no object.
  std::vector<json_member> members;
  /// Same index as `members`.
  std::vector<body_field> names;

  /// The member of this name, or nullptr; also one whose value is null.
  const json_member* find(body_field field) const noexcept;
  /// It is there and not null.
  bool has(body_field field) const noexcept;
};

/// Reads our fields of `body`, all of which `scanner` has been fed with; calls its finish().
/// Needs no route: what a path demands is asked by missing_field().
inspected_body inspect(std::string_view body, body_scanner& scanner);

/// Which API a body is for.
enum class body_api : std::uint8_t { chat, completions, embeddings, responses, messages };

/// missing_field if the body lacks `model` (unless the path names it) or what its API cannot do
/// without: `messages`, `prompt` or `input`.
fault missing_field(const inspected_body& body, body_api api, bool path_names_model);

/// A priority as text, from the header `x-vorrang-priority`: any 32-bit integer, or nothing.
std::optional<std::int32_t> read_priority(std::string_view text) noexcept;

/// A number of retries as text, also from the header `x-litellm-num-retries`: a whole number, cut
/// at 32 bits, or nothing.
std::optional<std::uint32_t> read_retries(std::string_view text) noexcept;

/// ⌈text ÷ 4⌉ + 1000 for each part that is not text.
std::uint32_t prompt_estimate(const text_measure& measure) noexcept;
/// The prompt's estimate + n × (max_completion_tokens, else max_tokens, else 256). Embeddings
/// complete nothing.
/// `answer_default`: where the request says nothing of its answer's length.
std::uint32_t token_estimate(const inspected_body& inspected, body_api api,
                             std::uint64_t answer_default = 256) noexcept;

} // namespace vorrang::http
