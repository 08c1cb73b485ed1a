// What processors have done, by clocks of the kernel that are finer than the ticks in /proc.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace vorrang::bench {

/// The machine's steady clock, in nanoseconds.
inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

/// User and system time that these processes, with all their threads, have had. Throws
/// std::runtime_error if one is gone.
std::uint64_t processor_ns_of(const std::vector<pid_t>& processes);

/// The same of this process.
std::uint64_t own_processor_ns();

/// Ticks of all processors since the machine began: of each hundredth of a second one each.
struct machine_ticks {
  std::uint64_t idle = 0;
  std::uint64_t all = 0;
};

/// Of the first line of /proc/stat.
machine_ticks read_ticks(const std::string& line);
machine_ticks machine_ticks_now();

/// The share of the time between in which processors had nothing to do; 1 of no time.
double idle_share(const machine_ticks& from, const machine_ticks& to);

} // namespace vorrang::bench
