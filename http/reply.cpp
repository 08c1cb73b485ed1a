#include "http/reply.hpp"

#include "http/head_fields.hpp"

namespace vorrang::http {

std::string_view find_field(const header_fields& fields, std::string_view name) noexcept {
  for (const auto& [own_name, value] : fields)
    if (equal_ignoring_case(own_name, name))
      return value;
  return {};
}

} // namespace vorrang::http
