#include "http/own_names.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>

namespace vorrang::http {

namespace {

constexpr std::size_t host_bytes_max = 255;

std::string lowered(std::string_view text) {
  std::string lower(text);
  for (auto& letter : lower)
    if (letter >= 'A' && letter <= 'Z')
      letter = static_cast<char>(letter - 'A' + 'a');
  return lower;
}

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
  });
}

bool is_loopback_or_unspecified(const std::string& host, bool unspecified_too) {
  in_addr four{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) {
    const auto address = ntohl(four.s_addr);
    return (address >> 24) == 127 || (unspecified_too && address == 0);
  }
  in6_addr six{};
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1) {
    if (IN6_IS_ADDR_V4MAPPED(&six))
      return six.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&six) || (unspecified_too && IN6_IS_ADDR_UNSPECIFIED(&six));
  }
  return false;
}

/// Addresses have many spellings; names have one.
std::string canonical(const std::string& host) {
  in_addr four{};
  in6_addr six{};
  char text[INET6_ADDRSTRLEN] = {};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1 && inet_ntop(AF_INET, &four, text, sizeof(text)))
    return text;
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1 && inet_ntop(AF_INET6, &six, text, sizeof(text)))
    return text;
  return host;
}

} // namespace

std::string host_of(std::string_view field) {
  if (field.size() > host_bytes_max + 8)
    return {};
  std::string_view host = field;
  std::string_view port;
  if (!field.empty() && field.front() == '[') {
    const auto end = field.find(']');
    if (end == std::string_view::npos)
      return {};
    host = field.substr(1, end - 1);
    port = field.substr(end + 1);
    if (!port.empty()) {
      if (port.front() != ':')
        return {};
      port.remove_prefix(1);
    }
    in6_addr six{};
    if (inet_pton(AF_INET6, std::string(host).c_str(), &six) != 1)
      return {};
  } else {
    const auto colon = field.find(':');
    if (colon != std::string_view::npos) {
      host = field.substr(0, colon);
      port = field.substr(colon + 1);
    }
    if (!is_name(host))
      return {};
  }
  if (!all_digits(port) || port.size() > 5)
    return {};
  if (host.size() > 1 && host.back() == '.')
    host.remove_suffix(1);
  return canonical(lowered(host));
}

own_names::own_names(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    auto lower = canonical(lowered(name));
    if (lower.size() > 1 && lower.back() == '.')
      lower.pop_back();
    if (!lower.empty())
      names_.push_back(std::move(lower));
  }
  std::sort(names_.begin(), names_.end());
}

bool own_names::holds(std::string_view host_field) const {
  const auto host = host_of(host_field);
  if (host.empty())
    return false;
  return host == "localhost" || is_loopback_or_unspecified(host, true) ||
         std::binary_search(names_.begin(), names_.end(), host);
}

bool own_names::is_own_origin(std::string_view origin, std::string_view host_field) const {
  if (!holds(host_field))
    return false;
  const auto scheme = origin.find("://");
  if (scheme == std::string_view::npos)
    return false;
  const auto name = lowered(origin.substr(0, scheme));
  return (name == "http" || name == "https") &&
         lowered(origin.substr(scheme + 3)) == lowered(host_field);
}

bool is_loopback(std::string_view host) {
  const auto name = lowered(host);
  if (name == "localhost")
    return true;
  if (name.size() > 2 && name.front() == '[' && name.back() == ']')
    return is_loopback_or_unspecified(name.substr(1, name.size() - 2), false);
  return is_loopback_or_unspecified(name, false);
}

} // namespace vorrang::http
