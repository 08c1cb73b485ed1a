// The threads that answer on the admin port.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <httplib.h>
#include <mutex>
#include <thread>
#include <vector>

namespace vorrang::http {

/// Like httplib's own pool, but it does not let connections pile up without end: those beyond the
/// limit are not taken from the kernel's queue until there is room.
class admin_pool : public httplib::TaskQueue {
public:
  explicit admin_pool(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i)
      threads_.emplace_back([this] { work(); });
  }

  // void in cpp-httplib 0.11, bool since 0.15: both are what the base class says.
  using enqueue_result =
      decltype(std::declval<httplib::TaskQueue&>().enqueue(std::function<void()>()));

  enqueue_result enqueue(std::function<void()> task) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tasks_.size() < tasks_max || ended_; });
    tasks_.push_back(std::move(task));
    changed_.notify_all();
    return enqueue_result(true);
  }

  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_)
      thread.join();
  }

private:
  static constexpr std::size_t tasks_max = 64;

  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !tasks_.empty() || ended_; });
        if (tasks_.empty())
          return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
        changed_.notify_all();
      }
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  bool ended_ = false;
};

} // namespace vorrang::http
