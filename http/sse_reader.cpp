#include "http/sse_reader.hpp"

#if defined(__SSE2__)
#  include <emmintrin.h>
#endif

namespace vorrang::http {

namespace {

/// Takes the next line off `text`, without its end.
std::string_view take_line(std::string_view& text) {
  const auto end = line_size(text);
  const auto line = text.substr(0, end);
  if (end == text.size()) {
    text = {};
    return line;
  }
  const bool is_pair = text[end] == '\r' && end + 1 < text.size() && text[end + 1] == '\n';
  text.remove_prefix(end + (is_pair ? 2 : 1));
  return line;
}

/// A stream may begin with a byte order mark.
std::string_view without_mark(std::string_view name) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  return name.substr(0, mark.size()) == mark ? name.substr(mark.size()) : name;
}

} // namespace

std::size_t line_size(std::string_view text) noexcept {
  std::size_t at = 0;
#if defined(__SSE2__)
  const auto line_feed = _mm_set1_epi8('\n');
  const auto carriage_return = _mm_set1_epi8('\r');
  for (; text.size() - at >= 16; at += 16) {
    const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(
        _mm_or_si128(_mm_cmpeq_epi8(bytes, line_feed), _mm_cmpeq_epi8(bytes, carriage_return))));
    if (mask != 0)
      return at + static_cast<std::size_t>(__builtin_ctz(mask));
  }
#endif
  while (at < text.size() && text[at] != '\r' && text[at] != '\n')
    ++at;
  return at;
}

void sse_reader::feed(std::string_view piece) {
  if (too_large_) {
    return;
  }
  // What was given out already is dropped here, where no view of it is alive any more.
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(piece);
}

bool sse_reader::next(sse_event& event) {
  while (!too_large_ && scanned_ < buffer_.size()) {
    const char byte = buffer_[scanned_];
    if (byte != '\r' && byte != '\n') {
      line_is_empty_ = false;
      scanned_ += line_size(std::string_view(buffer_).substr(scanned_));
      continue;
    }
    if (byte == '\r') {
      if (scanned_ + 1 == buffer_.size()) {
        break; // an LF may follow, and belongs to it
      }
      scanned_ += buffer_[scanned_ + 1] == '\n' ? 1 : 0;
    }
    ++scanned_;
    const bool ends_event = line_is_empty_;
    line_is_empty_ = true;
    if (ends_event) {
      take(scanned_, event);
      return true;
    }
  }
  if (buffer_.size() - begin_ > event_bytes_max_) {
    too_large_ = true;
    buffer_.clear();
    begin_ = scanned_ = 0;
  }
  return false;
}

bool sse_reader::last(sse_event& event) {
  if (too_large_ || begin_ == buffer_.size()) {
    return false;
  }
  scanned_ = buffer_.size();
  take(scanned_, event);
  return true;
}

void sse_reader::take(std::size_t end, sse_event& event) {
  event = sse_event{};
  event.bytes = std::string_view(buffer_).substr(begin_, end - begin_);
  event.is_comment = true;
  begin_ = end;
  data_.clear();
  bool has_data = false;
  auto rest = event.bytes;
  std::string_view only_line;
  unsigned data_lines = 0;
  bool has_known = false;
  while (!rest.empty()) {
    const auto line = take_line(rest);
    if (line.empty() || line[0] == ':') {
      continue;
    }
    event.is_comment = false;
    const auto colon = line.find(':');
    const auto name = without_mark(line.substr(0, colon));
    has_known |= name == "data" || name == "event" || name == "id" || name == "retry";
    auto value = colon == line.npos ? std::string_view() : line.substr(colon + 1);
    if (!value.empty() && value[0] == ' ') {
      value.remove_prefix(1);
    }
    if (name == "event") {
      event.type = value;
    } else if (name == "data") {
      if (data_lines++ == 0) {
        only_line = value; // almost always there is one: no copy
        continue;
      }
      if (!has_data) {
        data_ = only_line;
        has_data = true;
      }
      data_ += '\n';
      data_ += value;
    }
  }
  event.is_foreign = !event.is_comment && !has_known;
  event.data = has_data ? std::string_view(data_) : only_line;
}

} // namespace vorrang::http
