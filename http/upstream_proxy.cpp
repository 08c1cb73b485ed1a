#include "http/upstream_proxy.hpp"

#include "http/head_fields.hpp"
#include "http/request_head.hpp"
#include "http/upstream_head.hpp"

#include <openssl/evp.h>

namespace vorrang::http {

namespace {

std::string base64(const std::string& text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0'); // and a NUL
  const auto size = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

/// `host`, `.host`, `*.host` and `host:port` stand for the host itself and for all below it.
bool names(std::string_view entry, const upstream_address& address) {
  if (entry == "*")
    return true;
  if (const auto colon = entry.rfind(':');
      colon != entry.npos && entry.find(':') == colon) { // not an IPv6 address
    if (entry.substr(colon + 1) != std::to_string(address.port))
      return false;
    entry = entry.substr(0, colon);
  }
  if (entry.substr(0, 2) == "*.")
    entry.remove_prefix(1);
  if (!entry.empty() && entry.front() == '.')
    entry.remove_prefix(1);
  const std::string_view host = address.host;
  if (entry.empty() || host.size() < entry.size() ||
      !equal_ignoring_case(host.substr(host.size() - entry.size()), entry))
    return false;
  return host.size() == entry.size() || host[host.size() - entry.size() - 1] == '.';
}

bool is_asked_directly(std::string_view no_proxy, const upstream_address& address) {
  while (!no_proxy.empty()) {
    const auto comma = no_proxy.find(',');
    if (names(trimmed(no_proxy.substr(0, comma)), address))
      return true;
    no_proxy = comma == no_proxy.npos ? std::string_view() : no_proxy.substr(comma + 1);
  }
  return false;
}

} // namespace

std::optional<upstream_proxy> proxy_for(const upstream_address& address,
                                        std::string_view https_proxy, std::string_view no_proxy) {
  if (!address.tls || https_proxy.empty() || is_asked_directly(no_proxy, address))
    return std::nullopt;
  std::string url(https_proxy);
  if (url.find("://") == url.npos)
    url = "http://" + url;
  std::string user;
  const auto authority = url.find("://") + 3;
  if (const auto at = url.rfind('@'); at != url.npos && at > authority) {
    user = percent_decoded(url.substr(authority, at - authority)).value_or("");
    url.erase(authority, at + 1 - authority);
  }
  const auto place = parse_upstream_address(url);
  if (!place || place->tls)
    return std::nullopt;
  upstream_proxy found;
  found.host = place->host;
  found.port = place->port;
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  const std::string target =
      (is_ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
  found.head = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
  if (!user.empty())
    found.head += "Proxy-Authorization: Basic " + base64(user) + "\r\n";
  found.head += "\r\n";
  return found;
}

} // namespace vorrang::http
