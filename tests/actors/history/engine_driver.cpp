#include "engine_driver.hpp"

#include "../virtual_engine.hpp"

#include <algorithm>
#include <map>

namespace vorrang::history {
namespace {

class engine_driver final : public driver {
public:
  explicit engine_driver(const engine_settings& settings) : engine_(settings) {
    engine_.after_round = [this] {
      tell_round();
    };
  }

  time_point now() const override { return engine_.now(); }
  time_point next_event() const override { return engine_.next_event(); }
  void advance_to(time_point t) override { engine_.advance_to(t); }

  ticket_id offer(const ask& what) override {
    auto listener = std::make_unique<ears>(*this);
    auto& heard = *listener;
    heard.ticket = engine_.book().open(now(), what, heard);
    heard.group = engine_.book().group_of(heard.ticket);
    const auto id = heard.ticket;
    listeners_[id] = std::move(listener);
    engine_.quiet();
    return id;
  }

  void cancel(ticket_id ticket) override {
    engine_.book().cancel(ticket);
    engine_.quiet();
  }

  void move(ticket_id ticket, std::int32_t priority) override {
    const auto group = engine_.book().group_of(ticket);
    if (group == no_index)
      return;
    caf::anon_send(engine_.directory().queues[group], move_atom_v, move_ticket{ticket, priority});
    engine_.quiet();
  }

  void begin_sending(grant_id grant) override {
    if (const auto* held = held_by_book(grant))
      engine_.book().begin_sending(now(), held->ticket);
  }

  void head_arrived(grant_id grant) override {
    if (const auto* held = held_by_book(grant))
      engine_.book().head_arrived(held->ticket);
    engine_.quiet();
  }

  void settle(grant_id grant, const outcome& result) override {
    if (const auto* held = held_by_book(grant)) {
      settled_[grant] = true;
      engine_.book().settle(held->ticket, result);
    } else if (const auto known = grants_.find(grant); known != grants_.end()) {
      // Past the book, which would keep it to itself: the deployment must not be misled either.
      settle_batch late;
      late.settles.push_back({grant, result});
      caf::anon_send(engine_.directory().deployments[known->second.group][known->second.deployment],
                     settle_atom_v, std::move(late));
    }
    engine_.quiet();
  }

  std::vector<event> take_events() override { return std::exchange(events_, {}); }

  std::uint64_t inversions() const override {
    std::uint64_t sum = 0;
    for (group_index i = 0; i < engine_.directory().queues.size(); ++i)
      sum += engine_.counters(i).inversions;
    return sum;
  }

  std::optional<std::uint64_t> waiting(group_index group) const override {
    return engine_.counters(group).waiting;
  }

private:
  struct ears final : request_listener {
    explicit ears(engine_driver& to) : driver(to) {}
    void on_grant(const grant& given) override {
      driver.grants_[given.id] = given;
      driver.current_[given.ticket] = given.id;
      event heard;
      heard.kind = event_kind::granted;
      heard.granted = given;
      heard.group = given.group;
      driver.hear(heard, given.ticket);
    }
    void on_waiting_again() override {
      event heard;
      heard.kind = event_kind::waiting_again;
      heard.group = driver.engine_.book().group_of(ticket);
      heard.ticket = ticket;
      heard.at = driver.now();
      heard.came = ++driver.heard_;
      const auto from = std::exchange(group, heard.group);
      driver.round_.push_back({heard, from, from != heard.group});
    }
    void on_end(const ending& end) override {
      event heard;
      heard.kind = event_kind::ended;
      heard.ended = end;
      heard.group = end.group;
      driver.hear(heard, end.ticket);
    }
    void on_position(std::uint32_t) override {}

    engine_driver& driver;
    ticket_id ticket = 0;
    group_index group = no_index;
  };

  void hear(event heard, ticket_id ticket) {
    heard.ticket = ticket;
    heard.at = now();
    heard.came = ++heard_;
    const auto from = heard.group;
    round_.push_back({std::move(heard), from, false});
  }

  /// Puts what was heard in one round into an order in which it can have happened. Each queue
  /// spoke in its own order; one that moved left its queue there, and came to the next one after
  /// all that this one had said in the round. In which order they came there is another matter:
  /// that is the order in which they were offered, and so heard.
  void tell_round() {
    while (!round_.empty()) {
      auto next = round_.begin();
      for (auto one = round_.begin(); one != round_.end(); ++one) {
        const auto speaks_before = [&](group_index group, auto end) {
          return std::any_of(round_.begin(), end,
                             [&](const said& other) { return other.from == group; });
        };
        if (speaks_before(one->from, one))
          continue;
        if (one->moved && speaks_before(one->what.group, round_.end()))
          continue;
        next = one;
        break;
      }
      events_.push_back(next->what);
      round_.erase(next);
    }
  }

  /// The grant, if the book still holds it.
  const grant* held_by_book(grant_id id) {
    const auto known = grants_.find(id);
    if (known == grants_.end() || settled_.count(id))
      return nullptr;
    const auto& given = known->second;
    return current_[given.ticket] == id && engine_.book().group_of(given.ticket) != no_index
               ? &given
               : nullptr;
  }

  mutable test::virtual_engine engine_;
  std::map<ticket_id, std::unique_ptr<ears>> listeners_;
  std::map<grant_id, grant> grants_;
  std::map<ticket_id, grant_id> current_;
  std::map<grant_id, bool> settled_;
  std::vector<event> events_;
  std::uint64_t heard_ = 0;

  struct said {
    event what;
    /// Whose queue said it.
    group_index from;
    bool moved;
  };
  std::vector<said> round_;
};

} // namespace

std::unique_ptr<driver> make_engine_driver(const engine_settings& settings) {
  return std::make_unique<engine_driver>(settings);
}

} // namespace vorrang::history
