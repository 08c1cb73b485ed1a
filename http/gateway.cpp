#include "http/gateway.hpp"

#include "actors/shared/link_counts.hpp"
#include "config/settings.hpp"
#include "http/admin_server.hpp"
#include "http/caf_scheduler.hpp"
#include "http/data_loop.hpp"
#include "http/health_probe.hpp"
#include "http/listener.hpp"
#include "http/live_history.hpp"
#include "http/log.hpp"
#include "http/loop_pool.hpp"
#include "http/metrics_page.hpp"
#include "http/reload_log.hpp"
#include "http/trace_exporter.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>

namespace vorrang::http {

namespace {

/// For the 503s after the drain timeout to reach their clients.
constexpr std::chrono::seconds ending_time(2);

std::uint64_t descriptors_max() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return 1u << 20;
  return limit.rlim_cur;
}

} // namespace

struct gateway::parts {
  parts(std::shared_ptr<const config::settings> its_settings, gateway_options its_options,
        engine_factory factory)
      : settings(std::move(its_settings)), options(std::move(its_options)),
        make_engine(std::move(factory)), rules(settings, options.facts),
        port(rules, settings->gateway.max_queue_bytes), pool(options.threads, options.times) {
    use_loops(config, pool);
  }

  /// A socket for the loop that has the fewest; in turns among equals.
  void deal(int descriptor, bool is_ipv6) {
    std::size_t best = turn;
    for (std::size_t step = 1; step < pool.size(); ++step) {
      const std::size_t other = (turn + step) % pool.size();
      if (data_loops[other]->load < data_loops[best]->load)
        best = other;
    }
    turn = (turn + 1) % pool.size();
    data_loop& chosen = *data_loops[best];
    ++port.connections;
    ++chosen.load;
    if (&chosen.runs_on() == loop::current())
      chosen.take(descriptor, is_ipv6);
    else
      chosen.runs_on().post([&chosen, descriptor, is_ipv6] { chosen.take(descriptor, is_ipv6); });
  }

  /// Runs `work` for each loop, on its thread, and waits for all.
  template <class Work>
  void on_each_loop(Work work) {
    // Shared: a loop may still be inside set_value() when nobody waits any more.
    const auto done = std::make_shared<std::vector<std::promise<void>>>(pool.size());
    for (std::size_t index = 0; index < pool.size(); ++index) {
      pool.at(index).post([&work, done, index] {
        work(index);
        (*done)[index].set_value();
      });
    }
    for (auto& each : *done)
      each.get_future().wait();
  }

  void advance(stage next) {
    for (auto& each : data_loops)
      each->runs_on().post([own = each.get(), next] { own->advance(next); });
  }

  void one_is_empty() {
    const std::lock_guard guard(mutex);
    ++empty_loops;
    changed.notify_all();
  }

  /// Called once, from wait().
  void begin_drain() {
    is_draining = true;
    if (engine.drain_begins)
      engine.drain_begins();
    // On the listener's loop, so that sockets it has dealt are posted before their loops drain.
    pool.at(0).post([this] {
      door->stop();
      for (auto& each : data_loops) {
        each->runs_on().post([this, own = each.get()] {
          own->advance(stage::draining);
          own->when_empty([this] { one_is_empty(); });
        });
      }
    });
  }

  bool all_empty() const { return empty_loops == pool.size(); }

  void shut_down() {
    if (admin)
      admin->stop(); // it asks the engine
    admin.reset();
    if (engine.each_second)
      engine.each_second(nullptr);
    const auto stop = engine.stop;
    port.queues = nullptr; // what these hold speaks to the engine
    port.redis_reachable = nullptr;
    engine = {};
    if (stop)
      stop();
    system.reset(); // awaits the actors, then stops the loops
    door.reset();
    probe.reset();
    data_loops.clear();
  }

  /// Under `reloading`.
  void reopen_access_log() {
    if (options.journals.access == nullptr)
      return;
    if (const std::string trouble = options.journals.access->reopen(); !trouble.empty())
      log_line(log_level::error, "access log: " + trouble + "; the file of before goes on");
  }

