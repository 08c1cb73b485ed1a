// Whether a `Host` or an `Origin` speaks of this machine.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vorrang::http {

/// The name or address of a `Host` field's value: lower case, without port and brackets, without
/// the dot that may end a name. Empty if it is malformed.
std::string host_of(std::string_view host_field);

/// The names under which this machine may be asked for. A web page that has bound a name of its own
/// to our address (DNS rebinding) sends that name as `Host`, and is told apart so.
class own_names {
public:
  /// `names`: host names and addresses without ports. `localhost`, every loopback address and the
  /// unspecified ones (`0.0.0.0`, `[::]`) count without being named.
  explicit own_names(const std::vector<std::string>& names);

  /// Whether this value of `Host` (with or without port) is this machine's.
  bool holds(std::string_view host_field) const;

  /// Whether this `Origin` is a page that came from `host_field` itself: the same host and port,
  /// over http or https, and a name of this machine.
  bool is_own_origin(std::string_view origin, std::string_view host_field) const;

private:
  std::vector<std::string> names_; // lower case, sorted
};

/// Whether this address or name is loopback: only programs of this machine reach it.
bool is_loopback(std::string_view host);

} // namespace vorrang::http
