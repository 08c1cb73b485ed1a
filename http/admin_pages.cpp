#include "http/admin_pages.hpp"

#include <ctime>
#include <nlohmann/json.hpp>

namespace vorrang::http {

namespace {

using json = nlohmann::ordered_json;

std::int64_t milliseconds_of(duration length) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
}

template <class Value>
json or_null(const std::optional<Value>& value) {
  return value ? json(*value) : json(nullptr);
}

std::string to_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json ticket_page(const ticket_report& ticket, time_point at,
                 std::chrono::system_clock::time_point wall) {
  json page = {{"id", std::to_string(ticket.id)},
               {"priority", ticket.priority},
               {"position", ticket.position},
               {"waited_ms", milliseconds_of(ticket.waited)},
               {"deadline", nullptr},
               {"deadline_in_ms", nullptr},
               {"instance", ticket.instance.empty() ? json(nullptr) : json(ticket.instance)},
               {"why", to_string(ticket.why)},
               {"attempts", ticket.attempts},
               {"bytes", ticket.bytes}};
  if (ticket.deadline != never) {
    const auto left = ticket.deadline - at;
    page["deadline"] =
        time_of_day(wall + std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
    page["deadline_in_ms"] = milliseconds_of(left);
  }
  return page;
}

json deployment_page(const deployment_report& deployment) {
  json page = {{"id", deployment.id},
               {"healthy", deployment.healthy},
               {"cooling", deployment.cooling},
               {"full", deployment.full},
               {"in_flight", deployment.in_flight},
               {"max_parallel_requests", or_null(deployment.max_parallel_requests)},
               {"rpm", {{"used", deployment.rpm_used}, {"limit", or_null(deployment.rpm)}}},
               {"tpm", {{"used", deployment.tpm_used}, {"limit", or_null(deployment.tpm)}}},
               {"cooldown_ends_in_ms", nullptr},
               {"last_failure_status", nullptr}};
  if (deployment.retired)
    page["retired"] = true;
  if (deployment.cooldown_ends_in)
    page["cooldown_ends_in_ms"] = milliseconds_of(*deployment.cooldown_ends_in);
  if (deployment.last_failure_status != 0)
    page["last_failure_status"] = deployment.last_failure_status;
  return page;
}

json page_of(const queue_view& view, std::chrono::system_clock::time_point wall) {
  const auto next = view.offset + view.tickets.size();
  json tickets = json::array();
  for (const auto& ticket : view.tickets)
    tickets.push_back(ticket_page(ticket, view.at, wall));
  json deployments = json::array();
  for (const auto& deployment : view.deployments)
    deployments.push_back(deployment_page(deployment));
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

std::string time_of_day(std::chrono::system_clock::time_point when) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(when);
  const auto rest = std::chrono::floor<std::chrono::milliseconds>(when - whole).count();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(whole);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  const auto size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string result(text, size);
  const auto digits = std::to_string(1000 + rest);
  return result + "." + digits.substr(1) + "Z";
}

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
