// What an attempt needs, and what comes back from it: the words between a call and its carrier.
//
// Passive: no sockets, no CAF. A carrier is the coroutine that writes and reads.
#pragma once

#include "actors/types.hpp"
#include "config/deployment.hpp"
#include "http/answer_head.hpp"
#include "http/reply.hpp"
#include "http/tls.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::http {

/// A proxy that makes a tunnel to an upstream.
struct upstream_proxy {
  std::string host; ///< name or address
  std::uint16_t port = 0;
  std::string head; ///< the request for the tunnel, whole

  friend bool operator==(const upstream_proxy&, const upstream_proxy&) = default;
};

/// Where a deployment listens; taken apart once, at start or by a reload. Lives as long as the
/// front and its calls.
struct upstream_address {
  bool tls = false;
  std::string host;       ///< name or address, IPv6 without brackets; what TLS verifies
  std::uint16_t port = 0; ///< 80 or 443 if the URL says none
  std::string host_field; ///< value of `Host`
  std::string base_path;  ///< path of `api_base`, without trailing `/`; may be empty
  std::string base_query; ///< query of `api_base`, without `?`; may be empty
  tls_rules trust;        ///< for TLS
  std::optional<upstream_proxy> proxy;

  friend bool operator==(const upstream_address&, const upstream_address&) = default;
};

/// One request to an upstream, ready to be written: `head`, then `body` piece by piece. The views
/// are into the call, and hold until its next attempt() or judge().
struct upstream_request {
  /// Names the pool of connections, together with `address`.
  const config::deployment* deployment = nullptr;
  /// Null if the deployment's base is no URL: judge as not_connected.
  const upstream_address* address = nullptr;
  /// For logs; empty: it is no request's.
  std::string_view request_id;
  /// Request line, fields and the blank line.
  std::string_view head;
  /// Content-Length bytes in all.
  std::span<const std::string_view> body;
  /// When the attempt is over if nothing of the answer's body was passed on to the client by then
  /// (a whole answer is passed on at its end): judge as transport_error::deadline if
  /// `until_is_the_deadline`, else as timed_out.
  time_point until = never;
  bool until_is_the_deadline = true;
  /// Longest silence between two reads of a stream of which something was passed on.
  duration between_chunks{};
};

/// A deployment that answers without any upstream. After `delay` the carrier treats `head` and
/// `body` as if they had come from one, or, if `events` is not empty, hands these to the relay one
/// after the other.
struct mock_attempt {
  duration delay{};
  /// Nothing ever comes: wait for `until`.
  bool never_answers = false;
  answer_head head;
  std::string body;
  std::vector<std::string> events;
  /// As in upstream_request.
  time_point until = never;
  bool until_is_the_deadline = true;
};

/// An attempt that brought no HTTP answer.
enum class transport_error : std::uint8_t {
  /// Name not found, refused, TLS: nothing was written.
  not_connected = 1,
  /// The connection broke after bytes of the request were written.
  broken = 2,
  /// What came is no HTTP, or breaks the limits on heads and bodies.
  not_http = 3,
  /// The attempt's own time is over (upstream_request::until).
  timed_out = 4,
  /// The request's deadline passed during the attempt.
  deadline = 5,
  /// begin_sending() said no: nothing was tried.
  not_sent = 6,
};

/// What is to be done with an answer whose head has arrived.
enum class head_verdict : std::uint8_t {
  /// Read the body, then judge().
  read_whole = 1,
  /// 2xx and a stream for a client that wants one: head_arrived(), then relay().
  stream = 2,
  /// Its body cannot be read, and need not be: judge() without it.
  no_use = 3,
};

/// What an attempt came to.
struct judgement {
  /// For request_gate::settle().
  outcome result;
  /// The answer goes to the client: good_reply() (a stream has gone already). Otherwise the engine
  /// says what comes next, unless `over`.
  bool good = false;
  /// The request ends here without the engine's word (its deadline passed, or the client is gone):
  /// settle, and answer with last_reply().
  bool over = false;
  /// Not null: do not settle yet, send this once more on the same grant (drop_params).
  std::unique_ptr<upstream_request> again;
};

} // namespace vorrang::http
