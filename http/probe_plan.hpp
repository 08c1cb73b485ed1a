// Whether upstreams are there: what is asked of each, and what its answer says.
//
// Passive: no sockets, no CAF. health_probe is what asks.
#pragma once

#include "actors/types.hpp"
#include "http/attempt.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vorrang::http {

/// What was found out about one deployment.
struct probe_finding {
  /// For people: `answered 200`, `full, not asked`, …
  std::string said = "not asked in time";
  /// It would not serve a request now, whatever has been known of it so far.
  bool is_bad = false;
  /// Of its answer; 0: none came.
  std::uint16_t status = 0;
  /// From the request's first byte to the end of the answer's head; absent if none came.
  std::optional<std::chrono::milliseconds> took;
};

/// One for each of settings::deployments, in their order.
using probe_findings = std::shared_ptr<const std::vector<probe_finding>>;

/// How to ask one deployment.
struct probe_plan {
  /// Null: it is not asked, and `not_asked` says why.
  const upstream_address* address = nullptr;
  const config::deployment* deployment = nullptr;
  /// What both point into.
  std::shared_ptr<const void> keeps;
  std::string not_asked;
  /// Pinned to the deployment, granted now or never, and behind everybody.
  ask wanted;
  /// `GET …/models`: the one thing that all of these APIs have and that none of them bills.
  std::string head;
};

/// It answered. Whoever has no list of models (404, 405) is there all the same.
probe_finding finding_of(std::uint16_t status, std::chrono::milliseconds took);
/// It did not.
probe_finding finding_of(transport_error error);
/// The engine granted nothing: full, cooling down, shutting down.
probe_finding finding_of(end_code code);

} // namespace vorrang::http
