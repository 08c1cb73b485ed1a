// Splits a stream of server-sent events.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vorrang::http {

/// How many bytes `text` begins with that end no line: neither CR nor LF.
std::size_t line_size(std::string_view text) noexcept;

/// One event as it came.
struct sse_event {
  std::string_view bytes;  ///< all of it, the blank line included
  std::string_view type;   ///< value of the last `event:` line, or empty
  std::string_view data;   ///< of the `data:` lines, joined by line feeds
  bool is_comment = false; ///< nothing but comments and blank lines
  bool is_foreign = false; ///< lines, but none with a field that events have
};

/// Fed with pieces cut anywhere; gives one event at a time. Lines may end in LF, CR LF or CR.
class sse_reader {
public:
  explicit sse_reader(std::size_t event_bytes_max = 16 * 1024 * 1024)
      : event_bytes_max_(event_bytes_max) {}

  void feed(std::string_view piece);
  /// The next whole event, if there is one; its views hold until the next call of any function.
  bool next(sse_event& event);
  /// What came after the last whole event, as an event, if anything did; the stream has ended.
  bool last(sse_event& event);
  /// An event grew beyond the limit: nothing more is given.
  bool too_large() const noexcept { return too_large_; }

private:
  void take(std::size_t end, sse_event& event);

  std::string buffer_;
  std::string data_;
  std::size_t begin_ = 0;   ///< of the event that comes next
  std::size_t scanned_ = 0; ///< bytes of it already looked at
  std::size_t event_bytes_max_;
  bool line_is_empty_ = true;
  bool too_large_ = false;
};

} // namespace vorrang::http
