#include "bench/load/stamped_event.hpp"

#include <charconv>
#include <cstdio>

namespace vorrang::bench {

namespace {

constexpr std::size_t digits = 16;
constexpr std::size_t stamps_size = 2 * digits + 1; // with a dash between
constexpr char mark = '@';                          // stands nowhere else in an event

void write_hex(char* to, std::uint64_t number) {
  for (std::size_t i = digits; i > 0; --i, number >>= 4)
    to[i - 1] = "0123456789abcdef"[number & 15];
}

bool read_hex(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

} // namespace

std::string event_chunk(const std::string& delta) {
  const std::string event =
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,)"
      R"("model":"up","choices":[{"index":0,"delta":)" +
      delta + R"(,"finish_reason":null}]})" + "\n\n";
  char size[2 * sizeof(std::size_t) + 1] = {};
  std::snprintf(size, sizeof size, "%zx", event.size());
  return std::string(size) + "\r\n" + event + "\r\n";
}

stamped_event::stamped_event()
    : text_(event_chunk(R"({"content":")" + (mark + std::string(stamps_size, '-')) + "\"}")),
      place_(text_.find(mark) + 1) {}

std::string_view stamped_event::with(const stamps& times) {
  write_hex(text_.data() + place_, times.due_ns);
  write_hex(text_.data() + place_ + digits + 1, times.written_ns);
  return text_;
}

bool find_stamps(std::string_view event, stamps& found) {
  const auto at = event.find(mark);
  if (at == std::string_view::npos || event.size() < at + 1 + stamps_size)
    return false;
  const auto text = event.substr(at + 1, stamps_size);
  return text[digits] == '-' && read_hex(text.substr(0, digits), found.due_ns) &&
         read_hex(text.substr(digits + 1), found.written_ns);
}

std::uint64_t pace::events_before(std::uint64_t ns) const {
  auto count = static_cast<std::uint64_t>(static_cast<double>(ns) * events_a_second *
                                          static_cast<double>(streams) / 1e9);
  // What division leaves over, in either direction.
  while (count > 0 && due_ns(count - 1) >= ns)
    --count;
  while (due_ns(count) < ns)
    ++count;
  return count;
}

} // namespace vorrang::bench
