#include "terminal/text_table.hpp"

#include "terminal/printable.hpp"

#include <algorithm>

namespace vorrang::terminal {

std::string duration_text(std::int64_t milliseconds) {
  if (milliseconds < 1000)
    return std::to_string(std::max<std::int64_t>(0, milliseconds)) + " ms";
  const auto seconds = milliseconds / 1000;
  if (seconds < 60)
    return std::to_string(seconds) + "." + std::to_string(milliseconds % 1000 / 100) + " s";
  if (seconds < 3600)
    return std::to_string(seconds / 60) + " min " + std::to_string(seconds % 60) + " s";
  return std::to_string(seconds / 3600) + " h " + std::to_string(seconds % 3600 / 60) + " min";
}

text_table::text_table(std::vector<column> columns) : columns_(std::move(columns)) {}

void text_table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (auto& cell : cells)
    cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::vector<std::string> text_table::lines() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    auto width = columns_of(columns_[i].heading);
    for (const auto& row : rows_)
      width = std::max(width, columns_of(row[i]));
    widths.push_back(width);
  }
  std::vector<std::string> result;
  const auto write = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_of(i);
      const std::string blanks(widths[i] - columns_of(cell), ' ');
      line += i == 0 ? "" : "  ";
      line += columns_[i].align == side::right ? blanks + cell : cell + blanks;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result.push_back(std::move(line));
  };
  write([&](std::size_t i) -> const std::string& { return columns_[i].heading; });
  for (const auto& row : rows_)
    write([&](std::size_t i) -> const std::string& { return row[i]; });
  return result;
}

std::string text_table::text(bool bold) const {
  std::string result;
  bool is_heading = bold;
  for (const auto& line : lines()) {
    result += is_heading ? "\033[1m" + line + "\033[0m\n" : line + "\n";
    is_heading = false;
  }
  return result;
}

} // namespace vorrang::terminal
