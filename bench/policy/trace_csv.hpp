// A user's own trace, from a CSV file.
#pragma once

#include "bench/policy/trace.hpp"

#include <istream>

namespace vorrang::bench {

/// Rows of a trace at most: a limit instead of the machine's.
inline constexpr std::size_t trace_rows_max = 5'000'000;

/// What a file holds, or why it cannot be read.
struct csv_trace {
  /// Sorted by arrival.
  std::vector<request> requests;
  /// Empty, or `<name>:<line>: <what is wrong there>`.
  std::string error;
};

/// Reads a trace. The first line names the columns, in any order: `arrival_s`, `priority`,
/// `service_s`, `deadline_s`, and `tokens` if wanted. Then a request a line: seconds since the
/// trace's beginning (≥ 0, in any order), a 32-bit integer, seconds of service (> 0), seconds after
/// the arrival (> 0; empty: none), a whole number. Seconds are below 10⁸. Empty lines and those
/// that begin with # are skipped. Fields have no quotes. `name` is the file's, for errors.
csv_trace read_trace(std::istream& file, std::string_view name);

} // namespace vorrang::bench
