// From the configuration to what the engine is told.
//
// Plain C++17, no CAF: the gateway, the embedded engine and the router share it.
#pragma once

#include "actors/settings.hpp"
#include "config/settings.hpp"

namespace vorrang {

/// The engine's settings. Places correspond:
///
///     engine group i        = config group i
///     its deployment j      = from.deployments[from.groups[i].deployments[j]]
///
/// Deployments that cannot be served stand in `config::settings::left_out` and in no group, so they
/// have no index on either side; a group that has lost all of its deployments keeps its index and
/// is empty (`config::group::unservable` says why: it must not be asked). Aliases are no groups:
/// config::resolve() leads them to their target's. Fallbacks to empty groups are left out.
engine_settings to_engine_settings(const config::settings& from);

/// The configured deployment behind the engine's indices; nullptr if there is none.
const config::deployment* find_deployment(const config::settings& in, group_index group,
                                          deployment_index deployment);

/// Where requests of group `self` may fall back to, in order: each group once, at most four, none
/// without deployments.
std::vector<fallback_target> fallbacks_of(const std::vector<config::target>& targets,
                                          const config::settings& from, std::size_t self);

/// The place of a configured deployment (index into `settings::deployments`) within its group;
/// no_index if it is not there. For `config::target::deployment`, which pins.
deployment_index place_in_group(const config::settings& in, std::size_t group,
                                std::size_t deployment);

/// The APIs that this deployment speaks, as bits of `endpoint`: mocks all; `/v1/messages` and
/// `/v1/responses` those whose provider has them, others by `model_info.supported_endpoints`.
std::uint8_t spoken_endpoints(const config::deployment& which);

} // namespace vorrang
