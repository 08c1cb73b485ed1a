// The proxy that stands before https upstreams, as the environment names it.
#pragma once

#include "http/attempt.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// The proxy for an address, from the values of HTTPS_PROXY (`http://user:password@host:port`, a
/// scheme may be missing, the port is then 80) and NO_PROXY (a list of hosts, domains with all
/// below them, `*` for every host, each with a port or without). Nothing for addresses without TLS,
/// for those that NO_PROXY names, and if HTTPS_PROXY is no such URL.
std::optional<upstream_proxy> proxy_for(const upstream_address& address,
                                        std::string_view https_proxy, std::string_view no_proxy);

} // namespace vorrang::http
