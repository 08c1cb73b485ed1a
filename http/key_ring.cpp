#include "http/key_ring.hpp"

#include <algorithm>

namespace vorrang::http {

namespace {

/// What follows `Bearer ` in any case; nothing for another scheme.
std::optional<std::string_view> after_bearer(std::string_view value) noexcept {
  constexpr std::string_view scheme = "bearer";
  if (!equal_ignoring_case(value.substr(0, scheme.size()), scheme)) {
    return std::nullopt;
  }
  value.remove_prefix(scheme.size());
  if (!value.empty() && value[0] != ' ') {
    return std::nullopt;
  }
  return trimmed(value);
}

bool is_loopback_address(std::string_view host) noexcept {
  unsigned parts = 0;
  unsigned value = 0;
  unsigned digits = 0;
  for (const char byte : std::string(host) + ".") {
    if (byte == '.') {
      if (digits == 0 || value > 255 || (parts == 0 && value != 127)) {
        return false;
      }
      ++parts;
      value = digits = 0;
    } else if (byte >= '0' && byte <= '9' && digits < 3) {
      value = value * 10 + static_cast<unsigned>(byte - '0');
      ++digits;
    } else {
      return false;
    }
  }
  return parts == 4;
}

} // namespace

std::optional<std::string_view> presented_key(const head_fields& fields) noexcept {
  static constexpr std::string_view names[] = {"x-litellm-api-key", "authorization",
                                               "api-key",           "x-api-key",
                                               "x-goog-api-key",    "ocp-apim-subscription-key"};
  for (const auto name : names) {
    if (const auto value = fields.find(name)) {
      const auto bearer = after_bearer(*value);
      return bearer ? *bearer : name == "authorization" ? std::string_view() : *value;
    }
  }
  return std::nullopt;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  // volatile, so that the compiler cannot stop at the first difference.
  volatile unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto other = b.empty() ? 0U : static_cast<unsigned char>(b[i % b.size()]);
    difference =
        static_cast<unsigned char>(difference | (static_cast<unsigned char>(a[i]) ^ other));
  }
  return difference == 0;
}

std::int32_t visitor::priority(std::optional<std::int32_t> asked, std::int32_t otherwise,
                               std::optional<std::int32_t> min_priority) const noexcept {
  auto value = asked.value_or(otherwise);
  if (key != nullptr) {
    value = asked.value_or(key->default_priority.value_or(otherwise));
    value = std::max(value, key->best_priority.value_or(value));
  }
  return std::max(value, min_priority.value_or(value));
}

visitor key_ring::check(const head_fields& fields) const {
  visitor out;
  if (!has_keys()) {
    return out;
  }
  const auto given = presented_key(fields);
  if (!given) {
    out.error = {our_error::no_key, "", ""};
    return out;
  }
  // Every key is compared, whichever fits: the time tells nothing about which one it was.
  bool found = false;
  if (settings_.master_key && !settings_.master_key->empty() &&
      equal_in_constant_time(*given, settings_.master_key->reveal())) {
    found = true;
    out.name = "master key";
  }
  for (const auto& each : settings_.keys) {
    if (!each.key.empty() && equal_in_constant_time(*given, each.key.reveal()) && !found) {
      found = true;
      out.name = each.name;
      out.key = &each;
    }
  }
  if (!found) {
    out.error = {our_error::wrong_key, "", ""};
  }
  return out;
}

std::string_view host_without_port(std::string_view host) noexcept {
  if (!host.empty() && host[0] == '[') {
    const auto end = host.find(']');
    return end == host.npos ? host : host.substr(1, end - 1);
  }
  const auto colon = host.find(':');
  // More than one colon: an IPv6 address without brackets.
  return colon != host.npos && host.find(':', colon + 1) == host.npos ? host.substr(0, colon)
                                                                      : host;
}

/// What a page loads without an `Origin`, as an image, says so by Fetch Metadata (W3C). `none`: the
/// user asked for it.
bool is_of_another_site(const head_fields& fields) {
  const auto site = fields.find("sec-fetch-site");
  return site && *site != "none" && *site != "same-origin";
}

fault check_without_keys(const head_fields& fields, const std::vector<std::string>& own_names) {
  if (fields.has("origin") || is_of_another_site(fields)) {
    return {our_error::foreign_origin, "", ""};
  }
  const auto value = fields.find("host");
  if (!value) {
    return {}; // HTTP/1.0: no browser speaks it
  }
  auto host = host_without_port(*value);
  if (!host.empty() && host.back() == '.') {
    host.remove_suffix(1);
  }
  const bool is_own = equal_ignoring_case(host, "localhost") || host == "::1" || host == "::" ||
                      host == "0.0.0.0" || is_loopback_address(host) ||
                      std::any_of(own_names.begin(), own_names.end(), [&](const std::string& name) {
                        return equal_ignoring_case(name, host);
                      });
  return is_own ? fault{} : fault{our_error::foreign_host, "", ""};
}

} // namespace vorrang::http
