#include "config/settings.hpp"

#include <algorithm>
#include <ostream>

namespace vorrang::config {

std::string secret::masked() const {
  if (text_.empty()) {
    return {};
  }
  return text_.size() < 12 ? "****" : "****" + text_.substr(text_.size() - 4);
}

std::ostream& operator<<(std::ostream& out, const secret& value) {
  return out << value.masked();
}

std::string_view to_string(routing_strategy value) noexcept {
  switch (value) {
  case routing_strategy::simple_shuffle:
    return "simple-shuffle";
  case routing_strategy::usage_based_v2:
    return "usage-based-routing-v2";
  case routing_strategy::least_busy:
    return "least-busy";
  case routing_strategy::latency_based:
    return "latency-based-routing";
  }
  return "unknown";
}

bool client_key::may_use(std::string_view model) const {
  return models.empty() || std::any_of(models.begin(), models.end(), [&](const std::string& each) {
           return matches_pattern(each, model);
         });
}

std::string upstream_model_for(const deployment& from, const std::vector<std::string>& matched) {
  std::string result;
  std::size_t next = 0;
  for (char c : from.upstream_model) {
    if (c != '*' || matched.empty()) {
      result += c;
      continue;
    }
    result += matched[std::min(next, matched.size() - 1)];
    ++next;
  }
  return result;
}

bool matches_pattern(std::string_view pattern, std::string_view text,
                     std::vector<std::string>* matched) {
  std::vector<std::string> found;
  std::size_t at = 0;
  std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) {
    if (pattern != text) {
      return false;
    }
  } else {
    if (text.substr(0, star) != pattern.substr(0, star)) {
      return false;
    }
    at = star;
    for (;;) {
      const std::size_t next = pattern.find('*', star + 1);
      if (next == std::string_view::npos) {
        // The last piece must end the text.
        const auto tail = pattern.substr(star + 1);
        if (text.size() < at + tail.size() || text.substr(text.size() - tail.size()) != tail) {
          return false;
        }
        found.emplace_back(text.substr(at, text.size() - tail.size() - at));
        break;
      }
      const auto piece = pattern.substr(star + 1, next - star - 1);
      const std::size_t hit = text.find(piece, at);
      if (hit == std::string_view::npos) {
        return false;
      }
      found.emplace_back(text.substr(at, hit - at));
      at = hit + piece.size();
      star = next;
    }
  }
  if (matched != nullptr) {
    *matched = std::move(found);
  }
  return true;
}

void index_names(settings& all) {
  all.names.clear();
  all.patterns.clear();
  for (std::size_t i = 0; i < all.groups.size(); ++i) {
    const auto& name = all.groups[i].name;
    if (all.groups[i].retired) {
      continue;
    }
    if (all.groups[i].is_pattern()) {
      all.patterns.push_back(i);
    } else {
      all.names.try_emplace(name, target{name, i, std::nullopt, {}});
    }
  }
  std::stable_sort(all.patterns.begin(), all.patterns.end(), [&](std::size_t a, std::size_t b) {
    return all.groups[a].name.size() > all.groups[b].name.size();
  });
  for (const auto& each : all.aliases) {
    auto meaning = each.target;
    meaning.name = each.name;
    all.names.try_emplace(each.name, std::move(meaning));
  }
  for (std::size_t i = 0; i < all.deployments.size(); ++i) {
    const auto& each = all.deployments[i];
    if (!each.retired) {
      all.names.try_emplace(each.id, target{each.id, each.group, i, {}});
    }
  }
}

std::optional<target> resolve(const settings& all, std::string_view model) {
  if (all.names.empty() && all.patterns.empty() && !all.groups.empty()) {
    auto copy = all;
    index_names(copy);
    return resolve(copy, model);
  }
  if (const auto hit = all.names.find(model); hit != all.names.end()) {
    return hit->second;
  }
  for (const auto index : all.patterns) {
    std::vector<std::string> matched;
    if (matches_pattern(all.groups[index].name, model, &matched)) {
      return target{std::string(model), index, std::nullopt, std::move(matched)};
    }
  }
  return std::nullopt;
}

} // namespace vorrang::config
