#include "toy_engine.hpp"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

namespace vorrang::history {

namespace {

using namespace std::chrono_literals;

struct toy_attempt {
  grant_id id = 0;
  std::uint64_t serial = 0;
  time_point at{};
  bool running = true;
  bool began = false;
  bool unit = true;
  std::uint64_t estimate = 0;
  std::uint64_t tokens = 0;
};

struct toy_deployment {
  const deployment_settings* own = nullptr;
  std::vector<toy_attempt> attempts;
  std::vector<std::pair<time_point, std::uint64_t>> late;
  std::uint64_t leaked = 0;
  std::uint64_t freed = 0;
  std::uint64_t serial = 0;

  bool cooling = false;
  time_point end{};
  bool limited = false; // by a Retry-After
  bool unauthorised = false;
  std::uint64_t began_serial = 0;
  std::vector<time_point> failures;
  bool cleared = true;
  std::optional<std::uint64_t> limit;
  bool widened = false;
  std::vector<grant_id> probes;
  time_point probe_due{};
  duration spacing{};
  std::uint64_t answers = 0; // settled successes
};

struct toy_ticket {
  ticket_id id = 0;
  ask asked;
  group_index group = 0;
  std::int32_t priority = 0;
  std::uint64_t arrival = 0;
  std::uint64_t tie = 0;
  time_point offered{};
  time_point deadline{};
  bool waiting = true;
  bool attempted = false;
  bool newcomer = true;
  std::vector<bool> excluded;
  std::vector<time_point> back_off;
  std::vector<std::uint32_t> failures;
  std::vector<std::uint64_t> answers_seen; // at the last 429, plus 1
  std::uint32_t strikes = 0;
  std::uint32_t retries = 0;
  std::uint32_t retries_made = 0;
  bool retry_due = false;
  std::uint32_t attempts = 0;
  std::uint16_t status = 0;
  bool timed_out = false;
  bool context = false;
  end_code failing = end_code::no_deployment; // how it ends if no group takes it
  std::vector<group_index> visited;
};

class toy final : public driver {
public:
  toy(const engine_settings& settings, fault what)
      : settings_(settings), fault_(what), random_(settings.seed) {
    for (const auto& g : settings_.groups) {
      groups_.emplace_back();
      for (const auto& d : g.deployments)
        groups_.back().emplace_back().own = &d;
    }
  }

  time_point now() const override { return now_; }

  time_point next_event() const override {
    auto next = never;
    const auto add = [&](time_point at) {
      if (at > now_)
        next = std::min(next, at);
    };
    for (const auto& t : tickets_) {
      if (!t.waiting)
        continue;
      add(expiry(t));
      for (auto at : t.back_off)
        add(at);
    }
    for (const auto& g : groups_) {
      for (const auto& d : g) {
        if (d.cooling) {
          add(d.end);
          add(d.probe_due);
        }
        if (fault_ == fault::lost_wake_on_window)
          continue;
        for (const auto& a : d.attempts)
          add(a.at + window());
        for (const auto& l : d.late)
          add(l.first + window());
      }
    }
    if (next != never && fault_ == fault::polls_each_10_ms)
      next += 10ms - next.time_since_epoch() % 10ms;
    return next;
  }

  void advance_to(time_point t) override {
    for (auto next = next_event(); next <= t && next != never; next = next_event()) {
      now_ = next;
      run();
    }
    now_ = t;
    run();
  }

  ticket_id offer(const ask& what) override {
    toy_ticket t;
    t.id = ++tickets_made_;
    t.asked = what;
    t.priority = what.priority;
    t.offered = now_;
    t.deadline = what.deadline;
    const auto id = t.id;
    tickets_.push_back(std::move(t));
    if (what.group >= groups_.size())
      end(*find(id), end_code::unknown_group);
    else
      enter(*find(id), what.group);
    run();
    return id;
  }

  void cancel(ticket_id id) override {
    auto* t = find(id);
    if (!t || fault_ == fault::cancel_ignored)
      return;
    if (!t->waiting) {
      for (const auto& g : running_) {
        if (g.ticket != id)
          continue;
        auto& d = groups_[g.group][g.deployment];
        const auto& a = *std::find_if(d.attempts.begin(), d.attempts.end(),
                                      [&](const auto& x) { return x.id == g.id; });
        outcome result;
        result.sent = a.began;
        if (fault_ == fault::cancel_leaks_slot)
          ++d.leaked;
        settle(g.id, result);
        return;
      }
    }
    if (!is(fault::granted_after_cancel) || t->id % 8 != 0)
      forget(*t);
    if (fault_ != fault::lost_wake_on_cancel)
      run();
  }

  void move(ticket_id id, std::int32_t priority) override {
    if (auto* t = find(id); t && t->waiting && fault_ != fault::move_ignored) {
      t->priority = priority;
      if (fault_ == fault::move_renews_arrival)
        t->arrival = ++arrivals_;
      run();
    }
  }

  void begin_sending(grant_id id) override {
    for (auto& g : groups_)
      for (auto& d : g)
        for (auto& a : d.attempts)
          if (a.id == id)
            a.began = true;
  }

