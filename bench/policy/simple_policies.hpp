// Models of what decides without the engine: a line, a line by classes, and no line.
#pragma once

#include "bench/policy/limit_counter.hpp"
#include "bench/policy/policy.hpp"

#include <map>

namespace vorrang::bench {

/// One line in front of all deployments; the next goes round robin to one that has room. It knows
/// nothing of health: a failed attempt is answered with its error, and who asks again is last.
class line_policy : public policy {
public:
  /// Of whom the line consists, and what it counts.
  struct rules {
    /// First by class, then by the time of coming (HAProxy: `set-priority-class`, −2047 to 2047,
    /// lowest first, and in a class the oldest; its `maxconn` is a number of slots).
    bool by_class = false;
    /// It counts calls a minute as well, and holds the next one back. HAProxy cannot: it can refuse
    /// by a rate, as the provider does.
    bool counts_rpm = true;
  };

  line_policy(stage& where, rules told);

  void ask(request_index which) override;
  void gone(request_index which) override;
  void over(request_index which, std::size_t deployment, const answer& heard) override;
  void cut(request_index which, std::size_t deployment) override;
  void woken(std::uint64_t token) override;

private:
  /// (class, number of coming)
  using place = std::pair<std::int32_t, std::uint64_t>;

  void serve();

  stage& stage_;
  rules rules_;
  std::vector<limit_counter> counters_;
  std::map<place, request_index> line_;
  std::map<request_index, place> places_;
  std::uint64_t coming_ = 0;
  std::size_t turn_ = 0;
  time_point armed_ = never;
};

/// No line: who comes while everything is full is refused, and its client asks again.
class rejection_policy : public policy {
public:
  explicit rejection_policy(stage& where);

  void ask(request_index which) override;
  void gone(request_index) override {}
  void over(request_index which, std::size_t deployment, const answer& heard) override;
  void cut(request_index which, std::size_t deployment) override;
  void woken(std::uint64_t) override {}

private:
  stage& stage_;
  std::vector<limit_counter> counters_;
  std::size_t turn_ = 0;
};

} // namespace vorrang::bench
