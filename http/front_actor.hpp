// The front actor: what operators and signals want of the engine, as messages to its queues.
#pragma once

#include "http/operator_desk.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace caf {
class actor_system;
}

namespace vorrang {
struct engine_directory;
}

namespace vorrang::http {

/// Translates calls from threads that may block (the admin port's) into messages: the front actor
/// asks the queue of the group and answers through a one-shot promise, so that a caller that gave
/// up is missed by nobody. Calls may come from any number of threads, but never from a loop.
class front_desk final : public operator_desk {
public:
  /// `classes`: where those of priorities begin, for queue_view::oldest_waits.
  front_desk(caf::actor_system& system, std::shared_ptr<engine_directory> engine,
             std::vector<std::int32_t> classes = {});
  /// Sends the actor home; answers that are still awaited fail at once.
  ~front_desk() override;

  std::vector<std::string> groups() override;
  std::optional<queue_view> snapshot(const std::string& group, std::uint64_t offset,
                                     std::uint32_t limit, time_point deadline) override;
  std::optional<queue_view> figures(const std::string& group, time_point deadline) override;
  std::optional<ticket_view> look_at(const std::string& group, ticket_id ticket,
                                     time_point deadline) override;
  std::optional<change_result> cancel(const std::string& group, ticket_id ticket,
                                      time_point deadline) override;
  std::optional<change_result> move(const std::string& group, ticket_id ticket,
                                    std::int32_t priority, time_point deadline) override;
  readiness ready() override;

  /// A reload: a directory in which places are kept. From any thread.
  void follow(std::shared_ptr<engine_directory> engine);

  /// The gateway takes no new requests; those that wait go on until end_waiting(). Any thread.
  void start_draining() noexcept { draining_.store(true, std::memory_order_release); }
  bool draining() const noexcept { return draining_.load(std::memory_order_acquire); }

  /// From now on every ticket that waits or comes ends with `draining`. Any thread.
  void end_waiting();

private:
  struct parts; // CAF stays out of this header
  std::unique_ptr<parts> parts_;
  std::atomic<bool> draining_{false};
};

} // namespace vorrang::http
