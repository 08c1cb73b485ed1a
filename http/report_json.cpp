#include "http/report_json.hpp"

#include "http/admin_pages.hpp"

#include <cstdio>
#include <ctime>

namespace vorrang::http {

namespace {

using json = nlohmann::ordered_json;

template <class Value>
json or_null(const std::optional<Value>& value) {
  return value ? json(*value) : json(nullptr);
}

json or_null(const std::optional<duration>& length) {
  return length ? json(milliseconds_of(*length)) : json(nullptr);
}

/// `12.4 s`; whole seconds from 100 on.
std::string in_seconds(duration length) {
  const auto seconds = std::chrono::duration<double>(length).count();
  char text[32];
  std::snprintf(text, sizeof text, seconds < 100 ? "%.1f s" : "%.0f s", seconds);
  return text;
}

void join(std::string& all, std::string_view more, std::string_view between) {
  if (!all.empty())
    all += between;
  all += more;
}

std::string lacks_in_words(const ticket_report& ticket) {
  std::string all;
  for (const auto& [what, name] :
       {std::pair(missing::slot, "a free slot"), std::pair(missing::rpm, "rpm"),
        std::pair(missing::tpm, "tpm"),
        std::pair(missing::opening, "a deployment that lets in a few at a time")})
    if (ticket.waits_for & static_cast<std::uint8_t>(what))
      join(all, name, " or ");
  return all.empty() ? "room at a deployment" : all;
}

template <class Used, class Limit>
std::string used_of(std::string_view name, Used used, Limit limit) {
  return std::string(name) + ": " + std::to_string(used) + " of " + std::to_string(limit) + " used";
}

} // namespace

std::int64_t milliseconds_of(duration length) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
}

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

std::string to_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string reason_in_words(const ticket_report& ticket) {
  const auto with_time = [&](std::string text, std::string_view before) {
    if (ticket.ready_in)
      text.append(before).append(in_seconds(*ticket.ready_in));
    return text;
  };
  switch (ticket.why) {
  case wait_reason::behind_others:
    if (ticket.position < 2)
      return "waits behind others";
    return "waits behind " + std::to_string(ticket.position - 1) +
           (ticket.position == 2 ? " other" : " others");
  case wait_reason::all_full:
    return with_time("waits for " + lacks_in_words(ticket), ": next unit in ");
  case wait_reason::all_cooling:
    return with_time("all its deployments cool down", ": the first is back in ");
  case wait_reason::backing_off:
    return with_time("backs off after a failed attempt", ": again in ");
  case wait_reason::held:
    return "nothing is granted while Redis is away";
  }
  return {};
}

std::string reason_in_words(const deployment_report& deployment) {
  if (deployment.retired)
    return "removed by a reload: finishes its calls";
  if (deployment.cooling) {
    auto text = deployment.last_failure_status == 0
                    ? std::string("cools down after a failure without an answer")
                    : "cools down after " + std::to_string(deployment.last_failure_status);
    if (deployment.cooldown_ends_in)
      text += ": " + in_seconds(*deployment.cooldown_ends_in) + " left";
    return text;
  }
  if (!deployment.full)
    return {};
  std::string text;
  if (deployment.max_parallel_requests && deployment.in_flight >= *deployment.max_parallel_requests)
    join(text, used_of("slots", deployment.in_flight, *deployment.max_parallel_requests), "; ");
  const auto add_window = [&](std::string_view name, std::uint64_t used,
                              const std::optional<std::uint64_t>& limit) {
    if (!limit || used < *limit)
      return;
    join(text, used_of(name, used, *limit), "; ");
    if (deployment.window_returns_in)
      text += ", next unit in " + in_seconds(*deployment.window_returns_in);
  };
  add_window("rpm", deployment.rpm_used, deployment.rpm);
  add_window("tpm", deployment.tpm_used, deployment.tpm);
  return text.empty() ? "re-opens after a cooldown: takes a few at a time" : text;
}

json ticket_json(const ticket_report& ticket, time_point at,
                 std::chrono::system_clock::time_point wall) {
  json page = {{"id", std::to_string(ticket.id)},
               {"priority", ticket.priority},
               {"position", ticket.position},
               {"arrival", ticket.arrival},
               {"waited_ms", milliseconds_of(ticket.waited)},
               {"deadline", nullptr},
               {"deadline_in_ms", nullptr},
               {"instance", ticket.instance.empty() ? json(nullptr) : json(ticket.instance)},
               {"why", to_string(ticket.why)},
               {"reason", reason_in_words(ticket)},
               {"ready_in_ms", or_null(ticket.ready_in)},
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

json deployment_json(const deployment_report& deployment) {
  const auto reason = reason_in_words(deployment);
  json page = {{"id", deployment.id},
               {"healthy", deployment.healthy},
               {"cooling", deployment.cooling},
               {"full", deployment.full},
               {"reason", reason.empty() ? json(nullptr) : json(reason)},
               {"in_flight", deployment.in_flight},
               {"max_parallel_requests", or_null(deployment.max_parallel_requests)},
               {"rpm", {{"used", deployment.rpm_used}, {"limit", or_null(deployment.rpm)}}},
               {"tpm", {{"used", deployment.tpm_used}, {"limit", or_null(deployment.tpm)}}},
               {"window_returns_in_ms", or_null(deployment.window_returns_in)},
               {"cooldown_ends_in_ms", or_null(deployment.cooldown_ends_in)},
               {"last_failure_status", nullptr}};
  if (deployment.retired)
    page["retired"] = true;
  if (deployment.last_failure_status != 0)
    page["last_failure_status"] = deployment.last_failure_status;
  return page;
}

} // namespace vorrang::http
