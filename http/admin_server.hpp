// The operator's port: who waits, why, and the operator's hand.
#pragma once

#include "config/settings.hpp"
#include "http/live_text.hpp"
#include "http/operator_desk.hpp"
#include "http/probe_plan.hpp"
#include "http/reload_report.hpp"
#include "http/story_page.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vorrang::http {

/// How the port is opened; the rest comes from the settings (`admin_host`, `admin_port`).
struct admin_options {
  /// 0 in the settings turns the port off; true asks for a free port instead (tests).
  bool any_port = false;
  /// Further names of this machine, for the check of `Host`.
  std::vector<std::string> names;
  std::string version;
  /// Asks the upstreams, for `/health?probe=true`; null: not over by `until`. May be empty.
  std::function<probe_findings(time_point until)> probe;
  /// What `/metrics` says, given those groups that answered in time. Empty: there is no such page.
  std::function<std::string(std::vector<queue_view> views)> metrics;
  /// What the loops remember of a request's id, or of a ticket (0: none), for `/requests/{id}`;
  /// absent: not over by `until`. May be empty.
  std::function<std::optional<story_findings>(const std::string& id, ticket_id ticket,
                                              time_point until)>
      story;
  /// What the last minutes brought this group, for the live page. May be empty.
  std::function<history_series(group_index)> history;
  /// Reads the configuration again, for `POST /reload`; may take a while. May be empty.
  std::function<reload_report()> reload;
};

/// Serves the admin port on a small thread pool of its own (4 threads, and one for each viewer of
/// the live page, at most 8). It asks `desk`, each time with a deadline of 2 s; answers JSON; holds
/// no state of the queue but what viewers were told last. start() and stop() belong to
/// one thread.
class admin_server {
public:
  admin_server(std::shared_ptr<const config::settings> settings, operator_desk& desk,
               admin_options options);
  /// Stops.
  ~admin_server();
  admin_server(const admin_server&) = delete;
  admin_server& operator=(const admin_server&) = delete;

  /// Listens. An empty text is success, also when the port is turned off (port() is 0 then). Else a
  /// sentence: the address is taken, or the host is not loopback and there is no master key.
  std::string start();
  /// Closes the port and waits for the answers that are being made.
  void stop();
  /// False: it asks for a master key, and these settings have none.
  bool may_follow(const config::settings& settings) const;
  /// A reload: these settings from now on; host and port stay. From any thread.
  void follow(std::shared_ptr<const config::settings> settings);
  /// The port that it listens on, 0 if it does not.
  std::uint16_t port() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace vorrang::http
