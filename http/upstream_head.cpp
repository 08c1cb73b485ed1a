#include "http/upstream_head.hpp"

#include "config/providers.hpp"
#include "http/answer_headers.hpp"
#include "http/head_text.hpp"
#include "http/head_tokenizer.hpp"

#include <algorithm>
#include <charconv>

namespace vorrang::http {

namespace {

bool begins_with(std::string_view text, std::string_view start) noexcept {
  return equal_ignoring_case(text.substr(0, start.size()), start);
}

bool ends_with(std::string_view text, std::string_view end) noexcept {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) noexcept {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view each) { return equal_ignoring_case(name, each); });
}

/// A client's field that every upstream gets.
bool always_passes(std::string_view name) noexcept {
  return is_one_of(name, {"accept", "anthropic-version", "anthropic-beta", "openai-beta",
                          "traceparent", "tracestate"});
}

/// A client's own `x-*`, for those who let them pass.
bool passes_if_allowed(std::string_view name) noexcept {
  return begins_with(name, "x-") && !begins_with(name, "x-stainless") &&
         !begins_with(name, "x-litellm") && !begins_with(name, "x-vorrang") &&
         !is_one_of(name, {"x-api-key", "x-goog-api-key"});
}

/// Set by us, whatever a configuration says.
bool is_ours(std::string_view name) noexcept {
  return is_hop_by_hop(name) || is_one_of(name, {"host", "content-length", "accept-encoding",
                                                 "content-encoding", "expect"});
}

bool has(const config::header_list& fields, std::string_view name) noexcept {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const auto& field) { return equal_ignoring_case(field.first, name); });
}

std::string percent_encoded(std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    const bool is_plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                          (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '.' ||
                          byte == '_' || byte == '~';
    if (is_plain) {
      out.push_back(each);
    } else {
      out.push_back('%');
      out.push_back(hex[byte >> 4]);
      out.push_back(hex[byte & 0xF]);
    }
  }
  return out;
}

config::key_style key_style_of(const config::deployment& deployment) {
  const auto* provider = config::find_provider(deployment.provider);
  return provider == nullptr ? config::key_style::bearer : provider->keys;
}

void add_key(head_text& head, const config::deployment& deployment, config::key_style style) {
  if (deployment.api_key.empty()) {
    return;
  }
  const auto& key = deployment.api_key.reveal();
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!has(deployment.extra_headers, name)) {
      head.add(name, value);
    }
  };
  switch (style) {
  case config::key_style::bearer:
    add("Authorization", "Bearer " + key);
    break;
  case config::key_style::api_key:
    add("api-key", key);
    break;
  case config::key_style::x_api_key:
    add("x-api-key", key);
    break;
  }
}

/// What the deployment adds to each of its requests.
void add_own_fields(head_text& head, const config::deployment& deployment,
                    config::key_style style) {
  for (const auto& [name, value] : deployment.extra_headers) {
    if (!is_ours(name)) {
      head.add(name, value);
    }
  }
  if (!deployment.organization.empty() && !has(deployment.extra_headers, "openai-organization")) {
    head.add("OpenAI-Organization", deployment.organization);
  }
  add_key(head, deployment, style);
  head.add_known("Accept-Encoding", "identity");
}

void add_api_version(std::string& query, const config::deployment& deployment,
                     std::string_view asked_for = {}) {
  const auto version = asked_for.empty() ? std::string_view(deployment.api_version) : asked_for;
  if (deployment.provider == "azure" && !version.empty() &&
      query.find("api-version=") == query.npos) {
    query += (query.empty() ? "" : "&");
    query += "api-version=" + percent_encoded(version);
  }
}

std::string with_query(std::string path, std::string_view query) {
  if (!query.empty()) {
    path.append("?").append(query);
  }
  return path;
}

/// An address may end in the path of one API.
void strip_api(std::string& path) {
  for (const auto api : {body_api::chat, body_api::completions, body_api::embeddings,
                         body_api::responses, body_api::messages}) {
    if (ends_with(path, path_of(api))) {
      path.resize(path.size() - path_of(api).size());
      return;
    }
  }
}

std::string models_target(const config::deployment& deployment, const upstream_address& address) {
  std::string path = address.base_path;
  strip_api(path);
  if (deployment.provider == "azure" && path.find("/openai/v1") == path.npos) {
    path.resize(std::min(path.find("/openai"), path.size()));
    path += "/openai";
  }
  std::string query = address.base_query;
  add_api_version(query, deployment);
  return with_query(path + "/models", query);
}

constexpr std::string_view anthropic_version = "2023-06-01";

} // namespace

