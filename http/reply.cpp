#include "http/reply.hpp"

#include "http/head_fields.hpp"
#include "http/head_text.hpp"

#include <array>
#include <charconv>

namespace vorrang::http {

namespace {

/// Most answers fit: one piece of memory for each.
constexpr std::size_t lines_reserved = 640;

} // namespace

header_fields::header_fields(std::initializer_list<header_field> fields) {
  for (const auto& each : fields)
    add(each.name, each.value);
}

void header_fields::add(std::string_view name, std::string_view value) {
  if (is_field_value(value) && !is_hop_by_hop(name) && !equal_ignoring_case(name, "content-length"))
    add_read({}, name, value);
}

void header_fields::add(std::string_view name, std::int64_t value) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  add_read({}, name, {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

void header_fields::add_read(std::string_view prefix, std::string_view name,
                             std::string_view value) {
  if (lines_.empty())
    lines_.reserve(lines_reserved);
  append_field_line(lines_, prefix, name, value);
}

header_field header_fields::iterator::operator*() const noexcept {
  const auto colon = rest_.find(": ");
  return {rest_.substr(0, colon), rest_.substr(colon + 2, rest_.find("\r\n") - colon - 2)};
}

header_fields::iterator& header_fields::iterator::operator++() noexcept {
  rest_.remove_prefix(rest_.find("\r\n") + 2);
  return *this;
}

std::vector<std::pair<std::string, std::string>> to_pairs(const header_fields& fields) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, value] : fields)
    out.emplace_back(name, value);
  return out;
}

std::string_view find_field(const header_fields& fields, std::string_view name) noexcept {
  for (const auto& [own_name, value] : fields)
    if (equal_ignoring_case(own_name, name))
      return value;
  return {};
}

} // namespace vorrang::http
