#include "http/actors_engine.hpp"

#include "actors/engine_actors.hpp"
#include "actors/from_config.hpp"
#include "actors/shared/line_link.hpp"
#include "actors/shared/link_counts.hpp"
#include "http/deployment_watch.hpp"
#include "http/front_actor.hpp"
#include "http/log.hpp"
#include "http/loop_desk.hpp"

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

namespace vorrang::http {

namespace {

/// Looks at all queues now and then, for those who must not block (the health pages).
class queue_watch {
public:
  using views = std::shared_ptr<const std::vector<queue_view>>;

  explicit queue_watch(std::shared_ptr<operator_desk> desk)
      : desk_(std::move(desk)), thread_([this] { run(); }) {}
  ~queue_watch() {
    {
      const std::lock_guard guard(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  views last() {
    const std::lock_guard guard(mutex_);
    return last_;
  }

  /// Called before each look, and never after this has returned with another.
  void call_each_second(std::function<void(time_point)> what) {
    const std::lock_guard guard(calling_);
    each_second_ = std::move(what);
  }

private:
  static constexpr std::chrono::seconds period{1};

  void run() {
    for (;;) {
      auto now = std::chrono::steady_clock::now();
      {
        const std::lock_guard guard(calling_);
        if (each_second_)
          each_second_(now);
      }
      auto seen = std::make_shared<std::vector<queue_view>>();
      for (const std::string& name : desk_->groups()) {
        if (!seen->empty())
          now = std::chrono::steady_clock::now();
        auto view = desk_->snapshot(name, 0, 0, now + period);
        if (view && view->group != no_index)
          seen->push_back(std::move(*view));
      }
      log_events(deployments_.look(*seen));
      std::unique_lock lock(mutex_);
      last_ = std::move(seen);
      if (changed_.wait_until(lock, now + period, [this] { return ended_; }))
        return;
    }
  }

  static void log_events(const std::vector<deployment_event>& events) {
    for (const auto& each : events) {
      const auto subject = each.group + "/" + each.deployment + "/" + each.text;
      if (each.cooldown_ms > 0 || each.status > 0)
        log_bounded(log_cause::deployment, subject, each.text,
                    {{"group", each.group},
                     {"deployment", each.deployment},
                     {"for_ms", each.cooldown_ms},
                     {"status", each.status}},
                    each.level);
      else
        log_bounded(log_cause::deployment, subject, each.text,
                    {{"group", each.group}, {"deployment", each.deployment}}, each.level);
    }
  }

  std::shared_ptr<operator_desk> desk_;
  deployment_watch deployments_; // the thread's
  std::mutex calling_;
  std::function<void(time_point)> each_second_; // guarded by calling_
  std::mutex mutex_;
  std::condition_variable changed_;
  views last_;
  bool ended_ = false;
  std::thread thread_;
};

std::optional<engine_reload> prepare(caf::actor_system& system,
                                     const std::shared_ptr<directory_ptr>& directory,
                                     const std::shared_ptr<front_desk>& desk,
                                     const config::settings& now) {
  const auto before = *directory;
  auto settings = to_engine_settings(now);
  settings.seed = before->settings.seed;
  settings.shared = before->settings.shared;
  const auto next = extend_engine(system, before, std::move(settings));
  if (!next)
    return std::nullopt;
  engine_reload steps;
  steps.adopt = [next](request_gate& gate) {
    static_cast<loop_desk&>(gate).follow(next);
  };
  steps.begin = [before, next, directory, desk] {
    *directory = next;
    desk->follow(next);
    begin_reload(before, next);
  };
  return steps;
}

} // namespace

engine_factory actors_engine() {
  return [](caf::actor_system& system, const config::settings& settings) {
    auto engine = to_engine_settings(settings);
    std::random_device random; // gateways that start together must not choose and retry in step
    engine.seed = (std::uint64_t{random()} << 32) | random();
    // Tickets of instances that share a line differ in their names, as far as 10 bits can do it.
    const auto tag = static_cast<std::uint16_t>(engine.shared ? (random() & 0x3ff) << 6 : 0);
    // The one in force. Gates are made at the start and reloads come one by one, so that nobody
    // reads it while another writes; stop() comes after the last of them.
    const auto directory = std::make_shared<directory_ptr>(
        spawn_engine(system, std::move(engine), nullptr, [](bool well, const std::string& what) {
          log_line(well ? log_level::info : log_level::warning, what);
        }));
    auto desk =
        std::make_shared<front_desk>(system, *directory, settings.gateway.metrics_priority_classes);
    auto watch = std::make_shared<queue_watch>(desk);
    gateway_engine made;
    made.desk = desk;
    made.drain_begins = [desk] {
      desk->start_draining();
    };
    made.queues = [watch] {
      return watch->last();
    };
    if ((*directory)->link)
      made.redis_reachable = [first = *directory] { // all of them share what this asks
        return first->shares_lines().value_or(false);
      };
    if (const auto& link = (*directory)->link; link && link->counts())
      made.link = std::shared_ptr<const link_counts>(link, link->counts());
    made.each_second = [watch](std::function<void(time_point)> what) {
      watch->call_each_second(std::move(what));
    };
    made.make_gate = [&system, directory, tag](loop& runs) -> std::unique_ptr<request_gate> {
      return std::make_unique<loop_desk>(runs, system, *directory,
                                         static_cast<std::uint16_t>(tag + runs.index() + 1));
    };
    made.stop = [directory] {
      stop_engine(*directory);
    };
    made.prepare_reload = [&system, directory, desk](const config::settings& now) {
      return prepare(system, directory, desk, now);
    };
    return made;
  };
}

} // namespace vorrang::http
