#include "actors/book_sender.hpp"

#include <caf/send.hpp>

namespace vorrang {
namespace {

/// Calls `visit(first, rest)` for each run of entries with the same `key`; nearly always one run.
template <class Entry, class Key, class Batch, class Add, class Send>
void for_each_key(std::vector<Entry>& entries, Key key, Batch empty, Add add, Send send) {
  std::size_t from = 0;
  while (from < entries.size()) {
    const auto current = key(entries[from]);
    Batch batch = empty;
    // Others of this key further on come along; what remains is moved to the front.
    std::size_t kept = from;
    for (std::size_t i = from; i < entries.size(); ++i) {
      if (key(entries[i]) == current)
        add(batch, entries[i]);
      else if (kept++ != i)
        entries[kept - 1] = std::move(entries[i]);
    }
    entries.resize(kept);
    send(current, std::move(batch));
  }
  entries.clear();
}

} // namespace

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
