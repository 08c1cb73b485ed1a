// What refers to groups by name: aliases, fallbacks, policies, the models of keys.
#include "config/reading.hpp"

#include "config/spelling.hpp"

#include <algorithm>
#include <functional>
#include <set>

namespace vorrang::config {

namespace {

std::vector<std::string_view> known_names(const settings& all) {
  std::vector<std::string_view> out;
  for (const auto& each : all.groups) {
    out.push_back(each.name);
  }
  for (const auto& each : all.aliases) {
    out.push_back(each.name);
  }
  return out;
}

std::string unknown_name(const std::string& name, const settings& all) {
  return "expected the name of a model group, found `" + excerpt(name, 60) + "`" +
         suggestion(name, known_names(all));
}

void read_alias(const mapping_entry& each, const std::string& path, reading& to) {
  alias made;
  made.name = each.key;
  made.where = to.found.locate(each.at);
  if (each.value->type == node_type::text) {
    made.model = each.value->text;
  } else if (each.value->type == node_type::mapping) {
    fields from(each.value.get(), section::alias, path, to.found);
    auto model = from.text("model");
    if (!model && from.take("model") == nullptr) {
      to.found.error(each.at, path, "expected `model`, the group that the alias stands for");
    }
    made.model = model.value_or("");
    made.hidden = from.boolean("hidden").value_or(false);
    from.finish();
  } else {
    to.found.error(each.at, path,
                   "expected the name of a model group, or `{model: …, hidden: true}`, found " +
                       describe(*each.value));
  }
  if (made.model.empty()) {
    return;
  }
  // Aliases of aliases would need an order; LiteLLM has none either.
  const auto meaning = resolve(to.all, made.model);
  if (!meaning) {
    to.found.error(each.at, path, unknown_name(made.model, to.all));
    return;
  }
  for (const auto& group : to.all.groups) {
    if (group.name == made.name) {
      to.found.warning(each.at, path, "has no effect: there is a model group of this name");
      return;
    }
  }
  made.target = *meaning;
  made.target.name = made.name;
  to.all.aliases.push_back(std::move(made));
}

void read_aliases(reading& to) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < to.alias_maps.size(); ++i) {
    for (const auto& each : to.alias_maps[i]->entries) {
      if (seen.insert(each.key).second) {
        read_alias(each, to.alias_paths[i] + "." + each.key, to);
      }
    }
  }
}

/// The group that a rule's left side means, or nothing.
std::optional<std::size_t> source_of(const std::string& name, const settings& all) {
  for (std::size_t i = 0; i < all.groups.size(); ++i) {
    if (all.groups[i].name == name) {
      return i;
    }
  }
  const auto meaning = resolve(all, name);
  if (meaning && !meaning->deployment && meaning->matched.empty()) {
    return meaning->group;
  }
  return std::nullopt;
}

/// `source`: the group whose rule it is, if it is one group's.
std::vector<target> targets_of(const fallback_rule& rule, std::optional<std::size_t> source,
                               reading& to) {
  std::vector<target> out;
  const auto visited = [&](std::size_t group) {
    return group == source || std::any_of(out.begin(), out.end(), [&](const target& other) {
             return other.group == group;
           });
  };
  for (std::size_t i = 0; i < rule.to.size(); ++i) {
    const auto& name = rule.to[i];
    // Of each path and place one error is told.
    const auto path = rule.to.size() > 1 ? rule.path + "[" + std::to_string(i) + "]" : rule.path;
    auto meaning = resolve(to.all, name);
    if (!meaning) {
      to.found.error(rule.at, path, unknown_name(name, to.all));
      continue;
    }
    if (to.all.groups[meaning->group].unservable) {
      to.found.warning(rule.at, path,
                       "the fallback `" + excerpt(name, 60) +
                           "` has no deployment that can be "
                           "served, and is passed over");
      continue;
    }
    if (meaning->deployment && visited(meaning->group)) {
      to.found.warning(rule.at, path,
                       "the fallback `" + excerpt(name, 60) +
                           "` has no effect: each group is visited once, and `" +
                           excerpt(to.all.groups[meaning->group].name, 60) + "` was before it");
    }
    out.push_back(std::move(*meaning));
  }
  return out;
}

using member = std::vector<target> group::*;

/// Own rules first, then the rule for "*", then `rest`.
void apply_rules(const std::vector<fallback_rule>& rules, const std::optional<fallback_rule>& rest,
                 member into, reading& to) {
  std::vector<std::optional<std::vector<target>>> own(to.all.groups.size());
  std::optional<std::vector<target>> general;
  if (rest) {
    general = targets_of(*rest, std::nullopt, to);
  }
  for (const auto& rule : rules) {
    const auto source = source_of(rule.from, to.all);
    auto targets = targets_of(rule, source, to);
    if (source) {
      own[*source] = targets;
    }
    if (rule.from == "*") {
      general = std::move(targets);
    } else if (!source) {
      to.found.warning(rule.at, rule.path,
                       resolve(to.all, rule.from)
                           ? "has no effect: fallbacks belong to a whole model group, here `" +
                                 to.all.groups[resolve(to.all, rule.from)->group].name + "`"
                           : "has no effect: no model group of this name" +
                                 suggestion(rule.from, known_names(to.all)));
    }
  }
  for (std::size_t i = 0; i < to.all.groups.size(); ++i) {
    auto list = own[i] ? *own[i] : general.value_or(std::vector<target>());
    // Each group is visited once, itself included; the rest beyond the limit never.
    std::set<std::size_t> visited = {i};
    auto& out = to.all.groups[i].*into;
    for (auto& each : list) {
      if (out.size() < to.max_fallbacks && visited.insert(each.group).second) {
        out.push_back(std::move(each));
      }
    }
  }
}

void apply_policies(reading& to) {
  for (auto& each : to.all.groups) {
    each.retry_policy = to.all.router.retry_policy;
  }
  for (const auto& [entry, policy] : to.group_retry_policies) {
    if (const auto source = source_of(entry.key, to.all)) {
      to.all.groups[*source].retry_policy = policy;
    } else {
      to.found.warning(entry.at, to.group_retry_policy_path + "." + entry.key,
                       "has no effect: no model group of this name" +
                           suggestion(entry.key, known_names(to.all)));
    }
  }
}

void check_key_models(reading& to) {
  for (std::size_t i = 0; i < to.all.gateway.keys.size(); ++i) {
    for (const auto& model : to.all.gateway.keys[i].models) {
      const auto names = known_names(to.all);
      const bool fits = resolve(to.all, model).has_value() ||
                        std::any_of(names.begin(), names.end(), [&](std::string_view name) {
                          return matches_pattern(model, name);
                        });
      if (!fits) {
        to.found.warning(to.key_positions[i], "vorrang_settings.keys",
                         "`models` names no model group with `" + excerpt(model, 60) + "`" +
                             suggestion(model, names));
      }
    }
  }
}

} // namespace

void read_names(reading& to) {
  index_names(to.all);
  read_aliases(to);
  index_names(to.all);
  apply_rules(to.fallbacks, to.default_fallbacks, &group::fallbacks, to);
  apply_rules(to.context_window_fallbacks, std::nullopt, &group::context_window_fallbacks, to);
  apply_rules(to.content_policy_fallbacks, std::nullopt, &group::content_policy_fallbacks, to);
  apply_policies(to);
  check_key_models(to);
}

} // namespace vorrang::config
