#include "actors/eligibility.hpp"

#include <algorithm>

namespace vorrang {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool has_common_tag(const deployment_settings& deployment, const ask& wanted) {
  return std::any_of(wanted.tags.begin(), wanted.tags.end(),
                     [&](const auto& tag) { return contains(deployment.tags, tag); });
}

template <class Keep>
deployment_set filter(const group_settings& group, const deployment_set& from, Keep keep) {
  deployment_set result;
  from.for_each([&](deployment_index i) {
    if (keep(group.deployments[i]))
      result.insert(i);
  });
  return result;
}

/// With tag filtering: a common tag; where nobody has one, the default ones. A request without
/// tags may go to all where the group has no default ones (as LiteLLM does).
deployment_set by_tags(const group_settings& group, const deployment_set& from, const ask& wanted) {
  const auto is_default = [](const auto& d) {
    return !d.retired && contains(d.tags, "default");
  };
  if (wanted.tags.empty() &&
      std::none_of(group.deployments.begin(), group.deployments.end(), is_default))
    return from;
  auto tagged = filter(group, from, [&](const auto& d) { return has_common_tag(d, wanted); });
  return tagged.empty() ? filter(group, from, is_default) : tagged;
}

deployment_set by_tokens(const group_settings& group, const deployment_set& from, const ask& wanted,
                         bool& oversize) {
  oversize = false;
  const auto holds = [&](const auto& d) {
    return !d.tpm || *d.tpm >= wanted.token_estimate;
  };
  auto result = filter(group, from, holds);
  if (!result.empty() || from.empty())
    return result;
  auto largest = no_index;
  from.for_each([&](deployment_index i) {
    if (largest == no_index || *group.deployments[i].tpm > *group.deployments[largest].tpm)
      largest = i;
  });
  oversize = true;
  result.insert(largest);
  return result;
}

} // namespace

deployment_set eligible_deployments(const group_settings& group, const ask& wanted,
                                    bool& oversize) {
  auto result = filter(group, deployment_set::all(group.deployments.size()),
                       [](const auto& d) { return !d.retired; });
  if (wanted.pinned != no_index)
    result = filter(group, result,
                    [&](const auto& d) { return &d == group.deployments.data() + wanted.pinned; });
  const auto api = static_cast<std::uint8_t>(wanted.api);
  result = filter(group, result, [&](const auto& d) { return (d.endpoints & api) != 0; });
  // Who names a deployment has chosen already.
  if (group.tag_filtering && wanted.pinned == no_index)
    result = by_tags(group, result, wanted);
  if (group.pre_call_checks && wanted.prompt_estimate > 0)
    result = filter(group, result, [&](const auto& d) {
      return !d.max_input_tokens || *d.max_input_tokens >= wanted.prompt_estimate;
    });
  return by_tokens(group, result, wanted, oversize);
}

} // namespace vorrang
