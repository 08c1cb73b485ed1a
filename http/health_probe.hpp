// Asking all upstreams whether they are there, for `/health?probe=true`.
#pragma once

#include "http/data_loop.hpp"
#include "http/probe_plan.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace vorrang::http {

/// Asks each deployment by the engine's leave: a grant that takes an rpm unit and a slot, now or
/// never. What comes of it is told to the person who asks and to nobody else: it is no success and
/// no failure of the deployment, since a list of models says little about completions.
///
/// One run at a time: who asks during one hears what that one finds. Lives on one loop, which it
/// keeps from being empty while it runs.
class health_probe {
public:
  using told = std::function<void(probe_findings)>;

  /// How many are asked at once.
  static constexpr std::size_t at_once_max = 16;
  /// For one, and for all; those that are not reached by then are not asked.
  static constexpr duration one_time_max = std::chrono::seconds(5);
  static constexpr duration all_time_max = std::chrono::seconds(10);

  /// `home` outlives it, and so does the loop's last handler.
  explicit health_probe(data_loop& home) : home_(home) {}
  health_probe(const health_probe&) = delete;
  health_probe& operator=(const health_probe&) = delete;

  /// `done` is called on the loop. From any thread.
  void ask(told done);

private:
  void begin();
  awaitable<> work();
  void finish();

  data_loop& home_;
  std::vector<told> waiting_;
  std::vector<probe_finding> found_;
  std::size_t next_ = 0;
  std::size_t working_ = 0;
  time_point until_{};
};

} // namespace vorrang::http
