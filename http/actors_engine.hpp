// The real engine behind the gateway: its actors, a desk for each loop, a desk for the operator.
#pragma once

#include "http/gateway.hpp"

namespace vorrang::http {

/// Spawns the engine's actors on the gateway's own loops.
engine_factory actors_engine();

} // namespace vorrang::http
