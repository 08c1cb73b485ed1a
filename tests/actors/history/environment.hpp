// VORRANG_HISTORY_EVENTS: how many events a run has in all (longer runs by option).
// VORRANG_HISTORY_SEED: the first seed; with the seed of a failure and 1 event, that history
// alone.
// VORRANG_HISTORY_TAIL: lines of a failed history that are shown.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace vorrang::history {

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 0) : otherwise;
}

} // namespace vorrang::history
