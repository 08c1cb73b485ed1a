// Whether there can be a screen on this terminal.
#pragma once

namespace vorrang::terminal {

/// The terminal that TERM names is known here and can move its cursor.
bool moves_cursor();

} // namespace vorrang::terminal
