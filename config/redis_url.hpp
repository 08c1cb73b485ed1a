// `redis://user:password@host:port/database`, and `unix:///path`.
#pragma once

#include "config/settings.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace vorrang::config {

/// Takes a Redis URL apart. Returns what was expected where it is none; the sentence never holds
/// the URL, which may hold a password.
std::optional<std::string> parse_redis_url(std::string_view url, redis_settings& into);

/// 1 to 65535; nothing otherwise.
std::optional<std::uint16_t> parse_port(std::string_view text);

} // namespace vorrang::config
