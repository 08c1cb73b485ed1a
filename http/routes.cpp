#include "http/routes.hpp"

namespace vorrang::http {

namespace {

enum class kind : std::uint8_t { page, call };

struct fixed_path {
  std::string_view path;
  route to;
  kind is;
};

constexpr fixed_path paths[] = {
    {"/v1/chat/completions", route::chat, kind::call},
    {"/chat/completions", route::chat, kind::call},
    {"/queue/chat/completions", route::chat, kind::call},
    {"/v1/completions", route::completions, kind::call},
    {"/completions", route::completions, kind::call},
    {"/v1/embeddings", route::embeddings, kind::call},
    {"/embeddings", route::embeddings, kind::call},
    {"/v1/responses", route::responses, kind::call},
    {"/responses", route::responses, kind::call},
    {"/v1/messages", route::messages, kind::call},
    {"/v1/messages/count_tokens", route::count_tokens, kind::call},
    {"/v1/models", route::models, kind::page},
    {"/models", route::models, kind::page},
    {"/v1/model/info", route::model_info, kind::page},
    {"/model/info", route::model_info, kind::page},
    {"/model_group/info", route::model_group_info, kind::page},
    {"/health/liveliness", route::liveliness, kind::page},
    {"/health/liveness", route::liveliness, kind::page},
    {"/health/readiness", route::readiness, kind::page},
    {"/health", route::health, kind::page},
    {"/health/backlog", route::backlog, kind::page},
    {"/api/event_logging/batch", route::event_logging, kind::call},
    {"/", route::home, kind::page},
    {"*", route::home, kind::page},
};

/// Paths that hold a model, between `before` and `after`.
struct long_path {
  std::string_view before, after;
  route to;
};

constexpr long_path long_paths[] = {
    {"/engines/", "/chat/completions", route::chat},
    {"/engines/", "/completions", route::completions},
    {"/engines/", "/embeddings", route::embeddings},
    {"/openai/deployments/", "/chat/completions", route::chat},
    {"/openai/deployments/", "/completions", route::completions},
    {"/openai/deployments/", "/embeddings", route::embeddings},
};

bool ends_with(std::string_view text, std::string_view end) noexcept {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool begins_with(std::string_view text, std::string_view start) noexcept {
  return text.substr(0, start.size()) == start;
}

/// Without one doubled and one trailing slash; `room` holds what is not part of `path`.
std::string_view tidied(std::string_view path, std::string& room) {
  if (const auto doubled = path.find("//"); doubled != std::string_view::npos) {
    room.assign(path).erase(doubled, 1);
    path = room;
  }
  if (path.size() > 1 && path.back() == '/') {
    path.remove_suffix(1);
  }
  return path;
}

void set_methods(route_match& match, kind is, http_method method) {
  match.allowed = is == kind::page ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
  match.preflight = method == http_method::options;
  const bool fits = is == kind::page ? method == http_method::get || method == http_method::head
                                     : method == http_method::post;
  match.wrong_method = !fits && !match.preflight;
}

} // namespace

route_match find_route(http_method method, std::string_view given) {
  std::string room;
  const auto path = tidied(given, room);
  route_match match;
  for (const auto& each : paths) {
    if (each.path == path) {
      match.to = each.to;
      match.queue_path = begins_with(each.path, "/queue/");
      set_methods(match, each.is, method);
      return match;
    }
  }
  for (const auto& each : long_paths) {
    if (path.size() > each.before.size() + each.after.size() && begins_with(path, each.before) &&
        ends_with(path, each.after)) {
      match.to = each.to;
      match.model =
          path.substr(each.before.size(), path.size() - each.before.size() - each.after.size());
      set_methods(match, kind::call, method);
      return match;
    }
  }
  for (const std::string_view before : {"/v1/models/", "/models/"}) {
    if (begins_with(path, before) && path.size() > before.size()) {
      match.to = route::model;
      match.model = path.substr(before.size());
      set_methods(match, kind::page, method);
      return match;
    }
  }
  for (const std::string_view before : {"/v1/responses/", "/responses/"}) {
    if (begins_with(path, before) && path.size() > before.size()) {
      match.to = route::stored_response;
      match.allowed = "OPTIONS";
      match.preflight = method == http_method::options;
      return match;
    }
  }
  match.below_messages = begins_with(path, "/v1/messages/");
  return match;
}

bool route_match::is_relayed() const noexcept {
  switch (to) {
  case route::chat:
  case route::completions:
  case route::embeddings:
  case route::responses:
  case route::messages:
  case route::count_tokens:
    return !wrong_method && !preflight;
  default:
    return false;
  }
}

bool route_match::is_open() const noexcept {
  return preflight || to == route::liveliness || to == route::readiness || to == route::home ||
         to == route::event_logging;
}

body_api route_match::api() const noexcept {
  switch (to) {
  case route::completions:
    return body_api::completions;
  case route::embeddings:
    return body_api::embeddings;
  case route::responses:
    return body_api::responses;
  case route::messages:
  case route::count_tokens:
    return body_api::messages;
  default:
    return body_api::chat;
  }
}

} // namespace vorrang::http
