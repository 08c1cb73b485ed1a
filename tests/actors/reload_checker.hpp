// What may and what must happen while settings change: counted by the contract alone (spec §2, §8).
#pragma once

#include "actors/settings.hpp"

#include "catch.hpp"

#include <algorithm>
#include <deque>
#include <map>

namespace vorrang::test {

/// Hears what is put into an engine and what comes out of it, and fails the test case where that is
/// against the contract: a limit of the moment, the order, a ticket that is lost or granted twice,
/// an ending without its reason, a slot that is free while somebody waits for it. Windows are
/// counted over all reloads, also where there was no limit.
class reload_checker {
public:
  explicit reload_checker(engine_settings in_force) : in_force_(std::move(in_force)) {}

  struct request {
    ask wanted;
    time_point since;
    std::optional<grant> held;
    std::optional<ending> end;
    /// It was granted once; what comes back may stay away from where it failed.
    bool attempted = false;
  };

  const engine_settings& in_force() const noexcept { return in_force_; }
  /// Those that are not over, by the order in which they came.
  const std::map<std::uint64_t, request>& open() const noexcept { return open_; }

  /// From here on: whatever is heard, is by these. Places are kept.
  void reloaded(engine_settings fresh) { in_force_ = std::move(fresh); }

  void opened(time_point now, std::uint64_t number, ask wanted) {
    open_.emplace(number, request{std::move(wanted), now, {}, {}, false});
  }

  void granted(time_point now, std::uint64_t number, const grant& given) {
    const auto found = open_.find(number);
    REQUIRE(found != open_.end());
    auto& to = found->second;
    REQUIRE_FALSE(to.held);
    REQUIRE_FALSE(to.end);
    const auto& group = in_force_.groups[given.group];
    const auto& told = group.deployments[given.deployment];
    INFO("group " << group.name << ", deployment " << told.id);
    REQUIRE(given.at == now);
    REQUIRE(given.waited == now - to.since);
    REQUIRE(given.group == to.wanted.group);
    REQUIRE(now <= to.wanted.deadline);
    REQUIRE_FALSE(group.retired);
    REQUIRE_FALSE(told.retired);
    REQUIRE(may_go(group, told, to.wanted));
    auto& at = places_[{given.group, given.deployment}];
    at.forget(now);
    if (told.rpm)
      REQUIRE(static_cast<std::uint64_t>(std::count_if(
                  at.grants.begin(), at.grants.end(), [](const unit& each) { return each.sent; })) <
              *told.rpm);
    if (told.max_parallel_requests)
      REQUIRE(at.in_flight < *told.max_parallel_requests);
    if (told.tpm)
      judge_tokens(at, *told.tpm, to.wanted.token_estimate);
    REQUIRE(at.cools_until <= now);
    judge_order(number, to, group, told);
    at.grants.push_back({now, given.id, true});
    at.tokens.push_back({now, given.id, to.wanted.token_estimate});
    ++at.in_flight;
    to.held = given;
    to.attempted = true;
  }

  /// The holder reports.
  void settled(time_point now, std::uint64_t number, const outcome& how) {
    auto& one = open_.at(number);
    auto& at = places_[{one.held->group, one.held->deployment}];
    --at.in_flight;
    std::int64_t used = one.wanted.token_estimate;
    if (!how.sent || (how.kind != outcome_kind::success && how.kind != outcome_kind::cancelled))
      used = 0;
    else if (how.tokens)
      used = static_cast<std::int64_t>(*how.tokens);
    const auto id = one.held->id;
    if (!how.sent)
      for (auto& each : at.grants)
        each.sent &= each.id != id;
    at.forget(now);
    const auto entry = std::find_if(at.tokens.begin(), at.tokens.end(),
                                    [id](const amount& each) { return each.id == id; });
    if (entry != at.tokens.end())
      entry->tokens = used;
    else if (used > one.wanted.token_estimate)
      at.tokens.push_back({now, 0, used - one.wanted.token_estimate});
    // Whoever was granted before a cooldown may lengthen it, and begins none.
    const bool is_of_now = one.held->at > at.failed_at;
    if (how.retry_after && is_of_now &&
        in_force_.groups[one.held->group].cooldown_time > duration(0))
      at.cools_until = std::max(at.cools_until, now + *how.retry_after);
    if (how.kind == outcome_kind::failed || how.kind == outcome_kind::rate_limited)
      at.failed_at = now;
    one.held.reset();
    if (how.kind == outcome_kind::success || how.kind == outcome_kind::cancelled)
      open_.erase(number);
  }

  /// Its owner does not want it any more. Of what it holds nothing was sent.
  void cancelled(time_point now, std::uint64_t number) {
    outcome none;
    none.sent = false;
    if (open_.at(number).held)
      settled(now, number, none);
    open_.erase(number);
  }

  void ended(std::uint64_t number, const ending& how) {
    const auto found = open_.find(number);
    REQUIRE(found != open_.end());
    REQUIRE_FALSE(found->second.end);
    REQUIRE_FALSE(found->second.held);
    found->second.end = how;
  }

  /// Everything has been heard. `kind_groups`: those whose upstreams never fail, so that nothing
  /// cools or backs off there.
  void at_rest(time_point now, const std::vector<std::string>& kind_groups) {
    judge_endings(now);
    std::erase_if(open_, [](const auto& each) { return each.second.end.has_value(); });
    for (const auto& [number, each] : open_) {
      if (each.held)
        continue;
      const auto& group = in_force_.groups[each.wanted.group];
      REQUIRE_FALSE(group.retired);
      REQUIRE(each.wanted.deadline > now);
      if (std::count(kind_groups.begin(), kind_groups.end(), group.name) > 0)
        judge_waiting(now, each.wanted);
    }
  }

