#include "http/metrics_page.hpp"

#include "actors/shared/link_counts.hpp"
#include "http/error_reply.hpp"
#include "http/metric_families.hpp"

#include <prometheus/text_serializer.h>

#include <map>

namespace vorrang::http {

namespace {

using prometheus::MetricType;

double seconds_of(duration length) {
  return std::chrono::duration<double>(length).count();
}

/// A gauge or counter of each group that answered.
template <class Get>
void add_by_view(families& all, const metrics_facts& facts, std::string_view name, MetricType type,
                 std::string_view help, Get get) {
  metric_family made(name, type, help);
  for (const auto& view : facts.views)
    made.add({{"group", view.name}}, get(view));
  all.push_back(made.take());
}

/// … of each of their deployments; `get` gives nothing for one that has no such thing.
template <class Get>
void add_by_report(families& all, const metrics_facts& facts, std::string_view name,
                   MetricType type, std::string_view help, Get get) {
  metric_family made(name, type, help);
  for (const auto& view : facts.views)
    for (const auto& each : view.deployments)
      if (const std::optional<double> value = get(each))
        made.add({{"group", view.name}, {"deployment", each.id}}, *value);
  all.push_back(made.take());
}

void add_one(families& all, std::string_view name, MetricType type, std::string_view help,
             double value) {
  metric_family made(name, type, help);
  made.add({}, value);
  all.push_back(made.take());
}

template <class Number>
std::optional<double> as_double(const std::optional<Number>& value) {
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

std::optional<double> as_double(std::uint64_t value) {
  return static_cast<double>(value);
}

void add_states(families& all, const metrics_facts& facts) {
  constexpr std::array<std::pair<line_state, std::string_view>, 4> states = {
      {{line_state::alone, "alone"},
       {line_state::shared, "shared"},
       {line_state::local, "local"},
       {line_state::held, "held"}}};
  metric_family made("vorrang_queue_state", MetricType::Gauge,
                     "1 for who decides in the group's line: this instance alone, the line in "
                     "Redis, this instance while that is away (local), or nobody (held).");
  for (const auto& view : facts.views)
    for (const auto& [state, name] : states)
      made.add({{"group", view.name}, {"state", name}}, view.state == state ? 1.0 : 0.0);
  all.push_back(made.take());
}

void add_oldest_waits(families& all, const metrics_facts& facts) {
  metric_family made("vorrang_oldest_wait_seconds", MetricType::Gauge,
                     "The longest wait of the requests of this instance that wait in the group's "
                     "line; 0 if none does.");
  const auto& classes = facts.plan->classes;
  for (const auto& view : facts.views)
    for (std::size_t i = 0; i < classes.size(); ++i)
      made.add({{"group", view.name}, {"priority_class", classes[i]}},
               i < view.oldest_waits.size() ? seconds_of(view.oldest_waits[i]) : 0.0);
  all.push_back(made.take());
}

void add_limits(families& all, const metrics_facts& facts) {
  using report = deployment_report;
  const auto gauge = [&](std::string_view name, std::string_view help, auto get) {
    add_by_report(all, facts, name, MetricType::Gauge, help, get);
  };
  gauge("vorrang_parallel_requests", "Grants in flight at the deployment.",
        [](const report& of) { return as_double(of.in_flight); });
  gauge("vorrang_parallel_requests_limit", "max_parallel_requests, where it is set.",
        [](const report& of) { return as_double(of.max_parallel_requests); });
  gauge("vorrang_window_requests", "Grants of the last 60 s at the deployment.",
        [](const report& of) { return as_double(of.rpm_used); });
  gauge("vorrang_window_requests_limit", "rpm, where it is set.",
        [](const report& of) { return as_double(of.rpm); });
  gauge("vorrang_window_tokens", "Tokens of the last 60 s at the deployment.",
        [](const report& of) { return as_double(of.tpm_used); });
  gauge("vorrang_window_tokens_limit", "tpm, where it is set.",
        [](const report& of) { return as_double(of.tpm); });
}

/// What was handed to the loops to see when they come to it.
void add_lag(families& all, const metrics_facts& facts) {
  struct one_loop {
    summed_histogram<lag_bounds> lag;
    duration stalled{};
  };
  std::map<std::size_t, one_loop> loops;
  for (const auto& set : facts.sets) {
    auto& each = loops[set->loop_index()];
    each.lag.add(set->lag);
    if (const duration asked_at(set->lag_asked_at.load()); asked_at != duration::zero())
      each.stalled =
          std::max(each.stalled, facts.at.time_since_epoch() - asked_at); // it may be ahead of us
  }
  metric_family lag("vorrang_loop_lag_seconds", MetricType::Histogram,
                    "How long a loop took to come to what was handed to it, once a second.");
  metric_family stalled("vorrang_loop_stalled_seconds", MetricType::Gauge,
                        "For how long a loop has not come to what was handed to it last; 0 once "
                        "it has.");
  for (const auto& [index, each] : loops) {
    const auto name = std::to_string(index);
    each.lag.tell(lag, {{"loop", name}});
    stalled.add({{"loop", name}}, seconds_of(each.stalled));
  }
  all.push_back(lag.take());
  all.push_back(stalled.take());
}

void add_answers(families& all, const metrics_facts& facts) {
  const auto sum = [&](auto get) {
    std::uint64_t total = 0;
    for (const auto& set : facts.sets)
      total += get(*set).value();
    return total;
  };
  metric_family answers("vorrang_answers_total", MetricType::Counter,
                        "Answers of the data port, all paths, by their status.");
  for (std::size_t i = 0; i < status_labels.size(); ++i)
    answers.add({{"code", status_labels[i]}},
                sum([i](const auto& set) -> const tally& { return set.answers[i]; }));
  all.push_back(answers.take());
  metric_family refusals("vorrang_refusals_total", MetricType::Counter,
                         "Answers of the data port that are errors of the gateway itself, by "
                         "which it is.");
  for (const our_error code : all_errors()) {
    auto count = sum([code](const auto& set) -> const tally& {
      return set.refusals[static_cast<std::size_t>(code)];
    });
    if (code == our_error::too_many_connections)
      count += facts.connections_refused;
    refusals.add({{"reason", name_of(code)}}, count);
  }
  all.push_back(refusals.take());
  add_one(
      all, "vorrang_connections_accepted_total", MetricType::Counter,
      "Connections of clients that were served.",
      static_cast<double>(sum([](const auto& set) -> const tally& { return set.connections; })));
  double idle = 0;
  for (const auto& set : facts.sets)
    idle += static_cast<double>(set->idle_upstream_connections.value());
  add_one(all, "vorrang_upstream_connections_idle", MetricType::Gauge,
          "Connections to upstreams that wait for their next request, as of the last second.",
          idle);
}

void add_logs(families& all, const metrics_facts& facts) {
  metric_family lost("vorrang_log_lines_lost_total", MetricType::Counter,
                     "Lines that were left out, since the reader was too slow or the disk full.");
  lost.add({{"log", "log"}}, static_cast<double>(facts.log_lines_lost));
  lost.add({{"log", "access"}}, static_cast<double>(facts.access_lines_lost));
  all.push_back(lost.take());
  add_one(all, "vorrang_spans_exported_total", MetricType::Counter,
          "Spans that the collector of traces has taken.",
          static_cast<double>(facts.spans_exported));
  add_one(all, "vorrang_spans_dropped_total", MetricType::Counter,
          "Spans that were left out, since the collector was too slow, away or unwilling.",
          static_cast<double>(facts.spans_dropped));
}

void add_link(families& all, const metrics_facts& facts) {
  if (facts.link == nullptr)
    return;
  add_one(all, "vorrang_redis_up", MetricType::Gauge,
          "1 while Redis answers and all lines are shared.", facts.redis_is_up ? 1 : 0);
  metric_family trips("vorrang_redis_round_trip_seconds", MetricType::Histogram,
                      "Calls of the shared line, from the call to its reply.");
  summed_histogram<round_trip_bounds> sum;
  sum.add(facts.link->round_trips);
  sum.tell(trips, {});
  all.push_back(trips.take());
  add_one(all, "vorrang_redis_calls_failed_total", MetricType::Counter,
          "Calls of the shared line that got no reply that could be used.",
          static_cast<double>(facts.link->failed.value()));
}

void add_process(families& all, const process_figures& of) {
  add_one(all, "process_cpu_seconds_total", MetricType::Counter,
          "User and system time of the process.", of.cpu_seconds);
  add_one(all, "process_resident_memory_bytes", MetricType::Gauge, "Memory of the process.",
          static_cast<double>(of.resident_bytes));
  add_one(all, "process_open_fds", MetricType::Gauge, "Open file descriptors.",
          static_cast<double>(of.open_descriptors));
  add_one(all, "process_max_fds", MetricType::Gauge, "File descriptors that it may have.",
          static_cast<double>(of.descriptors_max));
  add_one(all, "process_start_time_seconds", MetricType::Gauge,
          "When the process began, in Unix time.", of.start_time_seconds);
}

} // namespace

void add_queue_families(families& all, const metrics_facts& facts) {
  add_oldest_waits(all, facts);
  add_by_view(all, facts, "vorrang_inversions_total", MetricType::Counter,
              "Grants made while a better request waited that could have had them; always 0.",
              [](const queue_view& view) { return view.inversions; });
  add_by_view(all, facts, "vorrang_limit_overruns_total", MetricType::Counter,
              "Grants beyond a limit that instances share: one was given up for lost and went on.",
              [](const queue_view& view) { return view.overruns; });
  add_by_view(all, facts, "vorrang_limits_differ", MetricType::Gauge,
              "1 while instances that share the group's line have different limits for it; the "
              "lowest hold.",
              [](const queue_view& view) { return view.limits_differ ? 1.0 : 0.0; });
  add_states(all, facts);
  add_by_view(all, facts, "vorrang_queue_outages_total", MetricType::Counter,
              "Times that this instance has given the group's shared line up for away, and was "
              "local or held from then on.",
              [](const queue_view& view) { return view.outages; });
  add_by_report(all, facts, "vorrang_deployment_cooling", MetricType::Gauge,
                "1 while the deployment cools down.",
                [](const deployment_report& of) -> std::optional<double> { return of.cooling; });
  add_by_report(all, facts, "vorrang_deployment_full", MetricType::Gauge,
                "1 while one of the deployment's limits leaves no room.",
                [](const deployment_report& of) -> std::optional<double> { return of.full; });
  add_by_report(all, facts, "vorrang_cooldown_remaining_seconds", MetricType::Gauge,
                "Until the deployment's cooldown ends; 0 while it does not cool.",
                [](const deployment_report& of) -> std::optional<double> {
                  return seconds_of(of.cooldown_ends_in.value_or(duration::zero()));
                });
  add_by_report(all, facts, "vorrang_cooldowns_total", MetricType::Counter,
                "Cooldowns of the deployment that have begun.",
                [](const deployment_report& of) { return as_double(of.cooldowns); });
  add_limits(all, facts);
}

void add_gateway_families(families& all, const metrics_facts& facts) {
  metric_family build("vorrang_build_info", MetricType::Gauge, "1, with what was built.");
  build.add({{"version", facts.version}, {"compiler", __VERSION__}}, 1.0);
  all.push_back(build.take());
  const auto gauge = [&](std::string_view name, std::string_view help, auto value) {
    add_one(all, name, MetricType::Gauge, help, static_cast<double>(value));
  };
  gauge("vorrang_draining", "1 once the gateway was told to end.", facts.is_draining ? 1 : 0);
  gauge("vorrang_requests_in_flight", "Requests that wait or run.", facts.requests_in_flight);
  gauge("vorrang_body_bytes", "Bodies in memory until the first byte of their answers.",
        facts.body_bytes);
  gauge("vorrang_body_limit_bytes", "max_queue_bytes.", facts.body_bytes_max);
  gauge("vorrang_connections", "Connections of clients that are open.", facts.connections);
  gauge("vorrang_connections_limit", "Connections that may be open.", facts.connections_max);
  add_answers(all, facts);
  add_lag(all, facts);
  add_logs(all, facts);
  add_link(all, facts);
  add_process(all, facts.process);
}

std::string metrics_text(const metrics_facts& facts) {
  families all;
  add_request_families(all, facts);
  add_deployment_families(all, facts);
  add_queue_families(all, facts);
  add_gateway_families(all, facts);
  return prometheus::TextSerializer().Serialize(all);
}

} // namespace vorrang::http
