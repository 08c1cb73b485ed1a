// Heads as bytes. Nothing that could end a line gets into one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vorrang::http {

/// A field's name: one or more token characters (RFC 9110, 5.6.2).
bool is_field_name(std::string_view name) noexcept;
/// A field's value: no control characters but tab. Bytes from 0x80 are allowed.
bool is_field_value(std::string_view value) noexcept;
/// Ends with the connection it came by: neither way is it passed on.
bool is_hop_by_hop(std::string_view name) noexcept;

/// Appends `<prefix><name>: <value>` and the line's end, as they are.
void append_field_line(std::string& to, std::string_view prefix, std::string_view name,
                       std::string_view value);

/// Writes one head. Fields that break the rules are left out: a head is never malformed.
class head_text {
public:
  /// `HTTP/1.1 200 OK`; a status outside 100–999 becomes 500.
  static head_text of_answer(unsigned status);
  /// `POST /v1/chat/completions HTTP/1.1`. A target with blanks or control characters becomes `/`.
  static head_text of_request(std::string_view method, std::string_view target);

  /// False if it was left out.
  bool add(std::string_view name, std::string_view value);
  /// A field that keeps the rules for certain: a name of ours, a value of ours or one that a reader
  /// has let in.
  void add_known(std::string_view name, std::string_view value);
  void add_known(std::string_view name, std::uint64_t value);
  /// Whole lines of such fields.
  void add_lines(std::string_view lines) { text_ += lines; }
  /// The head with its empty line; the object is used up.
  std::string finish() &&;

private:
  std::string text_;
};

/// `OK`, `Not Found` …; empty for statuses without a phrase.
std::string_view reason_phrase(unsigned status) noexcept;

} // namespace vorrang::http
