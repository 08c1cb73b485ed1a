// `vorrang top`: the queues live, on a terminal.
#pragma once

#include "terminal/admin_client.hpp"
#include "terminal/commands.hpp"

#include <optional>
#include <string>

namespace vorrang::terminal {

/// Runs until the operator quits. Wants a terminal that can move its cursor, and leaves it as it
/// was: at the end, at an exception, and at SIGTERM, SIGHUP and SIGINT. The exit status; after one
/// of the first two signals the process ends by it.
int run_top(const admin_address& where, const std::optional<admin_key>& key,
            const command_context& context);

} // namespace vorrang::terminal
