// Variables, as a parameter: nothing but process_environment() asks the process.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::config {

/// The value of a variable, or nothing if it is not set. Called while reading only.
using environment = std::function<std::optional<std::string>(std::string_view name)>;

/// The variables of this process. Not to be used while another thread calls setenv().
environment process_environment();

/// A fixed set, for tests and embedded use.
environment fixed_environment(std::map<std::string, std::string, std::less<>> variables);

} // namespace vorrang::config
