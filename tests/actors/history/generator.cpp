#include "generator.hpp"

#include "environment.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <sstream>

namespace vorrang::history {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t waiting_most = 40;
// VORRANG_HISTORY_TAIL: how much of a failed history is shown.
const std::size_t tail_lines = from_environment("VORRANG_HISTORY_TAIL", 60);

/// How a deployment behaves for a while.
enum class mood : std::uint8_t { mixed, well, failing, limiting };

class player {
public:
  player(std::uint64_t seed, const driver_factory& factory, model_options options, bool verbose)
      : random_(seed * 0x9e3779b97f4a7c15 + 1), settings_(random_settings(random_)),
        system_(factory(settings_)), model_(settings_, system_->now(), options), verbose_(verbose) {
    for (const auto& g : settings_.groups)
      for (const auto& d : g.deployments)
        tpm_ |= d.tpm.has_value();
    pressure_ = 1 + below(4);
    patience_ = below(4);
    priorities_ = below(4);
    moods_.resize(settings_.groups.size() * 8, mood::mixed);
  }

  void step() {
    ++steps;
    if (one_in(40))
      change_moods();
    const auto what = below(20);
    if (what < 3 + pressure_)
      arrive();
    else if (what < 14)
      complete();
    else if (what == 14)
      cancel();
    else if (what == 15)
      move();
    else if (what == 16)
      meddle();
    else
      pass_time();
  }

