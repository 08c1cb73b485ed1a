// The head of a request to an upstream.
#pragma once

#include "config/deployment.hpp"
#include "http/attempt.hpp"
#include "http/head_fields.hpp"
#include "http/inspected_body.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// Takes a deployment's `api_base` apart. Nothing if it is no http or https URL, or holds anything
/// that could end a line.
std::optional<upstream_address> parse_upstream_address(std::string_view api_base);

/// The path of an API after `/v1`, e.g. `/chat/completions`.
std::string_view path_of(body_api api) noexcept;

/// Target of a request to this deployment: its base + `path`, azure's own form with its
/// api-version, a base that already ends in the path as it is. `model` is the upstream's name, in
/// azure's path; `api_version` is the client's, which wins if it is not empty.
std::string upstream_target(const config::deployment& deployment, const upstream_address& address,
                            std::string_view path, std::string_view model,
                            std::string_view api_version = {});

/// What goes upstream in place of the client's `traceparent`, while a request is traced.
struct trace_fields {
  std::string traceparent;
  bool keep_tracestate = false;
};

/// Request line and fields: the client's that may pass, the deployment's own, which win, its key
/// in its provider's style, `Host`, `Content-Length`, `Accept-Encoding: identity`.
/// `forward_client_fields` lets the client's `x-*` pass, less stainless, litellm, vorrang and keys.
/// `trace` null: the client's trace context passes as it came.
std::string render_upstream_head(const config::deployment& deployment,
                                 const upstream_address& address, std::string_view target,
                                 const head_fields& client, std::uint64_t content_length,
                                 bool forward_client_fields, const trace_fields* trace = nullptr);

/// Asks an upstream for its list of models: no provider bills it. The target is the base without
/// an API's path + `/models`, azure's `/openai/models`.
std::string render_models_head(const config::deployment& deployment,
                               const upstream_address& address);

} // namespace vorrang::http
