// A deployment as its queue sees it: the last figures, less what was granted since.
#pragma once

#include "actors/deployment.hpp"

namespace vorrang {

/// The queue's copy of a deployment's room. `take` counts a grant at once; `update` replaces the
/// figures by newer ones and counts again what those do not contain yet. So the queue never grants
/// more than the deployment lent, however late its messages are.
class deployment_view {
public:
  const room& figures() const noexcept { return now_; }

  void update(const room& figures) {
    now_ = figures;
    while (unseen_.size() > takes_ - figures.takes_seen)
      unseen_.pop_front();
    for (const auto tokens : unseen_)
      subtract(tokens);
    if (figures.takes_seen < probe_take_)
      now_.probe_at = never;
  }

  /// Figures that contain every grant there is.
  void replace(const room& figures) {
    now_ = figures;
    unseen_.clear();
  }

  void take(std::uint32_t token_estimate, bool probe) {
    subtract(token_estimate);
    take_counted(token_estimate, probe);
  }

  /// A grant of the shared line's, whose own figures contain it.
  void take_counted(std::uint32_t token_estimate, bool probe) {
    ++takes_;
    unseen_.push_back(token_estimate);
    if (probe) {
      probe_take_ = takes_;
      now_.probe_at = never;
    }
  }

  /// Nothing may be granted by these figures any more: the next ones are awaited.
  void hold() noexcept {
    now_.slots = 0;
    now_.probe_at = never;
  }

  /// For the strikes of a ticket: the queue's number of the last success here.
  std::uint64_t last_answer = 0;

private:
  void subtract(std::uint32_t tokens) noexcept {
    if (now_.slots != room::unlimited_slots && now_.slots > 0)
      --now_.slots;
    if (now_.probe_room != room::unlimited_slots && now_.probe_room > 0 && --now_.probe_room == 0)
      now_.probe_at = never;
    if (now_.tokens != room::unlimited_tokens)
      now_.tokens -= tokens;
    ++now_.in_flight;
    ++now_.window_requests;
    now_.window_tokens += tokens;
  }

  room now_;
  std::deque<std::uint32_t> unseen_;
  std::uint64_t takes_ = 0;
  std::uint64_t probe_take_ = 0;
};

} // namespace vorrang