  void head_arrived(grant_id id) override {
    for (const auto& g : running_) {
      if (g.id != id)
        continue;
      auto& d = groups_[g.group][g.deployment];
      if (!is(fault::head_does_not_heal) && std::erase(d.probes, id) == 1 && d.cooling)
        heal(d);
      break;
    }
    run();
  }

  void settle(grant_id id, const outcome& result) override {
    auto found =
        std::find_if(running_.begin(), running_.end(), [&](const auto& g) { return g.id == id; });
    if (found == running_.end()) {
      if (is(fault::late_settle_counts_as_failure) && last_freed_ && id <= grants_made_ &&
          result.kind == outcome_kind::failed)
        last_freed_->failures.push_back(now_);
      if (fault_ == fault::settle_twice_frees_twice && id <= grants_made_ && last_freed_) {
        last_freed_->freed += 1;
        run();
      }
      return;
    }
    const grant g = *found;
    running_.erase(found);
    auto& d = groups_[g.group][g.deployment];
    last_freed_ = &d;
    release(d, id, result);
    health_of(g, d, id, result);
    auto& t = *find(g.ticket);
    switch (result.kind) {
    case outcome_kind::success:
      ++d.answers;
      forget(t);
      break;
    case outcome_kind::cancelled:
      forget(t);
      break;
    default:
      after_failure(t, g, d, result);
    }
    if (fault_ != fault::lost_wake_on_settle)
      run();
  }