  /// On the thread that runs once a second.
  void tell_lost_lines() {
    if (options.journals.access == nullptr)
      return;
    const std::uint64_t lost = options.journals.access->lost();
    if (lost > lost_lines_told)
      log_bounded(log_cause::lines_lost, "access",
                  std::to_string(lost - lost_lines_told) +
                      " lines of the access log were left out: whoever reads it is too slow or "
                      "gone, or the disk is full");
    lost_lines_told = lost;
  }

  /// For threads that may wait; null if it was not over by then.
  probe_findings ask_upstreams(time_point until) {
    const auto told = std::make_shared<std::promise<probe_findings>>();
    auto findings = told->get_future();
    probe->ask([told](probe_findings found) { told->set_value(std::move(found)); });
    if (findings.wait_until(until) != std::future_status::ready)
      return nullptr;
    return findings.get();
  }

  /// For threads that may wait: what the loops remember of a request or a ticket. Nothing: not
  /// over by `until`.
  std::optional<story_findings> remembered(const std::string& id, ticket_id ticket,
                                           time_point until) {
    struct answer {
      std::vector<story_event> events;
      std::optional<time_point> kept_since;
    };
    story_findings findings;
    findings.names = port.metrics.plan();
    std::vector<std::future<answer>> answers;
    for (const auto& each : data_loops) {
      const auto told = std::make_shared<std::promise<answer>>();
      answers.push_back(told->get_future());
      each->runs_on().post([own = each.get(), told, id, ticket] {
        told->set_value({own->stories().find(id, ticket), own->stories().kept_since()});
      });
    }
    for (auto& each : answers) {
      if (each.wait_until(until) != std::future_status::ready)
        return std::nullopt;
      auto [events, kept_since] = each.get();
      if (events.empty())
        continue;
      findings.events.insert(findings.events.end(), events.begin(), events.end());
      findings.kept_since = std::max(findings.kept_since, kept_since); // absent is the least
    }
    return findings;
  }

  /// From the admin port's threads. Waits for nothing, no reload either: one that a loop holds up
  /// is when somebody looks.
  std::string metrics(std::vector<queue_view> views) {
    metrics_facts facts;
    facts.plan = port.metrics.plan();
    facts.sets = port.metrics.sets();
    facts.views = std::move(views);
    facts.link = engine.link.get();
    facts.redis_is_up = engine.redis_reachable && engine.redis_reachable();
    facts.is_draining = is_draining;
    facts.requests_in_flight = port.requests_in_flight;
    facts.body_bytes = port.bytes.used();
    facts.body_bytes_max = port.bytes.bytes_max();
    facts.connections = port.connections;
    facts.connections_max = door->connections_max();
    facts.connections_refused = door->refused_count();
    facts.process = read_process_figures();
    facts.version = options.facts.version;
    facts.log_lines_lost = log_lines_lost();
    if (options.journals.access != nullptr)
      facts.access_lines_lost = options.journals.access->lost();
    if (const auto* traces = options.journals.traces) {
      facts.spans_exported = traces->spans_exported();
      facts.spans_dropped = traces->spans_dropped();
    }
    facts.at = std::chrono::steady_clock::now();
    return metrics_text(facts);
  }

  /// Under `reloading`.
  reload_report apply(config::read_result read);
  /// What is answered once the end has begun.
  static reload_report refused() {
    reload_report report;
    report.is_late = true;
    log_findings(report);
    return report;
  }

  std::shared_ptr<const config::settings> settings;
  gateway_options options;
  engine_factory make_engine;
  front rules;
  data_port port;
  loop_pool pool;
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  gateway_engine engine;
  std::unique_ptr<listener> door;
  std::vector<std::unique_ptr<data_loop>> data_loops;
  std::unique_ptr<health_probe> probe; ///< on the first loop
  live_history history;
  std::unique_ptr<admin_server> admin;
  std::size_t turn = 0;
  std::uint16_t admin_port = 0;
  std::atomic<bool> is_draining = false;
  bool started = false;
  std::uint64_t lost_lines_told = 0;

