// The whole gateway: settings in, a port that answers out.
#pragma once

#include "actors/request_gate.hpp"
#include "config/reader.hpp"
#include "http/front.hpp"
#include "http/loop.hpp"
#include "http/operator_desk.hpp"
#include "http/reload_report.hpp"
#include "http/request_journal.hpp"
#include "http/tls.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace caf {
class actor_system;
}

namespace vorrang {
struct link_counts;
}

namespace vorrang::http {

/// What a reload asks of the engine.
struct engine_reload {
  /// Changes a gate over, on the thread of its loop; all of them, before begin().
  std::function<void(request_gate&)> adopt;
  /// From now on it grants by the new settings. From any thread.
  std::function<void()> begin;
};

/// The engine as the gateway drives it. Tests have one of their own.
struct gateway_engine {
  /// A gate for a loop, made, used and destroyed on its thread. Called once for each loop.
  std::function<std::unique_ptr<request_gate>(loop&)> make_gate;
  /// The gateway drains from now on. From any thread; may be empty.
  std::function<void()> drain_begins;
  /// Sends the engine's actors home. Called when all gates are gone, while the loops run.
  std::function<void()> stop;
  /// For the admin port; null: there is none.
  std::shared_ptr<operator_desk> desk;
  /// For the health pages, from any loop; may be empty. Must not block.
  std::function<std::shared_ptr<const std::vector<queue_view>>()> queues;
  /// Whether Redis answers; empty where the queues are not shared.
  std::function<bool()> redis_reachable;
  /// What is counted of the way to Redis; null where the queues are not shared.
  std::shared_ptr<const link_counts> link;
  /// Has a function called about once a second, on a thread that may wait, with the time then; an
  /// empty one ends that, and returns when it is not running any more. May be empty.
  std::function<void(std::function<void(time_point now)>)> each_second;
  /// Makes it ready for settings that config::merge_reload() has made of those in force; nothing:
  /// they have too many groups. One at a time, from any thread but a loop's. May be empty.
  std::function<std::optional<engine_reload>(const config::settings&)> prepare_reload;
};
using engine_factory = std::function<gateway_engine(caf::actor_system&, const config::settings&)>;

struct gateway_options {
  /// Where the data port listens; port 0 asks for a free one.
  std::string host = "127.0.0.1";
  std::uint16_t port = 4000;
  /// 0: a loop for each core.
  std::size_t threads = 0;
  /// Clients at a time; 0: as the limit on file descriptors allows.
  std::uint64_t connections_max = 0;
  /// The admin port on a free port instead of the configured one, if that is not 0.
  bool any_admin_port = false;
  /// Null: clients speak plain HTTP.
  std::shared_ptr<tls_context> tls;
  /// Reads the configuration again, for reload() without one; empty: there is nothing to read.
  std::function<config::read_result()> read_again;
  /// Told of each request; either may be null, and outlives the gateway.
  journal_readers journals;
  loop_times times;
  machine_facts facts;
};

/// Once started it serves until drain() or end_now(), which any thread may call. start(), wait()
/// and the destructor belong to one thread: CAF 0.17 waits for ever when an actor system dies on
/// another than the one that made it.
class gateway {
public:
  gateway(std::shared_ptr<const config::settings> settings, gateway_options options,
          engine_factory make_engine);
  /// Ends at once what still runs.
  ~gateway();
  gateway(const gateway&) = delete;
  gateway& operator=(const gateway&) = delete;

  /// Opens the ports and begins to serve. An empty text is success, else why it cannot: the port
  /// that is taken is named.
  std::string start();
  /// The data port and the admin port (0: none), once started.
  std::uint16_t port() const noexcept;
  std::uint16_t admin_port() const noexcept;

  /// Goes over to what was read, or says why not and changes nothing; logs both. Groups and
  /// deployments keep their lines, windows, cooldowns and calls; no connection is lost. From any
  /// thread but a loop's; one at a time, others wait. Refused once the end has begun.
  reload_report reload(config::read_result read);
  /// The same with what read_again() gives. What there is when it is called, or later, counts. The
  /// file of the access log is opened again, whatever comes of it.
  reload_report reload();

  /// No new connections; idle ones close; waiting and running requests go on for up to
  /// `drain_timeout`, then each that waits gets 503.
  void drain();
  /// Closes everything at once.
  void end_now();

  /// Blocks until the end that drain() or end_now() began is over: no connection, no actor, no
  /// thread is left. Returns at once if it was not started.
  void wait();

  /// Names and addresses of this machine, as its interfaces have them now.
  static std::vector<std::string> names_of_machine();

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

} // namespace vorrang::http
