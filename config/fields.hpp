// Reading one mapping key by key: types, ranges, and what was not asked for.
#pragma once

#include "config/diagnostic.hpp"
#include "config/known_keys.hpp"
#include "config/secret.hpp"
#include "config/yaml_tree.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {

/// Seconds in a configuration are at most 30 days.
inline constexpr double seconds_max = 30.0 * 24 * 3600;

/// Reads the keys of one mapping. A key whose value is null counts as absent. Every getter
/// reports a value of the wrong type or range as an error at the key and returns nothing; numbers
/// and booleans may be quoted. Keys asked for are the known ones: finish() warns about the rest.
class fields {
public:
  /// A null `map` reads as an empty mapping. The mapping and `out` must outlive this.
  fields(const node* map, std::string path, diagnostics& out);

  /// The entry itself, or nullptr if it is absent or null.
  const mapping_entry* take(std::string_view key);
  /// Whether the key names a variable that is not set (reported already).
  bool names_unset_variable(std::string_view key) const;

  std::optional<std::string> text(std::string_view key);
  /// Text, or a number or boolean as it is written.
  std::optional<std::string> text_or_number(std::string_view key);
  /// As text(); messages never show the value.
  std::optional<secret> secret_text(std::string_view key, bool numbers_too = false);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::int64_t> whole(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<double> real(std::string_view key, double least, double most);
  /// Seconds, whole or not, rounded to milliseconds; 1 ms at least unless it is 0.
  std::optional<milliseconds> seconds(std::string_view key, bool zero_is_allowed);
  /// A list of texts; a single text is a list of one.
  std::optional<std::vector<std::string>> texts(std::string_view key);
  const node* mapping(std::string_view key);
  const node* sequence(std::string_view key);

  std::optional<std::uint32_t> count(std::string_view key, std::int64_t most = 1'000'000);
  std::optional<std::int32_t> int32(std::string_view key);
  /// A limit: from 0 to 10^15.
  std::optional<std::uint64_t> limit(std::string_view key);

  void error(std::string_view key, std::string message);
  void warning(std::string_view key, std::string message);
  std::string path_to(std::string_view key) const;
  position place_of(std::string_view key) const;
  const std::string& path() const noexcept { return path_; }
  /// Makes a key known without reading it.
  void know(std::string_view key) { known_.push_back(key); }
  bool is_known(std::string_view key) const;
  const std::vector<std::string_view>& known() const noexcept { return known_; }

  /// Warns about every key that was not asked for.
  void finish(section where);

private:
  void wrong(const mapping_entry& entry, std::string_view expected);

  const node* map_;
  std::string path_;
  diagnostics& out_;
  std::vector<std::string_view> known_;
};

/// The texts of a node that is a list of texts or a single one; `allow_numbers` takes numbers as
/// they are written. Reports what is neither, at `at`.
std::optional<std::vector<std::string>> read_texts(const node& value, const position& at,
                                                   const std::string& path, diagnostics& out,
                                                   bool allow_numbers = false);

} // namespace vorrang::config
