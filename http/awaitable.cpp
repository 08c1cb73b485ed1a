#include "http/awaitable.hpp"

#include <array>
#include <new>

namespace vorrang::http {

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool keeps_frames = false;
#else
constexpr bool keeps_frames = true;
#endif

/// Frames of one size, linked through their first bytes.
class shelf {
public:
  ~shelf() {
    while (void* frame = take())
      ::operator delete(frame);
  }
  void* take() noexcept {
    if (first_ == nullptr)
      return nullptr;
    --count_;
    link* const taken = first_;
    first_ = taken->next;
    return taken;
  }
  bool put(void* frame) noexcept {
    if (count_ == frame_memory::kept_max)
      return false;
    ++count_;
    first_ = new (frame) link{first_};
    return true;
  }

private:
  struct link {
    link* next;
  };
  link* first_ = nullptr;
  std::size_t count_ = 0;
};

thread_local std::array<shelf, frame_memory::sizes> shelves;

constexpr std::size_t shelf_for(std::size_t size) noexcept {
  return (size - 1) / frame_memory::step_bytes;
}

/// Begins at once and frees itself.
struct unowned {
  struct promise_type {
    static void* operator new(std::size_t size) { return frame_memory::take(size); }
    static void operator delete(void* frame, std::size_t size) noexcept {
      frame_memory::give(frame, size);
    }
    unowned get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

unowned run_to_end(awaitable<> story, std::function<void(std::exception_ptr)> ended) {
  std::exception_ptr error;
  try {
    co_await story;
  } catch (...) {
    error = std::current_exception();
  }
  {
    const auto over = std::move(story); // its frame goes before anybody hears of it
  }
  ended(std::move(error));
}

} // namespace

void* frame_memory::take(std::size_t size) {
  const std::size_t which = shelf_for(size);
  if (keeps_frames && which < sizes) {
    if (void* kept = shelves[which].take())
      return kept;
    return ::operator new((which + 1) * step_bytes);
  }
  return ::operator new(size);
}

void frame_memory::give(void* frame, std::size_t size) noexcept {
  const std::size_t which = shelf_for(size);
  if (!keeps_frames || which >= sizes || !shelves[which].put(frame))
    ::operator delete(frame);
}

void start(awaitable<> story, std::function<void(std::exception_ptr)> ended) {
  run_to_end(std::move(story), std::move(ended));
}

} // namespace vorrang::http
