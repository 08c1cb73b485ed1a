// The real engine behind the driver that random histories run against.
#pragma once

#include "driver.hpp"

namespace vorrang::history {

/// Queue, deployment and request actors on the deterministic scheduler.
std::unique_ptr<driver> make_engine_driver(const engine_settings& settings);

} // namespace vorrang::history
