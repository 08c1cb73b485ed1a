// What a reload makes of a group's queue.
#include "actors/group_queue.hpp"

#include <algorithm>

namespace vorrang {

void group_queue::find_base_anew(record& ticket) {
  ask wanted;
  wanted.pinned = ticket.facts().pinned;
  wanted.tags = ticket.facts().tags;
  wanted.api = ticket.api;
  wanted.prompt_estimate = ticket.prompt_estimate;
  wanted.token_estimate = ticket.token_estimate;
  ticket.base = base_for(wanted, ticket.oversize);
}

bool group_queue::allows(ticket_id ticket, deployment_index where) const {
  const auto found = slots_.find(ticket);
  return found != slots_.end() && bases_[records_[found->second].base].contains(where);
}

void group_queue::follow(time_point now, const group_settings& settings, std::uint64_t number) {
  settings_ = &settings;
  reload_ = number;
  tells_freed_ |= settings.max_queue_size == 0;
  for (auto i = views_.size(); i < settings.deployments.size(); ++i)
    unheard_.insert(static_cast<deployment_index>(i));
  views_.resize(settings.deployments.size());
  cooldowns_.resize(settings.deployments.size());
  for (std::size_t i = 0; i < views_.size(); ++i) {
    const auto which = static_cast<deployment_index>(i);
    // It may have followed already, and said so.
    const bool awaited = mode_ == line_mode::own && views_[i].figures().reload < number;
    if (awaited) {
      views_[i].hold();
      unheard_.insert(which);
    }
    if (awaited || settings.deployments[i].retired)
      open_.erase(which);
  }

  bases_.clear();
  usual_.reset();
  std::vector<slot_index> waiting;
  for (const auto& [id, slot] : slots_) {
    find_base_anew(records_[slot]);
    if (line_.waiting(slot))
      waiting.push_back(slot);
  }
  // In order, since those that go to another group take new numbers there.
  std::sort(waiting.begin(), waiting.end(),
            [&](slot_index a, slot_index b) { return line_.rank_of(a) < line_.rank_of(b); });
  for (const auto slot : waiting) {
    if (settings.retired)
      end(now, slot, end_code::unknown_group, std::nullopt);
    else if (!reachable(slot).empty())
      refresh_eligible(now, slot);
    else
      end(now, slot,
          records_[slot].history ? end_code::attempts_exhausted : end_code::no_deployment,
          std::nullopt);
  }
  look_for_hopeless_ = true;
}

} // namespace vorrang