  /// Everything settles to empty: no slot, no ticket, no timer stays behind.
  void drain() {
    std::fill(moods_.begin(), moods_.end(), mood::well);
    for (int i = 0; i < 400 && !(model_.running().empty() && model_.waiting_tickets().empty());
         ++i) {
      while (!model_.running().empty()) {
        outcome result;
        result.kind = outcome_kind::success;
        result.status = 200;
        settle(model_.running().back().id, result);
      }
      if (i > 200)
        for (auto id : model_.waiting_tickets())
          do_cancel(id);
      else
        advance_to(after(1ms * (1 + below(40'000))));
    }
    if (!model_.running().empty() || !model_.waiting_tickets().empty())
      throw violation("2.6", "the history does not drain");
    advance_to(after(2h));
    if (system_->next_event() != never)
      throw violation("time", "nothing is left, but a timer is pending");
  }

  std::string story() const {
    std::ostringstream out;
    for (const auto& line : tail_)
      out << "  " << line << '\n';
    return out.str();
  }

  const engine_settings& settings() const { return settings_; }
  const model& reference() const { return model_; }
  std::uint64_t steps = 0;
  std::uint64_t events = 0;

private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  mood& mood_of(const grant& g) { return moods_[g.group * 8 + g.deployment]; }
  time_point after(duration d) const { return system_->now() + d; }

  template <class... Ts>
  void say(const Ts&... parts) {
    if (!verbose_)
      return;
    std::ostringstream line;
    line << show(system_->now()) << ' ';
    (line << ... << parts);
    tail_.push_back(line.str());
    if (tail_.size() > tail_lines)
      tail_.pop_front();
  }

  void hear(const event& e) {
    switch (e.kind) {
    case event_kind::granted:
      say("  > ", show(e.at), " grant ", e.granted.id, ": ticket ", e.ticket, ", group ", e.group,
          ", deployment ", e.granted.deployment,
          e.granted.reason == grant_reason::head_of_line ? ", probe" : "");
      break;
    case event_kind::waiting_again:
      say("  > ", show(e.at), " ticket ", e.ticket, " waits in group ", e.group);
      break;
    case event_kind::ended:
      say("  > ", show(e.at), " ticket ", e.ticket, " ends: code ", static_cast<int>(e.ended.code),
          ", status ", e.ended.status);
      break;
    }
  }

  void listen() {
    const auto heard = system_->take_events();
    events += 1 + heard.size();
    for (const auto& e : heard)
      hear(e);
    for (const auto& e : heard)
      if (e.kind == event_kind::granted)
        granted_.push_back(e.granted.id);
    model_.heard(heard, system_->now());
    if (system_->inversions() != 0)
      throw violation("2.9", "the system's own meter counts an inversion");
    for (group_index g = 0; g < settings_.groups.size(); ++g) {
      if (const auto n = system_->waiting(g); n && *n != model_.waiting(g))
        throw violation("2.6", "group " + std::to_string(g) + ": " + std::to_string(*n) +
                                   " are said to wait, but " + std::to_string(model_.waiting(g)) +
                                   " do");
      for (deployment_index d = 0; d < settings_.groups[g].deployments.size(); ++d)
        if (const auto n = system_->in_flight(g, d); n && *n != model_.in_flight(g, d))
          throw violation("2.6", "group " + std::to_string(g) + ", deployment " +
                                     std::to_string(d) + ": " + std::to_string(*n) +
                                     " said to be in flight, but " +
                                     std::to_string(model_.in_flight(g, d)) + " are");
    }
  }

  void change_moods() {
    const auto all = below(6);
    for (auto& m : moods_)
      m = all == 0 ? mood::failing : all == 1 ? mood::limiting : static_cast<mood>(below(4));
  }

  std::int32_t priority() {
    if (priorities_ == 0)
      return 255;
    if (one_in(30))
      return one_in(2) ? std::numeric_limits<std::int32_t>::min()
                       : std::numeric_limits<std::int32_t>::max();
    return static_cast<std::int32_t>(below(priorities_ == 1 ? 3 : 20)) - 1;
  }

  ask random_ask() {
    ask a;
    a.group = static_cast<group_index>(below(settings_.groups.size()));
    if (one_in(200))
      a.group = static_cast<group_index>(settings_.groups.size() + below(2));
    a.priority = priority();
    const auto now = system_->now();
    switch (below(8)) {
    case 0:
      a.deadline = now;
      break;
    case 1:
      a.deadline = now + 1ns * (1 + below(50'000'000));
      break;
    case 2:
      a.deadline = one_in(6) ? now - 1ms : now + duration(1ms * below(3'000));
      break;
    default:
      a.deadline =
          patience_ == 0 ? never : now + duration(1us * (1 + below(90'000'000 * patience_)));
    }
    a.token_estimate = tpm_ ? static_cast<std::uint32_t>(1 + below(one_in(6) ? 400 : 60)) : 0;
    a.prompt_estimate = static_cast<std::uint32_t>(below(60));
    a.api = one_in(10) ? endpoint::embeddings : endpoint::chat;
    if (one_in(3))
      a.tags.push_back(one_in(2) ? "a" : "b");
    if (one_in(15) && a.group < settings_.groups.size())
      a.pinned = static_cast<deployment_index>(
          below(settings_.groups[a.group].deployments.size() + (one_in(10) ? 1 : 0)));
    a.may_fall_back = !one_in(6);
    return a;
  }

  void arrive() {
    for (auto n = one_in(6) ? 1 + below(8) : 1; n > 0; --n) {
      if (model_.waiting_tickets().size() > waiting_most)
        return;
      const auto a = random_ask();
      const auto id = system_->offer(a);
      say("offer: ticket ", id, ", group ", a.group, ", priority ", a.priority, ", deadline ",
          show(a.deadline), ", estimate ", a.token_estimate, "/", a.prompt_estimate,
          a.pinned != no_index ? ", pinned " + std::to_string(a.pinned) : "",
          a.tags.empty() ? "" : ", tag " + a.tags[0], a.may_fall_back ? "" : ", no fallback",
          a.api == endpoint::chat ? "" : ", embeddings");
      seen_.push_back(id);
      model_.offered(id, a);
      listen();
    }
  }

  std::optional<duration> retry_after() {
    switch (below(9)) {
    case 0:
      return duration(0);
    case 1:
      return duration(-1s);
    case 2:
      return 1ms * (1 + below(900));
    case 3:
      return duration(1s * (1 + below(12)));
    case 4:
      return 1ns * (1 + below(9'000'000'000));
    case 5:
      return one_in(8) ? duration(5000s) : duration(1s * (20 + below(60)));
    default:
      return std::nullopt;
    }
  }

  outcome random_outcome(const grant& g) {
    outcome o;
    const auto m = mood_of(g);
    auto kind = below(m == mood::well ? 12 : 20);
    if (m == mood::failing && !one_in(10))
      kind = 15;
    if (m == mood::limiting && !one_in(10))
      kind = 13;
    if (kind < 9) {
      o.kind = outcome_kind::success;
      o.status = 200;
      if (!one_in(4))
        o.tokens = below(one_in(4) ? 300 : 80);
    } else if (kind == 9) {
      o.kind = outcome_kind::cancelled;
      o.sent = !one_in(2);
      if (o.sent && one_in(2))
        o.tokens = below(80);
    } else if (kind == 10) {
      o.kind = outcome_kind::not_sent;
      o.sent = false;
    } else if (kind == 11) {
      static const std::uint16_t statuses[] = {400, 413, 422};
      o.kind = outcome_kind::rejected;
      o.status = statuses[below(3)];
      o.context_window = o.status == 400 && one_in(2);
    } else if (kind == 12) {
      static const std::uint16_t statuses[] = {401, 403, 404};
      o.kind = outcome_kind::rejected;
      o.status = statuses[below(3)];
      if (one_in(6))
        o.retry_after = retry_after();
    } else if (kind < 15) {
      o.kind = outcome_kind::rate_limited;
      o.status = 429;
      o.retry_after = retry_after();
    } else {
      static const std::uint16_t statuses[] = {500, 502, 503, 503, 408, 409, 0, 0};
      o.kind = outcome_kind::failed;
      o.status = statuses[below(8)];
      if (o.status == 503 || (o.status != 0 && one_in(10)))
        o.retry_after = retry_after();
      if (o.status == 0) {
        o.sent = one_in(2);
        o.timed_out = o.sent && one_in(3);
      }
    }
    return o;
  }

  void settle(grant_id id, outcome o) {
    say("settle grant ", id, ": kind ", static_cast<int>(o.kind), ", status ", o.status,
        o.retry_after ? ", retry-after " + std::to_string(o.retry_after->count()) + " ns" : "",
        o.sent ? "" : ", not sent", o.tokens ? ", tokens " + std::to_string(*o.tokens) : "");
    if (o.sent && o.kind != outcome_kind::not_sent) {
      model_.began_sending(id);
      system_->begin_sending(id);
    }
    system_->settle(id, o);
    began_.erase(std::remove(began_.begin(), began_.end(), id), began_.end());
    headed_.erase(std::remove(headed_.begin(), headed_.end(), id), headed_.end());
    model_.settled(id, o);
    listen();
  }

  static bool in(const std::vector<grant_id>& ids, grant_id id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }

  void complete() {
    if (model_.running().empty())
      return arrive();
    const grant g = model_.running()[below(model_.running().size())];
    if (!in(began_, g.id) && one_in(3)) {
      say("begin grant ", g.id);
      began_.push_back(g.id);
      model_.began_sending(g.id);
      system_->begin_sending(g.id);
      listen();
      return;
    }
    auto o = random_outcome(g);
    if (in(headed_, g.id) && o.kind != outcome_kind::cancelled) {
      // After a 2xx head an attempt can only be finished or cut off.
      o = outcome{};
      o.kind = outcome_kind::success;
      o.status = 200;
    }
    if (in(began_, g.id)) {
      if (o.kind == outcome_kind::not_sent)
        return;
      o.sent = true;
    }
    if (o.kind == outcome_kind::success && in(began_, g.id) && !in(headed_, g.id) && one_in(3)) {
      say("head of grant ", g.id);
      headed_.push_back(g.id);
      model_.head_arrived(g.id);
      system_->head_arrived(g.id);
      listen();
      return;
    }
    settle(g.id, o);
  }

  void do_cancel(ticket_id id) {
    say("cancel ticket ", id);
    system_->cancel(id);
    model_.cancelled(id);
    listen();
  }

  void cancel() {
    const auto waiting = model_.waiting_tickets();
    switch (below(4)) {
    case 0:
    case 1:
      if (!waiting.empty())
        do_cancel(waiting[below(waiting.size())]);
      break;
    case 2:
      if (!model_.running().empty())
        do_cancel(model_.running()[below(model_.running().size())].ticket);
      break;
    default:
      do_cancel(seen_.empty() || one_in(4) ? 1'000'000'000 : seen_[below(seen_.size())]);
    }
  }

  void move() {
    const auto waiting = model_.waiting_tickets();
    ticket_id id = 1'000'000'001;
    if (!waiting.empty() && !one_in(4))
      id = waiting[below(waiting.size())];
    else if (!seen_.empty())
      id = seen_[below(seen_.size())];
    const auto to = priority();
    say("move ticket ", id, " to ", to);
    system_->move(id, to);
    model_.moved(id, to);
    listen();
  }

  /// Settles what is not there to be settled: second, late, of unknown grants.
  void meddle() {
    grant_id id = 1'000'000'002;
    if (!granted_.empty() && !one_in(6))
      id = granted_[below(granted_.size())];
    for (const auto& g : model_.running())
      if (g.id == id)
        return;
    grant anywhere;
    settle(id, random_outcome(anywhere));
  }

  void advance_to(time_point t) {
    t = std::max(t, system_->now());
    const auto before = system_->now();
    const auto promised = system_->next_event();
    say("time goes to ", show(t));
    system_->advance_to(t);
    auto events_heard = system_->take_events();
    events += 1 + events_heard.size();
    for (const auto& e : events_heard) {
      hear(e);
      if (e.kind == event_kind::granted)
        granted_.push_back(e.granted.id);
    }
    if (system_->now() != t)
      throw violation("time", "advance_to did not arrive");
    if (!events_heard.empty() && events_heard[0].at > before && events_heard[0].at < promised)
      throw violation("time", "something happened before the earliest timer");
    model_.heard(events_heard, t);
    listen();
  }

  void pass_time() {
    const auto next = one_in(2) ? system_->next_event() : model_.next_instant();
    if (next != never && next - system_->now() < 2h && !one_in(3)) {
      switch (below(5)) {
      case 0:
        return advance_to(next - 1ns);
      case 1:
        return advance_to(next + 1ns);
      case 2:
        return advance_to(next + 1ms * below(500));
      default:
        return advance_to(next);
      }
    }
    switch (below(12)) {
    case 0:
      return advance_to(after(1ns * below(1'000)));
    case 1:
    case 2:
    case 3:
      return advance_to(after(1us * below(100'000)));
    case 4:
    case 5:
    case 6:
    case 7:
      return advance_to(after(1us * below(2'000'000)));
    case 8:
    case 9:
    case 10:
      return advance_to(after(1us * below(12'000'000)));
    default:
      return advance_to(after(1us * below(90'000'000)));
    }
  }

  std::mt19937_64 random_;
  engine_settings settings_;
  std::unique_ptr<driver> system_;
  model model_;
  bool verbose_;
  bool tpm_ = false;
  std::uint64_t pressure_ = 1;
  std::uint64_t patience_ = 1;
  std::uint64_t priorities_ = 1;
  std::vector<mood> moods_;
  std::vector<ticket_id> seen_;
  std::vector<grant_id> granted_;
  std::vector<grant_id> began_;
  std::vector<grant_id> headed_;
  std::deque<std::string> tail_;
};

std::string describe(const engine_settings& settings) {
  std::ostringstream out;
  const auto seconds = [](duration d) {
    return std::chrono::duration<double>(d).count();
  };
  const auto maybe = [&](const char* what, const auto& value) {
    if (value)
      out << ' ' << what << '=' << +*value;
  };
  for (std::size_t g = 0; g < settings.groups.size(); ++g) {
    const auto& s = settings.groups[g];
    out << "  group " << g << ": strategy " << static_cast<int>(s.strategy) << ", retries "
        << s.num_retries << ", allowed_fails " << s.allowed_fails << ", cooldown "
        << seconds(s.cooldown_time) << " s, probes " << seconds(s.probe_spacing)
        << " s, least back-off " << seconds(s.least_back_off) << " s, queue " << s.max_queue_size
        << (s.tag_filtering ? ", tags" : "") << (s.pre_call_checks ? ", pre-call checks" : "")
        << ", fallbacks";
    const auto list = [&](const std::vector<fallback_target>& targets) {
      for (const auto& to : targets) {
        out << ' ' << to.group;
        if (to.pinned != no_index)
          out << '[' << to.pinned << ']';
      }
    };
    list(s.fallbacks);
    out << " / context";
    list(s.context_window_fallbacks);
    out << '\n';
    for (std::size_t i = 0; i < s.deployments.size(); ++i) {
      const auto& d = s.deployments[i];
      out << "    deployment " << i << ':';
      maybe("rpm", d.rpm);
      maybe("tpm", d.tpm);
      maybe("parallel", d.max_parallel_requests);
      maybe("weight", d.weight);
      maybe("order", d.order);
      maybe("max_input", d.max_input_tokens);
      maybe("retries", d.num_retries);
      maybe("allowed_fails", d.allowed_fails);
      if (d.cooldown_time)
        out << " cooldown=" << seconds(*d.cooldown_time) << "s";
      if (d.endpoints != 0xff)
        out << " endpoints=" << int{d.endpoints};
      for (const auto& tag : d.tags)
        out << " tag=" << tag;
      out << '\n';
    }
  }
  return out.str();
}

report play(std::uint64_t seed, std::uint64_t steps, const driver_factory& factory,
            model_options options, bool verbose) {
  report result;
  result.seed = seed;
  player p(seed, factory, options, verbose);
  try {
    while (p.steps < steps)
      p.step();
    p.drain();
  } catch (const violation& broken) {
    result.ok = false;
    result.rule = broken.rule;
    if (verbose)
      result.text = "seed " + std::to_string(seed) + ", step " + std::to_string(p.steps) + " of " +
                    std::to_string(steps) + ", rule " + broken.rule + ": " + broken.what() + "\n" +
                    describe(p.settings()) + p.story();
  }
  result.steps = p.steps;
  result.events = p.events;
  result.grants = p.reference().grants();
  result.lost = p.reference().lost_deployments();
  return result;
}

} // namespace

report run_history(std::uint64_t seed, std::uint64_t steps, const driver_factory& factory,
                   model_options options) {
  auto result = play(seed, steps, factory, options, false);
  if (!result.ok) // once more, and this time it is written down
    result.text = play(seed, steps, factory, options, true).text;
  return result;
}

namespace {
// Short ones are easier to read, long ones get further.
std::uint64_t steps_of(std::uint64_t seed) {
  return 60 + seed % 5 * 120;
}
} // namespace

std::string triage(std::uint64_t first_seed, std::uint64_t events, const driver_factory& factory,
                   model_options options) {
  std::map<std::string, std::pair<int, std::string>> broken;
  std::uint64_t done = 0;
  for (auto seed = first_seed; done < events; ++seed) {
    auto one = run_history(seed, steps_of(seed), factory, options);
    done += one.events;
    if (one.ok)
      continue;
    auto& [count, first] = broken[one.rule];
    if (count++ == 0)
      first = one.text.substr(0, one.text.find('\n'));
  }
  std::string text;
  for (const auto& [rule, what] : broken)
    text += rule + ": " + std::to_string(what.first) + " histories, first " + what.second + '\n';
  return text;
}

report run_histories(std::uint64_t first_seed, std::uint64_t events, const driver_factory& factory,
                     model_options options) {
  report sum;
  for (auto seed = first_seed; sum.events < events; ++seed) {
    const auto one = run_history(seed, steps_of(seed), factory, options);
    sum.steps += one.steps;
    sum.events += one.events;
    sum.grants += one.grants;
    sum.lost += one.lost;
    sum.seed = seed;
    if (!one.ok) {
      sum.ok = false;
      sum.rule = one.rule;
      sum.text = one.text;
      return sum;
    }
  }
  return sum;
}

} // namespace vorrang::history
