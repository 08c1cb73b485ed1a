// Which groups could take a request now: read by the queues that have them as fallbacks.
#pragma once

#include "actors/types.hpp"

#include <atomic>
#include <memory>

namespace vorrang {

/// One flag for each group, written by its queue alone and read by others from any thread. A stale
/// answer costs a detour, never a limit: the group's own queue decides.
class group_board {
public:
  explicit group_board(std::size_t groups)
      : healthy_(std::make_unique<std::atomic<bool>[]>(groups)), size_(groups) {}

  bool healthy(group_index group) const noexcept {
    return group < size_ && healthy_[group].load(std::memory_order_acquire);
  }
  void set_healthy(group_index group, bool value) noexcept {
    healthy_[group].store(value, std::memory_order_release);
  }

private:
  std::unique_ptr<std::atomic<bool>[]> healthy_;
  std::size_t size_;
};

} // namespace vorrang
