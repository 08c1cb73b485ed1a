// Columns of text that stand below each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vorrang::terminal {

/// `750 ms`, `12.4 s`, `2 min 5 s`, `1 h 3 min`; a time that is past is `0 ms`.
std::string duration_text(std::int64_t milliseconds);

/// A table with a line of headings. Cells may hold anything: they are made printable().
class text_table {
public:
  enum class side : std::uint8_t { left, right };
  struct column {
    std::string heading;
    side align = side::left;
  };

  explicit text_table(std::vector<column> columns);

  /// As many cells as there are columns; a missing one is empty.
  void add(std::vector<std::string> cells);

  /// Lines, each with its end; two blanks between columns, and none behind the last. `bold`: the
  /// headings, for a terminal.
  std::string text(bool bold) const;

  /// One line after the other without their ends, the headings first.
  std::vector<std::string> lines() const;

private:
  std::vector<column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

} // namespace vorrang::terminal
