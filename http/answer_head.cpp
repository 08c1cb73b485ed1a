#include "http/answer_head.hpp"

#include "http/head_tokenizer.hpp"

#include <algorithm>

namespace vorrang::http {

namespace {

/// Most heads fit: one piece of memory for each.
constexpr std::size_t usual_bytes = 1024;

} // namespace

bool answer_head::is_event_stream() const noexcept {
  const auto type = fields.value_or("content-type", "");
  return equal_ignoring_case(trimmed(type.substr(0, type.find(';'))), "text/event-stream");
}

std::size_t answer_head_reader::feed(std::string_view bytes) {
  std::size_t used = 0;
  while (state_ == read_state::more && used < bytes.size()) {
    if (collected_.empty() && bytes[used] != 'H') {
      fail("the upstream's answer is not HTTP");
      break;
    }
    if (collected_.capacity() < usual_bytes)
      collected_.reserve(usual_bytes);
    const auto feed_at = bytes.find('\n', used);
    const auto end = feed_at == bytes.npos ? bytes.size() : feed_at + 1;
    const auto room = head_bytes_max + 1 - collected_.size();
    collected_.append(bytes.substr(used, std::min(end - used, room)));
    used = end;
    if (collected_.size() > head_bytes_max) {
      fail("the upstream's head is larger than 64 KiB");
    } else if (feed_at != bytes.npos && take_line()) {
      parse();
    }
  }
  return used;
}

bool answer_head_reader::take_line() {
  const auto begin = line_begin_;
  const auto end = collected_.size() - 1;
  if (end == begin || collected_[end - 1] != '\r') {
    fail("the upstream's head has a line that ends in LF alone");
    return false;
  }
  const auto line = std::string_view(collected_).substr(begin, end - 1 - begin);
  line_begin_ = collected_.size();
  if (line.empty()) {
    return true;
  }
  if (line.find('\r') != line.npos || line[0] == ' ' || line[0] == '\t') {
    fail("the upstream's head has a folded line or a CR inside a line");
  } else if (lines_++ == fields_max + 1) {
    fail("the upstream's head has more than 200 fields");
  }
  return false;
}

void answer_head_reader::parse() {
  head_.fields.assign(std::move(collected_));
  first_line line;
  if (!tokenize_answer(head_.fields, line)) {
    return fail("the upstream's head is malformed");
  }
  if (line.status == 101 || line.status < 100 || line.status > 599) {
    return fail("the upstream answered with status " + std::to_string(line.status));
  }
  if (line.status < 200) {
    collected_.clear();
    line_begin_ = lines_ = 0;
    head_.fields.clear();
    if (++interim_answers_ > interim_answers_max) {
      fail("the upstream sent more than 8 interim answers");
    }
    return;
  }
  const auto lengths = read_lengths(head_.fields, line.version_minor);
  if (lengths.fault != nullptr) {
    return fail(std::string("the upstream's answer has ") + lengths.fault);
  }
  head_.status = line.status;
  head_.version_minor = line.version_minor;
  head_.content_length = lengths.length;
  if (is_answer_to_head_ || line.status == 204 || line.status == 304) {
    head_.framing = body_framing::none;
  } else if (lengths.chunked) {
    head_.framing = body_framing::chunked;
  } else if (lengths.has_length) {
    head_.framing = lengths.length > 0 ? body_framing::length : body_framing::none;
  } else {
    head_.framing = body_framing::until_close;
  }
  head_.keep_alive =
      head_.framing != body_framing::until_close &&
      !any_list_holds(head_.fields, "connection", "close") &&
      (line.version_minor > 0 || any_list_holds(head_.fields, "connection", "keep-alive"));
  state_ = read_state::done;
}

void answer_head_reader::fail(std::string fault) {
  state_ = read_state::failed;
  fault_ = std::move(fault);
}

void answer_head_reader::reset() {
  *this = answer_head_reader(is_answer_to_head_);
}

} // namespace vorrang::http
