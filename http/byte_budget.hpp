// Bytes of bodies that all loops together may keep.
#pragma once

#include <atomic>
#include <cstdint>

namespace vorrang::http {

/// Shared by all threads.
class byte_budget {
public:
  explicit byte_budget(std::uint64_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  /// False, and nothing taken, if it would go over the limit.
  bool take(std::uint64_t bytes) noexcept {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= bytes_max_)
      return true;
    give(bytes);
    return false;
  }
  void give(std::uint64_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  std::uint64_t bytes_max() const noexcept { return bytes_max_; }
  std::uint64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  /// Whether `bytes` would fit now; no promise.
  bool has_room_for(std::uint64_t bytes) const noexcept {
    const std::uint64_t used_now = used();
    return used_now <= bytes_max_ && bytes <= bytes_max_ - used_now;
  }

private:
  const std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> used_ = 0;
};

/// What one request has taken; gives it back when it dies.
class byte_claim {
public:
  explicit byte_claim(byte_budget& budget) noexcept : budget_(budget) {}
  ~byte_claim() { release(); }
  byte_claim(const byte_claim&) = delete;
  byte_claim& operator=(const byte_claim&) = delete;

  bool grow(std::uint64_t bytes) noexcept {
    if (!budget_.take(bytes))
      return false;
    held_ += bytes;
    return true;
  }
  void release() noexcept {
    if (held_ > 0)
      budget_.give(held_);
    held_ = 0;
  }

private:
  byte_budget& budget_;
  std::uint64_t held_ = 0;
};

} // namespace vorrang::http
