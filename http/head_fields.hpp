// The fields of a head, as views into the head's own bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vorrang::http {

/// Whether two texts are equal but for the case of ASCII letters. Inlined: nearly all names are
/// told apart by their length or first letter.
inline bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char byte) {
    return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
  };
  if (a.size() != b.size())
    return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
      return false;
  return true;
}

/// The value without spaces and tabs around it.
std::string_view trimmed(std::string_view text) noexcept;

/// Whether a comma-separated list holds `word`, in any case.
bool list_holds(std::string_view list, std::string_view word) noexcept;

/// Owns the bytes of a head and says where each field stands. Views it returns live as long as it
/// does and is neither moved nor changed.
class head_fields {
public:
  struct field {
    std::string_view name;  ///< as it was written
    std::string_view value; ///< without the blanks around it
  };

  std::size_t size() const noexcept { return places_.size(); }
  field operator[](std::size_t index) const noexcept;
  /// Whether the field at `index` has this name, in any case.
  bool is_named(std::size_t index, std::string_view name) const noexcept {
    // Lengths first: most fields are told apart without touching their bytes.
    return places_[index].name_size == name.size() &&
           equal_ignoring_case((*this)[index].name, name);
  }

  /// The first field of this name (any case). `count()` tells whether there are more.
  std::optional<std::string_view> find(std::string_view name) const noexcept;
  /// The value of the first field of this name, or `otherwise`.
  std::string_view value_or(std::string_view name, std::string_view otherwise) const noexcept;
  bool has(std::string_view name) const noexcept { return find(name).has_value(); }
  std::size_t count(std::string_view name) const noexcept;

  /// All bytes of the head, the empty line included.
  std::string_view text() const noexcept { return text_; }

  /// For readers and tests: takes the bytes; fields are then added as parts of `text()`.
  void assign(std::string text);
  void clear() noexcept;
  /// Both views must lie within text().
  void add(std::string_view name, std::string_view value);

private:
  struct place {
    std::uint32_t name_at, name_size, value_at, value_size;
  };
  std::string text_;
  std::vector<place> places_;
};

/// Fields from pairs, for tests and for upstream-like answers made by ourselves.
head_fields make_fields(const std::vector<std::pair<std::string, std::string>>& pairs);

} // namespace vorrang::http
