#include "actors/shared/line_session.hpp"

#include <algorithm>

namespace vorrang {
namespace {

/// While something waits or runs: often enough for a lease of 5 s (spec §6), and the look that
/// finds what a lost message has not told.
constexpr duration busy_look = std::chrono::seconds(1);
/// Else: often enough for a lease of 15 s.
constexpr duration idle_look = std::chrono::seconds(4);
/// Between two tries of a server that answers with an error.
constexpr duration retry_pause = std::chrono::milliseconds(200);
/// Instances whose lines have an event at the same moment look one after the other.
constexpr duration rank_pause = std::chrono::milliseconds(1);

} // namespace

line_session::line_session(time_point now, group_queue& queue, std::string instance,
                           const std::string& name_space, bool hold)
    : queue_(queue), line_(queue, std::move(instance), name_space), hold_(hold), away_since_(now),
      look_at_(now) {
  queue_.set_mode(line_mode::held);
}

void line_session::answered(time_point now, const line_answer& what) {
  if (what.came && line_.replied(now, what.text)) {
    failing_ = false;
    down_ = false;
    const auto wanted = line_.is_current() ? line_mode::shared : line_mode::held;
    queue_.set_mode(wanted);
    return;
  }
  line_.lost();
  if (!std::exchange(failing_, true))
    away_since_ = called_at_;
  trouble_ = what.came ? "it answered something else" : what.text;
  look_at_ = now + retry_pause;
  if (!down_)
    queue_.set_mode(line_mode::held);
}

void line_session::up(time_point now) {
  look_at_ = now;
}

std::optional<line_call> line_session::turn(time_point now) {
  if (failing_ && !down_ && now - away_since_ >= line_silence_max) {
    down_ = true;
    ++outages_;
    queue_.set_mode(hold_ ? line_mode::held : line_mode::own);
  }
  line_.collect();
  if (failing_ && now < look_at_) // what there is to say waits with the rest
    return std::nullopt;
  if (!line_.is_out() && now >= next_event())
    line_.renew();
  auto call = line_.next_call();
  if (call) {
    const bool busy = queue_.waiting() > 0 || line_.is_running();
    called_at_ = now;
    look_at_ = now + (busy || failing_ ? busy_look : idle_look);
  }
  return call;
}

std::optional<line_call> line_session::leave() {
  if (failing_)
    return std::nullopt;
  line_.collect();
  return line_.last_call();
}

time_point line_session::next_event() const {
  // A call that is out is answered in any case.
  auto next = line_.is_out() ? never : look_at_;
  if (failing_ && !down_)
    next = std::min(next, away_since_ + line_silence_max);
  if (!failing_ && !line_.is_out() && queue_.waiting() > 0 && line_.next_look() != never)
    next = std::min(next, line_.next_look() + line_.members().rank * rank_pause);
  return next;
}

} // namespace vorrang
