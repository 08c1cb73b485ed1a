// The engine itself as a policy: its queue and its deployments' books, in virtual time.
#pragma once

#include "actors/group_queue.hpp"
#include "bench/policy/policy.hpp"

#include <unordered_map>

namespace vorrang::bench {

/// Drives group_queue and deployment as queue_actor and deployment_actor do: what they tell each
/// other arrives at once. Settings are the gateway's defaults, with the scenario's limits.
class engine_policy : public policy {
public:
  explicit engine_policy(stage& where);

  void ask(request_index which) override;
  void gone(request_index which) override;
  void head(request_index which, std::size_t deployment) override;
  void over(request_index which, std::size_t deployment, const answer& heard) override;
  void cut(request_index which, std::size_t deployment) override;
  void woken(std::uint64_t token) override;
  std::optional<std::uint64_t> own_inversions() const override { return queue_.inversions(); }

private:
  void settle(request_index which, std::size_t deployment, const outcome& result);
  void report(deployment_index which, std::span<const attempt_result> results);
  void serve();
  void hear(const verdict& what);
  void arm();

  stage& stage_;
  group_settings settings_;
  group_board board_{1};
  group_queue queue_;
  std::vector<deployment> books_;
  std::unordered_map<ticket_id, request_index> requests_;
  struct standing {
    ticket_id ticket = 0;
    grant_id held = 0;
  };
  std::vector<standing> standings_;
  ticket_id next_ = 1;
  time_point armed_ = never;
};

} // namespace vorrang::bench
