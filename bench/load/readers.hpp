// What comes over a connection, taken apart just as far as the loads need it. What does not look
// like what they expect throws std::runtime_error: a figure made from it would be none.
#pragma once

#include "bench/load/stamped_event.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::bench {

/// Requests or answers with a Content-Length, one after the other.
class message_reader {
public:
  /// How many have become whole by these bytes.
  std::size_t feed(std::string_view bytes);
  /// Whether part of one has come.
  bool is_within() const { return !head_.empty() || is_in_body_; }

private:
  std::string head_;
  std::size_t body_left_ = 0;
  bool is_in_body_ = false;
};

/// One answer that streams events in chunks.
class stream_reader {
public:
  /// Adds what the events that have become whole by these bytes have in them.
  void feed(std::string_view bytes, std::vector<stamps>& found);

  bool has_begun() const { return state_ != state::head; }
  /// Its last event, [DONE], has come, and the end behind it.
  bool is_whole() const { return is_done_ && state_ == state::over; }

private:
  enum class state { head, size, data, data_end, over };

  void begin();
  void take_events(std::vector<stamps>& found);

  state state_ = state::head;
  std::string line_; // the head, or a chunk's size
  std::size_t left_ = 0;
  std::string text_; // events that are not whole
  bool is_done_ = false;
};

} // namespace vorrang::bench
