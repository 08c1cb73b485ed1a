#include "bench/checked/records.hpp"

#include <cstdio>
#include <memory>

namespace vorrang::checked {

bool records::write(const char* path) const {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "w"), std::fclose);
  if (!file)
    return false;
  for (std::size_t number = 0; number < requests.size(); ++number) {
    const auto& each = requests[number];
    std::fprintf(file.get(), "R,%zu,%d,%d,%lld,%lld,%lld,%d,%s,%ld,%ld,%ld\n", number,
                 each.connection, each.priority, static_cast<long long>(each.sent),
                 static_cast<long long>(each.left), static_cast<long long>(each.answered),
                 each.status, each.deployment.c_str(), each.attempts, each.wait_ms, each.echoed);
  }
  for (const auto& each : calls)
    std::fprintf(file.get(), "C,%ld,d%zu,%d,%lld,%lld,%d\n", each.request, each.deployment + 1,
                 each.connection, static_cast<long long>(each.begun),
                 static_cast<long long>(each.ended), each.status);
  for (const auto& each : looks) {
    std::fprintf(file.get(), "L,%lld,%lld,%ld,", static_cast<long long>(each.asked),
                 static_cast<long long>(each.told), each.inversions);
    for (const auto number : each.waiting)
      std::fprintf(file.get(), "%ld ", number);
    std::fputc('\n', file.get());
  }
  return std::ferror(file.get()) == 0;
}

} // namespace vorrang::checked
