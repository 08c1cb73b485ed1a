#include "http/process_figures.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace vorrang::http {

namespace {

double seconds_on(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Unix time of the machine's start, which process times count from. Of the clocks, since a service
/// may see nothing of /proc but processes (`ProcSubset=pid`); once, so that it is always the same.
double boot_time_s() {
  static const double at = seconds_on(CLOCK_REALTIME) - seconds_on(CLOCK_BOOTTIME);
  return at;
}

} // namespace

process_figures read_process_figures() {
  process_figures told;
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) == 0)
    told.cpu_seconds = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                       static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
    told.descriptors_max = limit.rlim_cur;

  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  if (statm >> pages >> pages)
    told.resident_bytes = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));

  std::error_code error;
  for (std::filesystem::directory_iterator each("/proc/self/fd", error), end; !error && each != end;
       each.increment(error))
    ++told.open_descriptors;
  if (told.open_descriptors > 0)
    --told.open_descriptors; // the one that looked

  // The second field is the program's name in brackets, and may hold anything.
  std::ifstream file("/proc/self/stat");
  std::stringstream text;
  text << file.rdbuf();
  const auto stat = text.str();
  if (const auto bracket = stat.rfind(')'); bracket != std::string::npos) {
    std::istringstream fields(stat.substr(bracket + 1));
    std::string skipped;
    for (int field = 3; field < 22; ++field)
      fields >> skipped;
    double started_ticks = 0;
    if (fields >> started_ticks)
      told.start_time_seconds =
          boot_time_s() + started_ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  return told;
}

} // namespace vorrang::http
