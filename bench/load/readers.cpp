#include "bench/load/readers.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <stdexcept>

namespace vorrang::bench {

namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::size_t head_bytes_max = 32 * 1024;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char each) { return static_cast<char>(std::tolower(each)); });
  return text;
}

/// Moves bytes into a head until it ends; true once it has.
bool fill_head(std::string& head, std::string_view& bytes) {
  const auto before = head.size();
  head += bytes;
  const auto end = head.find(head_end);
  if (end == std::string::npos) {
    if (head.size() > head_bytes_max)
      throw std::runtime_error("a head without an end");
    bytes = {};
    return false;
  }
  head.resize(end + head_end.size());
  bytes.remove_prefix(head.size() - before);
  return true;
}

std::optional<std::string> field(const std::string& head, const std::string& name) {
  const auto all = lower(head);
  const auto at = all.find("\r\n" + name + ":");
  if (at == std::string::npos)
    return std::nullopt;
  const auto begin = all.find_first_not_of(' ', at + name.size() + 3);
  return all.substr(begin, all.find("\r\n", begin) - begin);
}

std::size_t number(std::string_view text, int base) {
  std::size_t found = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), found, base);
  if (error != std::errc{} || end == text.data())
    throw std::runtime_error("no number: " + std::string(text));
  return found;
}

} // namespace

std::size_t message_reader::feed(std::string_view bytes) {
  std::size_t whole = 0;
  while (!bytes.empty()) {
    if (!is_in_body_) {
      if (!fill_head(head_, bytes))
        break;
      if (field(head_, "transfer-encoding"))
        throw std::runtime_error("a message in chunks: " + head_);
      const auto length = field(head_, "content-length");
      body_left_ = length ? number(*length, 10) : 0;
      is_in_body_ = true;
      head_.clear();
    }
    const auto taken = std::min(body_left_, bytes.size());
    bytes.remove_prefix(taken);
    body_left_ -= taken;
    if (body_left_ == 0) {
      is_in_body_ = false;
      ++whole;
    }
  }
  return whole;
}

void stream_reader::begin() {
  if (!line_.starts_with("HTTP/1.1 200 "))
    throw std::runtime_error("a stream was answered: " + line_);
  if (field(line_, "transfer-encoding") != "chunked")
    throw std::runtime_error("a stream without chunks: " + line_);
  line_.clear();
  state_ = state::size;
}

void stream_reader::feed(std::string_view bytes, std::vector<stamps>& found) {
  if (state_ == state::head) {
    if (!fill_head(line_, bytes))
      return;
    begin();
  }
  while (!bytes.empty() && state_ != state::over) {
    switch (state_) {
    case state::size: {
      const auto end = bytes.find('\n');
      line_ += bytes.substr(0, end);
      if (end == std::string_view::npos)
        return;
      bytes.remove_prefix(end + 1);
      left_ = number(line_, 16);
      line_.clear();
      state_ = left_ == 0 ? state::over : state::data;
      break;
    }
    case state::data: {
      const auto taken = std::min(left_, bytes.size());
      text_ += bytes.substr(0, taken);
      bytes.remove_prefix(taken);
      left_ -= taken;
      if (left_ == 0)
        state_ = state::data_end;
      take_events(found);
      break;
    }
    case state::data_end: // behind the data stands CR LF
      if (bytes.front() == '\n')
        state_ = state::size;
      bytes.remove_prefix(1);
      break;
    case state::head:
    case state::over:
      break;
    }
  }
}

void stream_reader::take_events(std::vector<stamps>& found) {
  std::size_t begin = 0;
  for (;;) {
    const auto end = text_.find("\n\n", begin);
    if (end == std::string::npos)
      break;
    const auto event = std::string_view(text_).substr(begin, end - begin);
    if (stamps times; find_stamps(event, times))
      found.push_back(times);
    else if (event == "data: [DONE]")
      is_done_ = true;
    begin = end + 2;
  }
  text_.erase(0, begin);
}

} // namespace vorrang::bench
