// How what holds one entry for each ticket or grant grows.
#pragma once

#include <cstddef>
#include <vector>

namespace vorrang {

/// Makes room for one more entry, a quarter at a time instead of doubling: of what waits, no more
/// than a fifth is empty space. Appending stays O(1) on average.
template <class T>
void make_room(std::vector<T>& entries) {
  if (entries.size() == entries.capacity())
    entries.reserve(entries.size() + entries.size() / 4 + 16);
}

/// Keeps a small table of Boost's at most a third full: as entries come and go, a fuller one is
/// rehashed time and again (with 64 slots 7 % of deciding a grant). Beyond that it grows by itself.
template <class Table>
void make_room_in(Table& table) {
  constexpr std::size_t small = 1024;
  const auto places = table.bucket_count();
  if (places < small && 3 * table.size() >= places)
    table.reserve(2 * places);
}

} // namespace vorrang
