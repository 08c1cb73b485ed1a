// What a reload makes of the settings in force and those that were read anew.
#pragma once

#include "config/settings.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace vorrang::config {

/// Groups and deployments that are gone keep their places, since tickets and calls may name them;
/// so many of each at most.
inline constexpr std::size_t retired_max = 4096;

/// How many of one kind a reload has touched.
struct reload_count {
  std::size_t added = 0;
  std::size_t changed = 0;
  std::size_t removed = 0;
};

/// What is in force after a reload, or why there is none.
struct merged_reload {
  config::settings settings;
  /// Sentences; not empty: the settings in force stay, and `settings` means nothing.
  std::vector<std::string> errors;
  /// What was left as it was, and needs a restart.
  std::vector<std::string> warnings;
  reload_count groups;
  reload_count deployments;
};

/// Puts `fresh` (read without errors) into the places of `before`: every group and every
/// deployment of before keeps its index in `settings::groups`, `settings::deployments` and
/// `group::deployments`. Groups are the same by name, deployments by group and id. What is gone
/// stays as *retired*, under no name; what is new stands behind it; what comes back takes its old
/// place. What only a restart can change is kept as it was, with a warning that names it. Pure.
merged_reload merge_reload(const settings& before, settings fresh);

} // namespace vorrang::config
