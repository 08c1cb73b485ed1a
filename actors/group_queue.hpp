// The decision: which waiting ticket of a group goes next, and where.
#pragma once

#include "actors/attempt_history.hpp"
#include "actors/choice.hpp"
#include "actors/deployment_view.hpp"
#include "actors/grant_rate.hpp"
#include "actors/group_board.hpp"
#include "actors/waiting_line.hpp"

#include <queue>
#include <span>
#include <utility>
#include <variant>

namespace vorrang {

/// Names whoever offered a ticket, within one queue.
using owner_index = std::uint32_t;

/// A ticket as it is offered to the queue of its group.
struct ticket_offer {
  ticket_id id = 0;
  ask wanted;
  /// When the request was first offered anywhere.
  time_point since{};
  /// What happened in the groups visited before.
  std::uint32_t attempts = 0;
  std::uint32_t retries = 0;
  std::uint32_t fallbacks = 0;
  /// Where the request may go if this group fails for good, in order.
  std::vector<group_index> next_groups;
};

/// What a queue tells the owner of a ticket.
struct returned {
  ticket_id ticket = 0;
};
struct ended {
  ending end;
  /// The group has failed for this ticket: its next group may be tried.
  bool may_fall_back = false;
  /// … because the prompt is longer than the model's context.
  bool context_window = false;
  /// … or the content is against the provider's policy.
  bool content_policy = false;
  /// A better one took its place in a full queue (it was not turned away at the door).
  bool displaced = false;
};
struct place_in_line {
  ticket_id ticket = 0;
  /// 1 is the head of line.
  std::uint32_t position = 0;
};
/// An attempt that ended its request is known here, and its slot is free: told where the group
/// holds no queue, so that a request which follows such an answer is not refused for it.
struct freed {
  ticket_id ticket = 0;
};
using verdict = std::variant<grant, returned, ended, place_in_line, freed>;

/// Who says which ticket goes next (spec §6).
enum class line_mode : std::uint8_t {
  /// This queue, by its own line and its deployments' figures.
  own = 1,
  /// A line that several instances share; the queue is told what that has granted.
  shared = 2,
  /// Nobody: the shared line is away, and nothing is granted meanwhile.
  held = 3,
};

/// What a call to group_queue caused, in order; the actor delivers it and clears it.
struct queue_output {
  struct for_owner {
    owner_index owner;
    verdict what;
  };
  struct for_deployment {
    deployment_index deployment;
    take what;
  };
  /// A grant whose holder is gone: to be settled as cancelled.
  struct orphan {
    deployment_index deployment;
    grant_id grant;
  };
  /// A deployment whose re-opening holds nobody back.
  struct open_wide {
    deployment_index deployment;
    std::uint32_t phase;
  };
  std::vector<for_owner> verdicts;
  std::vector<for_deployment> takes;
  std::vector<orphan> orphans;
  std::vector<open_wide> opened;
  /// Groups to hear from once they become healthy.
  std::vector<group_index> watched;

  void clear() {
    verdicts.clear();
    takes.clear();
    orphans.clear();
    opened.clear();
    watched.clear();
  }
};

/// One group's queue, spec §2: tickets are served in order, each choosing among its healthy
/// deployments; a deployment's room is kept for the best ticket eligible for it.
///
/// Feed it with what happened (offers, cancels, rooms, results), then call `serve` once: it ends
/// what is overdue, grants what can be granted, and refuses what the queue cannot hold. Passive:
/// takes the time, which must not run backwards; not thread-safe.
class group_queue {
public:
  /// `settings` and `board` must outlive the queue.
  group_queue(const group_settings& settings, group_index self, std::uint64_t seed,
              group_board& board);

  void offer(time_point now, owner_index owner, ticket_offer&& offered);

  /// The owner does not want it any more. A granted ticket is not taken back; its owner settles.
  void cancel(ticket_id ticket);

  /// All tickets of an owner that is gone.
  void owner_gone(owner_index owner);

  /// A deployment's figures changed, and some of its attempts ended.
  void room_changed(time_point now, deployment_index which, const room& figures,
                    std::span<const attempt_result> results);

  /// One of the watched groups became healthy.
  void fallback_healthy();

  /// The operator's hand. False if the ticket does not wait here. One that holds a grant has the
  /// new priority if it comes back: a shared line's word may arrive after the grant it came before.
  bool move(ticket_id ticket, std::int32_t priority);
  bool cancel_by_operator(time_point now, ticket_id ticket);
  /// It is away on an attempt, and back in line if that fails.
  bool holds_grant(ticket_id ticket) const;

  /// Tells the owner its place, if the ticket waits.
  void ask_position(ticket_id ticket);

