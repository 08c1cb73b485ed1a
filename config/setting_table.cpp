#include "config/setting_table.hpp"

#include "config/setting_rows.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <unordered_map>

namespace vorrang::config {

namespace {

class table {
public:
  table() {
    for (const auto& each : supported_settings())
      of_[place(each.where)].rows.push_back(each);
    for (const auto& each : unsupported_settings())
      of_[place(each.where)].rows.push_back(each);
    for (auto& each : of_) {
      for (const auto& row : each.rows)
        each.by_key.emplace(row.key, &row);
    }
  }

  const std::vector<setting>& rows(section where) const { return of_[place(where)].rows; }

  const setting* find(section where, std::string_view key) const {
    const auto& by_key = of_[place(where)].by_key;
    const auto hit = by_key.find(key);
    return hit == by_key.end() ? nullptr : hit->second;
  }

private:
  struct part {
    std::vector<setting> rows;
    std::unordered_map<std::string_view, const setting*> by_key;
  };

  static std::size_t place(section where) { return static_cast<std::size_t>(where); }

  std::array<part, std::size(all_sections)> of_;
};

const table& all() {
  static const table made;
  return made;
}

} // namespace

std::string_view name_of(section where) noexcept {
  constexpr std::string_view names[] = {"top",
                                        "model",
                                        "litellm_params",
                                        "model_info",
                                        "litellm_settings",
                                        "router_settings",
                                        "general_settings",
                                        "vorrang_settings",
                                        "key",
                                        "alias",
                                        "retry_policy",
                                        "allowed_fails_policy",
                                        "environment_variables"};
  static_assert(std::size(names) == std::size(all_sections));
  return names[static_cast<std::size_t>(where)];
}

const std::vector<setting>& settings_of(section where) {
  return all().rows(where);
}

const setting* find_setting(section where, std::string_view key) {
  return all().find(where, key);
}

std::optional<std::string_view> why_unsupported(section where, std::string_view key) {
  if (const auto* row = find_setting(where, key)) {
    return row->state == setting_state::unsupported ? std::optional(row->meaning) : std::nullopt;
  }
  if (where == section::litellm_params) {
    for (const auto& each : unsupported_families()) {
      const auto at = key.find(each.part);
      if (at != std::string_view::npos && (at == 0 || !each.begins))
        return each.meaning;
    }
  }
  return std::nullopt;
}

} // namespace vorrang::config
