// What was found wrong in a configuration, gathered so that all of it is reported at once.
#pragma once

#include "config/deployment.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {

enum class severity : std::uint8_t {
  warning = 0,
  /// A deployment that cannot be served: a warning at start, an error for `--check-config`.
  left_out = 1,
  error = 2
};

/// One finding: where, which setting, and a sentence that says what was expected.
struct diagnostic {
  severity level = severity::error;
  location where;
  std::string path; ///< e.g. "router_settings.redis_host"; may be empty
  std::string message;
};

/// `config.yaml:12:5: router_settings.redis_host: expected …`, without the severity.
std::string to_text(const diagnostic& value);

/// A place in one of the files being read; cheap to copy, unlike location.
struct position {
  std::uint32_t file = 0; ///< index given by diagnostics::add_file()
  std::uint32_t line = 0; ///< from 1; 0 means nowhere
  std::uint32_t column = 0;
};

/// Gathers findings while files are read. Keeps the first `kept_max` and counts the rest.
class diagnostics {
public:
  static constexpr std::size_t kept_max = 200;

  std::uint32_t add_file(std::string name);
  const std::string& file_name(std::uint32_t file) const { return files_.at(file); }
  location locate(const position& at) const;

  void error(const position& at, const std::string& path, std::string message);
  void warning(const position& at, const std::string& path, std::string message);
  void add(severity level, const position& at, const std::string& path, std::string message);

  bool has_errors() const noexcept { return errors_ > 0; }
  std::size_t dropped() const noexcept { return dropped_; }
  /// What was kept, in order of file, line and column.
  std::vector<diagnostic> take();

private:
  struct entry {
    position at;
    diagnostic value;
  };
  std::vector<std::string> files_;
  std::vector<entry> entries_;
  std::size_t errors_ = 0;
  std::size_t dropped_ = 0;
};

/// For messages: at most `characters_max` of a text on one line, without control characters.
std::string excerpt(std::string_view text, std::size_t characters_max = 40);

} // namespace vorrang::config
