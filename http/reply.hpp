// An answer of ours to a client, before it becomes bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vorrang::http {

/// Field name and value, as sent.
using header_field = std::pair<std::string, std::string>;
using header_fields = std::vector<header_field>;

/// A whole answer. The connection adds `Content-Length`, `Connection` and `Date`, and leaves the
/// body out of answers to HEAD. `fields` never holds those, nor any other hop-by-hop field.
struct reply {
  std::uint16_t status = 200;
  header_fields fields;
  std::string body;
  /// The connection is closed once this is written.
  bool close = false;
};

/// The value of the first field of this name, in any case; an empty view if there is none.
std::string_view find_field(const header_fields& fields, std::string_view name) noexcept;

} // namespace vorrang::http
