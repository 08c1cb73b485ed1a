#include "http/admin_pages.hpp"

#include "http/report_json.hpp"

namespace vorrang::http {

namespace {

using json = nlohmann::ordered_json;

json page_of(const queue_view& view, std::chrono::system_clock::time_point wall) {
  const auto next = view.offset + view.tickets.size();
  json tickets = json::array();
  for (const auto& ticket : view.tickets)
    tickets.push_back(ticket_json(ticket, view.at, wall));
  json deployments = json::array();
  for (const auto& deployment : view.deployments)
    deployments.push_back(deployment_json(deployment));
  return {
      {"model", view.name},
      {"waiting", view.waiting},
      {"offset", view.offset},
      {"next_offset", next < view.waiting && !view.tickets.empty() ? json(next) : json(nullptr)},
      {"oldest_wait_ms", milliseconds_of(view.oldest_wait)},
      {"inversions", view.inversions},
      {"tickets", std::move(tickets)},
      {"deployments", std::move(deployments)}};
}

json finding_page(const probe_finding& finding) {
  json page = {{"result", finding.said}, {"status", nullptr}, {"took_ms", nullptr}};
  if (finding.status != 0)
    page["status"] = finding.status;
  if (finding.took)
    page["took_ms"] = finding.took->count();
  return page;
}

const deployment_report* find_report(const std::vector<queue_view>* views, std::size_t group,
                                     const std::string& id) {
  if (!views)
    return nullptr;
  for (const auto& view : *views)
    if (view.group == group)
      for (const auto& report : view.deployments)
        if (report.id == id)
          return &report;
  return nullptr;
}

} // namespace

std::string queue_page(const queue_view& view, std::chrono::system_clock::time_point wall) {
  return to_text(page_of(view, wall));
}

std::string queues_page(const std::vector<queue_view>& views,
                        std::chrono::system_clock::time_point wall) {
  json queues = json::array();
  for (const auto& view : views)
    queues.push_back(page_of(view, wall));
  return to_text({{"queues", std::move(queues)}});
}

bool asks_for_probe(std::string_view value) noexcept {
  return value == "true" || value == "True" || value == "1";
}

std::string health_page(const config::settings& settings, const std::vector<queue_view>* views,
                        const std::vector<probe_finding>* findings, const config::client_key* key) {
  const auto is_visible = [key](const config::deployment& each) {
    return key == nullptr || key->may_use(each.group_name);
  };
  json healthy = json::array();
  json unhealthy = json::array();
  for (std::size_t place = 0; place < settings.deployments.size(); ++place) {
    const auto& deployment = settings.deployments[place];
    if (deployment.retired || !is_visible(deployment))
      continue;
    const auto* report = find_report(views, deployment.group, deployment.id);
    json entry = {{"model_name", deployment.group_name},
                  {"model_id", deployment.id},
                  {"model", deployment.model},
                  {"state", "unknown"}};
    if (report) {
      entry["state"] = report->cooling ? "cooling" : report->full ? "full" : "healthy";
      entry["in_flight"] = report->in_flight;
      if (report->cooldown_ends_in)
        entry["cooldown_ends_in_ms"] = milliseconds_of(*report->cooldown_ends_in);
      if (report->last_failure_status != 0)
        entry["last_failure_status"] = report->last_failure_status;
    }
    bool is_bad = report && report->cooling;
    if (findings && place < findings->size()) {
      entry["probe"] = finding_page((*findings)[place]);
      is_bad |= (*findings)[place].is_bad;
    }
    (is_bad ? unhealthy : healthy).push_back(std::move(entry));
  }
  for (const auto& deployment : settings.left_out)
    if (is_visible(deployment))
      unhealthy.push_back({{"model_name", deployment.group_name},
                           {"model_id", deployment.id},
                           {"model", deployment.model},
                           {"state", "not served"},
                           {"error", deployment.unsupported.value_or("")}});
  const auto healthy_count = healthy.size();
  const auto unhealthy_count = unhealthy.size();
  return to_text({{"healthy_endpoints", std::move(healthy)},
                  {"unhealthy_endpoints", std::move(unhealthy)},
                  {"healthy_count", healthy_count},
                  {"unhealthy_count", unhealthy_count}});
}

bool is_ready(const readiness_facts& facts) noexcept {
  return !facts.draining && (facts.redis_reachable.value_or(true) || !facts.redis_required);
}

std::string readiness_text(const readiness_facts& facts) {
  std::string_view queue = "this instance";
  if (facts.redis_reachable)
    queue = *facts.redis_reachable ? "shared" : facts.redis_required ? "held" : "local";
  std::string_view status = "healthy";
  if (facts.draining)
    status = "draining";
  else if (!is_ready(facts))
    status = "redis unreachable";
  return to_text({{"status", status},
                  {"db", "Not connected"},
                  {"cache", facts.redis_reachable ? json("redis") : json(nullptr)},
                  {"queue", queue},
                  {"vorrang_version", facts.version}});
}

} // namespace vorrang::http
