// Checks one JSON document as it arrives and remembers where its top-level members stand.
#pragma once

#include "http/text_meter.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vorrang::http {

/// Bytes [begin, end) of a document.
struct byte_range {
  std::size_t begin = 0;
  std::size_t end = 0;

  std::string_view of(std::string_view document) const noexcept {
    return document.substr(begin, end - begin);
  }
};

/// A member of the outermost object.
struct json_member {
  byte_range key;   ///< with its quotes, still escaped
  byte_range value; ///< without blanks around it
  json_kind kind = json_kind::null;
  bool key_is_escaped = false; ///< the key holds a backslash
};

/// Why a document was refused.
enum class json_fault : std::uint8_t {
  none = 0,
  syntax = 1,
  bad_utf8 = 2,
  too_deep = 3,
  after_the_end = 4,   ///< something other than blanks after the document
  cut_off = 5,         ///< it ended too early
  too_many_members = 6 ///< of the outermost object
};

/// A sentence for people, without a full stop.
std::string_view to_string(json_fault fault) noexcept;

/// Resumable at any byte: feed() may be called after any number of bytes, also to give turns to
/// others in between (10 µs for 16 KiB of text). Validates all of RFC 8259: UTF-8, escapes,
/// numbers, nesting. Escaped surrogates may stand alone, as its grammar has it (section 8.2):
/// models that cut a text between two tokens send them. Refuses two things that RFC 8259 allows:
/// more than depth_max levels, and more than members_max members of the outermost object.
class body_scanner {
public:
  /// Whether the text of a request is counted on the way.
  enum class measuring : std::uint8_t { no, yes };

  static constexpr std::size_t depth_max = 256;
  static constexpr std::size_t members_max = 4096;

  /// Whether bytes that are not UTF-8 are let through in strings: a provider's text is passed on as
  /// it is, and some cut it in the middle of a character.
  enum class encoding : std::uint8_t { utf8, any };

  explicit body_scanner(measuring wanted = measuring::no, encoding texts = encoding::utf8)
      : any_bytes_(texts == encoding::any) {
    if (wanted == measuring::yes)
      meter_.emplace();
  }

  /// The document as far as it has come: what was there before must be unchanged, though it may
  /// have moved. False once it is refused (the rest is then ignored).
  bool feed(std::string_view document);
  /// No more bytes will come. Whether it is one valid document.
  bool finish();

  json_fault fault() const noexcept { return fault_; }
  /// Where the fault was found, counted in bytes from the beginning.
  std::size_t fault_at() const noexcept { return fault_at_; }
  /// Bytes seen.
  std::size_t size() const noexcept { return offset_; }
  /// What the document is; only after finish().
  json_kind root_kind() const noexcept { return root_kind_; }
  /// The document without blanks around it; only after finish().
  byte_range root() const noexcept { return root_; }
  /// In order of the document; duplicates stay.
  const std::vector<json_member>& members() const noexcept { return members_; }

  /// The text of a request; nothing where it is not measured.
  text_measure text() const noexcept { return meter_ ? meter_->measure() : text_measure{}; }

  /// For another document. Measures no more.
  void reset();

private:
  enum class state : std::uint8_t {
    value,
    array_first,
    object_first,
    object_key,
    colon,
    after_value,
    string,
    escape,
    hex,
    utf8,
    minus,
    zero,
    integer,
    dot,
    fraction,
    exponent,
    exponent_sign,
    exponent_digits,
    literal
  };
  bool refuse(json_fault fault, std::size_t at);
  bool begin_value(char byte, std::size_t at);
  bool begin_key(std::size_t at);
  bool open(bool object, std::size_t at);
  bool close(bool object, std::size_t at);
  bool next_in_container(char byte, std::size_t at);
  bool end_string(std::size_t at);
  bool begin_utf8(unsigned char byte, std::size_t at);
  bool take_escape(char byte, std::size_t at);
  bool take_hex(char byte, std::size_t at);
  bool take_number(char byte, std::size_t at, bool& taken);
  void end_value(std::size_t end);
  bool in_object() const noexcept;
  bool at_top_member() const noexcept { return depth_ == 1 && (is_object_[0] & 1U) != 0; }

  void scalar_ends(json_kind kind, std::size_t end);
  void count_escape(std::size_t end);
  std::string_view token(std::size_t end) const noexcept {
    return {document_ + token_at_, end - token_at_};
  }

  std::vector<json_member> members_;
  std::optional<text_meter> meter_;
  const char* document_ = nullptr;               ///< during feed()
  std::uint64_t is_object_[depth_max / 64] = {}; ///< a bit a level
  std::size_t depth_ = 0;
  std::size_t offset_ = 0;
  std::size_t fault_at_ = 0;
  byte_range root_;
  std::size_t token_at_ = 0;  ///< where the string, number or literal began
  std::size_t saved_ = 0;     ///< bytes by which its escapes are longer than what they stand for
  std::size_t high_ends_ = 0; ///< where the last escape that is a high surrogate ended
  const char* literal_ = nullptr;
  std::uint32_t unicode_ = 0;
  state state_ = state::value;
  std::uint8_t hex_digits_ = 0;
  bool any_bytes_;
  std::uint8_t utf8_left_ = 0;
  std::uint8_t utf8_low_ = 0x80; ///< what the next byte of a sequence may be
  std::uint8_t utf8_high_ = 0xBF;
  bool in_key_ = false;
  json_kind root_kind_ = json_kind::null;
  json_fault fault_ = json_fault::none;
};

} // namespace vorrang::http
