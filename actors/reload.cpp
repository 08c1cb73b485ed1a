#include "actors/reload.hpp"

#include <map>

namespace vorrang {
namespace {

/// Places by name; of several with one name the n-th is told apart.
class places {
public:
  /// For what is there before.
  void add(const std::string& name) {
    known_.emplace(std::pair(name, before_[name]++), static_cast<std::uint32_t>(known_.size()));
  }
  /// For what is there now; a place that none had is the next one.
  std::uint32_t find(const std::string& name) {
    const auto next = static_cast<std::uint32_t>(known_.size());
    return known_.emplace(std::pair(name, now_[name]++), next).first->second;
  }

private:
  std::map<std::pair<std::string, std::size_t>, std::uint32_t> known_;
  std::map<std::string, std::size_t> before_;
  std::map<std::string, std::size_t> now_;
};

/// `at` gets the place of each of fresh's deployments.
std::vector<deployment_settings> merge(std::vector<deployment_settings> all,
                                       std::vector<deployment_settings> fresh,
                                       std::vector<deployment_index>& at) {
  places known;
  for (auto& each : all) {
    known.add(each.id);
    each.retired = true;
  }
  for (auto& each : fresh) {
    at.push_back(known.find(each.id));
    if (at.back() >= all.size())
      all.resize(at.back() + 1);
    all[at.back()] = std::move(each);
  }
  return all;
}

} // namespace

engine_settings merge_reload(const engine_settings& before, engine_settings fresh) {
  engine_settings all = before;
  places known;
  for (auto& each : all.groups) {
    known.add(each.name);
    each.retired = true;
    for (auto& deployment : each.deployments)
      deployment.retired = true;
  }
  std::vector<group_index> group_at;
  std::vector<std::vector<deployment_index>> deployment_at(fresh.groups.size());
  for (std::size_t i = 0; i < fresh.groups.size(); ++i) {
    auto& each = fresh.groups[i];
    const auto place = known.find(each.name);
    group_at.push_back(place);
    if (place >= all.groups.size())
      all.groups.resize(place + 1);
    each.deployments = merge(std::move(all.groups[place].deployments), std::move(each.deployments),
                             deployment_at[i]);
    all.groups[place] = std::move(each);
  }
  for (const auto place : group_at) {
    auto& each = all.groups[place];
    for (auto* list :
         {&each.fallbacks, &each.context_window_fallbacks, &each.content_policy_fallbacks})
      for (auto& target : *list) {
        if (target.group >= group_at.size())
          continue;
        if (target.pinned < deployment_at[target.group].size())
          target.pinned = deployment_at[target.group][target.pinned];
        target.group = group_at[target.group];
      }
  }
  return all;
}

} // namespace vorrang
