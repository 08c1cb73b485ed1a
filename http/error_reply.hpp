// Errors as clients get them. The one place with HTTP statuses of our own errors.
#pragma once

#include "http/our_error.hpp"
#include "http/reply.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// The form of an API's errors.
enum class error_form : std::uint8_t {
  openai,
  anthropic, ///< `/v1/messages*`
};

/// 200 for our_error::none. upstream_refused_us has 401 here; use credentials_reply().
std::uint16_t status_of(our_error code) noexcept;
/// The error's own sentence, which says what to do.
std::string_view sentence_of(our_error code) noexcept;
/// A name for logs and metrics, e.g. `queue-full`.
std::string_view name_of(our_error code) noexcept;
/// All of them but none.
std::vector<our_error> all_errors();
/// Whether the connection must be closed after it: what follows cannot be told from a body.
bool closes_connection(our_error code) noexcept;
/// `rate_limit_error` and the like, for any status; upstream's statuses too.
std::string_view error_type(std::uint16_t status, error_form form) noexcept;

/// What an error tells beside its sentence.
struct error_facts {
  error_form form = error_form::openai;
  /// For 429 and 503: rounded up, put between 1 and 60. Absent: 1 for those that need one.
  std::optional<std::chrono::milliseconds> retry_after;
  std::string_view request_id; ///< in Anthropic's form
  std::string_view allow;      ///< value of `Allow` for wrong_method
};

/// Status, Content-Type, Retry-After, `x-should-retry: false` for our 408, and the body.
reply error_reply(const fault& what, const error_facts& facts = {});

/// The body alone, e.g. for an event in a stream: `{"error":{…}}` or Anthropic's.
std::string error_body(std::uint16_t status, std::string_view message, std::string_view param,
                       const error_facts& facts = {});

/// An upstream's error body in its client's form: as it is if it is that form already, else
/// wrapped, with its message, `param` and `code` kept where they can be found. A body that is no
/// JSON becomes the message, cut at 2000 bytes. Never fails.
std::string upstream_error_body(std::uint16_t status, std::string_view body,
                                const error_facts& facts = {});
/// For 401 and 403 of an upstream: keeps the status and tells nothing of the upstream's words.
reply credentials_reply(std::uint16_t status, std::string_view group,
                        const error_facts& facts = {});

/// What matters of an upstream's error body; empty where it is absent.
struct upstream_error {
  std::string message, type, param, code;
};
upstream_error read_upstream_error(std::string_view body);

} // namespace vorrang::http
