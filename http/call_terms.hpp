// What a request asks of the queue: priority, deadline, keep-alive, tags.
#pragma once

#include "config/settings.hpp"
#include "http/inspected_body.hpp"
#include "http/key_ring.hpp"
#include "http/our_error.hpp"

#include <optional>
#include <string>
#include <vector>

namespace vorrang::http {

/// The terms of one request, from its body, its fields, its key and the settings.
struct call_terms {
  std::int32_t priority = 255;
  /// The client named a priority, in the body or as a field.
  bool client_set_priority = false;
  /// From the moment the request was read whole; never longer than the router's timeout.
  std::chrono::milliseconds time_limit{};
  /// Between two keep-alive texts while a stream waits; absent: none, else at least keep_alive_min.
  std::optional<std::chrono::milliseconds> keep_alive;
  /// More comments tell nobody anything, and each costs the loop as much as a short answer.
  static constexpr std::chrono::milliseconds keep_alive_min{100};
  std::vector<std::string> tags;
  /// In place of the settings' `num_retries`.
  std::optional<std::uint32_t> num_retries;
  /// Longest silence of a streamed attempt, before its first byte too, if that is shorter than what
  /// the settings allow.
  std::optional<std::chrono::milliseconds> between_chunks;
};

/// Reads them. `wrong` is bad_field for a header of ours that cannot be understood; the body's
/// fields were judged by inspect().
struct terms_result {
  call_terms terms;
  fault wrong;
};

/// Priority: body, else `x-vorrang-priority`, else the key's default, else `default_priority`; not
/// better than the key's best, nor than `min_priority`. Time limit: `router.timeout`, shortened by
/// body `timeout`, `x-litellm-timeout` (seconds) and, if not streamed, the `x-stainless-*` timeout
/// T of the client's library to T − 1 s (T/2 where T is at most 1 s). Keep-alive: body
/// `keepalive_seconds`, else the group's own, else `stream_keepalive`, at most T/2. Retries and
/// silence within a stream: body `num_retries` and `stream_timeout`, else `x-litellm-num-retries`
/// and `x-litellm-stream-timeout`.
terms_result read_terms(const inspected_body& body, const head_fields& fields, const visitor& who,
                        const config::settings& settings,
                        std::optional<std::chrono::milliseconds> keepalive_of_group);

/// Seconds as written by clients: a decimal number, finite; cut at 100 days. Nothing otherwise.
std::optional<std::chrono::milliseconds> read_seconds(std::string_view text);

} // namespace vorrang::http
