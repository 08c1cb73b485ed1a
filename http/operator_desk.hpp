// What the admin port asks of the engine.
#pragma once

#include "actors/snapshot.hpp"

#include <optional>
#include <string>
#include <vector>

namespace vorrang::http {

/// The engine as the operator's server sees it. Called from the server's own threads, several at a
/// time, never from a loop: an implementation may block, at most until `deadline`.
class operator_desk {
public:
  virtual ~operator_desk() = default;

  /// All group names, in the order of engine_settings, also of those that a reload has removed.
  /// Cheap, constant between reloads.
  virtual std::vector<std::string> groups() = 0;

  /// A page of one group's line, from place `offset` (0: the head), `limit` tickets at most, and
  /// all of its deployments. Nothing if there is no such group, or no answer came in time
  /// (queue_view::group is no_index then, so that the two can be told apart).
  virtual std::optional<queue_view> snapshot(const std::string& group, std::uint64_t offset,
                                             std::uint32_t limit, time_point deadline) = 0;

  /// A group's figures alone, without who waits: from what this instance knows by itself, so that
  /// an answer comes whatever Redis does. Nothing, and no answer in time, as above.
  virtual std::optional<queue_view> figures(const std::string& group, time_point deadline) {
    return snapshot(group, 0, 0, deadline);
  }

  /// One ticket of this instance, if it waits there, and what it waits for. Absent: no answer in
  /// time.
  virtual std::optional<ticket_view> look_at(const std::string&, ticket_id, time_point) {
    return ticket_view();
  }

  /// Ends a waiting ticket: its client gets 503 `Cancelled by the operator`. Absent: no answer in
  /// time.
  virtual std::optional<change_result> cancel(const std::string& group, ticket_id ticket,
                                              time_point deadline) = 0;

  /// Gives a waiting ticket another priority; it keeps its arrival number.
  virtual std::optional<change_result> move(const std::string& group, ticket_id ticket,
                                            std::int32_t priority, time_point deadline) = 0;

  /// Draining, and whether Redis answers (absent: the queue is not shared).
  struct readiness {
    bool draining = false;
    std::optional<bool> redis_reachable;
  };
  virtual readiness ready() = 0;
};

} // namespace vorrang::http
