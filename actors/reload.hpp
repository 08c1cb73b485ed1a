// What a reload makes of the engine's settings in force and new ones.
#pragma once

#include "actors/settings.hpp"

namespace vorrang {

/// Puts `fresh` into the places of `before`: groups are the same by name, deployments by group and
/// id (of several with one id the first is the first, and so on). What is gone keeps its place,
/// marked `retired`; what is new stands behind it; what comes back takes its old place. The seed
/// and the way to a shared line stay as they were. Settings that stand in their places already come
/// out as they are. Pure.
engine_settings merge_reload(const engine_settings& before, engine_settings fresh);

} // namespace vorrang
