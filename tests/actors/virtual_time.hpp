// An actor system in virtual time: nothing moves but by hand, one thread, the same order each run.
#pragma once

#include "actors/engine_actors.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>

namespace vorrang::test {

/// Runs actors on CAF's deterministic scheduler (0.17; its header is gone by 0.19.6). The clock
/// starts at 1000 s, since a time of zero means "none" in places.
class virtual_time {
public:
  virtual_time()
      : system_(config_.policy()), coordinator_(dynamic_cast<coordinator&>(system_.scheduler())) {
    coordinator_.clock().current_time = time_point{std::chrono::seconds(1000)};
  }

  /// Lets every delayed message run out, so that no actor is kept alive by one.
  ~virtual_time() {
    do
      coordinator_.run();
    while (coordinator_.clock().trigger_timeout());
  }

  caf::actor_system& system() { return system_; }
  time_point now() const { return coordinator_.clock().now(); }

  /// Handles every message that waits.
  void run() { coordinator_.run(); }

  /// When the next delayed message is due; `never` if there is none.
  time_point next() const {
    const auto& schedule = coordinator_.clock().schedule();
    return schedule.empty() ? never : schedule.begin()->first;
  }

  /// Moves the clock to `at`, firing what is due by then, each at its own time; `quiet` runs after
  /// each.
  template <class Quiet>
  void advance_to(time_point at, Quiet quiet) {
    for (auto due = next(); due <= at; due = next()) {
      step_to(std::max(due, now()));
      coordinator_.run();
      quiet();
    }
    step_to(at);
  }
  void advance_to(time_point at) {
    advance_to(at, [] {});
  }
  void advance(duration by) { advance_to(now() + by); }

  /// Delayed messages that are pending.
  std::size_t pending() const { return coordinator_.clock().schedule().size(); }

private:
  using coordinator = caf::scheduler::test_coordinator;

  struct test_config : caf::actor_system_config {
    test_config& policy() {
      set("scheduler.policy", caf::atom("testing"));
      set("logger.inline-output", true);
      return *this;
    }
  };

  void step_to(time_point at) {
    if (at > now())
      coordinator_.clock().advance_time(at - now());
    else
      coordinator_.clock().advance_time(duration::zero());
  }

  test_config config_;
  caf::actor_system system_;
  coordinator& coordinator_;
};

} // namespace vorrang::test
