// What came of reading the configuration again.
#pragma once

#include <string>
#include <vector>

namespace vorrang::http {

/// Nothing has changed unless `errors` is empty. Each line as at the start:
/// `config.yaml:12:5: router_settings.redis_host: expected …`.
struct reload_report {
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
  /// The gateway is shutting down, and reads nothing any more.
  bool is_late = false;

  bool is_done() const noexcept { return errors.empty() && !is_late; }
};

} // namespace vorrang::http
