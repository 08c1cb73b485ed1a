#include "http/caf_scheduler.hpp"

#include "http/caf_clock.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/execution_unit.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace vorrang::http {

namespace {

/// Messages an actor may handle before the next one, and actors that run before sockets are looked
/// at again. Unlimited starves the timers of a loop; 1000 costs 1 ms at the 99th percentile.
constexpr std::size_t messages_in_a_go_max = 100;
constexpr std::size_t actors_in_a_go_max = 64;

/// Runs actors on one loop.
class worker final : public caf::execution_unit {
public:
  worker(caf::actor_system& system, loop& runs)
      : execution_unit(&system), runs_(runs),
        drain_(this, [](void* self) { static_cast<worker*>(self)->drain(); }) {}

  /// From the loop's own thread.
  void exec_later(caf::resumable* job) override {
    jobs_.push_back(job);
    if (!draining_)
      runs_.run_soon(drain_);
  }

  /// From any other thread. One post carries all that gathers until the loop comes to it. False
  /// once the worker is closed: the job stays the caller's.
  bool push_foreign(caf::resumable* job) {
    {
      const std::lock_guard guard(mutex_);
      if (closed_)
        return false;
      foreign_.push_back(job);
      if (foreign_.size() > 1)
        return true;
    }
    runs_.post([this] { take_foreign(); });
    return true;
  }

  /// The jobs that are left, once the loop's thread has ended.
  std::vector<caf::resumable*> close() {
    drain_.unlink();
    const std::lock_guard guard(mutex_);
    closed_ = true;
    std::vector<caf::resumable*> left(jobs_.begin(), jobs_.end());
    left.insert(left.end(), foreign_.begin(), foreign_.end());
    jobs_.clear();
    foreign_.clear();
    return left;
  }

private:
  void take_foreign() {
    {
      const std::lock_guard guard(mutex_);
      taken_.swap(foreign_);
    }
    for (caf::resumable* each : taken_)
      exec_later(each);
    taken_.clear();
  }

  void drain() {
    draining_ = true;
    try {
      run_jobs();
    } catch (...) {
      end_drain(); // or none would come after it
      throw;
    }
    end_drain();
  }

  void end_drain() {
    draining_ = false;
    if (!jobs_.empty())
      runs_.post([this] { runs_.run_soon(drain_); }); // sockets have their turn first
  }

  void run_jobs() {
    for (std::size_t count = 0; !jobs_.empty() && count < actors_in_a_go_max; ++count) {
      caf::resumable* const job = jobs_.front();
      jobs_.pop_front();
      switch (job->resume(this, messages_in_a_go_max)) {
      case caf::resumable::resume_later:
        jobs_.push_back(job); // it keeps its reference
        break;
      case caf::resumable::done:
      case caf::resumable::awaiting_message:
      case caf::resumable::shutdown_execution_unit:
        caf::intrusive_ptr_release(job);
        break;
      }
    }
  }

  loop& runs_;
  waiting_call drain_;
  std::deque<caf::resumable*> jobs_;   // of the loop's thread
  std::vector<caf::resumable*> taken_; // of the loop's thread
  bool draining_ = false;              // of the loop's thread
  std::mutex mutex_;
  std::vector<caf::resumable*> foreign_; // guarded
  bool closed_ = false;                  // guarded
};

class loop_scheduler final : public caf::scheduler::abstract_coordinator {
public:
  loop_scheduler(caf::actor_system& system, loop_pool& pool)
      : abstract_coordinator(system), pool_(pool), clock_(pool.at(0)) {
    for (std::size_t index = 0; index < pool.size(); ++index)
      workers_.push_back(std::make_unique<worker>(system, pool.at(index)));
  }

  void init(caf::actor_system_config& config) override {
    abstract_coordinator::init(config);
    max_throughput_ = messages_in_a_go_max;
    num_workers_ = pool_.size();
  }

  void start() override {
    pool_.start([this] { system().thread_started(); }, [this] { system().thread_terminates(); });
    abstract_coordinator::start();
  }

  void stop() override {
    stop_actors();
    pool_.stop();
    clock_.stop();
    for (const auto& each : workers_) {
      for (caf::resumable* job : each->close())
        cleanup_and_release(job);
    }
  }

  void enqueue(caf::resumable* job) override {
    if (pool_.is_inside()) {
      workers_[loop::current()->index()]->exec_later(job);
      return;
    }
    const std::size_t turn = next_worker_.fetch_add(1, std::memory_order_relaxed);
    if (!workers_[turn % workers_.size()]->push_foreign(job))
      cleanup_and_release(job); // a detached actor, after the end
  }

  caf::actor_clock& clock() noexcept override { return clock_; }

private:
  loop_pool& pool_;
  caf_clock clock_;
  std::vector<std::unique_ptr<worker>> workers_;
};

} // namespace

void use_loops(caf::actor_system_config& config, loop_pool& pool) {
  config.module_factories.push_back(
      [&pool](caf::actor_system& system) -> caf::actor_system::module* {
        return new loop_scheduler(system, pool); // the system owns it
      });
}

} // namespace vorrang::http
