// One deployment's books: what is in flight, what the last minute took, and its health.
#pragma once

#include "actors/health.hpp"
#include "actors/recent_use.hpp"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>

namespace vorrang {

/// What a deployment can take now, as it tells its queue. Absolute figures, valid until the next
/// ones: the queue subtracts what it has granted since `takes_seen`.
struct room {
  static constexpr std::uint32_t unlimited_slots = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::int64_t unlimited_tokens = std::numeric_limits<std::int64_t>::max();

  /// How many of the queue's grants these figures already contain.
  std::uint64_t takes_seen = 0;
  /// By the settings of which reload they were made; 0: those of the start.
  std::uint64_t reload = 0;
  /// Grants it may still take; 0 while it cools down.
  std::uint32_t slots = 0;
  /// Tokens left in the window; may be negative after corrections.
  std::int64_t tokens = unlimited_tokens;
  std::uint32_t in_flight = 0;
  std::int64_t window_requests = 0;
  std::int64_t window_tokens = 0;
  /// Mean duration of the last successes; 0 before the first.
  duration latency{};
  /// Of the last failed, rate limited or refused attempt; 0: none yet, or no HTTP answer.
  std::uint16_t last_failure_status = 0;
  bool cooling = false;
  /// Re-opening after a cooldown, and it has seen a success.
  bool may_open = false;
  /// Names this cooldown or opening, for deployment::open_fully.
  std::uint32_t phase = 0;
  time_point cooling_until{};
  /// In the past unless the upstream asked to be left alone until then.
  time_point retry_after_until{};
  /// When a probe is due; `never` if none may be sent.
  time_point probe_at = never;
  /// Attempts that the limits leave room for while it cools down.
  std::uint32_t probe_room = unlimited_slots;
  /// When each window gives something back; `never` if nothing is in it, or nobody counts there.
  time_point requests_return = never;
  time_point tokens_return = never;

  /// Some room is left in slots, rpm and tpm.
  bool has_capacity() const noexcept { return slots > 0 && tokens > 0; }
  /// When the first of the two does.
  time_point window_return() const noexcept { return std::min(requests_return, tokens_return); }
};

/// One grant as the queue reports it to the deployment.
struct take {
  grant_id id = 0;
  ticket_id ticket = 0;
  time_point at{};
  std::uint32_t token_estimate = 0;
  bool probe = false;
};

/// The end of an attempt as the deployment reports it to the queue.
struct attempt_result {
  ticket_id ticket = 0;
  grant_id id = 0;
  outcome result;
  bool probe = false;
};

/// Owned by its deployment actor. Limits are hard: they are counted over `take`s, dated at the
/// grant. Passive: takes the time, which must not run backwards.
///
/// The queue tells the holder of a grant first and the deployment right after it, so what the
/// holder says may overtake the take. It is kept until then: call `catch_up` after `take_grant`.
class deployment {
public:
  /// `settings` must outlive it. `track_usage`: keep the windows also where no limit asks for them
  /// (usage-based routing).
  deployment(const group_settings& group, const deployment_settings& settings, bool track_usage);

  /// A reload, of this number: other limits and rules from now on, for new grants only. What is in
  /// flight, what the last minute took and its health stay. `settings` must outlive it.
  void follow(time_point now, const group_settings& group, const deployment_settings& settings,
              bool track_usage, std::uint64_t number);

  /// Ids rise from take to take.
  void take_grant(const take& granted);

  /// A 2xx head arrived. False if that grant is not in flight (yet) or not a probe.
  bool head(time_point now, grant_id id);

  /// Settles a grant; nothing if it is unknown, settled already, or not taken yet.
  std::optional<attempt_result> settle(time_point now, grant_id id, outcome result);

  /// Something was heard of a grant that is not taken yet.
  bool is_overtaken() const noexcept { return !early_.empty(); }

  /// What was heard of a grant before it was taken happens now.
  std::optional<attempt_result> catch_up(time_point now, grant_id taken);

  /// Re-opening (of this phase) held nobody back: it is over.
  void open_fully(std::uint32_t phase) noexcept { health_.open_fully(phase); }

  /// Of each limit only the part of one of `count` instances that share it: ⌊limit ∕ count⌋, and 1
  /// more for the first ones if something is left (spec §6). Binds new grants only.
  void limit_to(std::uint32_t rank, std::uint32_t count);

  room current(time_point now);

  /// When `current` may change by time alone; `never` if it does not.
  time_point next_event() const noexcept;

  std::size_t in_flight() const noexcept { return in_flight_.size(); }
  /// Settles of grants that were not in flight (a holder settled twice).
  std::uint64_t unknown_settles() const noexcept { return unknown_settles_; }

private:
  struct attempt {
    ticket_id ticket;
    time_point at;
    std::uint32_t token_estimate;
    health::stamp stamp;
    sliding_window::entry_number request_entry;
    sliding_window::entry_number token_entry;
  };

  struct early {
    bool head = false;
    std::optional<outcome> result;
  };

  /// Of an attempt that was granted while nobody counted.
  static constexpr sliding_window::entry_number no_entry =
      std::numeric_limits<sliding_window::entry_number>::max();

  void charge_tokens(time_point now, const attempt& over, const outcome& result);
  void apply_limits();

  const deployment_settings* settings_;
  std::uint32_t share_rank_ = 0;
  std::uint32_t share_count_ = 1;
  std::optional<std::uint64_t> rpm_;
  std::optional<std::uint64_t> tpm_;
  std::optional<std::uint32_t> max_parallel_requests_;
  bool count_requests_;
  bool count_tokens_;
  sliding_window requests_;
  sliding_window tokens_;
  /// What is not counted exactly.
  recent_use recent_;
  health health_;
  boost::unordered_flat_map<grant_id, attempt> in_flight_;
  /// Of grants whose take is on its way: a moment, and few.
  boost::unordered_flat_map<grant_id, early> early_;
  grant_id newest_ = 0;
  std::uint64_t takes_seen_ = 0;
  std::uint64_t unknown_settles_ = 0;
  std::uint64_t reload_ = 0;
  duration latency_{};
  std::uint16_t last_failure_status_ = 0;
};

} // namespace vorrang
