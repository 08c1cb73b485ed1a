// Lets a benchmark's thread wait for actors.
#pragma once

#include <condition_variable>
#include <mutex>

namespace vorrang {

/// Crossed by an actor, awaited by one thread; then ready for another time.
class finish_line {
public:
  void cross() {
    std::lock_guard lock(mutex_);
    crossed_ = true;
    changed_.notify_one();
  }
  void await() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return crossed_; });
    crossed_ = false;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool crossed_ = false;
};

} // namespace vorrang
