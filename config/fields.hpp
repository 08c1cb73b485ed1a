// Reading one mapping key by key: types, ranges, and what was not asked for.
#pragma once

#include "config/diagnostic.hpp"
#include "config/secret.hpp"
#include "config/setting_table.hpp"
#include "config/yaml_tree.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {

/// Reads the keys of one mapping. A key whose value is null counts as absent. Every getter
/// reports a value of the wrong type or range as an error at the key and returns nothing; numbers
/// and booleans may be quoted. The known keys are those of setting_table.hpp: finish() warns about
/// the rest, and a getter that is asked for one that is not there throws std::logic_error.
class fields {
public:
  /// A null `map` reads as an empty mapping. The mapping and `out` must outlive this.
  fields(const node* map, section where, std::string path, diagnostics& out);

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
  /// Whether the key is a setting that is supported here.
  bool is_known(std::string_view key) const;
  /// The settings that are supported here.
  std::vector<std::string_view> known() const;

  /// Warns about every key that is not supported, or no setting at all.
  void finish() const;
  /// The same of a mapping in which other keys have a meaning: only about what is not supported.
  void finish_open() const;

private:
  void warn_unsupported(const mapping_entry& entry, std::string_view why) const;
  void wrong(const mapping_entry& entry, std::string_view expected);

  const node* map_;
  section where_;
  std::string path_;
  diagnostics& out_;
};

/// The texts of a node that is a list of texts or a single one; `allow_numbers` takes numbers as
/// they are written. Reports what is neither, at `at`.
std::optional<std::vector<std::string>> read_texts(const node& value, const position& at,
                                                   const std::string& path, diagnostics& out,
                                                   bool allow_numbers = false);

} // namespace vorrang::config