  std::size_t waiting(group_index group) const {
    return static_cast<std::size_t>(
        std::count_if(open_.begin(), open_.end(), [group](const auto& each) {
          return each.second.wanted.group == group && !each.second.held && !each.second.end;
        }));
  }
  std::size_t in_flight(group_index group, deployment_index deployment) const {
    const auto found = places_.find({group, deployment});
    return found == places_.end() ? 0 : found->second.in_flight;
  }
  std::size_t in_flight() const {
    std::size_t sum = 0;
    for (const auto& [where, at] : places_)
      sum += at.in_flight;
    return sum;
  }

private:
  static constexpr std::chrono::seconds minute{60};
  /// A limit that is new counts what went before by the second: capacity may be so late.
  static constexpr std::chrono::seconds late_max{1};

  struct unit {
    time_point at;
    grant_id id;
    bool sent;
  };
  struct amount {
    time_point at;
    grant_id id;
    std::int64_t tokens;
  };
  struct place {
    std::deque<unit> grants; ///< of the last minute
    std::deque<unit> older;  ///< and of the second before it
    std::deque<amount> tokens;
    std::size_t in_flight = 0;
    time_point cools_until{};
    time_point failed_at{};

    void forget(time_point now) {
      while (!grants.empty() && grants.front().at + minute <= now) {
        older.push_back(grants.front());
        grants.pop_front();
      }
      while (!older.empty() && older.front().at + minute + late_max <= now)
        older.pop_front();
      while (!tokens.empty() && tokens.front().at + minute <= now)
        tokens.pop_front();
    }
  };

  /// By tags: those with a common one, else those tagged default. What a request without tags may
  /// use is not asked here.
  static bool may_go(const group_settings& group, const deployment_settings& to,
                     const ask& wanted) {
    if (!group.tag_filtering || wanted.tags.empty())
      return true;
    const auto has = [](const deployment_settings& each, const std::string& tag) {
      return std::count(each.tags.begin(), each.tags.end(), tag) > 0;
    };
    const bool is_known =
        std::any_of(group.deployments.begin(), group.deployments.end(),
                    [&](const auto& each) { return !each.retired && has(each, wanted.tags[0]); });
    return has(to, is_known ? wanted.tags[0] : "default");
  }

  static void judge_tokens(const place& at, std::uint64_t tpm, std::uint32_t estimate) {
    std::int64_t used = 0;
    for (const auto& each : at.tokens)
      used += each.tokens;
    if (estimate <= tpm)
      REQUIRE(used + estimate <= static_cast<std::int64_t>(tpm));
    else // too large for every limit: alone
      REQUIRE((used <= 0 && at.in_flight == 0));
  }

  /// Those that have had no attempt may go wherever this one goes, tags and tokens aside: in order.
  void judge_order(std::uint64_t number, const request& to, const group_settings& group,
                   const deployment_settings& told) const {
    if (group.tag_filtering)
      return;
    for (const auto& [other, each] : open_) {
      const bool waits_here = !each.attempted && !each.end && !each.held && other != number &&
                              each.wanted.group == to.wanted.group &&
                              (!told.tpm || each.wanted.token_estimate <= *told.tpm);
      const bool is_before = each.wanted.priority != to.wanted.priority
                                 ? each.wanted.priority < to.wanted.priority
                                 : other < number;
      REQUIRE_FALSE((waits_here && is_before));
    }
  }

  void judge_endings(time_point now) const {
    for (const auto& [number, each] : open_) {
      if (!each.end)
        continue;
      const auto code = each.end->code;
      const auto& group = in_force_.groups[each.wanted.group];
      INFO("it ended with " << static_cast<int>(code) << " in " << group.name);
      switch (code) {
      case end_code::unknown_group:
        REQUIRE(group.retired);
        break;
      case end_code::timed_out:
        REQUIRE(each.wanted.deadline <= now);
        break;
      case end_code::queue_full:
        REQUIRE(waiting(each.wanted.group) >= group.max_queue_size);
        break;
      case end_code::no_deployment:
        REQUIRE((group.tag_filtering || each.attempted));
        break;
      case end_code::attempts_exhausted:
      case end_code::rate_limited_beyond_deadline:
        REQUIRE((each.attempted || code != end_code::attempts_exhausted));
        break;
      default:
        FAIL("there was no reason for it");
      }
    }
  }

  /// Nobody waits while a deployment that has never failed has room.
  void judge_waiting(time_point now, const ask& wanted) {
    const auto& group = in_force_.groups[wanted.group];
    if (group.tag_filtering)
      return;
    for (std::size_t i = 0; i < group.deployments.size(); ++i) {
      const auto& told = group.deployments[i];
      if (told.retired || told.tpm)
        continue;
      auto& at = places_[{wanted.group, static_cast<deployment_index>(i)}];
      at.forget(now);
      const bool has_slot =
          !told.max_parallel_requests || at.in_flight < *told.max_parallel_requests;
      const bool has_unit = !told.rpm || at.grants.size() + at.older.size() < *told.rpm;
      INFO("group " << group.name << ", deployment " << told.id << " has room");
      REQUIRE_FALSE((has_slot && has_unit));
    }
  }

  engine_settings in_force_;
  std::map<std::uint64_t, request> open_;
  std::map<std::pair<group_index, deployment_index>, place> places_;
};

} // namespace vorrang::test
