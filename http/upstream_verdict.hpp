// What an upstream's answer, or its absence, means to the engine.
#pragma once

#include "actors/types.hpp"
#include "http/attempt.hpp"
#include "http/error_reply.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// An HTTP answer, by the rules of spec §3: 2xx success; 429 rate limited, but rejected as 403 with
/// `insufficient_quota` or `billing_hard_limit_reached`, as 413 if the message begins `Request too
/// large`; 408, 409, 5xx failed; other 4xx rejected; 3xx failed (an API does not redirect). Errors
/// have used no tokens. `error` is the body as far as it is an error's.
outcome classify_answer(std::uint16_t status, const head_fields& fields,
                        const upstream_error& error, std::chrono::system_clock::time_point wall);

/// What the status of an answer should have been that came with 2xx and holds nothing but an error:
/// its code, if that is a status (OpenRouter's way, vLLM's), else what its type or code is
/// elsewhere the status of, else 502.
std::uint16_t status_of(const upstream_error& error) noexcept;

/// No HTTP answer: failed, unsent if nothing was written; not_sent and the deadline as they are.
outcome classify_error(transport_error error);

/// The answer's Content-Encoding, if it is any but the `identity` that was asked for.
std::optional<std::string_view> foreign_coding(const head_fields& fields);

/// What stands where a JSON object is expected: an HTML page, broken JSON, nothing. A sentence
/// without its stop.
std::string what_came_for_json(std::uint16_t status, std::string_view body);

/// A 400 that says that the prompt is longer than the model's context.
bool is_context_window_error(const upstream_error& error);

/// A 400 that says that the content is against the provider's policy.
bool is_content_policy_error(const upstream_error& error);

/// The kinds of 400 that `drop_params` answers by leaving the field out.
bool is_unsupported_field_error(const upstream_error& error);

/// A 400 or 422 that is about `stream_options`: by its `param`, or by its sentence, since
/// validators that forbid what they do not know (FastAPI's) give no `param`.
bool refuses_stream_usage(std::uint16_t status, const upstream_error& error);

} // namespace vorrang::http
