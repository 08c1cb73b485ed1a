// When a queue is led by the shared line, when by itself, and when by nobody.
#pragma once

#include "actors/shared/shared_line.hpp"

namespace vorrang {

/// Spec §6: Redis away for so long, and the queue goes on by itself, or holds.
inline constexpr duration line_silence_max = std::chrono::seconds(2);

/// Follows the calls of one group's shared_line: sends what has gathered, looks when it is time,
/// and sets the queue's mode. Passive: takes the time; the actor beside it makes the calls.
class line_session {
public:
  /// `hold`: while the line is away nothing is granted; else the queue goes on by itself.
  line_session(time_point now, group_queue& queue, std::string instance,
               const std::string& name_space, bool hold);

  void answered(time_point now, const line_answer& what);
  /// The server can be called again.
  void up(time_point now);
  void noted(time_point now, const std::string& text) { line_.noted(now, text); }

  /// At the end of each turn, after the queue's serve().
  std::optional<line_call> turn(time_point now);
  /// What is said when this instance goes for good; nothing if nobody would hear it.
  std::optional<line_call> leave();
  /// When turn() has something to do if nothing else happens.
  time_point next_event() const;

  shared_line& line() noexcept { return line_; }
  /// The line has been away for 2 s.
  bool is_down() const noexcept { return down_; }
  /// How often it has come to that.
  std::uint64_t outages() const noexcept { return outages_; }
  /// Why the last call failed.
  const std::string& trouble() const noexcept { return trouble_; }

private:
  group_queue& queue_;
  shared_line line_;
  bool hold_;
  bool down_ = false;
  std::uint64_t outages_ = 0;
  bool failing_ = true;
  /// When the first of the calls that failed was made.
  time_point away_since_;
  time_point called_at_{};
  time_point look_at_;
  std::string trouble_ = "not connected yet";
};

} // namespace vorrang
