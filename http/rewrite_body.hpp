// A request's body as the upstream gets it: slices of the original bytes and small new pieces.
#pragma once

#include "http/inspected_body.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vorrang::http {

/// Members of a configured JSON object, taken apart once: `body_defaults`, `extra_body`.
struct body_members {
  struct member {
    std::string key;   ///< unescaped
    std::string value; ///< JSON text
  };
  std::vector<member> members; ///< of duplicate keys the last

  const member* find(std::string_view key) const noexcept;
};

/// Nothing if `text` is no valid JSON object.
std::optional<body_members> parse_body_members(std::string_view text);

/// What is to be changed. All that is pointed to must outlive the call of rewrite_body() only.
struct rewrite_plan {
  std::string_view model; ///< the deployment's own name
  body_api api = body_api::chat;
  const body_members* defaults = nullptr;         ///< added where the request lacks them
  const body_members* extra_body = nullptr;       ///< replaces; the request's own wins over it
  const std::vector<std::string>* drop = nullptr; ///< `additional_drop_params`
  const std::vector<std::string>* drop_also =
      nullptr;                    ///< fields this deployment is known to refuse
  bool rename_max_tokens = false; ///< to `max_completion_tokens`
  bool add_stream_usage = false;  ///< `stream_options.include_usage: true`, if it streams
};

/// The pieces to write, in order. Movable; slices point into the original body and into `own`.
struct rewritten_body {
  std::vector<std::string_view> slices;
  std::vector<char> own;  ///< all bytes that are not the original's
  std::uint64_t size = 0; ///< bytes of all slices
  /// Usage was asked for by us, not by the client: the usage-only chunk is to be withheld.
  bool usage_added = false;

  std::string joined() const;
};

/// Removes what is never forwarded, puts the deployment's `model`, adds and drops as planned;
/// every other byte stays as it is, blanks too. `inspected` must be of these bytes and without a
/// fault. `body` must outlive the result.
rewritten_body rewrite_body(std::string_view body, const inspected_body& inspected,
                            const rewrite_plan& plan);

/// Whether a top-level field of this name never goes upstream.
bool is_never_forwarded(std::string_view name, body_api api, bool store) noexcept;

} // namespace vorrang::http
