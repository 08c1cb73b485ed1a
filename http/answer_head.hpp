// The head of an upstream's answer.
#pragma once

#include "http/head_fields.hpp"
#include "http/head_reader.hpp"
#include "http/request_head.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace vorrang::http {

struct answer_head {
  /// 200 to 599; 1xx are skipped by the reader.
  unsigned status = 0;
  unsigned version_minor = 1;
  /// The connection can carry another request once the body is read whole.
  bool keep_alive = true;
  body_framing framing = body_framing::none;
  std::uint64_t content_length = 0;
  head_fields fields;

  bool is_event_stream() const noexcept;
};

/// Reads an answer's head, cut anywhere. Skips 1xx but 101, which is an error, as are transfer
/// codings other than `chunked`, two lengths, a head over 64 KiB or 200 fields, and heads that
/// come after more than eight 1xx.
class answer_head_reader {
public:
  static constexpr std::size_t head_bytes_max = 64 * 1024;
  static constexpr std::size_t fields_max = 200;
  static constexpr unsigned interim_answers_max = 8;

  /// For answers to `HEAD`: then no body follows.
  explicit answer_head_reader(bool is_answer_to_head = false)
      : is_answer_to_head_(is_answer_to_head) {}

  /// As head_reader::feed().
  std::size_t feed(std::string_view bytes);
  read_state state() const noexcept { return state_; }
  /// Whether any byte came: an upstream that closes before it may be asked again.
  bool has_begun() const noexcept {
    return state_ != read_state::more || interim_answers_ > 0 || !collected_.empty();
  }
  const answer_head& head() const noexcept { return head_; }
  answer_head take_head() { return std::move(head_); }
  /// What came instead of an answer, for the log and for the message of a 502.
  const std::string& fault() const noexcept { return fault_; }
  void reset();

private:
  void fail(std::string fault);
  bool take_line();
  void parse();

  bool is_answer_to_head_;
  std::string collected_;
  std::size_t line_begin_ = 0;
  std::size_t lines_ = 0;
  unsigned interim_answers_ = 0;
  read_state state_ = read_state::more;
  answer_head head_;
  std::string fault_;
};

} // namespace vorrang::http
