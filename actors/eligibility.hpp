// Which deployments of a group a request may go to at all, by settings alone.
#pragma once

#include "actors/deployment_set.hpp"
#include "actors/settings.hpp"

namespace vorrang {

/// None that is retired. By pin, endpoint, tags (with tag filtering, unless pinned), prompt length
/// (with pre-call checks), and tpm: a deployment whose whole tpm is below the estimate is left out
/// while another's holds it; if none does, only the largest remains, and `oversize` says that it
/// must be empty first.
deployment_set eligible_deployments(const group_settings& group, const ask& wanted, bool& oversize);

} // namespace vorrang
