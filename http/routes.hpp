// Which thing of ours a method and a path mean.
#pragma once

#include "http/inspected_body.hpp"
#include "http/request_head.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

enum class route : std::uint8_t {
  unknown = 0,
  chat = 1,
  completions = 2,
  embeddings = 3,
  responses = 4,
  stored_response = 5, ///< GET, DELETE, cancel of a response: 404 that says so
  messages = 6,
  count_tokens = 7,
  models = 8,
  model = 9, ///< one model's page; `route_match::model` names it
  model_info = 10,
  model_group_info = 11,
  liveliness = 12,
  readiness = 13,
  health = 14,
  backlog = 15,
  event_logging = 16,
  home = 17,
};

struct route_match {
  route to = route::unknown;
  /// The path exists, this method does not: 405 with `allowed`.
  bool wrong_method = false;
  /// `OPTIONS` on a path that exists: a preflight.
  bool preflight = false;
  /// The model that the path names (`/engines/{model}/…`, `/v1/models/{id}`); else empty.
  std::string model;
  /// It came by `/queue/chat/completions`.
  bool queue_path = false;
  /// Something that is not there, below `/v1/messages`.
  bool below_messages = false;
  /// Value of `Allow`.
  std::string_view allowed;

  /// A request that is relayed: takes a ticket (but for count_tokens) and has a body.
  bool is_relayed() const noexcept;
  /// Answered without a key.
  bool is_open() const noexcept;
  /// Errors and keep-alives in Anthropic's form.
  bool is_anthropic() const noexcept {
    return to == route::messages || to == route::count_tokens || below_messages;
  }
  /// Only for relayed routes.
  body_api api() const noexcept;
};

/// `path` as in request_head: decoded, without the query. One doubled and one trailing `/` are
/// tolerated.
route_match find_route(http_method method, std::string_view path);

} // namespace vorrang::http
