// What may be known from outside about the health of one deployment: cooldown, probes, re-opening.
//
// Where the contract leaves a choice, the model does not choose: it follows every reading at once,
// as a set of possible worlds, and drops those that a grant (or its absence) refutes. The rule is
// broken when no world is left. The readings are listed in health_model.cpp, marked "reading:".
#pragma once

#include "actors/settings.hpp"
#include "actors/types.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace vorrang::history {

/// One reading's state of a deployment.
struct health_world {
  bool cooling = false;
  bool ever_cooled = false;
  time_point end{};
  /// No probe before this: a Retry-After runs.
  time_point retry_after_end{};
  /// No probe in this cooldown: 401, 403, 404.
  bool unauthorised = false;
  /// Whether a probe is owed here: not after a 429, whose place among the failures is unclear.
  bool probe_owed = false;
  /// Grants with a smaller serial were made before the cooldown began.
  std::uint64_t began_serial = 0;
  std::vector<time_point> failures;

  /// Re-opening: what may be in flight; none: not re-opening.
  std::optional<std::uint64_t> limit;
  std::uint64_t limit_from_serial = 0;
  bool success_since_end = false;
  bool success_now = false;

  std::optional<grant_id> probe;
  time_point probe_granted{};
  /// Probes are allowed from here and owed by there.
  time_point probe_from{};
  time_point probe_by{};
  duration spacing_from{};
  duration spacing_by{};

  /// Grants whose success was counted at the head.
  std::vector<grant_id> heads;

  bool operator==(const health_world&) const = default;
};

/// An attempt, as far as health cares.
struct health_attempt {
  grant_id id = 0;
  /// Counts the grants of the deployment, from 1.
  std::uint64_t serial = 0;
  bool probe = false;
};

class health_model {
public:
  health_model(const group_settings& group, const deployment_settings& deployment);

  /// Ends the cooldowns that are over at `now`. Everything else expects this first.
  void tick(time_point now);

  /// A grant was heard. False: no reading allows it. `in_flight_serials`: other attempts there.
  bool granted(time_point now, const health_attempt& attempt,
               const std::vector<std::uint64_t>& in_flight_serials);
  /// Whether granted() would be true.
  bool allows(time_point now, bool probe,
              const std::vector<std::uint64_t>& in_flight_serials) const;

  void head(time_point now, const health_attempt& attempt);
  /// The attempt is over. Not called for settles that change nothing.
  void settled(time_point now, const health_attempt& attempt, const outcome& result);

  /// True if every reading holds the deployment open with `in_flight` attempts running.
  bool surely_open(std::uint64_t in_flight) const;
  bool surely_cooling() const;
  bool maybe_cooling() const;
  bool maybe_open() const;
  /// True if every reading owes a probe at `now`.
  bool surely_owes_probe(time_point now) const;
  /// True if every reading has a Retry-After cooldown that ends after `deadline`.
  bool surely_limited_beyond(time_point deadline) const;
  bool maybe_limited_beyond(time_point deadline) const;
  /// The latest (all readings) and earliest end of the cooldown; meaningful while surely_cooling().
  time_point latest_end() const;
  time_point earliest_end() const;

  /// Drops readings refuted because a ticket waits although they hold the deployment open (or owe
  /// a probe). False if none would be left: the rule is broken.
  bool refute_open(std::uint64_t in_flight);
  bool refute_owed_probe(time_point now);

  /// A quiet moment: "until nobody is held back by it". Whether a ticket waits
  /// that wants this deployment.
  void quiet(bool surely_waits, bool maybe_waits,
             const std::vector<std::uint64_t>& in_flight_serials);

  /// As quiet(), but in the middle of an instant: re-opening may be over by now, or not.
  void maybe_reopened();

  /// The earliest moment after `now` at which a reading changes by itself.
  time_point next_change(time_point now) const;

  /// Too many readings at once: nothing is checked here any more (counted by the caller).
  bool lost() const noexcept { return lost_; }
  std::size_t worlds() const noexcept { return worlds_.size(); }
  std::uint64_t grants() const noexcept { return serial_; }

private:
  void each(const std::function<void(health_world, std::vector<health_world>&)>& step);
  void set(std::vector<health_world> next);
  void failure(health_world world, time_point now, const health_attempt& attempt,
               const outcome& result, std::vector<health_world>& out) const;
  void success(health_world world, time_point now, const health_attempt& attempt, bool at_head,
               std::vector<health_world>& out) const;
  void ordinary_failure(health_world world, time_point now, const outcome& result,
                        std::vector<health_world>& out) const;
  void ordinary_success(health_world world, std::vector<health_world>& out) const;
  void begin_cooldown(health_world& world, time_point now, const outcome& result) const;
  bool world_allows(const health_world& world, time_point now, bool probe,
                    const std::vector<std::uint64_t>& in_flight_serials) const;

  duration cooldown_time_;
  duration first_spacing_;
  std::uint32_t allowed_fails_;
  std::uint64_t serial_ = 0;
  bool lost_ = false;
  std::vector<health_world> worlds_;
};

/// The Retry-After that counts: absent if 0 or past, cut at 3600 s.
std::optional<duration> effective_retry_after(const outcome& result);

} // namespace vorrang::history
