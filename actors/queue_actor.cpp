#include "actors/queue_actor.hpp"

#include "actors/by_key.hpp"
#include "actors/queue_report.hpp"
#include "actors/quiet_caf.hpp"
#include "actors/ticket_report.hpp"

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

namespace vorrang {
namespace {

using pointer = queue_actor::stateful_pointer<queue_state>;

owner_index index_of(pointer self, const request_actor& handle) {
  auto& owners = self->state.owners;
  std::size_t free = owners.size();
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (owners[i].handle == handle)
      return static_cast<owner_index>(i);
    if (!owners[i].handle)
      free = i;
  }
  if (free == owners.size())
    owners.emplace_back();
  owners[free].handle = handle;
  self->monitor(handle);
  return static_cast<owner_index>(free);
}

void send_takes(pointer self, time_point now, queue_output& output) {
  auto& state = self->state;
  if (state.session && state.line->mode() == line_mode::own)
    for (const auto& [which, made] : output.takes)
      state.session->line().granted_here(now, which, made);
  const auto& row = self->state.directory->deployments[self->state.line->settings_index()];
  for_each_key(
      output.takes, [](const auto& taken) { return taken.deployment; }, take_batch{},
      [](take_batch& batch, const auto& taken) { batch.takes.push_back(taken.what); },
      [&](deployment_index which, take_batch&& batch) {
        self->send(row[which], take_atom_v, std::move(batch));
      });
  for (const auto& [which, phase] : output.opened)
    self->send(row[which], open_atom_v, phase);
  for (const auto& lost : output.orphans) {
    settle_batch batch;
    batch.settles.push_back({lost.grant, outcome{}});
    self->send(row[lost.deployment], settle_atom_v, std::move(batch));
  }
}

void send_verdicts(pointer self, queue_output& output) {
  auto& owners = self->state.owners;
  for (auto& [owner, what] : output.verdicts) {
    auto& outbox = owners[owner].outbox.verdicts;
    if (outbox.empty())
      outbox.reserve(output.verdicts.size()); // growing costs more than room that is not used
    outbox.push_back(std::move(what));
  }
  for (auto& owner : owners) {
    if (owner.outbox.verdicts.empty())
      continue;
    if (owner.handle)
      self->send(owner.handle, verdict_atom_v, std::move(owner.outbox));
    owner.outbox.verdicts.clear();
  }
}

/// This instance's part of the limits, while the line it shares is away. A group that a reload has
/// brought since goes by what was seen of other lines.
limit_share own_part(const queue_state& state) {
  const auto& members = state.session->line().members();
  if (members.count > 0)
    return {members.rank, members.count};
  const std::uint64_t seen = *state.directory->members_seen;
  return {static_cast<std::uint32_t>(seen >> 32), std::max(static_cast<std::uint32_t>(seen), 1u)};
}

void remember_members(const queue_state& state) {
  const auto& members = state.session->line().members();
  if (members.count > 0)
    *state.directory->members_seen =
        (static_cast<std::uint64_t>(members.rank) << 32) | members.count;
}

void tell_of_line(queue_state& state) {
  const auto& name = state.line->settings().name;
  if (!state.was_down) {
    --*state.directory->lines_lost;
    return state.directory->report(true, "the queue of " + name + " is shared again");
  }
  ++*state.directory->lines_lost;
  const auto part = own_part(state);
  state.directory->report(
      false, "the queue of " + name + " is not shared (" + state.session->trouble() + "): " +
                 (state.line->mode() == line_mode::own
                      ? "it goes on by itself, with part " + std::to_string(part.rank + 1) +
                            " of " + std::to_string(part.count) + " of its limits"
                      : "nothing is granted meanwhile"));
}

/// Lets the deployments that a reload has brought report: none may lend more than its part before
/// it knows that there is one.
void start_deployments(pointer self, std::size_t first) {
  auto& state = self->state;
  const auto& row = state.directory->deployments[state.line->settings_index()];
  for (auto i = first; i < row.size(); ++i)
    if (state.session && state.line->mode() == line_mode::own)
      self->send(row[i], share_atom_v, own_part(state));
    else
      self->send(row[i], start_atom_v);
}

/// Tells the shared line what has changed. Where it has gone, or has come back, the deployments
/// keep to this instance's part of the limits, or to all of them.
void follow_line(pointer self, time_point now) {
  auto& state = self->state;
  const auto mode = state.line->mode();
  auto call = state.session->turn(now);
  if (state.line->mode() != mode && state.line->mode() == line_mode::own)
    for (const auto& each : state.directory->deployments[state.line->settings_index()])
      self->send(each, share_atom_v, own_part(state));
  if (state.session->is_down() != std::exchange(state.was_down, state.session->is_down()))
    tell_of_line(state);
  if (call)
    state.directory->link->call(std::move(*call), [to = queue_actor{self}](line_answer answer) {
      caf::anon_send(to, line_atom_v, std::move(answer));
    });
}

bool is_shared(const queue_state& state) {
  return state.session && state.line->mode() == line_mode::shared;
}

line_state state_of(const queue_state& state) {
  if (!state.session)
    return line_state::alone;
  switch (state.line->mode()) {
  case line_mode::own:
    return line_state::local;
  case line_mode::shared:
    return line_state::shared;
  case line_mode::held:
    break;
  }
  return line_state::held;
}

/// The operator's hand: another priority, or, without one, the end. A ticket that this queue does
/// not know may wait at another instance.
caf::typed_response_promise<change_result> change(pointer self, ticket_id ticket,
                                                  std::optional<std::int32_t> priority) {
  auto told = self->make_response_promise<change_result>();
  auto& line = *self->state.line;
  if (line.holds_grant(ticket))
    told.deliver(change_result::not_waiting);
  else if (priority ? line.move(ticket, *priority)
                    : line.cancel_by_operator(self->clock().now(), ticket))
    told.deliver(change_result::done);
  else if (is_shared(self->state))
    self->state.session->line().change_other(ticket, priority, [told](bool done) mutable {
      told.deliver(done ? change_result::done : change_result::unknown_ticket);
    });
  else
    told.deliver(change_result::unknown_ticket);
  return told;
}

/// What the line adds to what this instance knows by itself.
void put_line(const queue_state& state, queue_view& view) {
  view.state = state_of(state);
  if (const auto& session = state.session) {
    // Also while this instance is alone: a count that falls would be one that began anew.
    view.inversions += session->line().inversions();
    view.overruns = session->line().overruns();
    view.limits_differ = session->line().settings_differ();
    view.outages = session->outages();
  }
}

/// Decides, and tells everybody. Verdicts go out before takes: where one thread runs them all, the
/// holder of a short grant then has settled it when the deployment wakes up, and both are woken
/// once for take and settle, offer and room.
void serve(pointer self, time_point now) {
  auto& state = self->state;
  auto& line = *state.line;
  line.serve(now);
  if (state.session)
    follow_line(self, now);
  auto& output = line.output();
  if (!output.verdicts.empty())
    send_verdicts(self, output);
  if (!output.takes.empty() || !output.orphans.empty() || !output.opened.empty())
    send_takes(self, now, output);
  for (const auto watched : output.watched)
    self->send(state.directory->queues[watched], watch_atom_v, watching_actor{self});
  output.clear();
  if (line.healthy() && !state.watchers.empty())
    for (const auto& watcher : std::exchange(state.watchers, {}))
      self->send(watcher, healthy_atom_v);
  auto next = line.next_event(now);
  if (state.session)
    next = std::min(next, state.session->next_event());
  state.tick.arm(self, next);
}

/// A piece of the own line at once; of a shared one, when it has answered.
void show(pointer self, piece_request wanted, caf::typed_response_promise<queue_piece> to) {
  auto& state = self->state;
  const auto now = self->clock().now();
  const bool shared = is_shared(state);
  wanted.wants_tickets &= !shared;
  auto piece = copy_piece(*state.line, now, wanted);
  put_line(state, piece.view);
  piece.in_order = shared;
  piece.has_count = !shared || (wanted.wants_line && (wanted.slot == 0 || wanted.limit > 0));
  if (!shared || !piece.has_count) {
    to.deliver(std::move(piece));
    return;
  }
  auto view = std::exchange(piece.view, {});
  view.offset = wanted.place;
  const auto limit = std::min(wanted.limit, shared_piece_tickets_max);
  state.session->line().show({wanted.place, limit}, std::move(view),
                             [to, limit, piece = std::move(piece)](bool, queue_view& told) mutable {
                               piece.has_more = limit > 0 && told.tickets.size() == limit;
                               piece.view = std::move(told);
                               to.deliver(std::move(piece));
                             });
  serve(self, now);
}

void serve(pointer self) {
  serve(self, self->clock().now());
}

} // namespace

