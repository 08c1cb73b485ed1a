// What the command line and its variables ask for.
#pragma once

#include "config/environment.hpp"
#include "http/log.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vorrang::http {

struct command_line {
  std::string config_file;
  /// Absent: 0.0.0.0 when a key is configured, else 127.0.0.1.
  std::optional<std::string> host;
  std::uint16_t port = 4000;
  /// 0: one for each core.
  std::size_t threads = 0;
  /// Absent: as the configuration says, else info.
  std::optional<log_level> level;
  /// Absent: as `litellm_settings.json_logs` says, else text.
  std::optional<log_format> format;
  /// `--access-log`: a file, or `-` for stdout; empty: none.
  std::string access_log;
  std::optional<std::chrono::milliseconds> request_timeout;
  bool check_config = false;
  /// `--ssl_certfile_path` and `--ssl_keyfile_path`: both, or none.
  std::string tls_certificate;
  std::string tls_key;

  /// Flags that were ignored, a sentence each.
  std::vector<std::string> warnings;

  /// Set: print this (to stderr unless the status is 0) and exit.
  std::optional<int> exit_status;
  std::string text;
};

/// Never throws. `arguments` without the program's name.
command_line read_command_line(std::vector<std::string> arguments,
                               const config::environment& variables);

/// `debug`, `info`, `warning`, `error`, and what LiteLLM and Python call them, in any case.
std::optional<log_level> read_log_level(std::string name);

} // namespace vorrang::http
