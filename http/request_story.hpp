// One request's part of the stories: told what happens to it, it writes that down.
#pragma once

#include "http/attempt.hpp"
#include "http/loop_metrics.hpp"
#include "http/story_ring.hpp"

#include <algorithm>
#include <string_view>

namespace vorrang::http {

/// Belongs to the loop whose ring it writes to. It reads no clock. A request without a ticket has
/// no story.
class request_story {
public:
  /// `ring` outlives it.
  explicit request_story(story_ring& ring) noexcept : ring_(ring) {}

  void opened(std::string_view request_id, ticket_id ticket, const ask& wanted,
              time_point since) noexcept {
    last_.at = since.time_since_epoch().count();
    last_.request = story_ring::number_of(request_id);
    last_.ticket = ticket;
    last_.group = wanted.group;
    last_.deployment = no_index;
    last_.number = wanted.priority;
    write(story_step::arrived);
  }

  void granted(const grant& given) noexcept {
    last_.at = given.at.time_since_epoch().count();
    last_.group = given.group;
    last_.deployment = given.deployment;
    last_.number = given.priority;
    last_.attempt = static_cast<std::uint16_t>(std::min<std::uint32_t>(given.attempt, 0xffff));
    last_.is_probe = given.reason == grant_reason::head_of_line;
    write(story_step::granted);
    last_.is_probe = false;
  }

  /// No answer that could be used came of the attempt.
  void upstream_failed(transport_error error) noexcept {
    last_.error = static_cast<std::uint8_t>(error);
  }

  void tried(const outcome& result, time_point now) noexcept {
    using milliseconds = std::chrono::milliseconds;
    constexpr milliseconds most(std::numeric_limits<std::int32_t>::max());
    last_.at = now.time_since_epoch().count();
    last_.detail = static_cast<std::uint8_t>(result.kind);
    last_.status = result.status;
    last_.number = -1;
    if (result.retry_after)
      last_.number = static_cast<std::int32_t>(
          std::min(std::chrono::ceil<milliseconds>(*result.retry_after), most).count());
    write(story_step::tried);
    last_.error = 0;
    last_.status = 0;
  }

  void falls_back(group_index to, time_point now) noexcept {
    last_.at = now.time_since_epoch().count();
    last_.group = to;
    last_.deployment = no_index;
    write(story_step::fallback);
  }

  /// How it ends: what the engine says …
  void ended(end_code code) noexcept { end_ = static_cast<std::uint8_t>(code); }
  /// … or the deadline in the middle of a call.
  void timed_out_calling() noexcept { end_ = static_cast<std::uint8_t>(timed_out_calling_place); }

  /// Its client was told (0: nothing), and nothing more will happen. `is_cut`: what it was told
  /// broke off.
  void over(unsigned status, time_point now, bool is_cut = false) noexcept {
    last_.at = now.time_since_epoch().count();
    last_.detail = end_;
    last_.status = static_cast<std::uint16_t>(status);
    last_.is_cut = is_cut;
    write(story_step::over);
    last_.ticket = 0;
  }

private:
  void write(story_step step) noexcept {
    if (last_.ticket == 0)
      return;
    last_.step = step;
    ring_.add(last_);
  }

  story_ring& ring_;
  story_event last_{};
  std::uint8_t end_ = static_cast<std::uint8_t>(answered_place);
};

} // namespace vorrang::http
