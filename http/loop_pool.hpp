// The loops of the gateway, one for each core, each with its thread.
#pragma once

#include "http/loop.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace vorrang::http {

/// Makes the loops; their threads run from start() to stop().
class loop_pool {
public:
  /// `count` loops; 0: one for each core that this process may use. At most 256.
  explicit loop_pool(std::size_t count, loop_times times = {});
  /// Stops.
  ~loop_pool();
  loop_pool(const loop_pool&) = delete;
  loop_pool& operator=(const loop_pool&) = delete;

  std::size_t size() const noexcept { return loops_.size(); }
  loop& at(std::size_t index) { return *loops_[index]; }

  /// Whether the calling thread runs one of these loops.
  bool is_inside() const noexcept;

  /// Starts the threads; each calls `begins` first and `ends` last. Once only.
  void start(std::function<void()> begins = {}, std::function<void()> ends = {});

  /// Stops the loops and joins their threads; not from one of them. Calls after the first do
  /// nothing.
  void stop();

private:
  std::vector<std::unique_ptr<loop>> loops_;
  std::vector<std::thread> threads_;
};

} // namespace vorrang::http
