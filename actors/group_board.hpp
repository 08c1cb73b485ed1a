// Which groups could take a request now: read by the queues that have them as fallbacks.
#pragma once

#include "actors/types.hpp"

#include <array>
#include <atomic>
#include <memory>

namespace vorrang {

/// One flag for each group, written by its queue alone and read by others from any thread. A stale
/// answer costs a detour, never a limit: the group's own queue decides.
class group_board {
public:
  /// Grants are named by 16 bits of their group.
  static constexpr std::size_t groups_max = 1u << 16;

  explicit group_board(std::size_t groups) { grow(groups); }

  /// Makes room for so many groups, at most groups_max. One thread at a time; others may read.
  void grow(std::size_t groups) {
    for (std::size_t i = 0; i * part_size < groups; ++i)
      if (!parts_[i]) {
        parts_[i] = std::make_unique<part>();
        size_.store((i + 1) * part_size, std::memory_order_release);
      }
  }

  bool healthy(group_index group) const noexcept {
    return group < size_.load(std::memory_order_acquire) &&
           (*parts_[group / part_size])[group % part_size].load(std::memory_order_acquire);
  }
  void set_healthy(group_index group, bool value) noexcept {
    (*parts_[group / part_size])[group % part_size].store(value, std::memory_order_release);
  }

private:
  static constexpr std::size_t part_size = 256;
  using part = std::array<std::atomic<bool>, part_size>;

  /// None is moved once it is there.
  std::array<std::unique_ptr<part>, groups_max / part_size> parts_;
  std::atomic<std::size_t> size_{0};
};

} // namespace vorrang
