// The engine's state as JSON text: for the admin port, and for `/health` of both ports.
#pragma once

#include "actors/snapshot.hpp"
#include "config/settings.hpp"
#include "http/probe_plan.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace vorrang::http {

/// What is asked of `/queue/...`, from a path and a query.
struct page_request {
  std::uint32_t offset = 0;
  std::uint32_t limit = 100;
};

/// Tickets on one page at most.
inline constexpr std::uint32_t page_tickets_max = 1000;

/// One group: `{"model","waiting","offset","next_offset","oldest_wait_ms","inversions","tickets":
/// [{"id","priority","position","arrival","waited_ms","deadline","deadline_in_ms","instance","why",
/// "reason","ready_in_ms","attempts","bytes"}],"deployments":[{"id","healthy","cooling","full",
/// "reason","in_flight","max_parallel_requests","rpm":{"used","limit"},"tpm":{…},
/// "window_returns_in_ms","cooldown_ends_in_ms","last_failure_status"}]}`. Ids are text: they have
/// 64 bits, numbers in JavaScript 53. `wall` is the time of day at `view.at`; deadlines are told as
/// times of day, absent ones and limits that are not set as null. docs/admin.md tells what each
/// means.
std::string queue_page(const queue_view& view, std::chrono::system_clock::time_point wall);

/// All groups: `{"queues":[…]}`, each as above.
std::string queues_page(const std::vector<queue_view>& views,
                        std::chrono::system_clock::time_point wall);

/// Why it waits, for people: `waits for rpm: next unit in 12.4 s`.
std::string reason_in_words(const ticket_report& ticket);
/// Why it takes nothing, or empty: `rpm: 10 of 10 used, next unit in 12.4 s`.
std::string reason_in_words(const deployment_report& deployment);

/// `/health` in LiteLLM's form: `healthy_endpoints`, `unhealthy_endpoints` and their counts; each
/// endpoint with `model_name`, `model_id`, `model`, `state` (`healthy`, `full`, `cooling`, or
/// `unknown` where no view is given) and when its cooldown ends. With `findings`, each tells what
/// its upstream said just now: `probe: {"result","status","took_ms"}`. Of the groups that `key` may
/// use; null: all. Never a key.
std::string health_page(const config::settings& settings, const std::vector<queue_view>* views,
                        const std::vector<probe_finding>* findings,
                        const config::client_key* key = nullptr);

/// Whether a value of `?probe=` says yes.
bool asks_for_probe(std::string_view value) noexcept;

/// `/health/readiness`.
struct readiness_facts {
  bool draining = false;
  std::optional<bool> redis_reachable; ///< absent: the queue is not shared
  bool redis_required = false;         ///< `redis_unavailable: hold`
  std::string version;
};
bool is_ready(const readiness_facts& facts) noexcept;
/// With status 200 or 503, as is_ready() says.
std::string readiness_text(const readiness_facts& facts);

} // namespace vorrang::http
