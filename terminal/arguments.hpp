// The command lines of the operator's commands.
#pragma once

#include "config/environment.hpp"
#include "terminal/admin_client.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::terminal {

enum class verb : std::uint8_t { top, queue, bump, cancel, why, reload, check, init };

/// The names of the commands, in the order of the manual.
const std::vector<std::string>& command_names();

/// What is asked for.
struct arguments {
  verb asked = verb::queue;
  admin_address where;
  /// The master key, from the environment alone: a command line is there for everybody to see.
  std::optional<admin_key> key;
  std::string model;
  std::string id;
  std::int32_t priority = 0;
  std::uint64_t offset = 0;
  std::uint32_t limit = 100;
  bool json = false;
  bool force = false;
  std::string file;

  /// Set: print this (to stderr unless the status is 0) and exit.
  std::optional<int> exit_status;
  std::string text;
};

/// Never throws. `line` begins with one of command_names(). Wrong usage has status 2.
arguments read_arguments(std::vector<std::string> line, const config::environment& variables);

} // namespace vorrang::terminal