  /// From now on every ticket that waits or comes ends with `draining`.
  void drain(time_point now);

  /// A reload, of this number: `settings` are those of the group from now on, with the deployments
  /// of before at their places. Who waits keeps its place and may go where these settings let it;
  /// a deployment is granted nothing until its figures are by them too. Call serve() after it.
  void follow(time_point now, const group_settings& settings, std::uint64_t number);

  /// Who grants from now on; `own` at first. Call serve() after it.
  void set_mode(line_mode mode);
  line_mode mode() const noexcept { return mode_; }

  /// What a shared line has decided (in mode `shared`). A grant: nothing if the ticket does not
  /// wait here any more, and the grant goes back.
  std::optional<grant_id> grant_by_line(time_point now, ticket_id ticket, deployment_index where,
                                        grant_reason reason);
  /// … that it turned a ticket away.
  void refuse(time_point now, ticket_id ticket, end_code code, duration retry_after);
  /// … and how a deployment stands.
  void set_figures(deployment_index which, const room& figures);

  /// How a ticket stands, for a line that is to know it too.
  struct ticket_standing {
    /// False while it is away on an attempt.
    bool waits = false;
    bool oversize = false;
    bool now_or_never = false;
    std::int32_t priority = 0;
    std::uint32_t token_estimate = 0;
    std::uint32_t attempts = 0;
    time_point since{};
    deployment_set eligible;
  };
  /// Nothing: it is over.
  std::optional<ticket_standing> standing_of(ticket_id ticket) const;
  /// Whether the settings let the ticket go there, back-offs aside.
  bool allows(ticket_id ticket, deployment_index where) const;
  /// All that are not over, in the order in which they came.
  std::vector<ticket_id> tickets() const;
  /// Tickets whose standing may have changed since the last call; kept outside mode `own` only.
  std::vector<ticket_id> take_touched() { return std::exchange(touched_, {}); }

  /// Decides. Everything it causes is in output().
  void serve(time_point now);

  /// When to call serve() again if nothing else happens; `never` if there is no need.
  time_point next_event(time_point now) const;

  queue_output& output() noexcept { return output_; }
  std::size_t waiting() const noexcept { return line_.size(); }
  /// A deployment could take something now.
  bool healthy() const noexcept { return !open_.empty(); }
  /// Grants made while a better ticket eligible for that deployment waited: 0 (spec §2.9).
  std::uint64_t inversions() const noexcept { return inversions_; }
  std::uint64_t grants() const noexcept { return grants_; }
  const group_settings& settings() const noexcept { return *settings_; }
  group_index settings_index() const noexcept { return self_; }
  const waiting_line& line() const noexcept { return line_; }
  const deployment_view& view(deployment_index which) const { return views_[which]; }
  /// How often a deployment was seen to begin to cool.
  std::uint64_t cooldowns(deployment_index which) const { return cooldowns_[which]; }

  /// A waiting ticket as the operator sees it.
  struct waiting_ticket {
    ticket_id id;
    std::int32_t priority;
    time_point since;
    time_point deadline;
    owner_index owner;
    std::uint32_t attempts;
    std::uint64_t bytes;
    deployment_set eligible;
    std::uint64_t arrival;
    std::uint32_t token_estimate;
  };
  /// When the first of a waiting ticket's back-offs ends; `never` if none runs.
  time_point back_off_ends(waiting_line::slot_index slot, time_point now) const;
  /// When the ticket of this slot was first offered.
  time_point since(waiting_line::slot_index slot) const { return records_[slot].since; }
  waiting_ticket describe(waiting_line::slot_index slot) const;
  /// Nothing if it does not wait here.
  std::optional<waiting_ticket> find_waiting(ticket_id ticket) const;
  std::optional<waiting_line::slot_index> slot_of_waiting(ticket_id ticket) const;
  /// Tokens that a grant would take of a deployment's tpm.
  std::uint32_t token_estimate(waiting_line::slot_index slot) const {
    return records_[slot].token_estimate;
  }

private:
  using slot_index = waiting_line::slot_index;

  static constexpr std::uint8_t own_retries_max = 100;
  static constexpr std::uint8_t no_own_retries = 255;
  /// What most tickets are without, so that they need not have room for it.
  struct rare_facts {
    std::vector<group_index> next_groups;
    /// With the record's api and estimates: what a reload judges it by anew.
    std::vector<std::string> tags;
    deployment_index pinned = no_index;
    /// In the groups that it has fallen back from.
    std::uint32_t attempts_before = 0;
    std::uint32_t retries_before = 0;
  };
  struct record {
    const rare_facts& facts() const noexcept {
      static const rare_facts none;
      return rare ? *rare : none;
    }

