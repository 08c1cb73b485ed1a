// Who may come in.
#pragma once

#include "config/settings.hpp"
#include "http/head_fields.hpp"
#include "http/our_error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::http {

/// The key of a request: the first of `x-litellm-api-key`, `Authorization: Bearer`, `api-key`,
/// `x-api-key`, `x-goog-api-key`, `Ocp-Apim-Subscription-Key` that is present, whatever stands in
/// it; nothing if none is. An `Authorization` of another scheme is an empty key.
std::optional<std::string_view> presented_key(const head_fields& fields) noexcept;

/// Equal, in a time that depends on the lengths alone.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

/// Who asks.
struct visitor {
  fault error;           ///< no_key or wrong_key; else the rest holds
  std::string_view name; ///< for logs; empty where no key is configured
  /// Nothing for the master key and where no key is configured: everything is allowed.
  const config::client_key* key = nullptr;

  /// The priority a request gets: its own, else its key's default, else `otherwise`; not better
  /// than its key's best, nor than `min_priority`.
  std::int32_t priority(std::optional<std::int32_t> asked, std::int32_t otherwise,
                        std::optional<std::int32_t> min_priority) const noexcept;
  bool may_use(std::string_view model) const { return key == nullptr || key->may_use(model); }
};

/// Keeps a reference to the settings, which must outlive it. May be used from many threads.
class key_ring {
public:
  explicit key_ring(const config::gateway_settings& settings) : settings_(settings) {}

  bool has_keys() const { return settings_.has_keys(); }
  visitor check(const head_fields& fields) const;

private:
  const config::gateway_settings& settings_;
};

/// Where no key is configured: foreign_origin if there is an `Origin`, or a browser says that a
/// page of another site asks; foreign_host if `Host` is no address or name of this machine.
/// Loopback and unspecified addresses and `localhost` count as its own; `own_names` holds its other
/// names and addresses, without ports or brackets.
fault check_without_keys(const head_fields& fields, const std::vector<std::string>& own_names);

/// The host of `Host`'s value: without port, without brackets.
std::string_view host_without_port(std::string_view host) noexcept;

} // namespace vorrang::http
