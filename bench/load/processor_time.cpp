#include "bench/load/processor_time.hpp"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace vorrang::bench {

namespace {

std::uint64_t read_clock(clockid_t clock) {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0)
    throw std::runtime_error("a process has no clock any more");
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

} // namespace

std::uint64_t processor_ns_of(const std::vector<pid_t>& processes) {
  std::uint64_t sum = 0;
  for (const auto each : processes) {
    clockid_t clock{};
    if (::clock_getcpuclockid(each, &clock) != 0)
      throw std::runtime_error("process " + std::to_string(each) + " is gone");
    sum += read_clock(clock);
  }
  return sum;
}

std::uint64_t own_processor_ns() {
  return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

machine_ticks read_ticks(const std::string& line) {
  std::istringstream fields(line);
  std::string name;
  fields >> name;
  machine_ticks made;
  std::uint64_t ticks = 0;
  // user nice system idle iowait irq softirq steal; what follows is within user and nice already
  for (int i = 0; i < 8 && fields >> ticks; ++i) {
    made.all += ticks;
    if (i == 3 || i == 4)
      made.idle += ticks;
  }
  return made;
}

machine_ticks machine_ticks_now() {
  std::ifstream file("/proc/stat");
  std::string line;
  std::getline(file, line);
  return read_ticks(line);
}

double idle_share(const machine_ticks& from, const machine_ticks& to) {
  if (to.all <= from.all)
    return 1;
  return static_cast<double>(to.idle - from.idle) / static_cast<double>(to.all - from.all);
}

} // namespace vorrang::bench
