// Everything the gateway itself can answer with instead of an answer, as values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vorrang::http {

/// Why the gateway refuses or gives up. The numbers are pinned: they stand in logs and metrics.
/// HTTP statuses, types and sentences of each are in error_reply.cpp and nowhere else.
enum class our_error : std::uint8_t {
  none = 0,
  // The door: these close the connection.
  bad_head = 1,         ///< a head that breaks a rule of HTTP, or could be read in two ways
  head_too_large = 2,   ///< over 32 KiB
  too_many_fields = 3,  ///< over 100
  bad_body_framing = 4, ///< broken chunks, or too much framing around too little body
  body_too_large = 5,   ///< over `max_request_size_mb`
  content_encoding = 6, ///< a body that is compressed
  content_type = 7,     ///< without a key only `application/json` is read
  head_too_slow = 8,    ///< not complete within 10 s
  body_too_slow = 9,    ///< no byte for 30 s
  // The body.
  bad_json = 20,
  bad_field = 21,       ///< a field of ours with a wrong value; `param` names it
  missing_field = 22,   ///< `param` names it
  duplicate_field = 23, ///< a second field of ours; `param` names it
  forbidden_field = 24, ///< `api_key`, `api_base` … in a body; `param` names it
  unknown_model = 25,
  endpoint_not_spoken = 26, ///< no deployment of the group speaks this API
  group_not_served = 27,    ///< every deployment of the group was left out
  no_deployment = 28,       ///< none fits this request (tags, all excluded)
  // Who asks.
  no_key = 40,
  wrong_key = 41,
  model_not_allowed = 42,
  foreign_origin = 43,
  foreign_host = 44,
  // Where.
  unknown_path = 60,
  wrong_method = 61,
  unknown_model_page = 62, ///< GET /v1/models/{id} of a name that does not exist
  stored_response = 63,    ///< reading, deleting or cancelling a response by its id
  // Time and room.
  timed_out_waiting = 80,
  timed_out_calling = 81,
  queue_full = 82,
  queue_bytes_full = 83,
  rate_limited = 84, ///< every deployment is under a Retry-After beyond the deadline
  draining = 85,
  cancelled_by_operator = 86,
  too_many_connections = 87,
  all_cooling_down = 88,
  not_ready = 89, ///< readiness: draining, or no configuration
  // The upstream.
  bad_upstream = 100, ///< broken without an HTTP answer
  upstream_too_slow = 101,
  upstream_refused_us = 102, ///< 401 or 403 from the upstream; keeps the upstream's status
  internal = 120,
};

/// An error as the functions of http/ hand it on. Converts to true when there is one.
struct fault {
  our_error code = our_error::none;
  /// For people; says what to do. Never holds a secret. Empty: the error's own sentence.
  std::string message;
  /// The field it is about, or empty.
  std::string param;

  explicit operator bool() const noexcept { return code != our_error::none; }
};

} // namespace vorrang::http
