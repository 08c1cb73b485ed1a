#include "http/text_meter.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vorrang::http {

namespace {

template <std::size_t Count>
bool is_one_of(std::string_view quoted, const std::string_view (&names)[Count]) {
  return std::any_of(std::begin(names), std::end(names),
                     [&](std::string_view name) { return string_is(quoted, name); });
}

constexpr std::string_view content_of_request[] = {"messages", "prompt", "input", "system",
                                                   "instructions"};
constexpr std::string_view written_of_request[] = {"tools", "functions", "extra_body"};
constexpr std::string_view content_of_part[] = {"content", "text",     "output",
                                                "refusal", "thinking", "summary"};
constexpr std::string_view written_of_part[] = {"tool_calls", "function_call", "input",
                                                "arguments"};
/// Types of parts that are not text.
constexpr std::string_view other_types[] = {"image",     "image_url", "input_image", "input_audio",
                                            "audio",     "file",      "input_file",  "document",
                                            "video_url", "video",     "audio_url"};

} // namespace

text_meter::meaning text_meter::of_request(std::string_view key) {
  if (is_one_of(key, content_of_request))
    return meaning::content;
  return is_one_of(key, written_of_request) ? meaning::as_written : meaning::nothing;
}

text_meter::meaning text_meter::of_part(std::string_view key) {
  if (string_is(key, "type"))
    return meaning::type;
  if (is_one_of(key, content_of_part))
    return meaning::content;
  return is_one_of(key, written_of_part) ? meaning::as_written : meaning::nothing;
}

text_meter::meaning text_meter::next_meaning() const noexcept {
  return !is_root() && !levels_[depth_ - 1].object ? meaning::content : next_;
}

void text_meter::open(bool object, std::size_t at) {
  const bool is_outermost = !std::exchange(begun_, true);
  if (is_outermost && object)
    return;
  if (skipped_ > 0) {
    ++skipped_;
    return;
  }
  const auto counts_for = is_outermost ? meaning::nothing : next_meaning();
  if (counts_for == meaning::content && depth_ < levels_max) {
    levels_[depth_++] = {object, true, measure_};
    return;
  }
  skipped_ = 1;
  skipped_at_ = at;
  skipped_means_ = counts_for == meaning::content ? meaning::as_written : counts_for;
}

void text_meter::close(std::size_t end) {
  if (skipped_ > 0) {
    if (--skipped_ == 0 && skipped_means_ == meaning::as_written)
      measure_.text_bytes += end - skipped_at_;
    return;
  }
  if (is_root())
    return;
  const auto& closed = levels_[--depth_];
  if (closed.object && !closed.is_text) {
    measure_ = closed.before;
    ++measure_.non_text_parts;
  }
}

void text_meter::key(std::string_view quoted) {
  if (skipped_ > 0)
    return;
  next_ = is_root() ? of_request(quoted) : of_part(quoted);
}

void text_meter::string(std::string_view quoted, std::size_t saved) {
  if (skipped_ > 0)
    return;
  switch (next_meaning()) {
  case meaning::nothing:
    break;
  case meaning::as_written:
    measure_.text_bytes += quoted.size();
    break;
  case meaning::content:
    measure_.text_bytes += depth_ == levels_max ? quoted.size() : quoted.size() - 2 - saved;
    break;
  case meaning::type:
    levels_[depth_ - 1].is_text = !is_one_of(quoted, other_types);
    break;
  }
}

void text_meter::scalar(json_kind kind, std::size_t size) {
  if (skipped_ > 0)
    return;
  const auto counts_for = next_meaning();
  if (counts_for == meaning::as_written || (counts_for == meaning::content && depth_ == levels_max))
    measure_.text_bytes += size;
  else if (counts_for == meaning::content && kind == json_kind::number)
    measure_.text_bytes += 4; // a token id
}

} // namespace vorrang::http
