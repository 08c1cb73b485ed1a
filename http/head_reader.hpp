// The door: collects a request's head and lets in only what can be read in one way.
#pragma once

#include "http/our_error.hpp"
#include "http/request_head.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace vorrang::http {

enum class read_state : std::uint8_t { more, done, failed };

/// Fed with bytes as they arrive, cut anywhere. It collects up to the empty line, takes the
/// head apart once, and applies the rules of the door (api.md): a head that
/// two servers could read differently is refused, never repaired. No clock: whoever feeds it
/// watches the 10 s.
class head_reader {
public:
  static constexpr std::size_t head_bytes_max = 32 * 1024;
  static constexpr std::size_t fields_max = 100;
  /// Empty lines tolerated before the request line (RFC 9112, 2.2).
  static constexpr std::size_t blank_lines_max = 2;

  /// Takes bytes of the head and returns how many it took: all of them while state() is `more`;
  /// when it becomes `done` the rest belongs to the body or to the next request. Takes nothing
  /// once it is `done` or `failed`.
  std::size_t feed(std::string_view bytes);

  read_state state() const noexcept { return state_; }
  /// Whether any byte of a request has come (an idle connection may be closed without an answer).
  bool has_begun() const noexcept { return state_ != read_state::more || !collected_.empty(); }
  /// Bytes collected while it is not `done`, at most head_bytes_max + 1.
  std::size_t size() const noexcept { return collected_.size(); }

  /// Valid when `done`, until reset().
  const request_head& head() const noexcept { return head_; }
  request_head take_head() { return std::move(head_); }
  /// Valid when `failed`. The connection is to be closed after the answer.
  const http::fault& error() const noexcept { return error_; }

  /// Ready for the next request of the connection.
  void reset();

private:
  void fail(our_error code, const char* message);
  bool take_line();
  void parse();

  std::string collected_;
  std::size_t line_begin_ = 0;
  std::size_t lines_ = 0;
  std::size_t blank_lines_ = 0;
  read_state state_ = read_state::more;
  request_head head_;
  http::fault error_;
};

} // namespace vorrang::http
