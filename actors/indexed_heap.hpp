// A 4-ary min-heap whose entries know where they are, so that any of them can leave or move.
#pragma once

#include "actors/growth.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace vorrang {

/// Entries are small values with a `slot` member; `Position` is called with (slot, index) whenever
/// an entry comes to stand somewhere, and with (slot, npos) when it leaves. The children of one
/// entry share a cache line where entries have 16 bytes, hence four of them.
///
/// Push, erase and update are O(log n); top is O(1). Not thread-safe.
template <class Entry, class Less, class Position>
class indexed_heap {
public:
  static constexpr std::uint32_t npos = 0xffffffff;

  explicit indexed_heap(Position position = {}) : position_(std::move(position)) {}

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  const Entry& top() const { return entries_.front(); }
  /// All entries, in heap order (not sorted).
  const std::vector<Entry>& entries() const noexcept { return entries_; }

  void push(const Entry& entry) {
    make_room(entries_);
    entries_.push_back(entry);
    up(entries_.size() - 1, entry);
  }

  /// Removes the entry that stands at `index`.
  void erase(std::size_t index) {
    position_(entries_[index].slot, npos);
    const Entry last = entries_.back();
    entries_.pop_back();
    if (index == entries_.size())
      return;
    settle(index, last);
  }

  /// Puts `entry` in the place of the one at `index` (the same slot, another key).
  void update(std::size_t index, const Entry& entry) { settle(index, entry); }

  void pop() { erase(0); }

  void clear() {
    for (const auto& entry : entries_)
      position_(entry.slot, npos);
    entries_.clear();
  }

private:
  void place(std::size_t index, const Entry& entry) {
    entries_[index] = entry;
    position_(entry.slot, static_cast<std::uint32_t>(index));
  }

  void settle(std::size_t index, const Entry& entry) {
    if (index > 0 && less_(entry, entries_[(index - 1) / 4]))
      up(index, entry);
    else
      down(index, entry);
  }

  void up(std::size_t index, Entry entry) {
    while (index > 0) {
      const auto parent = (index - 1) / 4;
      if (!less_(entry, entries_[parent]))
        break;
      place(index, entries_[parent]);
      index = parent;
    }
    place(index, entry);
  }

  void down(std::size_t index, Entry entry) {
    const auto size = entries_.size();
    for (;;) {
      const auto first = index * 4 + 1;
      if (first >= size)
        break;
      const auto end = first + 4 < size ? first + 4 : size;
      auto best = first;
      for (auto child = first + 1; child < end; ++child)
        best = less_(entries_[child], entries_[best]) ? child : best;
      if (!less_(entries_[best], entry))
        break;
      place(index, entries_[best]);
      index = best;
    }
    place(index, entry);
  }

  std::vector<Entry> entries_;
  [[no_unique_address]] Less less_;
  Position position_;
};

} // namespace vorrang
