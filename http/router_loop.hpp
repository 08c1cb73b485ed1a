// The router's jobs on one loop: the engine behind them, and upstreams.
#pragma once

#include "http/loop.hpp"
#include "http/router_job.hpp"

#include <functional>
#include <memory>
#include <unordered_map>

namespace vorrang::http {

class upstream_pool;

/// Belongs to its loop's thread.
class router_loop final : public router_place {
public:
  router_loop(loop& runs, std::unique_ptr<request_gate> gate);
  /// Only after when_empty() has called.
  ~router_loop() override;
  router_loop(const router_loop&) = delete;
  router_loop& operator=(const router_loop&) = delete;

  loop& runs_on() noexcept { return runs_; }
  upstream_pool& upstreams() noexcept { return *upstreams_; }

  /// Starts a job and keeps it until it is over; while the router ends it is over at once.
  void take(router::call_number number, router_order order);
  void cancel(router::call_number number);

  /// Ends every job; calls `done` when nothing of them runs any more, and the gate is gone.
  void end(std::function<void()> done);

  time_point now() const override;
  request_gate& gate() override { return *gate_; }
  void run_at(timed_call& which, time_point due) override { runs_.run_at(which, due); }
  void carry(std::shared_ptr<router_job> job, upstream_request request) override;

private:
  void tell_if_empty();

  loop& runs_;
  std::unique_ptr<request_gate> gate_;
  std::unique_ptr<upstream_pool> upstreams_;
  std::unordered_map<router::call_number, std::shared_ptr<router_job>> jobs_;
  std::size_t carried_ = 0; ///< coroutines
  bool ends_ = false;
  std::function<void()> when_empty_;
};

} // namespace vorrang::http
