// The estimate of tokens (spec, "tpm").
#include "http/inspected_body.hpp"
#include "http/json_walk.hpp"

#include <algorithm>
#include <limits>

namespace vorrang::http {

namespace {

/// Walks content: strings, parts, messages and lists of them.
class measurer {
public:
  explicit measurer(text_measure& out) : out_(out) {}

  void content(std::string_view value, int depth = 0) {
    // Deeper than any API nests; what lies below counts as text.
    if (depth > 6) {
      out_.text_bytes += value.size();
      return;
    }
    switch (kind_of(value)) {
    case json_kind::string:
      out_.text_bytes += unescaped_size(value);
      break;
    case json_kind::number:
      out_.text_bytes += 4;
      break; // a token id
    case json_kind::array:
      each_element(value, [&](std::string_view element) { content(element, depth + 1); });
      break;
    case json_kind::object:
      part(value, depth);
      break;
    default:
      break;
    }
  }

private:
  static bool is_one_of(std::string_view key, std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return string_is(key, name); });
  }

  /// A message or a part of one. A part is not text if its `type` says image, audio, file …
  void part(std::string_view object, int depth) {
    bool is_text = true;
    each_member(object, [&](std::string_view key, std::string_view value) {
      if (string_is(key, "type") && kind_of(value) == json_kind::string) {
        static constexpr std::string_view others[] = {
            "image",      "image_url", "input_image", "input_audio", "audio",    "file",
            "input_file", "document",  "video_url",   "video",       "audio_url"};
        const auto type = unescaped(value);
        is_text = std::find(std::begin(others), std::end(others), type) == std::end(others);
      }
    });
    if (!is_text) {
      ++out_.non_text_parts;
      return;
    }
    each_member(object, [&](std::string_view key, std::string_view value) {
      if (is_one_of(key, {"content", "text", "output", "refusal", "thinking", "summary"})) {
        content(value, depth + 1);
      } else if (is_one_of(key, {"tool_calls", "function_call", "input", "arguments"})) {
        out_.text_bytes += value.size();
      }
    });
  }

  text_measure& out_;
};

std::uint32_t cut(std::uint64_t value) noexcept {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

} // namespace

text_measure measure_text(std::string_view body, const inspected_body& inspected) {
  text_measure out;
  measurer measure(out);
  for (const auto& member : inspected.members) {
    const auto key = member.key.of(body);
    const auto value = member.value.of(body);
    if (string_is(key, "messages") || string_is(key, "prompt") || string_is(key, "input") ||
        string_is(key, "system") || string_is(key, "instructions")) {
      measure.content(value);
    } else if (string_is(key, "tools") || string_is(key, "functions") ||
               string_is(key, "extra_body")) {
      out.text_bytes += value.size();
    }
  }
  return out;
}

std::uint32_t prompt_estimate(const text_measure& measure) noexcept {
  return cut((measure.text_bytes + 3) / 4 + 1000 * measure.non_text_parts);
}

std::uint32_t token_estimate(const text_measure& measure, const inspected_body& inspected,
                             body_api api, std::uint64_t answer_default) noexcept {
  const std::uint64_t prompt = prompt_estimate(measure);
  if (api == body_api::embeddings) {
    return cut(prompt);
  }
  const auto each =
      inspected.max_completion_tokens.value_or(inspected.max_tokens.value_or(answer_default));
  // Both factors are cut first, so that the product cannot overflow.
  const auto answer = std::min<std::uint64_t>(each, std::numeric_limits<std::uint32_t>::max()) *
                      std::min<std::uint64_t>(inspected.n, 1'000'000);
  return cut(prompt + answer);
}

} // namespace vorrang::http
