#include "http/loop_pool.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <string>

namespace vorrang::http {

namespace {

constexpr std::size_t loops_max = 256;

/// The cores that this process may run on; a cgroup's quota does not show here.
std::size_t core_count() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0)
    return static_cast<std::size_t>(CPU_COUNT(&cores));
  return std::thread::hardware_concurrency();
}

} // namespace

loop_pool::loop_pool(std::size_t count, loop_times times) {
  if (count == 0)
    count = core_count();
  count = std::clamp<std::size_t>(count, 1, loops_max);
  for (std::size_t index = 0; index < count; ++index)
    loops_.push_back(std::make_unique<loop>(index, times));
}

loop_pool::~loop_pool() {
  stop();
}

bool loop_pool::is_inside() const noexcept {
  const loop* const current = loop::current();
  return current != nullptr && current->index() < loops_.size() &&
         loops_[current->index()].get() == current;
}

void loop_pool::start(std::function<void()> begins, std::function<void()> ends) {
  for (const auto& each : loops_) {
    threads_.emplace_back([own = each.get(), begins, ends] {
      pthread_setname_np(pthread_self(), ("loop-" + std::to_string(own->index())).c_str());
      if (begins)
        begins();
      own->run();
      if (ends)
        ends();
    });
  }
}

void loop_pool::stop() {
  for (const auto& each : loops_)
    each->stop();
  for (std::thread& each : threads_)
    each.join();
  threads_.clear();
}

} // namespace vorrang::http
