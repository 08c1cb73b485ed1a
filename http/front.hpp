// What a request means: answered at once, or a call to be queued.
#pragma once

#include "actors/snapshot.hpp"
#include "http/call.hpp"
#include "http/our_error.hpp"
#include "http/probe_plan.hpp"
#include "http/reply.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace vorrang::config {
struct settings;
}

namespace vorrang::http {

struct request_head;
struct inspected_body;

/// What the front must know of where it runs.
struct machine_facts {
  /// Names and addresses of this machine, without ports; `localhost`, loopback and unspecified
  /// addresses need not be named.
  std::vector<std::string> names;
  /// Shown by `/health/readiness`.
  std::string version;
  /// Start of request ids, so that they do not repeat after a restart; any number.
  std::uint64_t id_seed = 0;
  /// The time of day at one moment: dates the answers of mocks. Left out: taken by the front when
  /// it is built.
  time_point moment{};
  std::chrono::system_clock::time_point time_of_day_then{};
};

/// What changes while the gateway runs and answers of ours tell of. Given with each request.
struct gateway_state {
  bool draining = false;
  /// Absent: not shared. False: Redis does not answer.
  std::optional<bool> redis_reachable;
  /// Requests that are waiting or running on this instance.
  std::uint64_t requests_in_flight = 0;
  /// The engine as last seen, at most seconds old; null: nothing is known yet.
  std::shared_ptr<const std::vector<queue_view>> queues;
  /// What the upstreams said just now; null unless wants_probe().
  probe_findings findings;
};

/// The rules of the data port. Built from the settings and read by all loops: every function may be
/// called from any thread, those of a reload from one at a time. Passive: no sockets, no CAF, time
/// is a parameter.
class front {
public:
  front(std::shared_ptr<const config::settings> settings, machine_facts facts);
  ~front();
  front(const front&) = delete;
  front& operator=(const front&) = delete;

  /// A reload, in three steps; `settings` are from config::merge_reload(). First: attempts that
  /// begin go by them, whatever their requests began with; so the engine may grant by them.
  void prepare_reload(std::shared_ptr<const config::settings> settings);
  /// Then, once the engine knows them: so do requests that begin.
  void begin_reload();
  /// Last, when no thread is left in a function of the front, nor looks at settings(), that was
  /// there at begin_reload(): what was before is let go of. Calls keep what they need of it.
  void end_reload();

  /// Judges a head before its body is read: unknown path, wrong method, no key, foreign origin,
  /// content type, content coding, announced length. Absent: go on (with `Expect: 100-continue`,
  /// say so), scan the body whatever it is, then begin(). An answer makes the body unwanted: the
  /// connection sends it and, if a body was announced, closes (reply::close is set then).
  std::optional<reply> judge_head(const request_head& head) const;

  /// A head that has passed judge_head() asks for `/health?probe=true`: the upstreams are to be
  /// asked before begin(), and gateway_state::findings says what came of it.
  static bool wants_probe(const request_head& head);
  /// How to ask the deployment at `place` in settings(), which takes until `until` at most.
  probe_plan plan_probe(std::size_t place, time_point until) const;

  /// Judges a whole request whose head has passed judge_head(); requests without a body come with
  /// an empty one and a default `inspected`. `now` starts its deadline. The body moves into the
  /// call: `inspected` speaks of byte ranges, so the move does not disturb it.
  std::variant<reply, std::unique_ptr<call>> begin(time_point now, request_head head,
                                                   std::string body, inspected_body inspected,
                                                   const gateway_state& state) const;

  /// The answer to a request that is refused elsewhere: at the door, for want of connections or
  /// bytes, while draining. In the form of the request's API; `head` null: before there was one.
  reply refuse(const fault& why, const request_head* head) const;

  /// Largest body that is read, bytes; beyond it: our_error::body_too_large.
  std::uint64_t body_bytes_max() const noexcept;
  /// Holds until the end of the next reload.
  const config::settings& settings() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace vorrang::http
