#include "config/redis_url.hpp"

#include <charconv>

namespace vorrang::config {

namespace {

/// `%40` and its like; nothing where two digits are missing.
std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    const auto digits = text.substr(i + 1, 2);
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || failure != std::errc() || end != digits.data() + 2) {
      return std::nullopt;
    }
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

template <typename Number>
bool parse_number(std::string_view text, Number least, Number most, Number& into) {
  Number value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size() || value < least ||
      value > most) {
    return false;
  }
  into = value;
  return true;
}

constexpr std::uint16_t sentinel_port = 26379;

/// `user:password`, percent-encoded.
std::optional<std::string> take_user(std::string_view who, redis_settings& into) {
  const auto colon = who.find(':');
  auto user = percent_decode(who.substr(0, colon));
  auto password =
      percent_decode(colon == std::string_view::npos ? std::string_view() : who.substr(colon + 1));
  if (!user || !password) {
    return "expected two hexadecimal digits after each `%` in the URL";
  }
  into.username = std::move(*user);
  into.password = secret(std::move(*password));
  return std::nullopt;
}

/// `[[user]:password@]/path/of/socket[?db=0]`, as redis-py has it.
std::optional<std::string> parse_unix(std::string_view rest, redis_settings& into) {
  constexpr std::string_view wanted = "expected a socket such as `unix:///run/redis.sock?db=0`";
  if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
    const auto query = rest.substr(mark + 1);
    if (query.substr(0, 3) != "db=" ||
        !parse_number<std::uint32_t>(query.substr(3), 0, 1'000'000, into.database)) {
      return std::string(wanted);
    }
    rest = rest.substr(0, mark);
  }
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    if (const auto problem = take_user(rest.substr(0, at), into)) {
      return problem;
    }
    rest.remove_prefix(at + 1);
  }
  auto path = percent_decode(rest);
  if (!path || path->size() < 2 || path->front() != '/') {
    return std::string(wanted);
  }
  into.unix_socket = std::move(*path);
  return std::nullopt;
}

/// `[[user]:password@]host[:port][,host[:port]…]/service[/db]`
std::optional<std::string> parse_sentinels(std::string_view rest, redis_settings& into) {
  constexpr std::string_view wanted =
      "expected sentinels such as `redis+sentinel://:password@host1:26379,host2:26379/mymaster/0`";
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    if (const auto problem = take_user(rest.substr(0, at), into))
      return problem;
    rest.remove_prefix(at + 1);
  }
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos)
    return std::string(wanted);
  auto service = rest.substr(slash + 1);
  if (const auto second = service.find('/'); second != std::string_view::npos) {
    if (!parse_number<std::uint32_t>(service.substr(second + 1), 0, 1'000'000, into.database))
      return std::string(wanted);
    service = service.substr(0, second);
  }
  into.service = std::string(service);
  auto hosts = rest.substr(0, slash);
  while (!hosts.empty()) {
    const auto one = hosts.substr(0, hosts.find(','));
    hosts.remove_prefix(std::min(hosts.size(), one.size() + 1));
    const auto colon = one.rfind(':');
    std::uint16_t port = sentinel_port;
    if (colon != std::string_view::npos &&
        !parse_number<std::uint16_t>(one.substr(colon + 1), 1, 65535, port))
      return std::string(wanted);
    if (one.substr(0, colon).empty())
      return std::string(wanted);
    into.sentinels.emplace_back(std::string(one.substr(0, colon)), port);
  }
  if (into.sentinels.empty() || into.service.empty())
    return std::string(wanted);
  return std::nullopt;
}

} // namespace

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  return parse_number<std::uint16_t>(text, 1, 65535, port) ? std::optional(port) : std::nullopt;
}

std::optional<std::string> parse_redis_url(std::string_view url, redis_settings& into) {
  const auto scheme = url.substr(0, url.find("://"));
  if (scheme == "unix") {
    return parse_unix(url.substr(scheme.size() + 3), into);
  }
  if (scheme == "redis+sentinel" || scheme == "rediss+sentinel") {
    into.tls = scheme == "rediss+sentinel";
    return parse_sentinels(url.substr(scheme.size() + 3), into);
  }
  if (scheme == url || (scheme != "redis" && scheme != "rediss")) {
    return "expected a URL such as `redis://:password@host:6379/0` (or `rediss://` for TLS)";
  }
  into.tls = scheme == "rediss";
  url.remove_prefix(scheme.size() + 3);
  if (url.find_first_of("?#") != std::string_view::npos) {
    return "expected a Redis URL without `?` and `#`";
  }
  auto authority = url.substr(0, url.find('/'));
  const auto database =
      authority.size() == url.size() ? std::string_view() : url.substr(authority.size() + 1);
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    if (const auto problem = take_user(authority.substr(0, at), into)) {
      return problem;
    }
    authority.remove_prefix(at + 1);
  }
  auto host = authority;
  if (!authority.empty() && authority.front() == '[') {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) {
      return "expected a `]` after the address in the URL";
    }
    host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
  } else {
    host = authority.substr(0, authority.find(':'));
    authority.remove_prefix(host.size());
  }
  if (host.empty()) {
    return "expected a host in the URL";
  }
  if (!authority.empty() &&
      (authority.front() != ':' ||
       !parse_number<std::uint16_t>(authority.substr(1), 1, 65535, into.port))) {
    return "expected a port from 1 to 65535 in the URL";
  }
  if (!database.empty() && !parse_number<std::uint32_t>(database, 0, 1'000'000, into.database)) {
    return "expected the number of a database after the `/` in the URL";
  }
  into.host = std::string(host);
  return std::nullopt;
}

} // namespace vorrang::config
