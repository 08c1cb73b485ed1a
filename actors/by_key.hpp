// One message for each receiver, from a list of what is to be said to several.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace vorrang {

/// Sorts `entries` into batches by `key`, each in the order of the entries: calls `add(batch,
/// entry)` on a copy of `empty` for each of a key, then `send(key, batch)`, and clears the list.
/// Meant for few keys, nearly always one: O(entries · keys).
template <class Entry, class Key, class Batch, class Add, class Send>
void for_each_key(std::vector<Entry>& entries, Key key, const Batch& empty, Add add, Send send) {
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

} // namespace vorrang
