// What is said of a reload: to who asked for it, and in the log.
#pragma once

#include "config/merge_reload.hpp"
#include "config/reader.hpp"
#include "http/reload_report.hpp"

namespace vorrang::http {

/// What was found in the file, and what came of merging it, in the words that they have for it.
/// `merged` means nothing where the file has errors.
reload_report report_of(const config::read_result& read, const config::merged_reload& merged);

/// A line for each error and each warning; and one that says that nothing has changed, if so.
void log_findings(const reload_report& report);

/// How many groups and deployments were added, changed, removed.
void log_changes(const config::merged_reload& merged);

} // namespace vorrang::http
