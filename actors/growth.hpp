// Vectors that hold one entry for each waiting ticket.
#pragma once

#include <vector>

namespace vorrang {

/// Makes room for one more entry, a quarter at a time instead of doubling: of what waits, no more
/// than a fifth is empty space. Appending stays O(1) on average.
template <class T>
void make_room(std::vector<T>& entries) {
  if (entries.size() == entries.capacity())
    entries.reserve(entries.size() + entries.size() / 4 + 16);
}

} // namespace vorrang
