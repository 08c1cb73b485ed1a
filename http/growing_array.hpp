// An array that gets longer while others read it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>

namespace vorrang::http {

/// Values at places that they keep for good, so that whoever has one may hold on to it. One thread
/// writes and grows; any thread reads what find() gives. The first values stand in one piece, each
/// further piece is as long as all before it: a place costs a comparison, and seldom a little more.
template <class Value>
class growing_array {
public:
  explicit growing_array(std::size_t size) : first_(std::max<std::size_t>(size, 1)) { grow(size); }
  growing_array(const growing_array&) = delete;
  growing_array& operator=(const growing_array&) = delete;

  /// The writer's. There are at least `size` values from now on; new ones are as `Value()`.
  void grow(std::size_t size) {
    for (std::size_t piece = 0; piece < pieces_max && begin_of(piece) < size; ++piece)
      if (!owned_[piece]) {
        owned_[piece] = std::make_unique<Value[]>(piece == 0 ? first_ : begin_of(piece));
        pieces_[piece].store(owned_[piece].get(), std::memory_order_release);
      }
  }

  /// The writer's; `at` is less than what grow() was told.
  Value& operator[](std::size_t at) noexcept {
    const auto piece = piece_of(at);
    return owned_[piece][at - begin_of(piece)];
  }

  /// Any thread's; null if it has not grown so far.
  const Value* find(std::size_t at) const noexcept {
    const auto piece = piece_of(at);
    const Value* values =
        piece < pieces_max ? pieces_[piece].load(std::memory_order_acquire) : nullptr;
    return values ? values + (at - begin_of(piece)) : nullptr;
  }

private:
  static constexpr std::size_t pieces_max = 32;

  std::size_t piece_of(std::size_t at) const noexcept {
    return at < first_ ? 0 : static_cast<std::size_t>(std::bit_width(at / first_));
  }
  std::size_t begin_of(std::size_t piece) const noexcept {
    return piece == 0 ? 0 : first_ << (piece - 1);
  }

  const std::size_t first_;
  std::array<std::unique_ptr<Value[]>, pieces_max> owned_;
  std::array<std::atomic<const Value*>, pieces_max> pieces_{};
};

} // namespace vorrang::http
