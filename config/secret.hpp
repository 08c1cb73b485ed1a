// A string that never prints itself.
#pragma once

#include <iosfwd>
#include <string>
#include <utility>

namespace vorrang::config {

/// Holds a key or a password. Printing and `masked()` show at most its last four characters, and
/// those only of secrets long enough to keep the rest unguessable; `reveal()` is the one way to
/// the text itself.
class secret {
public:
  secret() = default;
  explicit secret(std::string text) : text_(std::move(text)) {}

  /// The text itself. For the wire and for comparison, never for a log.
  const std::string& reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }
  /// `****abcd`, or `****` for fewer than 12 characters, or an empty string for no secret.
  std::string masked() const;

  friend bool operator==(const secret& a, const secret& b) noexcept { return a.text_ == b.text_; }
  friend bool operator!=(const secret& a, const secret& b) noexcept { return !(a == b); }
  friend std::ostream& operator<<(std::ostream& out, const secret& value);

private:
  std::string text_;
};

} // namespace vorrang::config
