// The engine as an operator sees it: who waits, who may answer, what is left of the limits.
//
// Plain C++17 values, no CAF, no HTTP. A snapshot is a copy taken at one moment (`at`); by the time
// it is read it may be past. Indices are those of engine_settings.
#pragma once

#include "actors/types.hpp"

namespace vorrang {

/// Why a ticket still waits, in the order in which they are told: the first that holds.
enum class wait_reason : std::uint8_t {
  /// A better ticket waits for each deployment this one could go to.
  behind_others = 1,
  /// Head of line, and every deployment it could go to is full (slots, rpm or tpm).
  all_full = 2,
  /// Every deployment it could go to cools down.
  all_cooling = 3,
  /// Its own back-off is running on each deployment that is left to it.
  backing_off = 4,
  /// With Redis away and `redis_unavailable: hold`, nothing is granted.
  held = 5,
};

/// `behind-others`, `all-full`, `all-cooling`, `backing-off` or `held`.
constexpr std::string_view to_string(wait_reason reason) noexcept {
  switch (reason) {
  case wait_reason::behind_others:
    return "behind-others";
  case wait_reason::all_full:
    return "all-full";
  case wait_reason::all_cooling:
    return "all-cooling";
  case wait_reason::backing_off:
    return "backing-off";
  case wait_reason::held:
    return "held";
  }
  return "unknown";
}

/// What a ticket waits for that is behind nobody; bits of ticket_report::waits_for.
enum class missing : std::uint8_t {
  /// A slot of `max_parallel_requests`.
  slot = 1,
  /// A unit of `rpm`.
  rpm = 2,
  /// Tokens of `tpm`.
  tpm = 4,
  /// A deployment that re-opens after a cooldown lets in a few at a time.
  opening = 8,
};

/// A waiting ticket.
struct ticket_report {
  ticket_id id = 0;
  std::int32_t priority = 0;
  /// 1 is the head of line.
  std::uint32_t position = 0;
  /// Rises with each that comes to this line: who has a smaller one and stands behind was
  /// overtaken.
  std::uint64_t arrival = 0;
  /// Since the request was first offered to this group.
  duration waited{};
  time_point deadline = never;
  /// The instance that holds it; empty when the queue is not shared.
  std::string instance;
  wait_reason why = wait_reason::behind_others;
  /// For `all_full`: bits of `missing`, over all deployments that it could go to.
  std::uint8_t waits_for = 0;
  /// The earliest moment that is known to end the reason, counted from the snapshot: a unit that
  /// comes back, the end of a cooldown or of a back-off.
  std::optional<duration> ready_in;
  /// Attempts it has had already.
  std::uint32_t attempts = 0;
  /// The body it keeps in memory.
  std::uint64_t bytes = 0;
};

/// A deployment: its state and what is used of each limit (an absent limit is none).
struct deployment_report {
  std::string id;
  /// A reload has removed it: it finishes its calls. Shown while it has any.
  bool retired = false;
  /// Not cooling down and has capacity.
  bool healthy = true;
  bool cooling = false;
  /// No room now in slots, rpm or tpm.
  bool full = false;
  std::uint32_t in_flight = 0;
  std::optional<std::uint32_t> max_parallel_requests;
  /// Grants of the last 60 s.
  std::uint64_t rpm_used = 0;
  std::optional<std::uint64_t> rpm;
  /// Tokens of the last 60 s.
  std::uint64_t tpm_used = 0;
  std::optional<std::uint64_t> tpm;
  /// When rpm and tpm get something back, counted from the snapshot; absent where nothing of the
  /// last 60 s is known to count.
  std::optional<duration> window_returns_in;
  /// When the cooldown ends, counted from the snapshot; absent unless `cooling`.
  std::optional<duration> cooldown_ends_in;
  /// The last failure's HTTP status; 0: none since the start, or no HTTP answer.
  std::uint16_t last_failure_status = 0;
  /// Cooldowns that have begun since the start.
  std::uint64_t cooldowns = 0;
};

/// Who decides in a group's line.
enum class line_state : std::uint8_t {
  /// This instance: the line is not shared.
  alone = 1,
  /// The line that instances share.
  shared = 2,
  /// This instance, with its share of the limits: the shared line is away.
  local = 3,
  /// Nobody: the shared line is away, and nothing is granted meanwhile.
  held = 4,
};

/// What a deployment lacks for a ticket that waits, in the order in which it is told.
enum class obstacle_kind : std::uint8_t {
  /// The ticket's own back-off runs there, or it was refused there.
  not_now = 1,
  cooling = 2,
  /// `max_parallel_requests` are in flight.
  slots = 3,
  rpm = 4,
  /// The window has no room for this ticket's tokens.
  tpm = 5,
  /// It lends no more for now: it re-opens after a cooldown, or this instance has used its share.
  opening = 6,
  /// Nothing: what room there is is kept for a better ticket, or the grant is on its way.
  nothing = 7,
};

/// `not-now`, `cooling`, `slots`, `rpm`, `tpm`, `opening` or `nothing`.
constexpr std::string_view to_string(obstacle_kind kind) noexcept {
  switch (kind) {
  case obstacle_kind::not_now:
    return "not-now";
  case obstacle_kind::cooling:
    return "cooling";
  case obstacle_kind::slots:
    return "slots";
  case obstacle_kind::rpm:
    return "rpm";
  case obstacle_kind::tpm:
    return "tpm";
  case obstacle_kind::opening:
    return "opening";
  case obstacle_kind::nothing:
    return "nothing";
  }
  return "unknown";
}

struct obstacle {
  std::string deployment; ///< its id
  obstacle_kind kind = obstacle_kind::nothing;
  /// What is used of the limit that is told of, and that limit; for slots, rpm and tpm.
  std::uint64_t used = 0;
  std::uint64_t limit = 0;
  /// What the ticket needs of it; for tpm.
  std::uint64_t needed = 0;
  /// When the cooldown ends, or the window gives the next back, counted from the view; absent:
  /// unknown.
  std::optional<duration> until;
};

/// One ticket, if it waits here, and what it waits for.
struct ticket_view {
  bool waits = false;
  ticket_report ticket;
  /// Tickets waiting in all.
  std::uint64_t waiting = 0;
  /// Of each deployment that the settings let it go to.
  std::vector<obstacle> obstacles;
  line_state state = line_state::alone;
  /// When this was true.
  time_point at{};
};

/// One group: a page of its line, and all of its deployments.
struct queue_view {
  group_index group = no_index;
  std::string name;
  /// A reload has removed it: nobody waits, and deployments are there only while they have calls.
  bool retired = false;
  /// Tickets waiting in all, of which `tickets` is a page.
  std::uint64_t waiting = 0;
  /// Place in line of the first of `tickets`, counted from 0.
  std::uint64_t offset = 0;
  /// In order, at most as many as were asked for.
  std::vector<ticket_report> tickets;
  std::vector<deployment_report> deployments;
  /// Longest wait among all who wait; zero if nobody does.
  duration oldest_wait{};
  /// The same of this instance's own tickets, for each class of priorities that was asked for (see
  /// piece_request::classes).
  std::vector<duration> oldest_waits;
  /// Grants made while a better ticket eligible for that deployment waited; always 0.
  std::uint64_t inversions = 0;
  /// Grants beyond a limit of the shared line: an instance it had given up for lost went on.
  std::uint64_t overruns = 0;
  line_state state = line_state::alone;
  /// Instances have different settings for this group's deployments: the lowest limits hold.
  bool limits_differ = false;
  /// How often the shared line was given up for away since the start: `local` or `held` then began.
  std::uint64_t outages = 0;
  /// When this was true.
  time_point at{};
};

/// What came of moving or cancelling a waiting ticket.
enum class change_result : std::uint8_t {
  done = 1,
  /// No such ticket in that group.
  unknown_ticket = 2,
  /// It holds a grant: it is being answered, not waiting.
  not_waiting = 3,
};

} // namespace vorrang