  std::vector<event> take_events() override { return std::exchange(heard_, {}); }
  std::uint64_t inversions() const override { return fault_ == fault::meter_wrong ? 1 : 0; }
  // With a fault it keeps its counts to itself: what it does must give it away.
  std::optional<std::uint64_t> waiting(group_index g) const override {
    return is(fault::none) ? std::optional(length(g)) : std::nullopt;
  }
  std::optional<std::uint64_t> in_flight(group_index g, deployment_index d) const override {
    return is(fault::none) ? std::optional(flying(groups_[g][d])) : std::nullopt;
  }

private:
  bool is(fault what) const { return fault_ == what; }
  duration window() const {
    if (is(fault::window_1_ns_short))
      return duration(60s) - 1ns;
    if (is(fault::window_1_ns_long))
      return duration(60s) + 1ns;
    return is(fault::window_59_9_s) ? duration(59'900ms)
           : is(fault::window_61_s) ? duration(61s)
                                    : duration(60s);
  }
  time_point expiry(const toy_ticket& t) const {
    if (t.deadline == never)
      return never;
    return is(fault::deadline_late)    ? t.deadline + 1ms
           : is(fault::deadline_early) ? t.deadline - 1ms
                                       : t.deadline;
  }

  toy_ticket* find(ticket_id id) {
    auto found =
        std::find_if(tickets_.begin(), tickets_.end(), [&](const auto& t) { return t.id == id; });
    return found == tickets_.end() ? nullptr : &*found;
  }
  void forget(toy_ticket& t) { tickets_.erase(tickets_.begin() + (&t - tickets_.data())); }

  void tell(event e) {
    e.at = now_;
    heard_.push_back(std::move(e));
  }

  void end(toy_ticket& t, end_code code) {
    event e;
    e.kind = event_kind::ended;
    e.ticket = t.id;
    e.group = t.group;
    e.ended.ticket = t.id;
    e.ended.code = code;
    e.ended.status = is(fault::last_answer_lost) ? std::uint16_t{0} : t.status;
    e.ended.timed_out = t.timed_out;
    e.ended.attempts = t.attempts;
    e.ended.retries = t.retries_made;
    if ((code == end_code::queue_full && !is(fault::displaced_without_retry_after)) ||
        code == end_code::rate_limited_beyond_deadline)
      e.ended.retry_after = 1s;
    if (!is(fault::ending_lost) || random_() % 4 != 0)
      tell(e);
    if (is(fault::ended_twice) && random_() % 8 == 0)
      tell(e);
    forget(t);
  }

  void says_waiting(const toy_ticket& t) {
    event e;
    e.kind = event_kind::waiting_again;
    e.ticket = t.id;
    e.group = t.group;
    tell(e);
  }

  std::uint64_t length(group_index g) const {
    return static_cast<std::uint64_t>(
        std::count_if(tickets_.begin(), tickets_.end(),
                      [&](const auto& t) { return t.waiting && t.group == g; }));
  }

  bool before(const toy_ticket& a, const toy_ticket& b) const {
    if (a.priority != b.priority && !is(fault::priority_ignored))
      return a.priority < b.priority;
    if (is(fault::ties_random))
      return a.tie < b.tie;
    return is(fault::ties_last_first) ? a.arrival > b.arrival : a.arrival < b.arrival;
  }

  // ---- entering a group, falling back ----

  void enter(toy_ticket& t, group_index g) {
    const auto size = groups_[g].size();
    t.group = g;
    if (!is(fault::fallback_keeps_arrival) || t.visited.empty())
      t.arrival = ++arrivals_;
    t.tie = random_();
    t.visited.push_back(g);
    t.waiting = true;
    t.excluded.assign(size, false);
    t.back_off.assign(size, time_point{});
    t.failures.assign(size, 0);
    t.answers_seen.assign(size, 0);
    t.strikes = 0;
    if (!is(fault::fallback_keeps_retries))
      t.retries = 0;
    t.retry_due = false;
    if (t.deadline < now_ && !is(fault::past_deadline_granted)) {
      end(t, end_code::timed_out);
      return;
    }
    if (!any_permitted(t)) {
      fail_for_good(t, t.failing);
      return;
    }
    const auto id = t.id;
    const bool first = t.visited.size() == 1;
    serve(g);
    auto* still = find(id);
    if (!still || !still->waiting)
      return;
    const auto most =
        settings_.groups[g].max_queue_size + (is(fault::queue_one_longer) ? 1u : 0u) +
        (is(fault::queue_of_0_parks) && settings_.groups[g].max_queue_size == 0 ? 10u : 0u);
    if (length(g) > most) {
      if (!first) {
        fail_for_good(*still, still->failing);
        return;
      }
      if (is(fault::fallback_when_full) && fall_back(*still))
        return;
      make_room(*still);
      still = find(id);
    }
    if (still && !first)
      says_waiting(*still);
  }

  void make_room(toy_ticket& newcomer) {
    toy_ticket* worst = nullptr;
    for (auto& t : tickets_) {
      if (!t.waiting || t.group != newcomer.group || t.id == newcomer.id ||
          (t.attempted && !is(fault::displaces_attempted)))
        continue;
      if (!worst || (is(fault::displaces_best) ? before(t, *worst) : before(*worst, t)))
        worst = &t;
    }
    const bool displaces = worst && !is(fault::displaces_never) &&
                           (is(fault::displaces_equal) ? worst->priority >= newcomer.priority
                                                       : worst->priority > newcomer.priority);
    end(displaces ? *worst : newcomer, end_code::queue_full);
  }

  const std::vector<fallback_target>& list_of(const toy_ticket& t,
                                              const group_settings& rules) const {
    return t.context && !is(fault::context_list_ignored) && !rules.context_window_fallbacks.empty()
               ? rules.context_window_fallbacks
               : rules.fallbacks;
  }

  /// True if the ticket is in another group, or has ended there.
  bool fall_back(toy_ticket& t) {
    if ((!t.asked.may_fall_back && !is(fault::fallback_although_forbidden)) ||
        is(fault::fallback_never) || (t.visited.size() >= 5 && !is(fault::fallback_six_groups)))
      return false;
    const auto& rules =
        settings_.groups[is(fault::fallback_follows_its_own) ? t.group : t.asked.group];
    auto list = list_of(t, rules);
    if (is(fault::fallback_last_first))
      std::reverse(list.begin(), list.end());
    for (const auto& target : list) {
      const auto g = target.group;
      const bool seen = is(fault::fallback_twice)
                            ? g == t.group
                            : std::find(t.visited.begin(), t.visited.end(), g) != t.visited.end();
      if (seen || g >= groups_.size())
        continue;
      enter(t, g);
      return true;
    }
    return false;
  }

  void fail_for_good(toy_ticket& t, end_code code) {
    t.failing = code;
    if (!fall_back(t))
      end(t, code);
  }

  // ---- eligibility and capacity ----

  deployment_index pin_in(const toy_ticket& t, group_index g) const {
    if (g == t.asked.group)
      return t.asked.pinned;
    const auto& rules = settings_.groups[t.asked.group];
    for (const auto* list : {&rules.fallbacks, &rules.context_window_fallbacks})
      for (const auto& target : *list)
        if (target.group == g && !is(fault::fallback_pin_ignored))
          return target.pinned;
    return no_index;
  }

  bool permitted(const toy_ticket& t, group_index g, deployment_index d, bool fresh = false) const {
    const auto& rules = settings_.groups[g];
    const auto& own = rules.deployments[d];
    if (!fresh && t.excluded[d] && !is(fault::excluded_tried_again))
      return false;
    const auto pin = pin_in(t, g);
    if (pin != no_index && pin != d && !is(fault::pin_ignored))
      return false;
    if ((own.endpoints & static_cast<std::uint8_t>(t.asked.api)) == 0 &&
        !is(fault::endpoint_ignored))
      return false;
    if (rules.pre_call_checks && own.max_input_tokens && !is(fault::pre_call_check_ignored) &&
        t.asked.prompt_estimate > *own.max_input_tokens)
      return false;
    if (rules.tag_filtering && !is(fault::tags_ignored)) {
      const auto tagged = [](const deployment_settings& x, const std::string& tag) {
        return std::find(x.tags.begin(), x.tags.end(), tag) != x.tags.end();
      };
      bool any = false;
      bool mine = false;
      for (const auto& tag : t.asked.tags) {
        mine |= tagged(own, tag);
        for (const auto& other : rules.deployments)
          any |= tagged(other, tag);
      }
      if (any ? !mine : !tagged(own, "default") && !is(fault::default_tag_ignored))
        return false;
    }
    if (own.tpm && t.asked.token_estimate > *own.tpm) {
      for (const auto& other : rules.deployments)
        if (!other.tpm || *other.tpm > *own.tpm)
          return false;
      if (is(fault::oversize_never))
        return false;
    }
    return true;
  }

  bool any_permitted(const toy_ticket& t) const {
    for (deployment_index d = 0; d < groups_[t.group].size(); ++d)
      if (permitted(t, t.group, d))
        return true;
    return false;
  }

  bool eligible(const toy_ticket& t, deployment_index d) const {
    return permitted(t, t.group, d) && (now_ >= t.back_off[d] || is(fault::back_off_ignored));
  }

  std::uint64_t flying(const toy_deployment& d) const {
    const auto running = static_cast<std::uint64_t>(std::count_if(
        d.attempts.begin(), d.attempts.end(), [](const auto& a) { return a.running; }));
    return running + d.leaked - std::min(d.freed, running + d.leaked);
  }

  std::uint64_t units(const toy_deployment& d) const {
    return static_cast<std::uint64_t>(
        std::count_if(d.attempts.begin(), d.attempts.end(),
                      [&](const auto& a) { return a.unit && now_ - a.at < window(); }));
  }

  std::uint64_t tokens(const toy_deployment& d) const {
    std::uint64_t sum = 0;
    for (const auto& a : d.attempts)
      sum += now_ - a.at < window() ? a.tokens : 0;
    for (const auto& l : d.late)
      sum += now_ - l.first < window() ? l.second : 0;
    return sum;
  }

  bool fits(const toy_ticket& t, const toy_deployment& d) const {
    const auto& own = *d.own;
    const auto more = is(fault::rpm_plus_one) ? 1u : 0u;
    if (own.max_parallel_requests &&
        !(is(fault::parallel_of_0_is_unlimited) && *own.max_parallel_requests == 0) &&
        flying(d) >= *own.max_parallel_requests + (is(fault::parallel_plus_one) ? 1u : 0u))
      return false;
    if (own.rpm && !(is(fault::rpm_of_0_is_unlimited) && *own.rpm == 0) &&
        units(d) >= *own.rpm + more)
      return false;
    if (!own.tpm || is(fault::tpm_ignored))
      return true;
    if (*own.tpm == 0)
      return false;
    if (t.asked.token_estimate > *own.tpm)
      return is(fault::oversize_beside_others) || (flying(d) == 0 && tokens(d) == 0);
    return tokens(d) + t.asked.token_estimate <= *own.tpm;
  }

  bool open(const toy_deployment& d) const {
    return (!d.cooling || is(fault::cooldown_ignored)) &&
           (!d.limit || flying(d) < *d.limit || is(fault::reopening_unlimited));
  }

  bool probe_due(const toy_deployment& d) const {
    return d.cooling && (!d.unauthorised || is(fault::probe_after_401)) &&
           (!d.limited || is(fault::probe_under_retry_after)) &&
           (d.probes.empty() || is(fault::two_probes)) && now_ >= d.probe_due &&
           !is(fault::probe_never);
  }

  // ---- granting ----

  bool anybody_for(group_index g, deployment_index d) const {
    return std::any_of(tickets_.begin(), tickets_.end(),
                       [&](const auto& t) { return t.waiting && t.group == g && eligible(t, d); });
  }

  bool serve_one(group_index g) {
    auto& all = groups_[g];
    std::vector<ticket_id> line;
    for (const auto& t : tickets_)
      if (t.waiting && t.group == g)
        line.push_back(t.id);
    std::sort(line.begin(), line.end(), [&](auto a, auto b) { return before(*find(a), *find(b)); });
    std::vector<bool> kept(all.size());
    for (auto id : line) {
      auto& t = *find(id);
      std::vector<deployment_index> healthy;
      deployment_index probe = no_index;
      bool all_cooling = true;
      for (deployment_index d = 0; d < all.size(); ++d) {
        if (!eligible(t, d))
          continue;
        all_cooling &= all[d].cooling || is(fault::probe_beside_healthy);
        if (kept[d])
          continue;
        if (fits(t, all[d]) && open(all[d]))
          healthy.push_back(d);
        else if (fits(t, all[d]) && probe_due(all[d]) &&
                 (probe == no_index ||
                  (is(fault::probe_at_last_ending) ? all[d].end > all[probe].end
                                                   : all[d].end < all[probe].end)))
          probe = d;
        if (is(fault::probe_for_second_best) && all[d].cooling && id == line.front() &&
            line.size() > 1) {
          probe = no_index;
          continue;
        }
        if (!is(fault::small_past_bigger_head) || fits(t, all[d]))
          kept[d] = true;
      }
      if (probe != no_index && is(fault::probe_beside_healthy)) {
        give(t, probe, grant_reason::head_of_line);
        return true;
      }
      if (!healthy.empty()) {
        give(t, choose(g, healthy), grant_reason::healthy_deployment);
        return true;
      }
      if (probe != no_index && all_cooling) {
        give(t, probe, grant_reason::head_of_line);
        return true;
      }
    }
    return false;
  }

  /// True if anything was granted.
  bool serve(group_index g) {
    for (const auto& d : groups_[0])
      if (is(fault::groups_share_a_lock) && g != 0 && d.own->max_parallel_requests &&
          flying(d) >= *d.own->max_parallel_requests)
        return false;
    bool any = false;
    while (serve_one(g))
      any = true;
    return any;
  }

  deployment_index choose(group_index g, std::vector<deployment_index> from) {
    auto& all = groups_[g];
    const auto order = [&](deployment_index d) {
      const auto none = is(fault::order_missing_is_lowest) ? -1 : std::int64_t{1} << 40;
      return all[d].own->order ? std::int64_t{*all[d].own->order} : none;
    };
    if (!is(fault::order_ignored)) {
      auto lowest = order(from[0]);
      for (auto d : from)
        lowest = std::min(lowest, order(d));
      std::erase_if(from, [&](auto d) { return order(d) != lowest; });
    }
    const auto least = [&](auto&& figure) {
      return *std::min_element(from.begin(), from.end(),
                               [&](auto a, auto b) { return figure(all[a]) < figure(all[b]); });
    };
    switch (settings_.groups[g].strategy) {
    case routing_strategy::least_busy:
      if (!is(fault::least_busy_ignored))
        return least([&](const auto& d) { return flying(d); });
      break;
    case routing_strategy::usage_based:
      if (!is(fault::usage_ignored))
        return least([&](const auto& d) {
          return std::pair(tokens(d), is(fault::usage_forgets_requests) ? 0 : units(d));
        });
      break;
    case routing_strategy::simple_shuffle:
      return shuffle(all, from);
    default:
      break;
    }
    return from[random_() % from.size()];
  }

  deployment_index shuffle(const std::vector<toy_deployment>& all,
                           const std::vector<deployment_index>& from) {
    std::vector<double> weights;
    const auto use = [&](auto&& figure) {
      if (weights.empty() &&
          std::any_of(from.begin(), from.end(), [&](auto d) { return figure(d).has_value(); }))
        for (auto d : from)
          weights.push_back(static_cast<double>(figure(d).value_or(0)));
    };
    use([&](auto d) { return all[d].own->weight; });
    use([&](auto d) { return all[d].own->rpm; });
    use([&](auto d) { return all[d].own->tpm; });
    double sum = 0;
    for (auto w : weights)
      sum += w;
    if (sum <= 0 || is(fault::zero_weight_used))
      return from[random_() % from.size()];
    double at = std::uniform_real_distribution<double>(0, sum)(random_);
    for (std::size_t i = 0; i < from.size(); ++i)
      if (weights[i] > 0 && (at -= weights[i]) < 0)
        return from[i];
    return from[static_cast<std::size_t>(std::max_element(weights.begin(), weights.end()) -
                                         weights.begin())];
  }

  void give(toy_ticket& t, deployment_index index, grant_reason reason) {
    auto& d = groups_[t.group][index];
    event e;
    e.kind = event_kind::granted;
    e.ticket = t.id;
    e.group = t.group;
    auto& g = e.granted;
    g.ticket = t.id;
    g.id = ++grants_made_;
    g.group = t.group;
    g.deployment = index;
    g.reason = reason;
    g.at = now_;
    g.waited = now_ - t.offered;
    g.attempt = ++t.attempts;
    t.retries_made += std::exchange(t.retry_due, false) ? 1 : 0;
    g.retries = t.retries_made;
    g.fallbacks = static_cast<std::uint32_t>(t.visited.size() - 1);
    toy_attempt a;
    a.id = g.id;
    a.serial = ++d.serial;
    a.at = now_;
    a.estimate = a.tokens = t.asked.token_estimate;
    d.attempts.push_back(a);
    if (reason == grant_reason::head_of_line) {
      d.probes.push_back(g.id);
      d.probe_due = never;
      if (is(fault::two_probes))
        d.probe_due = now_ + d.spacing;
    }
    t.waiting = is(fault::granted_twice) && random_() % 16 == 0;
    running_.push_back(g);
    tell(e);
  }

  // ---- the end of an attempt ----

  void release(toy_deployment& d, grant_id id, const outcome& result) {
    auto& a = *std::find_if(d.attempts.begin(), d.attempts.end(),
                            [&](const auto& x) { return x.id == id; });
    a.running = false;
    std::uint64_t used = a.estimate;
    if (!result.sent || result.kind == outcome_kind::not_sent) {
      a.unit = is(fault::unit_kept_when_unsent);
      used = 0;
    } else if (result.tokens) {
      used = *result.tokens;
    } else if (result.kind == outcome_kind::rate_limited || result.kind == outcome_kind::rejected ||
               result.status != 0) {
      if (result.kind != outcome_kind::success && result.kind != outcome_kind::cancelled)
        used = 0;
    }
    if (is(fault::unit_back_when_sent))
      a.unit = false;
    if (is(fault::tokens_not_corrected))
      return;
    if (now_ - a.at < window())
      a.tokens = used;
    else if (used > a.estimate && !is(fault::late_usage_forgotten))
      d.late.emplace_back(now_, used - a.estimate);
  }

  void heal(toy_deployment& d) {
    if (is(fault::probe_success_does_not_heal))
      return;
    d.cooling = false;
    d.failures.clear();
    d.limit = 1;
    d.widened = true;
    d.cleared = true;
  }

  void health_of(const grant& g, toy_deployment& d, grant_id id, const outcome& result) {
    const auto& rules = settings_.groups[g.group];
    const auto cooldown = is(fault::cooldown_never) ? duration::zero()
                          : is(fault::cooldown_of_deployment_ignored)
                              ? rules.cooldown_time
                              : d.own->cooldown_time.value_or(rules.cooldown_time);
    const auto serial = std::find_if(d.attempts.begin(), d.attempts.end(), [&](const auto& a) {
                          return a.id == id;
                        })->serial;
    const bool stale = serial < d.began_serial;
    const bool probe = std::erase(d.probes, id) == 1;
    auto told = result.retry_after.value_or(0s); // 0: nothing was told
    told = std::clamp<duration>(told, 0s, is(fault::retry_after_not_cut) ? 36'000s : 3600s);

    if (result.kind == outcome_kind::success) {
      if (d.cooling) {
        if ((probe && !stale) || is(fault::stale_success_ends_cooldown))
          heal(d);
      } else if (!stale) {
        if (!d.cleared && !is(fault::success_keeps_failures)) {
          d.failures.clear();
          d.cleared = true;
        }
        if (d.limit && !is(fault::reopening_never_widens)) {
          *d.limit *= 2;
          d.widened = true;
        }
      }
      return;
    }
    const bool trigger =
        result.kind == outcome_kind::rate_limited ||
        (result.kind == outcome_kind::rejected &&
         (result.status == 401 || result.status == 403 || result.status == 404 ||
          is(fault::failure_by_400))) ||
        (result.status == 503 && told > 0s && !is(fault::cooldown_after_503_forgotten));
    if (!trigger && (result.kind != outcome_kind::failed ||
                     (is(fault::no_answer_is_no_failure) && result.status == 0))) {
      if (probe)
        d.probe_due = now_ + d.spacing;
      return;
    }
    if (cooldown == 0s && !is(fault::cooldown_off_ignored))
      return;
    if (stale && !is(fault::stale_failure_restarts_cooldown)) {
      if (d.cooling && told > 0s && !is(fault::stale_retry_after_ignored) &&
          (result.status == 503 || result.kind == outcome_kind::rate_limited)) {
        d.end = std::max(d.end, now_ + told);
        d.limited = true;
      }
      return;
    }
    if (is(fault::cooldown_ignores_retry_after))
      told = 0s;
    if (!is(fault::failures_never_slide))
      std::erase_if(d.failures, [&](auto at) { return now_ - at >= 60s; });
    if (!trigger && !probe) {
      d.failures.push_back(now_);
      const auto allowed = is(fault::allowed_fails_of_deployment_ignored)
                               ? rules.allowed_fails
                               : d.own->allowed_fails.value_or(rules.allowed_fails);
      if (d.failures.size() <= allowed + (is(fault::allowed_fails_one_more) ? 1 : 0) &&
          !(is(fault::allowed_fails_one_less) && d.failures.size() == allowed))
        return;
    }
    const auto until = now_ + (told > 0s ? told : cooldown);
    const bool anew = d.cooling;
    if (!anew) {
      d.limited = d.unauthorised = false;
      d.spacing = std::min<duration>(rules.probe_spacing, cooldown);
      d.probes.clear();
    } else if (probe && !is(fault::probe_spacing_never_doubles)) {
      d.spacing = std::min(2 * d.spacing, cooldown);
    }
    const bool keeps = is(fault::failed_probe_keeps_end) && anew && probe;
    if (!keeps)
      d.end = anew && !is(fault::cooldown_end_nearer) ? std::max(d.end, until) : until;
    d.probe_due = now_ + d.spacing;
    d.cooling = true;
    d.cleared = false;
    d.began_serial = d.serial + 1;
    d.limit.reset();
    d.limited |= told > 0s;
    d.unauthorised |= result.kind == outcome_kind::rejected;
  }

  void after_failure(toy_ticket& t, const grant& g, toy_deployment& d, const outcome& result) {
    const auto& rules = settings_.groups[g.group];
    t.waiting = true;
    if (result.kind == outcome_kind::not_sent) {
      --t.attempts;
      if (is(fault::not_sent_counts_as_retry))
        ++t.retries;
      comes_back(t);
      return;
    }
    t.attempted = true;
    if (result.status != 0)
      t.status = result.status;
    t.timed_out = result.timed_out;
    if (result.kind == outcome_kind::rejected) {
      const bool elsewhere = result.status == 401 || result.status == 403 || result.status == 404;
      if (!elsewhere) {
        t.context |= result.context_window;
        if (is(fault::rejected_tried_again))
          comes_back(t);
        else
          fail_for_good(t, end_code::rejected);
        return;
      }
      t.excluded[g.deployment] = true;
      if (any_permitted(t))
        comes_back(t);
      else
        fail_for_good(t, end_code::attempts_exhausted);
      return;
    }
    auto retry_after = result.retry_after.value_or(0s);
    if ((retry_after <= 0s && !(is(fault::retry_after_0_obeyed) && result.retry_after)) ||
        is(fault::back_off_ignores_retry_after)) {
      duration nominal = 500ms;
      for (std::uint32_t i = 0;
           i < t.failures[g.deployment] && nominal < 8s && !is(fault::back_off_never_doubles); ++i)
        nominal *= 2;
      retry_after = std::chrono::duration_cast<duration>(
          std::min<duration>(nominal * (is(fault::back_off_above_8_s) ? 4 : 1), 32s) *
          std::uniform_real_distribution<double>(0.75, 1.25)(random_));
    }
    ++t.failures[g.deployment];
    t.back_off[g.deployment] =
        now_ + std::max<duration>(std::min<duration>(retry_after, 3600s),
                                  is(fault::least_back_off_ignored) ? duration::zero()
                                                                    : rules.least_back_off);
    if (is(fault::back_off_by_group))
      std::fill(t.back_off.begin(), t.back_off.end(), t.back_off[g.deployment]);

    const bool limited = result.kind == outcome_kind::rate_limited;
    if (limited) {
      if (t.answers_seen[g.deployment] == 0 || d.answers + 1 > t.answers_seen[g.deployment])
        ++t.strikes;
      t.answers_seen[g.deployment] = d.answers + 1;
      if (t.strikes >= (is(fault::strikes_two) ? 2u : 3u) && !is(fault::strikes_never)) {
        fail_for_good(t, end_code::attempts_exhausted);
        return;
      }
    }
    const bool probe =
        g.reason == grant_reason::head_of_line && !is(fault::failed_probe_counts_as_retry);
    if ((!limited || is(fault::rate_limit_counts_as_retry)) && !probe) {
      auto allowed = is(fault::retries_of_deployment_ignored)
                         ? rules.num_retries
                         : rules.deployments[g.deployment].num_retries.value_or(rules.num_retries);
      if (is(fault::retries_one_more))
        ++allowed;
      if (is(fault::retries_one_less) && allowed > 0)
        --allowed;
      if (t.retries >= allowed) {
        fail_for_good(t, end_code::attempts_exhausted);
        return;
      }
      ++t.retries;
      t.retry_due = !limited;
    }
    comes_back(t);
  }

  void comes_back(toy_ticket& t) {
    if (is(fault::returned_goes_to_back))
      t.arrival = ++arrivals_;
    if (is(fault::deadline_restarts_on_return) && t.deadline != never)
      t.deadline = now_ + (t.deadline - t.offered);
    if (is(fault::returned_refused_when_full) &&
        length(t.group) > settings_.groups[t.group].max_queue_size) {
      end(t, end_code::queue_full);
      return;
    }
    says_waiting(t);
  }

  // ---- until everything is quiet ----

  bool hopeless(const toy_ticket& t) const {
    if (is(fault::hopeless_waits))
      return false;
    for (deployment_index d = 0; d < groups_[t.group].size(); ++d) {
      const auto& there = groups_[t.group][d];
      if (permitted(t, t.group, d) &&
          !(there.cooling && there.limited &&
            (there.end > t.deadline || is(fault::hopeless_at_deadline))))
        return false;
    }
    return true;
  }

  /// Where there is a healthy deployment while all of its own cool; no_index if nowhere.
  group_index better_group(const toy_ticket& t) const {
    if (!t.asked.may_fall_back || t.visited.size() >= 5 || is(fault::fallback_sleeps) ||
        is(fault::fallback_never))
      return no_index;
    for (const auto& d : groups_[t.group])
      if (!d.cooling)
        return no_index;
    for (const auto& target : list_of(t, settings_.groups[t.asked.group])) {
      const auto g = target.group;
      if (g >= groups_.size() || length(g) >= settings_.groups[g].max_queue_size ||
          std::find(t.visited.begin(), t.visited.end(), g) != t.visited.end())
        continue;
      for (deployment_index d = 0; d < groups_[g].size(); ++d)
        if (permitted(t, g, d, true) && open(groups_[g][d]) && fits(t, groups_[g][d]))
          return g;
    }
    return no_index;
  }

  void run() {
    for (auto& g : groups_) {
      for (auto& d : g) {
        std::erase_if(d.attempts, [&](const auto& a) { return !a.running && now_ - a.at > 62s; });
        if (d.cooling && d.end <= now_) {
          d.cooling = false;
          d.limit = 1;
          d.widened = false;
        }
      }
    }
    for (bool again = true; again;) {
      again = false;
      for (const auto& t : tickets_) {
        if (t.waiting && expiry(t) <= now_) {
          end(*find(t.id), end_code::timed_out);
          again = true;
          break;
        }
      }
      if (again)
        continue;
      for (const auto& t : tickets_) {
        if (!t.waiting)
          continue;
        const auto to = better_group(t);
        again = hopeless(t) || to != no_index;
        if (to != no_index && !hopeless(t))
          enter(*find(t.id), to);
        else if (again)
          fail_for_good(*find(t.id), end_code::rate_limited_beyond_deadline);
        if (again)
          break;
      }
      if (again)
        continue;
      for (group_index g = 0; g < groups_.size(); ++g)
        again |= serve(g);
      again |= end_reopening();
    }
  }

  bool end_reopening() {
    bool any = false;
    for (group_index g = 0; g < groups_.size(); ++g) {
      for (deployment_index i = 0; i < groups_[g].size(); ++i) {
        auto& d = groups_[g][i];
        if (d.limit && d.widened && !is(fault::reopening_never_widens) &&
            (flying(d) < *d.limit || !anybody_for(g, i))) {
          d.limit.reset();
          any = true;
        }
      }
    }
    return any;
  }

  engine_settings settings_;
  fault fault_;
  std::mt19937_64 random_;
  time_point now_{};
  std::vector<std::vector<toy_deployment>> groups_;
  std::vector<toy_ticket> tickets_;
  std::vector<grant> running_;
  std::vector<event> heard_;
  toy_deployment* last_freed_ = nullptr;
  ticket_id tickets_made_ = 0;
  grant_id grants_made_ = 0;
  std::uint64_t arrivals_ = 0;
};

const char* const names[] = {
    "none",
    "ties_random",
    "ties_last_first",
    "priority_ignored",
    "window_59_9_s",
    "window_61_s",
    "rpm_plus_one",
    "parallel_plus_one",
    "tpm_ignored",
    "small_past_bigger_head",
    "oversize_beside_others",
    "oversize_never",
    "tokens_not_corrected",
    "late_usage_forgotten",
    "unit_kept_when_unsent",
    "unit_back_when_sent",
    "lost_wake_on_settle",
    "lost_wake_on_cancel",
    "lost_wake_on_window",
    "polls_each_10_ms",
    "settle_twice_frees_twice",
    "cancel_leaks_slot",
    "cancel_ignored",
    "ending_lost",
    "ended_twice",
    "granted_twice",
    "groups_share_a_lock",
    "meter_wrong",
    "cooldown_ignored",
    "cooldown_end_nearer",
    "cooldown_ignores_retry_after",
    "cooldown_never",
    "failures_never_slide",
    "failure_by_400",
    "stale_success_ends_cooldown",
    "stale_failure_restarts_cooldown",
    "success_keeps_failures",
    "probe_beside_healthy",
    "probe_never",
    "two_probes",
    "probe_under_retry_after",
    "probe_after_401",
    "probe_at_last_ending",
    "probe_spacing_never_doubles",
    "probe_success_does_not_heal",
    "failed_probe_keeps_end",
    "failed_probe_counts_as_retry",
    "reopening_unlimited",
    "reopening_never_widens",
    "returned_goes_to_back",
    "returned_refused_when_full",
    "back_off_ignored",
    "back_off_ignores_retry_after",
    "back_off_by_group",
    "retries_one_more",
    "retries_one_less",
    "rate_limit_counts_as_retry",
    "not_sent_counts_as_retry",
    "strikes_never",
    "strikes_two",
    "excluded_tried_again",
    "rejected_tried_again",
    "deadline_late",
    "deadline_early",
    "deadline_restarts_on_return",
    "hopeless_waits",
    "queue_one_longer",
    "displaces_best",
    "displaces_equal",
    "displaces_attempted",
    "displaces_never",
    "order_ignored",
    "least_busy_ignored",
    "usage_ignored",
    "zero_weight_used",
    "tags_ignored",
    "endpoint_ignored",
    "pin_ignored",
    "fallback_pin_ignored",
    "fallback_never",
    "fallback_twice",
    "fallback_follows_its_own",
    "fallback_when_full",
    "fallback_keeps_arrival",
    "fallback_keeps_retries",
    "fallback_sleeps",
    "fallback_last_first",
    "move_ignored",
    "move_renews_arrival",
    "window_1_ns_short",
    "window_1_ns_long",
    "late_settle_counts_as_failure",
    "retry_after_not_cut",
    "retry_after_0_obeyed",
    "allowed_fails_one_more",
    "allowed_fails_one_less",
    "allowed_fails_of_deployment_ignored",
    "cooldown_off_ignored",
    "cooldown_after_503_forgotten",
    "cooldown_of_deployment_ignored",
    "no_answer_is_no_failure",
    "stale_retry_after_ignored",
    "head_does_not_heal",
    "probe_for_second_best",
    "back_off_never_doubles",
    "back_off_above_8_s",
    "least_back_off_ignored",
    "pre_call_check_ignored",
    "context_list_ignored",
    "fallback_although_forbidden",
    "fallback_six_groups",
    "last_answer_lost",
    "default_tag_ignored",
    "past_deadline_granted",
    "queue_of_0_parks",
    "order_missing_is_lowest",
    "usage_forgets_requests",
    "retries_of_deployment_ignored",
    "displaced_without_retry_after",
    "granted_after_cancel",
    "rpm_of_0_is_unlimited",
    "parallel_of_0_is_unlimited",
    "hopeless_at_deadline",
};
static_assert(std::size(names) == static_cast<std::size_t>(fault::count_));

} // namespace

const char* to_string(fault what) {
  return names[static_cast<std::size_t>(what)];
}

driver_factory toy_engine(fault what) {
  return [what](const engine_settings& settings) -> std::unique_ptr<driver> {
    return std::make_unique<toy>(settings, what);
  };
}

} // namespace vorrang::history
