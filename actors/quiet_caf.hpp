// What CAF's logger costs where it can log nothing.
#pragma once

#include <caf/logger.hpp>

namespace vorrang {

/// CAF notes in its logger which actor a thread runs, before and after each run, in a table under
/// a lock: a seventh of the time that a grant takes. Where CAF is compiled without logging, as
/// distributions ship it, nobody ever reads that, and this thread does without it from now on.
/// Cheap after the first call. Not needed from CAF 0.18 on, where no table is kept.
inline void forget_caf_logger() {
#if CAF_LOG_LEVEL == CAF_LOG_LEVEL_QUIET
  static thread_local bool known = true;
  if (known) {
    known = false;
    caf::logger::set_current_actor_system(nullptr);
  }
#endif
}

} // namespace vorrang