queue_actor::behavior_type queue(pointer self, directory_ptr directory, group_index group) {
  auto& state = self->state;
  state.line.emplace(directory->settings.groups[group], group, directory->settings.seed,
                     *directory->board);
  state.directory = std::move(directory);
  if (const auto& shared = state.directory->settings.shared) {
    state.session =
        std::make_unique<line_session>(self->clock().now(), *state.line, shared->instance,
                                       shared->name_space, shared->hold_when_away);
    const auto hear = [to = queue_actor{self}](auto verb) {
      return [to, verb](auto&&... what) {
        caf::anon_send(to, verb, std::forward<decltype(what)>(what)...);
      };
    };
    state.directory->link->listen(state.session->line().channel(), hear(note_atom_v));
    state.directory->link->on_up(hear(up_atom_v));
  }
  self->set_exit_handler([self](caf::exit_msg& why) {
    if (const auto& session = self->state.session)
      if (auto call = session->leave())
        self->state.directory->link->call(std::move(*call), [](const line_answer&) {});
    self->quit(std::move(why.reason));
  });
  self->set_down_handler([self](caf::down_msg& down) {
    auto& owners = self->state.owners;
    for (std::size_t i = 0; i < owners.size(); ++i)
      if (owners[i].handle && owners[i].handle.address() == down.source) {
        self->state.line->owner_gone(static_cast<owner_index>(i));
        owners[i].handle = nullptr;
      }
    serve(self);
  });
  return {
      [=](offer_atom, offer_batch& batch) {
        forget_caf_logger();
        const auto now = self->clock().now();
        const auto owner = index_of(self, batch.owner);
        for (auto& ticket : batch.tickets)
          self->state.line->offer(now, owner, std::move(ticket));
        serve(self, now);
      },
      [=](room_atom, const room_report& report) {
        forget_caf_logger();
        const auto now = self->clock().now();
        self->state.line->room_changed(now, report.deployment, report.figures, report.results);
        if (const auto& session = self->state.session) {
          for (const auto& probe : report.heads)
            session->line().head(probe);
          for (const auto& result : report.results)
            session->line().attempt_over(now, report.deployment, result);
        }
        serve(self, now);
      },
      // CAF tries one handler after the other: what is rare stands below what is frequent.
      [=](cancel_atom, const cancel_batch& batch) {
        for (const auto ticket : batch.tickets)
          self->state.line->cancel(ticket);
        serve(self);
      },
      [=](tick_atom, std::uint64_t generation) {
        if (self->state.tick.fired(generation))
          serve(self);
      },
      [=](line_atom, const line_answer& answer) {
        const auto now = self->clock().now();
        self->state.session->answered(now, answer);
        remember_members(self->state);
        serve(self, now);
      },
      [=](note_atom, const std::string& text) {
        const auto now = self->clock().now();
        self->state.session->noted(now, text);
        serve(self, now);
      },
      [=](up_atom) {
        const auto now = self->clock().now();
        self->state.session->up(now);
        serve(self, now);
      },
      [=](watch_atom, const watching_actor& watcher) {
        if (self->state.line->healthy())
          self->send(watcher, healthy_atom_v);
        else
          self->state.watchers.push_back(watcher);
      },
      [=](healthy_atom) {
        self->state.line->fallback_healthy();
        serve(self);
      },
      [=](place_atom, ticket_id ticket) {
        self->state.line->ask_position(ticket);
        serve(self);
      },
      [=](move_atom, const move_ticket& wanted) {
        auto told = change(self, wanted.ticket, wanted.priority);
        serve(self);
        return told;
      },
      [=](end_atom, ticket_id ticket) {
        auto told = change(self, ticket, std::nullopt);
        serve(self);
        return told;
      },
      [=](show_atom, const piece_request& wanted) {
        auto shown = self->make_response_promise<queue_piece>();
        show(self, wanted, shown);
        return shown;
      },
      [=](why_atom, ticket_id ticket) {
        auto view = report_ticket(*self->state.line, self->clock().now(), ticket);
        view.state = state_of(self->state);
        return view;
      },
      [=](count_atom) {
        const auto& line = *self->state.line;
        const auto& session = self->state.session;
        return queue_counters{line.waiting(), line.grants(),
                              session ? session->line().inversions() : line.inversions()};
      },
      [=](reload_atom, const reload_order& order) {
        auto& own = self->state;
        const auto now = self->clock().now();
        const auto before = std::exchange(own.directory, order.now); // until the line has left it
        own.line->follow(now, order.now->settings.groups[own.line->settings_index()],
                         order.now->number);
        if (own.session)
          own.session->line().settings_changed();
        start_deployments(self, before->deployments[own.line->settings_index()].size());
        serve(self, now);
      },
      [=](drain_atom) {
        self->state.line->drain(self->clock().now());
        serve(self);
      },
  };
}

} // namespace vorrang
