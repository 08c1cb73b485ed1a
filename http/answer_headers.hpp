// The head of an answer to a client.
#pragma once

#include "http/head_fields.hpp"
#include "http/reply.hpp"
#include "http/request_head.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// What the gateway tells about a request. Absent or empty: not told.
struct gateway_facts {
  std::string_view request_id;
  std::optional<std::int32_t> priority;
  std::optional<std::chrono::milliseconds> waited;
  std::string_view granted_by; ///< `healthy-deployment` or `head-of-line`
  std::optional<std::uint32_t> attempts, retries, fallbacks;
  std::string_view model_id;
  std::string_view model_group;
  bool client_set_priority = false;
  bool queue_path = false; ///< `x-litellm-priority` too
};

/// Adds `x-vorrang-*` and `x-litellm-*`.
void add_gateway_fields(header_fields& fields, const gateway_facts& facts);

/// Adds what a browser needs to read an answer, on errors too. Only where a key is configured.
void add_browser_fields(header_fields& fields);
/// The answer to a preflight; `asked_headers` is its `Access-Control-Request-Headers`.
reply preflight_reply(std::string_view asked_headers, std::string_view allowed_methods);

/// What an upstream sent: its answer passed on, or an error whose body is written anew.
enum class passed_on : std::uint8_t { answer, error };

/// Adds an upstream's fields to an answer: `x-ratelimit-*`, `x-request-id`, `request-id` and
/// `openai-*` as they are, so too `content-type` of an answer and `retry-after` of an error; the
/// rest as `llm_provider-<name>`. Hop-by-hop fields, lengths and codings are left out.
void add_upstream_fields(header_fields& fields, const head_fields& upstream,
                         passed_on what = passed_on::answer);

/// The id a request goes by: its `x-litellm-call-id` if it is short and harmless, else nothing.
std::string_view id_from_client(const head_fields& fields) noexcept;

/// How the body of an answer is framed.
struct answer_framing {
  /// Absent: chunked for HTTP/1.1, until close for 1.0 (keep_alive is then ignored).
  std::optional<std::uint64_t> content_length;
  unsigned version_minor = 1; ///< of the request
  bool keep_alive = true;
};

/// The head as bytes: status line, `fields`, Content-Length or chunks, Connection. 204 and 304 get
/// no length. `date` is the value of `Date`, or empty.
std::string render_answer_head(std::uint16_t status, const header_fields& fields,
                               const answer_framing& framing, std::string_view date = {});

/// The size line of a chunk, `1a\r\n`; the chunk's data is followed by `\r\n`.
std::string chunk_begin(std::uint64_t size);
inline constexpr std::string_view chunk_end = "\r\n";
inline constexpr std::string_view last_chunk = "0\r\n\r\n";
inline constexpr std::string_view continue_head = "HTTP/1.1 100 Continue\r\n\r\n";

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
std::string http_date(std::chrono::system_clock::time_point at);
/// Retry-After (seconds or date) and `retry-after-ms`, the latter first; nothing if it is absent,
/// malformed, 0 or past. Cut at 3600 s.
std::optional<std::chrono::milliseconds>
read_retry_after(const head_fields& upstream, std::chrono::system_clock::time_point now);

} // namespace vorrang::http
