// Text of others, made fit for a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vorrang::terminal {

/// The locale's characters are UTF-8: what is no ASCII may be shown. As setlocale() has it.
bool locale_is_utf8();

/// `text` as part of one line, so that it can do nothing to a terminal and pass for nothing else:
/// control characters (C0, DEL, C1), those that break lines, change the direction or cannot be
/// seen, and bytes that are no UTF-8 become `?`. So does all beyond ASCII where the locale is not
/// UTF-8.
std::string printable(std::string_view text);

/// The same for several lines, which stay lines. Of our own texts with names in them, which are
/// UTF-8 whatever the locale: it does not matter here.
std::string printable_lines(std::string_view text);

/// Columns that text from printable() takes up.
std::size_t columns_of(std::string_view text);

/// The beginning of text from printable() in at most `columns`; where something is cut off, an
/// ellipsis is the last of them.
std::string cut_to(std::string_view text, std::size_t columns);

/// cut_to(), with blanks up to `columns`.
std::string fit_to(std::string_view text, std::size_t columns);

} // namespace vorrang::terminal
