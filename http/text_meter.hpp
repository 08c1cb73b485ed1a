// How much text a request holds, counted while its body is scanned.
#pragma once

#include "http/json_string.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vorrang::http {

enum class json_kind : std::uint8_t { object, array, string, number, boolean, null };

/// What the estimate of tokens rests on (spec, "tpm").
struct text_measure {
  std::uint64_t text_bytes = 0;     ///< of unescaped UTF-8; a token id in a prompt counts four
  std::uint64_t non_text_parts = 0; ///< images, audio, files
};

/// Told of each value of a request's body, in order, it measures `messages`, `prompt`, `input`,
/// `system`, `instructions` and tools. It takes a value when that is over, so a body of many
/// megabytes is measured piece by piece, as it arrives. Bounded: content is followed seven levels
/// deep; what lies below counts as it is written.
class text_meter {
public:
  /// An object or array begins at byte `at`.
  void open(bool object, std::size_t at);
  /// The innermost one ends; `end` is behind its last byte.
  void close(std::size_t end);
  /// The name of the member whose value comes next, with its quotes.
  void key(std::string_view quoted);
  /// A string, with its quotes, of which escapes are `saved` bytes longer than what they stand for.
  void string(std::string_view quoted, std::size_t saved);
  /// A number, boolean or null, of so many bytes.
  void scalar(json_kind kind, std::size_t size);

  const text_measure& measure() const noexcept { return measure_; }

private:
  /// What a value counts for.
  enum class meaning : std::uint8_t {
    nothing,
    as_written, ///< each of its bytes
    content,    ///< its texts and parts
    type        ///< whether its object is text
  };
  /// An object or array whose inside is looked at.
  struct level {
    bool object = false;
    bool is_text = true; ///< no `type` says image, audio, file …
    text_measure before; ///< when it began: what counts if it is none
  };
  static constexpr std::size_t levels_max = 7;

  static meaning of_request(std::string_view key);
  static meaning of_part(std::string_view key);
  meaning next_meaning() const noexcept;
  bool is_root() const noexcept { return depth_ == 0; }

  text_measure measure_;
  std::array<level, levels_max + 1> levels_{};
  std::size_t depth_ = 0;   ///< levels that are open, less the outermost object
  std::size_t skipped_ = 0; ///< objects and arrays open below them
  std::size_t skipped_at_ = 0;
  meaning next_ = meaning::nothing;
  meaning skipped_means_ = meaning::nothing;
  bool begun_ = false;
};

} // namespace vorrang::http