  /// Held for the whole of a reload: it guards `settings` once the gateway serves, and this.
  std::mutex reloading;
  bool may_reload = false;

  std::mutex mutex; // guards what follows
  std::condition_variable changed;
  bool drain_asked = false;
  bool end_asked = false;
  std::size_t empty_loops = 0;
};

reload_report gateway::parts::apply(config::read_result read) {
  reload_report report;
  config::merged_reload merged;
  if (!read.has_errors())
    merged = config::merge_reload(*settings, std::move(read.settings));
  report = report_of(read, merged);
  if (report.errors.empty() && admin && !admin->may_follow(merged.settings))
    report.errors.push_back("general_settings.master_key: the admin port on " +
                            merged.settings.gateway.admin_host + " wants it");
  std::optional<engine_reload> steps;
  auto fresh = std::make_shared<const config::settings>(std::move(merged.settings));
  if (report.errors.empty() && engine.prepare_reload) {
    steps = engine.prepare_reload(*fresh);
    if (!steps)
      report.errors.push_back("too many model groups since the start: restart to forget them");
  }
  log_findings(report);
  if (!report.errors.empty())
    return report;
  // Whoever may hear of something new knows it before anybody speaks of it: first the desks, which
  // settle grants, and what attempts look at; then the engine; last what requests ask for.
  const bool has_more_to_count = port.metrics.follow(*fresh, std::chrono::steady_clock::now());
  on_each_loop([&](std::size_t index) {
    if (has_more_to_count)
      data_loops[index]->metrics().follow(port.metrics.plan());
    if (steps)
      steps->adopt(data_loops[index]->gate());
  });
  rules.prepare_reload(fresh);
  if (steps)
    steps->begin();
  rules.begin_reload();
  on_each_loop([](std::size_t) {}); // nobody looks at what was before any more
  rules.end_reload();
  settings = std::move(fresh);
  if (admin)
    admin->follow(settings);
  log_changes(merged);
  return report;
}

gateway::gateway(std::shared_ptr<const config::settings> settings, gateway_options options,
                 engine_factory make_engine)
    : parts_(std::make_unique<parts>(std::move(settings), std::move(options),
                                     std::move(make_engine))) {}

gateway::~gateway() {
  end_now();
  wait();
}

std::string gateway::start() {
  parts& own = *parts_;
  std::uint64_t connections_max = own.options.connections_max;
  if (connections_max == 0)
    connections_max = listener::connections_max_for(descriptors_max());
  own.door = std::make_unique<listener>(
      own.pool.at(0), connections_max,
      [&own](int descriptor, bool is_ipv6) { own.deal(descriptor, is_ipv6); },
      [&own] { return own.port.connections.load(); });
  std::string trouble = own.door->open(own.options.host, own.options.port);
  if (!trouble.empty()) {
    own.door.reset();
    return trouble;
  }
  own.system = std::make_unique<caf::actor_system>(own.config);
  own.engine = own.make_engine(*own.system, *own.settings);
  own.port.tls = own.options.tls;
  own.port.journals = own.options.journals;
  own.port.journals.is_tls = own.options.tls != nullptr;
  own.port.queues = own.engine.queues;
  own.port.redis_reachable = own.engine.redis_reachable;
  own.data_loops.resize(own.pool.size());
  own.on_each_loop([&own](std::size_t index) {
    loop& runs = own.pool.at(index);
    own.data_loops[index] = std::make_unique<data_loop>(runs, own.port, own.engine.make_gate(runs));
  });
  own.probe = std::make_unique<health_probe>(*own.data_loops.front());
  own.port.probe = [&own](health_probe::told done) {
    own.probe->ask(std::move(done));
  };
  own.history.sample(std::chrono::steady_clock::now(), own.port.metrics);
  if (own.engine.each_second)
    own.engine.each_second([&own](time_point now) {
      for (const auto& each : own.data_loops)
        each->measure_lag(now);
      log_tick(now);
      own.tell_lost_lines();
      own.history.sample(now, own.port.metrics);
    });
  own.started = true;
  if (own.engine.desk) {
    admin_options options;
    options.any_port = own.options.any_admin_port;
    options.names = own.options.facts.names;
    options.version = own.options.facts.version;
    options.probe = [&own](time_point until) {
      return own.ask_upstreams(until);
    };
    options.metrics = [&own](std::vector<queue_view> views) {
      return own.metrics(std::move(views));
    };
    options.story = [&own](const std::string& id, ticket_id ticket, time_point until) {
      return own.remembered(id, ticket, until);
    };
    options.history = [&own](group_index group) {
      return own.history.of(group);
    };
    if (own.options.read_again)
      options.reload = [this] {
        return reload();
      };
    own.admin = std::make_unique<admin_server>(own.settings, *own.engine.desk, options);
    trouble = own.admin->start();
    if (!trouble.empty()) {
      end_now();
      wait();
      return trouble;
    }
    own.admin_port = own.admin->port();
  }
  own.pool.at(0).post([&own] { own.door->start(); });
  const std::lock_guard guard(own.reloading);
  own.may_reload = true;
  return {};
}

