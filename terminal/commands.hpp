// The operator's commands: `vorrang queue`, `vorrang why` …
#pragma once

#include "config/environment.hpp"

#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::terminal {

/// Whether the first argument of the command line asks for one of them.
bool is_command(std::string_view argument);

/// What a command needs of the program.
struct command_context {
  config::environment variables;
  std::ostream& out;
  std::ostream& errors;
  /// `out` is a terminal, and colour is wanted there.
  bool is_terminal = false;
  bool is_coloured = false;
  /// Says what a configuration file means, as `--check-config` does, and returns its exit status.
  std::function<int(const std::string& file)> check = nullptr;
};

/// The context of this process: stdout and stderr, NO_COLOR, its variables.
command_context process_context(std::function<int(const std::string& file)> check);

/// Ends what was printed. The status; 1 with a message, if all was well but that not all of it
/// could be written.
int when_written(int status, std::ostream& out, std::ostream& errors);

/// Runs the command that `line` begins with. The exit status: 0 done; 1 failed, and a message says
/// what to do; 2 wrong usage or a bad configuration.
int run_command(const std::vector<std::string>& line, const command_context& context);

} // namespace vorrang::terminal