std::optional<upstream_address> parse_upstream_address(std::string_view api_base) {
  upstream_address out;
  for (const char each : api_base) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte <= 0x20 || byte >= 0x7F) {
      return std::nullopt;
    }
  }
  if (begins_with(api_base, "https://")) {
    out.tls = true;
    api_base.remove_prefix(8);
  } else if (begins_with(api_base, "http://")) {
    api_base.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  api_base = api_base.substr(0, api_base.find('#'));
  const auto end = std::min(api_base.find_first_of("/?"), api_base.size());
  const auto authority = api_base.substr(0, end);
  auto rest = api_base.substr(end);
  if (const auto mark = rest.find('?'); mark != rest.npos) {
    out.base_query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  while (!rest.empty() && rest.back() == '/') {
    rest.remove_suffix(1);
  }
  out.base_path = rest;

  auto port_text = std::string_view();
  if (!authority.empty() && authority[0] == '[') {
    const auto close = authority.find(']');
    if (close == authority.npos) {
      return std::nullopt;
    }
    out.host = authority.substr(1, close - 1);
    port_text = authority.substr(close + 1);
  } else {
    out.host = authority.substr(0, authority.find(':'));
    port_text = authority.substr(out.host.size());
  }
  out.port = out.tls ? 443 : 80;
  if (!port_text.empty()) {
    const auto digits = port_text.substr(1);
    const auto [last, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
    if (port_text[0] != ':' || error != std::errc() || last != digits.data() + digits.size() ||
        out.port == 0) {
      return std::nullopt;
    }
  }
  // Credentials in a URL would be sent nowhere: better no deployment than one without a key.
  if (out.host.empty() || authority.find('@') != authority.npos) {
    return std::nullopt;
  }
  out.host_field = authority;
  return out;
}

std::string_view path_of(body_api api) noexcept {
  switch (api) {
  case body_api::chat:
    return "/chat/completions";
  case body_api::completions:
    return "/completions";
  case body_api::embeddings:
    return "/embeddings";
  case body_api::responses:
    return "/responses";
  case body_api::messages:
    return "/messages";
  }
  return "/chat/completions";
}

std::string upstream_target(const config::deployment& deployment, const upstream_address& address,
                            std::string_view path, std::string_view model,
                            std::string_view api_version) {
  std::string target;
  target.reserve(address.base_path.size() + path.size() + address.base_query.size() + 1);
  target = address.base_path;
  std::string query = address.base_query;
  const bool is_whole = ends_with(target, path) &&
                        (path != "/completions" || !ends_with(target, "/chat/completions"));
  if (!is_whole) {
    strip_api(target); // of another one
  }
  if (is_whole) {
    // used as it is
  } else if (deployment.provider == "azure" && target.find("/openai/v1") == target.npos) {
    if (ends_with(target, "/openai")) {
      target.resize(target.size() - std::string_view("/openai").size());
    }
    if (path == "/responses") {
      target.resize(std::min(target.find("/openai/deployments/"), target.size()));
      target += "/openai/responses";
    } else {
      if (target.find("/openai/deployments/") == target.npos) {
        target += "/openai/deployments/" + percent_encoded(model);
      }
      target += path;
    }
  } else {
    target += path;
  }
  add_api_version(query, deployment, api_version);
  return with_query(std::move(target), query);
}

std::string render_models_head(const config::deployment& deployment,
                               const upstream_address& address) {
  auto head = head_text::of_request("GET", models_target(deployment, address));
  head.add("Host", address.host_field);
  head.add_known("Accept", "application/json");
  const auto style = key_style_of(deployment);
  if (style == config::key_style::x_api_key &&
      !has(deployment.extra_headers, "anthropic-version")) {
    head.add_known("anthropic-version", anthropic_version);
  }
  add_own_fields(head, deployment, style);
  return std::move(head).finish();
}

std::string render_upstream_head(const config::deployment& deployment,
                                 const upstream_address& address, std::string_view target,
                                 const head_fields& client, std::uint64_t content_length,
                                 bool forward_client_fields, const trace_fields* trace) {
  auto head = head_text::of_request("POST", target);
  head.add("Host", address.host_field);
  const auto& own = deployment.extra_headers;
  bool has_version = has(own, "anthropic-version");
  const bool lists_fields = client.has("connection");
  for (std::size_t i = 0; i < client.size(); ++i) {
    const auto [name, value] = client[i];
    // A body that was let in is JSON, whatever it was called: Content-Type is written below.
    if (has(own, name) || equal_ignoring_case(name, "content-type") ||
        (lists_fields && any_list_holds(client, "connection", name))) {
      continue;
    }
    if (trace != nullptr &&
        (equal_ignoring_case(name, "traceparent") ||
         (!trace->keep_tracestate && equal_ignoring_case(name, "tracestate")))) {
      continue;
    }
    if (always_passes(name) || (forward_client_fields && passes_if_allowed(name))) {
      has_version = has_version || equal_ignoring_case(name, "anthropic-version");
      head.add_known(name, value);
    }
  }
  if (!has(own, "content-type")) {
    head.add_known("Content-Type", "application/json");
  }
  if (trace != nullptr && !has(own, "traceparent")) {
    head.add("traceparent", trace->traceparent);
  }
  auto style = key_style_of(deployment);
  // Anthropic's OpenAI-compatible endpoint takes the key as OpenAI does, and knows no versions.
  if (style == config::key_style::x_api_key && target.find("/messages") == target.npos) {
    style = config::key_style::bearer;
  }
  if (!has_version && style == config::key_style::x_api_key) {
    head.add_known("anthropic-version", anthropic_version);
  }
  add_own_fields(head, deployment, style);
  head.add_known("Content-Length", content_length);
  return std::move(head).finish();
}

} // namespace vorrang::http
