// An answer of ours to a client, before it becomes bytes.
#pragma once

#include "http/our_error.hpp"

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vorrang::http {

/// Field name and value, as sent: views into the list they come from.
struct header_field {
  std::string_view name;
  std::string_view value;
};

/// The fields of an answer, kept as the lines they become.
class header_fields {
public:
  header_fields() = default;
  header_fields(std::initializer_list<header_field> fields);

  /// `name` is a token. Left out are values with control characters, so that a head is never
  /// malformed, and names that frame a body (`Content-Length`) or end with their connection.
  void add(std::string_view name, std::string_view value);
  void add(std::string_view name, std::int64_t value);
  /// A field that a reader and is_hop_by_hop() have let in, its name in two parts.
  void add_read(std::string_view prefix, std::string_view name, std::string_view value);
  /// Every field of `other`.
  void append(const header_fields& other) { lines_ += other.lines_; }

  bool empty() const noexcept { return lines_.empty(); }
  /// `name: value\r\n` for each.
  std::string_view lines() const noexcept { return lines_; }

  class iterator {
  public:
    using value_type = header_field;
    using reference = header_field;
    using pointer = void;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;

    explicit iterator(std::string_view rest) noexcept : rest_(rest) {}
    header_field operator*() const noexcept;
    iterator& operator++() noexcept;
    bool operator==(const iterator& other) const noexcept {
      return rest_.size() == other.rest_.size();
    }
    bool operator!=(const iterator& other) const noexcept { return !(*this == other); }

  private:
    std::string_view rest_;
  };
  iterator begin() const noexcept { return iterator(lines_); }
  iterator end() const noexcept { return iterator({}); }

private:
  std::string lines_;
};

/// The same as pairs.
std::vector<std::pair<std::string, std::string>> to_pairs(const header_fields& fields);

/// A whole answer. The connection adds `Content-Length`, `Connection` and `Date`, and leaves the
/// body out of answers to HEAD.
struct reply {
  std::uint16_t status = 200;
  header_fields fields;
  std::string body;
  /// The connection is closed once this is written.
  bool close = false;
  /// Which of our errors it is, for metrics; none: it is no error, or an upstream's.
  our_error why = our_error::none;
};

/// The value of the first field of this name, in any case; an empty view if there is none.
std::string_view find_field(const header_fields& fields, std::string_view name) noexcept;

} // namespace vorrang::http
