// Memory for the frames of coroutines.
#pragma once

#include <cstddef>

namespace vorrang::http {

/// Keeps a few frames of each size for the thread's next coroutine: a request takes a dozen, one
/// after the other. Under the address sanitizer every frame is the allocator's own.
class frame_memory {
public:
  static void* take(std::size_t size);
  static void give(void* frame, std::size_t size) noexcept;

  /// Kept for each size at most; larger frames than the last size are not kept.
  static constexpr std::size_t kept_max = 64;
  static constexpr std::size_t step_bytes = 64;
  static constexpr std::size_t sizes = 32;
};

} // namespace vorrang::http
