// The scheduler of the actors in the gateway: its workers are the loops.
//
// CAF 0.17 only: a scheduler module of one's own is gone by 1.0.
#pragma once

#include "http/loop_pool.hpp"

namespace caf {
class actor_system_config;
}

namespace vorrang::http {

/// Makes every actor system of `config` run its actors on the loops of `pool`, with a clock that
/// is a timer of the first one. The system starts the pool's threads, and its destructor stops
/// them: coroutines must have ended by then. At most one system lives on a pool, once; `pool`
/// outlives it. Each actor handles at most 100 messages in one go, so that sockets get their turn.
void use_loops(caf::actor_system_config& config, loop_pool& pool);

} // namespace vorrang::http
