#include "actors/book_sender.hpp"

#include "actors/by_key.hpp"

#include <caf/send.hpp>

namespace vorrang {
void send_book(book_output& output, const request_actor& owner, const engine_directory& engine) {
  const auto place_of = [](const auto& entry) {
    return std::pair(entry.group, entry.deployment);
  };
  const auto group_of = [](const auto& entry) {
    return entry.group;
  };

  for (const auto& headed : output.heads)
    caf::anon_send(engine.deployments[headed.group][headed.deployment], head_atom_v, headed.grant);
  for_each_key(
      output.settles, place_of, settle_batch{},
      [](settle_batch& batch, book_output::settled& entry) {
        batch.settles.push_back({entry.grant, entry.result});
      },
      [&](auto place, settle_batch&& batch) {
        caf::anon_send(engine.deployments[place.first][place.second], settle_atom_v,
                       std::move(batch));
      });
  for_each_key(
      output.offers, group_of, offer_batch{owner, {}},
      [](offer_batch& batch, book_output::offered& entry) {
        batch.tickets.push_back(std::move(entry.ticket));
      },
      [&](group_index group, offer_batch&& batch) {
        caf::anon_send(engine.queues[group], offer_atom_v, std::move(batch));
      });
  for_each_key(
      output.cancels, group_of, cancel_batch{},
      [](cancel_batch& batch, book_output::named& entry) { batch.tickets.push_back(entry.ticket); },
      [&](group_index group, cancel_batch&& batch) {
        caf::anon_send(engine.queues[group], cancel_atom_v, std::move(batch));
      });
  for (const auto& asked : output.places)
    caf::anon_send(engine.queues[asked.group], place_atom_v, asked.ticket);
  output.clear();
}

} // namespace vorrang
