#include "config/upstream.hpp"

#include <algorithm>
#include <cctype>

namespace vorrang::config {

namespace {

bool begins_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string list_of_providers() {
  std::string out;
  for (const auto name : provider_names()) {
    out += (out.empty() ? "" : ", ") + std::string(name);
  }
  return out;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
}

} // namespace

placed_model place_model(std::string_view model, std::string_view custom_provider, bool has_base,
                         bool is_mock) {
  placed_model out;
  const auto slash = model.find('/');
  const auto prefix = slash == std::string_view::npos ? std::string_view() : model.substr(0, slash);
  const auto name = custom_provider.empty() ? prefix : custom_provider;
  out.upstream_model = std::string(model);
  if (const auto* known = find_provider(name)) {
    out.at = known;
    if (prefix == name) {
      out.upstream_model = std::string(model.substr(slash + 1));
    }
    return out;
  }
  if (is_mock) {
    out.at = find_provider("openai");
    return out;
  }
  if (!custom_provider.empty() || is_foreign_provider(name)) {
    out.unsupported = "the provider `" + std::string(name.substr(0, 60)) +
                      "` is not supported; Vorrang serves " + list_of_providers();
    return out;
  }
  out.at = provider_of_bare_name(model);
  if (out.at == nullptr && (has_base || model == "*")) {
    out.at = find_provider("openai");
  }
  if (out.at == nullptr) {
    out.unsupported = "`" + std::string(model.substr(0, 60)) +
                      "` names no provider; write for example `openai/<model>`, or set `api_base` "
                      "for any server that speaks OpenAI's API";
  }
  return out;
}

std::optional<std::string> normalise_base(std::string_view url, const provider& at,
                                          std::string& api_version, std::string& problem) {
  problem = "expected a URL such as `https://host:8000/v1`";
  const std::size_t start = begins_with(url, "https://") ? 8 : begins_with(url, "http://") ? 7 : 0;
  const bool has_bad = std::any_of(url.begin(), url.end(), [](char c) {
    return is_control(c) || c == ' ' || static_cast<unsigned char>(c) >= 0x80 || c == '\\';
  });
  if (start == 0 || has_bad) {
    return std::nullopt;
  }
  if (const auto query = url.find_first_of("?#"); query != std::string_view::npos) {
    constexpr std::string_view version = "?api-version=";
    auto rest = url.substr(query);
    if (at.name != "azure" || !begins_with(rest, version) ||
        rest.find_first_of("&#") != std::string_view::npos) {
      problem = "expected a URL without `?` and `#`";
      return std::nullopt;
    }
    rest.remove_prefix(version.size());
    if (api_version.empty()) {
      api_version = std::string(rest);
    }
    url = url.substr(0, query);
  }
  while (!url.empty() && url.back() == '/') {
    url.remove_suffix(1);
  }
  const auto authority = url.substr(std::min(start, url.size()));
  const auto host = authority.substr(0, authority.find('/'));
  if (host.empty() || host.front() == ':' || host.find('@') != std::string_view::npos) {
    problem = host.find('@') == std::string_view::npos
                  ? problem
                  : "expected a URL without user and password; the key stands under `api_key`";
    return std::nullopt;
  }
  const auto port_at = host.rfind(':');
  if (port_at != std::string_view::npos && host.back() != ']') {
    const auto port = host.substr(port_at + 1);
    const bool fits =
        !port.empty() && port.size() <= 5 &&
        std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!fits || std::stoul(std::string(port)) == 0 || std::stoul(std::string(port)) > 65535) {
      problem = "expected a port from 1 to 65535 in the URL";
      return std::nullopt;
    }
  }
  std::string out(url);
  if (at.appends_v1 && !ends_with(url, "/v1") && url.find("/v1/") == std::string_view::npos) {
    out += "/v1";
  }
  return out;
}

std::optional<std::string> first_variable(std::string_view names, const environment& variables) {
  while (!names.empty()) {
    const auto end = names.find(' ');
    if (auto value = variables(names.substr(0, end)); value && !value->empty()) {
      return value;
    }
    names.remove_prefix(end == std::string_view::npos ? names.size() : end + 1);
  }
  return std::nullopt;
}

bool is_sendable_header(std::string_view name, std::string_view value) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  std::string lower;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || (std::isalnum(byte) == 0 && marks.find(c) == std::string_view::npos)) {
      return false;
    }
    lower += static_cast<char>(std::tolower(byte));
  }
  for (const std::string_view each :
       {"", "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade"}) {
    if (lower == each) {
      return false;
    }
  }
  return std::none_of(value.begin(), value.end(),
                      [](char c) { return is_control(c) && c != '\t'; });
}

} // namespace vorrang::config
