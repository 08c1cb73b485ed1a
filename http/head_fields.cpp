#include "http/head_fields.hpp"

namespace vorrang::http {

namespace {

/// Room for as many at once; most heads have fewer.
constexpr std::size_t usual_fields = 16;

} // namespace

std::string_view trimmed(std::string_view text) noexcept {
  const auto is_blank = [](char byte) {
    return byte == ' ' || byte == '\t';
  };
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back()))
    text.remove_suffix(1);
  return text;
}

bool list_holds(std::string_view list, std::string_view word) noexcept {
  while (true) {
    const auto comma = list.find(',');
    if (equal_ignoring_case(trimmed(list.substr(0, comma)), word)) {
      return true;
    }
    if (comma == std::string_view::npos) {
      return false;
    }
    list.remove_prefix(comma + 1);
  }
}

head_fields::field head_fields::operator[](std::size_t index) const noexcept {
  const auto& at = places_[index];
  const std::string_view all = text_;
  return {all.substr(at.name_at, at.name_size), all.substr(at.value_at, at.value_size)};
}

std::optional<std::string_view> head_fields::find(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (is_named(i, name)) {
      return (*this)[i].value;
    }
  }
  return std::nullopt;
}

std::string_view head_fields::value_or(std::string_view name,
                                       std::string_view otherwise) const noexcept {
  return find(name).value_or(otherwise);
}

std::size_t head_fields::count(std::string_view name) const noexcept {
  std::size_t found = 0;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    found += is_named(i, name) ? 1 : 0;
  }
  return found;
}

void head_fields::assign(std::string text) {
  text_ = std::move(text);
  places_.clear();
}

void head_fields::clear() noexcept {
  text_.clear();
  places_.clear();
}

void head_fields::add(std::string_view name, std::string_view value) {
  if (places_.capacity() == 0)
    places_.reserve(usual_fields);
  const auto at = [&](std::string_view part) {
    return part.empty() ? 0 : static_cast<std::uint32_t>(part.data() - text_.data());
  };
  places_.push_back({at(name), static_cast<std::uint32_t>(name.size()), at(value),
                     static_cast<std::uint32_t>(value.size())});
}

head_fields make_fields(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string text;
  for (const auto& [name, value] : pairs) {
    text += name + ": " + value + "\r\n";
  }
  head_fields out;
  out.assign(text + "\r\n");
  std::size_t at = 0;
  for (const auto& [name, value] : pairs) {
    out.add(out.text().substr(at, name.size()),
            out.text().substr(at + name.size() + 2, value.size()));
    at += name.size() + value.size() + 4;
  }
  return out;
}

} // namespace vorrang::http
