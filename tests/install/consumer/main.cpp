#include "config/settings.hpp"

#include <cstdio>

// Names something compiled of the library, so that a package without it does not link.
int main() {
  const auto name = vorrang::config::to_string(vorrang::config::routing_strategy::least_busy);
  std::printf("%.*s\n", static_cast<int>(name.size()), name.data());
  return name == "least-busy" ? 0 : 1;
}
