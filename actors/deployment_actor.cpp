#include "actors/deployment_actor.hpp"

#include "actors/quiet_caf.hpp"

namespace vorrang {
namespace {

using pointer = deployment_actor::stateful_pointer<deployment_state>;

void report(pointer self, time_point now) {
  auto& state = self->state;
  state.report.figures = state.books->current(now);
  self->send(state.directory->queues[state.group], room_atom_v, std::move(state.report));
  state.report.results.clear();
  state.report.heads.clear();
  state.tick.arm(self, state.books->next_event());
}

void report(pointer self) {
  report(self, self->clock().now());
}

} // namespace

deployment_actor::behavior_type deployment_keeper(pointer self, directory_ptr directory,
                                                  group_index group, deployment_index which) {
  auto& state = self->state;
  const auto& rules = directory->settings.groups[group];
  state.directory = std::move(directory);
  state.group = group;
  state.report.deployment = which;
  state.books.emplace(rules, rules.deployments[which],
                      rules.strategy == routing_strategy::usage_based);
  // One that a reload has brought is as far as those that have heard of the reload.
  if (state.directory->number > 0)
    state.books->follow(self->clock().now(), rules, rules.deployments[which],
                        rules.strategy == routing_strategy::usage_based, state.directory->number);
  return {
      [=](start_atom) { report(self); },
      [=](take_atom, const take_batch& batch) {
        auto& books = *self->state.books;
        for (const auto& taken : batch.takes)
          books.take_grant(taken);
        if (!books.is_overtaken())
          return self->state.tick.arm(self, books.next_event());
        const auto now = self->clock().now();
        for (const auto& taken : batch.takes)
          if (auto result = books.catch_up(now, taken.id))
            self->state.report.results.push_back(*result);
        report(self, now);
      },
      [=](settle_atom, const settle_batch& batch) {
        forget_caf_logger();
        const auto now = self->clock().now();
        self->state.report.results.reserve(batch.settles.size());
        for (const auto& over : batch.settles)
          if (auto result = self->state.books->settle(now, over.grant, over.result))
            self->state.report.results.push_back(*result);
        if (!self->state.report.results.empty())
          report(self, now);
      },
      [=](head_atom, grant_id id) {
        const auto now = self->clock().now();
        if (!self->state.books->head(now, id))
          return;
        self->state.report.heads.push_back(id);
        report(self, now);
      },
      [=](open_atom, std::uint32_t phase) {
        self->state.books->open_fully(phase);
        report(self);
      },
      [=](share_atom, limit_share share) {
        self->state.books->limit_to(share.rank, share.count);
        report(self);
      },
      [=](reload_atom, const reload_order& order) {
        auto& own = self->state;
        const auto& now = order.now->settings.groups[own.group];
        own.books->follow(self->clock().now(), now, now.deployments[own.report.deployment],
                          now.strategy == routing_strategy::usage_based, order.now->number);
        own.directory = order.now;
        report(self);
      },
      [=](tick_atom, std::uint64_t generation) {
        if (self->state.tick.fired(generation))
          report(self);
      },
  };
}

} // namespace vorrang
