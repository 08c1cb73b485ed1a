// The client's name for a model, put into an answer; and what the answer says it used.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// What a whole answer, or one chunk of a stream, tells.
struct answer_usage {
  std::optional<std::uint64_t> prompt_tokens;     ///< or `input_tokens`
  std::optional<std::uint64_t> completion_tokens; ///< or `output_tokens`
  std::optional<std::uint64_t> total_tokens;      ///< as reported, else the sum of the two
};

struct restamped {
  /// Whether it is a valid JSON object; if not, `text` is the input.
  bool is_object = false;
  std::string text;
  answer_usage usage;
  /// A chunk with usage and without choices (`choices: []`).
  bool usage_only = false;
  /// It has an `error` and nothing of an answer.
  bool error_only = false;
};

/// Replaces the top-level `model` (a string) by `model`, and where the document wraps a response or
/// a message (`response.model`, `message.model` in the events of those APIs) that one too. No
/// other byte changes; a document without `model` stays without. Strings may hold bytes that are
/// not UTF-8; what is nested deeper than body_scanner looks is passed on as it is.
restamped restamp_model(std::string_view document, std::string_view model);

} // namespace vorrang::http
