#include "config/environment.hpp"

#include <cstdlib>
#include <memory>

namespace vorrang::config {

environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

environment fixed_environment(std::map<std::string, std::string, std::less<>> variables) {
  // Shared, since a std::function copies what it holds.
  auto held = std::make_shared<const decltype(variables)>(std::move(variables));
  return [held](std::string_view name) -> std::optional<std::string> {
    const auto hit = held->find(name);
    return hit == held->end() ? std::nullopt : std::optional<std::string>(hit->second);
  };
}

} // namespace vorrang::config
