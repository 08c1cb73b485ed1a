#include "http/sse_reader.hpp"

namespace vorrang::http {

namespace {

/// Takes the next line off `text`, without its end.
std::string_view take_line(std::string_view& text) {
  const auto end = text.find_first_of("\r\n");
  const auto line = text.substr(0, end);
  if (end == text.npos) {
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
      const auto end = buffer_.find_first_of("\r\n", scanned_);
      scanned_ = end == buffer_.npos ? buffer_.size() : end;
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
