// vorrang_settings_reference: prints parts of docs/configuration.md, and the schema for editors.
// scripts/settings_reference writes them to their places.
#include "config/settings_reference.hpp"

#include <iostream>
#include <string_view>

int main(int count, char** arguments) {
  using namespace vorrang::config;
  const std::string_view what = count == 2 ? arguments[1] : "";
  if (what == "schema") {
    std::cout << json_schema();
    return 0;
  }
  if (what == "unsupported") {
    std::cout << markdown_of_unsupported();
    return 0;
  }
  if (what == "providers") {
    std::cout << markdown_of_providers();
    return 0;
  }
  for (const auto where : all_sections) {
    if (where != section::environment_variables && what == name_of(where)) {
      std::cout << markdown_of(where);
      return 0;
    }
  }
  std::cerr << "usage: vorrang_settings_reference schema | unsupported | providers | SECTION\n"
               "SECTION is one of:";
  for (const auto where : all_sections) {
    if (where != section::environment_variables) {
      std::cerr << " " << name_of(where);
    }
  }
  std::cerr << "\n";
  return 1;
}
