// The data port's part on one loop: its connections, and what they share.
#pragma once

#include "actors/request_gate.hpp"
#include "http/byte_budget.hpp"
#include "http/coroutine.hpp"
#include "http/front.hpp"
#include "http/loop_metrics.hpp"
#include "http/request_journal.hpp"
#include "http/story_ring.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

namespace vorrang::http {

class upstream_pool;

/// How far the end has come; it only goes forward.
enum class stage : std::uint8_t {
  serving = 0,
  draining = 1, ///< idle connections close, requests go on
  ending = 2,   ///< what waits or runs gets 503; a stream that has begun, as an event
  aborting = 3, ///< every connection closes at once
};

/// What all loops share. Outlives them.
struct data_port {
  data_port(const front& its_rules, std::uint64_t queue_bytes_max)
      : rules(its_rules), bytes(queue_bytes_max), metrics(its_rules.settings()) {}

  const front& rules;
  byte_budget bytes;
  metrics_board metrics;
  /// Set before the first request.
  journal_readers journals;
  /// Null: clients speak plain HTTP.
  std::shared_ptr<tls_context> tls;
  std::atomic<std::uint64_t> requests_in_flight = 0;
  /// Connections of clients, also those that are on their way to a loop.
  std::atomic<std::uint64_t> connections = 0;
  /// What is known of the queues, for the health pages; may be empty. Called from any loop.
  std::function<std::shared_ptr<const std::vector<queue_view>>()> queues;
  /// Whether Redis answers; empty where the queues are not shared.
  std::function<bool()> redis_reachable;
  /// Asks the upstreams, and calls back on some loop. From any thread; set before the first
  /// request.
  std::function<void(std::function<void(probe_findings)>)> probe;
};

/// Belongs to its loop's thread.
class data_loop {
public:
  data_loop(loop& runs, data_port& port, std::unique_ptr<request_gate> gate);
  /// Only when is_empty().
  ~data_loop();
  data_loop(const data_loop&) = delete;
  data_loop& operator=(const data_loop&) = delete;

  loop& runs_on() noexcept { return runs_; }
  data_port& port() noexcept { return port_; }
  const front& rules() const noexcept { return port_.rules; }
  request_gate& gate() noexcept { return *gate_; }
  upstream_pool& upstreams() noexcept { return *upstreams_; }
  stage current_stage() const noexcept { return stage_; }
  /// What this loop counts.
  loop_metrics& metrics() noexcept { return *metrics_; }
  trace_ids& ids() noexcept { return ids_; }
  /// What became of its last requests.
  story_ring& stories() noexcept { return stories_; }
  /// `Date`, made once a second.
  const std::string& date(time_point now);
  /// What the front is told of the gateway; `with_queues`: what is known of them too.
  const gateway_state& state(bool with_queues, probe_findings findings = nullptr);

  /// Serves an accepted, non-blocking socket. It is already counted in data_port::connections.
  void take(int descriptor, bool is_ipv6);

  /// Runs `work`, which is_empty() waits for as well.
  void run(awaitable<> work);

  /// Hands the loop something to see when it comes to it: how late that is, is counted. Nothing, if
  /// it has not come to the last one yet. From any thread.
  void measure_lag(time_point now);

  /// Goes on to `next`, if it is further than now; everybody who waits looks at it.
  void advance(stage next);
  /// No coroutine of a connection is left, and none of run().
  bool is_empty() const noexcept { return running_ == 0; }
  /// Calls `done` as soon as is_empty(); then the gate and the pooled connections are let go of.
  void when_empty(std::function<void()> done);

  /// For those whose coroutines wait here, while they live.
  void add(waiter& one) { waiters_.insert(&one); }
  void remove(waiter& one) noexcept { waiters_.erase(&one); }

  /// Connections that were dealt to this loop and are open. From any thread.
  std::atomic<std::uint64_t> load = 0;

private:
  void one_ended(const std::exception_ptr& error);
  void tell_if_empty();

  loop& runs_;
  data_port& port_;
  std::unique_ptr<request_gate> gate_;
  std::unique_ptr<upstream_pool> upstreams_;
  const std::shared_ptr<loop_metrics> metrics_;
  story_ring stories_;
  std::unordered_set<waiter*> waiters_;
  std::uint64_t running_ = 0; ///< coroutines: a little longer than their connections
  stage stage_ = stage::serving;
  gateway_state state_;
  trace_ids ids_;
  std::string date_;
  time_point date_until_{};
  std::function<void()> when_empty_;
};

} // namespace vorrang::http