    ticket_id id = 0;
    grant_id granted = 0;
    time_point since{};
    std::unique_ptr<attempt_history> history;
    std::unique_ptr<const rare_facts> rare; ///< null: as if it were a new one
    std::uint32_t prompt_estimate = 0;
    owner_index owner = 0;
    std::uint32_t retries = 0; ///< here, up to the last grant
    std::uint64_t bytes = 0;
    std::uint32_t base = 0;
    std::uint32_t token_estimate = 0;
    std::uint32_t attempts = 0;
    deployment_index deployment = no_index;
    std::uint8_t fallbacks = 0;
    std::uint8_t own_retries = no_own_retries;
    endpoint api = endpoint::chat;
    bool oversize = false;
    bool abandoned = false;
    bool now_or_never = false;
  };
  struct back_off_end {
    time_point at;
    slot_index slot;
    ticket_id ticket;
    friend bool operator<(const back_off_end& a, const back_off_end& b) noexcept {
      return a.at > b.at; // std::priority_queue has its greatest on top
    }
  };

  void touch(const record& ticket) {
    if (mode_ != line_mode::own)
      touched_.push_back(ticket.id);
  }
  void sort_in(deployment_index which, bool was_cooling, time_point asked_to_wait_before);

  // Eligibility.
  std::uint32_t base_for(const ask& wanted, bool& oversize);
  void find_base_anew(record& ticket);
  deployment_set reachable(slot_index slot) const;
  void refresh_eligible(time_point now, slot_index slot);

  // Endings.
  void expire(time_point now);
  void end(time_point now, slot_index slot, end_code code, std::optional<duration> retry_after,
           bool displaced = false);
  void end_hopeless(time_point now);
  bool hopeless(time_point now, slot_index slot, end_code& code, duration& retry_after);
  void end_impatient(time_point now);
  void refuse_newcomers(time_point now);
  void forget(slot_index slot);

  // Attempts.
  void apply(time_point now, deployment_index where, const attempt_result& result);
  void come_back(time_point now, slot_index slot, bool attempted);
  void grant_in_order(time_point now);
  bool grant_head(time_point now, slot_index slot, const deployment_set& closed);
  void give(time_point now, slot_index slot, deployment_index where, grant_reason reason);
  bool fits(const record& ticket, const deployment_view& view) const noexcept;
  void count_inversions(slot_index slot, deployment_index where);
  void end_reopening();
  void publish();

  const group_settings* settings_;
  group_index self_;
  group_board& board_;
  choice_random random_;
  waiting_line line_;
  std::vector<record> records_;
  boost::unordered_flat_map<ticket_id, slot_index> slots_;
  std::vector<deployment_view> views_;
  std::vector<std::uint64_t> cooldowns_; ///< as views_
  /// Deployments that can take something now, and those that cool down.
  deployment_set open_;
  deployment_set cooling_;
  /// Whose figures are not known yet: at the start. Nobody is turned away for them.
  deployment_set unheard_;
  /// Those that re-open and have seen a success since.
  deployment_set may_open_;
  /// Sets of deployments as settings allow them to tickets; few.
  std::vector<deployment_set> bases_;
  /// What the last ask without a wish of its own came to; the next is mostly like it.
  struct usual_ask {
    bool is_for(const ask& wanted) const noexcept {
      return api == wanted.api && token_estimate == wanted.token_estimate &&
             prompt_estimate == wanted.prompt_estimate;
    }
    endpoint api;
    std::uint32_t token_estimate;
    std::uint32_t prompt_estimate;
    std::uint32_t base;
    bool oversize;
  };
  std::optional<usual_ask> usual_;
  std::priority_queue<back_off_end> back_offs_;
  std::vector<candidate> candidates_;
  std::vector<bool> lane_done_;
  queue_output output_;
  grant_rate rate_;
  std::uint64_t next_grant_;
  std::uint64_t events_ = 0;
  std::uint64_t grants_ = 0;
  std::uint64_t inversions_ = 0;
  struct newcomer {
    ticket_id ticket;
    std::uint64_t arrival;
    bool tried_elsewhere;
    bool now_or_never;
  };
  /// Offered since the last serve().
  std::vector<newcomer> newcomers_;
  std::vector<ticket_id> touched_;
  std::size_t with_fallback_ = 0;
  line_mode mode_ = line_mode::own;
  /// Number of the last reload.
  std::uint64_t reload_ = 0;
  /// The group holds no queue, or once held none: somebody may wait for the word `freed`.
  bool tells_freed_;
  bool look_for_hopeless_ = false;
  bool draining_ = false;
};

} // namespace vorrang