std::uint16_t gateway::port() const noexcept {
  return parts_->door ? parts_->door->port() : 0;
}

std::uint16_t gateway::admin_port() const noexcept {
  return parts_->admin_port;
}

reload_report gateway::reload(config::read_result read) {
  const std::lock_guard guard(parts_->reloading);
  return parts_->may_reload ? parts_->apply(std::move(read)) : parts::refused();
}

reload_report gateway::reload() {
  const std::lock_guard guard(parts_->reloading);
  parts_->reopen_access_log();
  if (!parts_->options.read_again)
    return {};
  return parts_->may_reload ? parts_->apply(parts_->options.read_again()) : parts::refused();
}

void gateway::drain() {
  const std::lock_guard guard(parts_->mutex);
  parts_->drain_asked = true;
  parts_->changed.notify_all();
}

void gateway::end_now() {
  const std::lock_guard guard(parts_->mutex);
  parts_->drain_asked = parts_->end_asked = true;
  parts_->changed.notify_all();
}

void gateway::wait() {
  parts& own = *parts_;
  if (!std::exchange(own.started, false))
    return;
  {
    std::unique_lock lock(own.mutex);
    own.changed.wait(lock, [&own] { return own.drain_asked; });
  }
  {
    const std::lock_guard guard(own.reloading);
    own.may_reload = false;
  }
  own.begin_drain();
  {
    std::unique_lock lock(own.mutex);
    const auto is_over = [&own] {
      return own.all_empty() || own.end_asked;
    };
    own.changed.wait_for(lock, own.settings->gateway.drain_timeout, is_over);
    if (!is_over()) {
      own.advance(stage::ending);
      own.changed.wait_for(lock, ending_time, is_over);
    }
    if (!own.all_empty())
      own.advance(stage::aborting);
    own.changed.wait(lock, [&own] { return own.all_empty(); });
  }
  own.shut_down();
}

std::vector<std::string> gateway::names_of_machine() {
  std::vector<std::string> names;
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0')
    names.emplace_back(name);
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0)
    return names;
  for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr)
      continue;
    char text[INET6_ADDRSTRLEN] = {};
    const void* address = nullptr;
    if (each->ifa_addr->sa_family == AF_INET)
      address = &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr;
    else if (each->ifa_addr->sa_family == AF_INET6)
      address = &reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr;
    if (address != nullptr &&
        ::inet_ntop(each->ifa_addr->sa_family, address, text, sizeof text) != nullptr)
      names.emplace_back(text);
  }
  ::freeifaddrs(all);
  return names;
}

} // namespace vorrang::http
