// The interface between the simulator and whoever decides.
#pragma once

#include "bench/policy/trace.hpp"

#include <memory>
#include <string_view>

namespace vorrang::bench {

/// What a provider's answer says.
struct answer {
  /// 200, 429 (beyond its limits) or 503 (it browns out).
  std::uint16_t status = 200;
  /// With a 429 for calls a minute.
  std::optional<duration> retry_after;

  bool success() const noexcept { return status == 200; }
};

/// What a policy may do. Nothing here calls the policy back before it has returned.
class stage {
public:
  virtual ~stage() = default;

  virtual time_point now() const = 0;
  virtual const scenario& plan() const = 0;

  /// Sends a request that the policy holds. Its end comes by policy::over or policy::cut.
  virtual void send(request_index which, std::size_t deployment) = 0;

  /// Answers a request that the policy holds with an error; the client may ask again.
  virtual void refuse(request_index which, std::optional<duration> retry_after) = 0;

  /// Calls policy::woken then.
  virtual void wake_at(time_point at, std::uint64_t token) = 0;
};

/// Who goes next, and where. It holds a request from `ask` until it has sent or refused it, and
/// again after an attempt that failed.
class policy {
public:
  virtual ~policy() = default;

  /// A request comes, or comes again after a refusal.
  virtual void ask(request_index which) = 0;
  /// The client of a request that is held has hung up.
  virtual void gone(request_index which) = 0;
  /// The first sign of a 2xx answer.
  virtual void head(request_index, std::size_t) {}
  /// An attempt is over. A success is with the client already; else the request is held again.
  virtual void over(request_index which, std::size_t deployment, const answer& heard) = 0;
  /// The client has hung up during the call, which is thereby over.
  virtual void cut(request_index which, std::size_t deployment) = 0;
  virtual void woken(std::uint64_t token) = 0;

  /// What its own meter of inversions says; nothing if it has none.
  virtual std::optional<std::uint64_t> own_inversions() const { return std::nullopt; }
};

/// The policies by name, in the order in which they are shown: `vorrang` (the engine itself),
/// `fifo`, `haproxy`, `litellm`, `rejection`.
inline constexpr std::string_view policy_names[] = {"vorrang", "fifo", "haproxy", "litellm",
                                                    "rejection"};

/// One of policy_names; `where` must outlive it. Nothing for another name.
std::unique_ptr<policy> make_policy(std::string_view name, stage& where);

} // namespace vorrang::bench
