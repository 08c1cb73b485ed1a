// The reference: follows what was put into a system and what was heard from it, and objects to
// everything the contract does not allow ("Order and grants", "Attempts, retries, timeouts").
//
// It predicts no choice. It checks that each grant and each ending was allowed (legality), and at
// each quiet moment that nothing due was left undone (completeness). Slow and plain on purpose.
// Where the contract can be read in two ways both are accepted; each such place says "reading:".
#pragma once

#include "driver.hpp"
#include "health_model.hpp"
#include "window_model.hpp"

#include <map>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace vorrang::history {

/// A broken rule.
struct violation : std::runtime_error {
  violation(std::string broken_rule, const std::string& what)
      : std::runtime_error(what), rule(std::move(broken_rule)) {}
  /// "2.1" … "2.10", or a word: "cooldown", "probe", "deadline" …
  std::string rule;
};

struct model_options {
  /// A ticket whose deployments all cool must leave for a fallback group the moment that one has
  /// room, not only when it looks for itself.
  bool fallback_wakes = true;
};

class model {
public:
  model(const engine_settings& settings, time_point start, model_options options = {});
  model(const model&) = delete;
  model& operator=(const model&) = delete;

  // What was put in, all at the model's time.
  void offered(ticket_id id, const ask& what);
  void cancelled(ticket_id id);
  /// By the operator; who holds a grant is not.
  void moved(ticket_id id, std::int32_t priority);
  void began_sending(grant_id id);
  void head_arrived(grant_id id);
  void settled(grant_id id, const outcome& result);

  /// What was heard by `now`. Throws a violation.
  void heard(const std::vector<event>& events, time_point now);

  time_point now() const noexcept { return now_; }
  std::uint64_t waiting(group_index g) const;
  std::uint64_t in_flight(group_index g, deployment_index d) const;
  /// Running grants, and tickets that wait; for the generator.
  const std::vector<grant>& running() const noexcept { return running_; }
  std::vector<ticket_id> waiting_tickets() const;
  /// The earliest moment after now() at which the model expects that something may happen.
  time_point next_instant() const;
  std::uint64_t lost_deployments() const;
  std::uint64_t grants() const noexcept { return grants_heard_; }

private:
  enum class answer : std::uint8_t { no, maybe, yes };
  enum class phase : std::uint8_t { waiting, granted, ended };
  /// Why a ticket must (or may) leave its group.
  enum class cause : std::uint8_t { none, exhausted, rejected, excluded, strikes };

  struct back_off {
    time_point from{}; // may be eligible again
    time_point by{};   // surely is
    bool retry_after = false;
    std::uint32_t failures = 0;
    std::uint64_t last_429 = 0; // sequence number; 0: none
    bool excluded = false;
  };

  struct ticket {
    ticket_id id = 0;
    ask asked;
    group_index group = 0;
    std::int32_t priority = 0;
    std::uint64_t arrival = 0;
    time_point offered_at{};
    std::uint64_t offered_sequence = 0;
    phase now = phase::waiting;
    bool newcomer = true; // came into its group at this instant
    bool displaced_one = false;
    bool returned = false;    // came back at this instant, by an attempt that was sent
    bool unannounced = false; // waits, and no waiting_again was heard yet
    bool owner_ended = false; // at this instant: one ending may be heard
    cause why = cause::none;
    bool must_leave = false;
    bool context_window = false;
    bool attempted = false;
    bool maybe_attempted = false;
    std::vector<back_off> deployments;
    std::uint32_t failures = 0;
    std::uint32_t asked_to_wait = 0; ///< 429s with a Retry-After, in this group
    std::uint32_t retries = 0;
    std::uint32_t retries_made = 0; ///< in all groups; one that is due and not made is none
    bool retry_due = false;
    std::uint32_t attempts = 0;
    std::uint32_t strikes_least = 0;
    std::uint32_t strikes_most = 0;
    std::uint64_t last_429 = 0;
    std::uint16_t last_status = 0;
    bool last_timed_out = false;
    std::vector<group_index> visited;
    std::size_t list_position = 0;        // fallbacks before this were passed
    std::unordered_set<int> earlier_ends; // how it would have ended in the groups it left
  };

  struct deployment {
    deployment(const group_settings& group, const deployment_settings& own)
        : settings(own), window(own), health(group, own) {}
    const deployment_settings& settings;
    window_model window;
    health_model health;
    std::uint64_t last_success = 0; // sequence numbers
    std::uint64_t last_answer = 0;
    bool was_open = false; // at some time of this instant, perhaps
  };

  struct group {
    const group_settings* settings = nullptr;
    std::vector<deployment> deployments;
  };

  [[noreturn]] void object(const char* rule, const std::string& what) const;

  // model.cpp: inputs and time
  void begin_instant(time_point at);
  void note_open(deployment& d);
  void finish(ticket& t);
  void returns(ticket& t);
  void failed(ticket& t, const grant& g, const outcome& result);
  void leaves(ticket& t, cause why, bool must);

  // model_eligibility.cpp
  answer permitted(const ticket& t, deployment_index d) const; // static rules and exclusion
  deployment_index pin_in(const ask& a, group_index g) const;
  answer permitted_in(const ask& a, const std::vector<back_off>* own, group_index g,
                      deployment_index d) const;
  answer eligible(const ticket& t, deployment_index d) const;
  bool any_permitted(const ticket& t, answer at_least) const;
  bool surely_tryable(const ticket& t, group_index g) const;
  bool surely_healthy_for(const ticket& t, group_index g) const;
  std::vector<group_index> fallbacks_left(const ticket& t, bool surely) const;
  bool maybe_all_cooling(const ticket& t) const;
  bool surely_hopeless(const ticket& t) const;
  bool maybe_hopeless(const ticket& t) const;
  bool better(const ticket& a, const ticket& b) const;
  bool surely_grantable(const ticket& t) const;
  ticket* find(ticket_id id);

  // model_legality.cpp: events
  void hear_grant(const event& e);
  void hear_waiting(const event& e);
  void hear_ending(const event& e);
  void check_order(const ticket& t, const event& e) const;
  void check_probe(const ticket& t, const event& e);
  void check_choice(const ticket& t, const event& e) const;
  void check_queue_full(ticket& t, const event& e);
  void enter_fallback(ticket& t, const event& e);

  // model_completeness.cpp: quiet moments
  void check_quiet();
  void check_group(group_index g);
  void check_fallback_wakes(const ticket& t);

  engine_settings settings_;
  model_options options_;
  time_point now_;
  std::vector<group> groups_;
  std::vector<ticket> live_; // waiting and granted
  std::unordered_set<ticket_id> ended_;
  std::unordered_set<ticket_id> ended_now_; // by their owners, at this instant
  std::vector<ticket> newcomers_gone_;      // timed out at this instant
  std::vector<grant> running_;
  std::unordered_set<grant_id> grant_ids_;
  /// Counts offers, and times when something was heard: those that came to a group meanwhile have
  /// numbers of their own below that.
  static constexpr unsigned arrivals_at_once_bits = 32;
  std::uint64_t arrivals_ = 0;
  std::uint64_t fallbacks_heard_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t grants_heard_ = 0;
};

/// For messages: seconds since the clock's zero, nine digits.
std::string show(time_point at);

} // namespace vorrang::history
