// The seed of random tests: VORRANG_TEST_SEED, else a fixed one, so that a run can be repeated.
#pragma once

#include <cstdlib>

namespace vorrang::test {

inline unsigned seed() {
  const char* given = std::getenv("VORRANG_TEST_SEED");
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 20240611U;
}

} // namespace vorrang::test
