// Reads LiteLLM's config.yaml into settings.
#pragma once

#include "config/diagnostic.hpp"
#include "config/environment.hpp"
#include "config/settings.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {

/// Settings, and everything that was found wrong on the way to them. With errors the settings
/// hold what could be understood, for printing only: never serve them.
struct read_result {
  config::settings settings;
  std::vector<diagnostic> diagnostics; ///< in order of file, line and column
  std::size_t diagnostics_dropped = 0; ///< beyond the first 200

  /// Whether there is an error; the process exits with status 2 then.
  bool has_errors() const;
  /// Stricter: also no deployment was left out. What `--check-config` exits 0 for.
  bool passes_check() const;
};

/// Reads a file and what it includes. Never throws for what is in them; a file that cannot be
/// read is an error like any other.
read_result read_file(const std::string& path, const environment& variables);

/// Reads a text; `name` stands for the file in messages, and `include` is relative to its folder.
read_result read_text(std::string_view text, const std::string& name, const environment& variables);

} // namespace vorrang::config
