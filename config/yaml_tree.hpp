// A YAML document as a tree in which every key and value knows its place.
#pragma once

#include "config/diagnostic.hpp"
#include "config/yaml_scalar.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {

struct node;
using node_ptr = std::shared_ptr<node>;

/// One key of a mapping with its value.
struct mapping_entry {
  std::string key;
  position at; ///< of the key
  node_ptr value;
};

/// A value. Anchored nodes are shared by their aliases, so the tree is a graph without cycles.
struct node {
  node_type type = node_type::null;
  position at;
  std::string text;                   ///< scalars: as written, after quotes and escapes
  bool quoted = false;                ///< scalars: always text then
  std::string variable;               ///< came from `os.environ/<variable>`
  std::vector<node_ptr> items;        ///< sequences
  std::vector<mapping_entry> entries; ///< mappings: each key once, merge keys resolved

  /// The value of a key, or nullptr.
  const mapping_entry* find(std::string_view key) const;
  bool is_scalar() const { return type != node_type::sequence && type != node_type::mapping; }
};

/// Limits on one file.
inline constexpr std::size_t yaml_bytes_max = std::size_t{8} << 20;
inline constexpr std::size_t yaml_depth_max = 64;
inline constexpr std::size_t yaml_nodes_max = 500'000; ///< aliases counted as often as used

/// Reads one document as PyYAML's safe_load would: YAML 1.1 scalars, merge keys, the last of
/// duplicate keys (with a warning). A key without its colon is reported as such, and the rest is
/// read as if the colon stood there. Everything wrong goes to `out`; the result is nullptr if
/// nothing could be read, and then there is at least one error.
node_ptr parse_yaml(const std::string& text, std::uint32_t file, diagnostics& out);

/// "text", "a whole number", "a list" …, for messages.
std::string_view describe(node_type type);
/// `the number 5`, `"abc"`, `a list`, for messages.
std::string describe(const node& value);

} // namespace vorrang::config
