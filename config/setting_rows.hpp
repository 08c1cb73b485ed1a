// The rows of setting_table.hpp, in two rooms. Internal to config/.
#pragma once

#include "config/setting_table.hpp"

namespace vorrang::config {

/// What Vorrang reads, in the order of the reference.
std::vector<setting> supported_settings();
/// LiteLLM's keys that have no effect here, each with the reason.
std::vector<setting> unsupported_settings();

} // namespace vorrang::config
