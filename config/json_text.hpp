// A value of the configuration as JSON text.
#pragma once

#include "config/yaml_tree.hpp"

#include <string>

namespace vorrang::config {

/// The value as JSON, in the order of the file. Keys are their text; `.inf` and `.nan`, which
/// JSON lacks, become null; whole numbers beyond 64 bits become real ones.
std::string to_json_text(const node& value);

/// Builds an object key by key.
class json_object {
public:
  void add(std::string_view key, const node& value);
  /// The object as text, `{}` if nothing was added.
  std::string text() const { return text_.empty() ? "{}" : "{" + text_ + "}"; }

private:
  std::string text_;
};

} // namespace vorrang::config
