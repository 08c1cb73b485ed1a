#include "terminal/terminal_kind.hpp"

#include <ncursesw/curses.h>
// Defines macros with names like `lines`: it stays in this file.
#include <ncursesw/term.h>

#include <unistd.h>

namespace vorrang::terminal {

bool moves_cursor() {
  int error = 0;
  return setupterm(nullptr, STDOUT_FILENO, &error) == OK && tigetstr("cup") != nullptr;
}

} // namespace vorrang::terminal
