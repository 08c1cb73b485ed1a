// What the attempts at one deployment hold: parallel slots, rpm units, tokens.
#pragma once

#include "actors/settings.hpp"
#include "actors/types.hpp"

#include <vector>

namespace vorrang::history {

/// An attempt as granted; kept while it runs or its window does.
struct attempt {
  grant_id id = 0;
  ticket_id ticket = 0;
  std::uint64_t serial = 0;
  time_point at{};
  bool probe = false;
  bool running = true;
  bool began = false;
  bool head = false;
  /// The rpm unit is held (given back if nothing was sent).
  bool unit = true;
  std::uint64_t estimate = 0;
  /// Tokens charged, at least and at most.
  std::uint64_t tokens_least = 0;
  std::uint64_t tokens_most = 0;
};

class window_model {
public:
  explicit window_model(const deployment_settings& limits);

  void granted(attempt what);
  /// The running attempt, null if there is none of this id.
  attempt* running(grant_id id);
  /// Takes the attempt out of flight and corrects what it holds.
  void settled(time_point now, grant_id id, const outcome& result);

  std::uint64_t in_flight() const noexcept { return in_flight_; }
  std::vector<std::uint64_t> in_flight_serials() const;
  /// Attempts and tokens of the last 60 s: at least, at most (lateness and unknown usage).
  std::uint64_t units_least(time_point now) const;
  std::uint64_t units_most(time_point now) const;
  std::uint64_t tokens_least(time_point now) const;
  std::uint64_t tokens_most(time_point now) const;

  /// Whether a ticket with this estimate may be (surely is) taken, as far as limits go.
  bool maybe_fits(time_point now, std::uint64_t estimate) const;
  bool surely_fits(time_point now, std::uint64_t estimate) const;

  time_point next_change(time_point now) const;
  void forget(time_point now);

private:
  struct late_usage {
    time_point at{};
    std::uint64_t least = 0;
    std::uint64_t most = 0;
  };
  bool counts(time_point at, time_point now, bool late) const;

  const deployment_settings& limits_;
  bool may_be_late_;
  std::uint64_t in_flight_ = 0;
  std::vector<attempt> attempts_;
  std::vector<late_usage> late_;
};

} // namespace vorrang::history
