#include "http/reload_log.hpp"

#include "http/log.hpp"

namespace vorrang::http {

reload_report report_of(const config::read_result& read, const config::merged_reload& merged) {
  reload_report report;
  for (const auto& each : read.diagnostics)
    (each.level == config::severity::error ? report.errors : report.warnings)
        .push_back(config::to_text(each));
  if (read.diagnostics_dropped > 0)
    report.warnings.push_back("and " + std::to_string(read.diagnostics_dropped) + " more");
  report.errors.insert(report.errors.end(), merged.errors.begin(), merged.errors.end());
  report.warnings.insert(report.warnings.end(), merged.warnings.begin(), merged.warnings.end());
  return report;
}

void log_findings(const reload_report& report) {
  for (const auto& each : report.errors)
    log_line(log_level::error, "reload: " + each);
  for (const auto& each : report.warnings)
    log_line(log_level::warning, "reload: " + each);
  if (report.is_late)
    log_line(log_level::warning, "reload: refused, the gateway is shutting down");
  else if (!report.errors.empty())
    log_line(log_level::error, "reload: nothing has changed");
}

void log_changes(const config::merged_reload& merged) {
  const auto count = [](const char* what, const config::reload_count& of) {
    return std::string(what) + ": " + std::to_string(of.added) + " added, " +
           std::to_string(of.changed) + " changed, " + std::to_string(of.removed) + " removed";
  };
  log_line(log_level::info, "reloaded; " + count("model groups", merged.groups) + "; " +
                                count("deployments", merged.deployments));
}

} // namespace vorrang::http
