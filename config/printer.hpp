// What `vorrang --check-config` prints.
#pragma once

#include "config/reader.hpp"

#include <iosfwd>

namespace vorrang::config {

/// Everything that was understood, in plain lines: groups with their deployments, limits and
/// fallbacks, aliases, the router's and the gateway's settings. Secrets are masked.
void print_settings(std::ostream& out, const settings& all);

/// One line for each finding, `error: ` or `warning: ` before it. With `left_out_is_error`, as
/// --check-config has it, deployments that cannot be served are errors.
void print_diagnostics(std::ostream& out, const read_result& result, bool left_out_is_error);

/// Both, and a last line that counts: what `--check-config` prints. True if the check passes.
bool print_check(std::ostream& out, const read_result& result);

} // namespace vorrang::config
