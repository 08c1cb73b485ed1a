// What this process uses, as Prometheus' own clients tell it of theirs.
#pragma once

#include <cstdint>

namespace vorrang::http {

struct process_figures {
  double cpu_seconds = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t open_descriptors = 0;
  std::uint64_t descriptors_max = 0;
  double start_time_seconds = 0; ///< Unix time
};

/// Reads /proc; what is not there stays 0. Blocks for as long as that takes.
process_figures read_process_figures();

} // namespace vorrang::http
