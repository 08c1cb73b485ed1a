#include "config/merge_reload.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace vorrang::config {

namespace {

auto fields_of(const failure_policy& of) {
  return std::tie(of.bad_request, of.authentication, of.timeout, of.rate_limit, of.content_policy,
                  of.internal_server_error, of.service_unavailable);
}

bool same(const std::optional<failure_policy>& a, const std::optional<failure_policy>& b) {
  return a.has_value() == b.has_value() && (!a || fields_of(*a) == fields_of(*b));
}

bool same(const std::optional<mock>& a, const std::optional<mock>& b) {
  const auto fields = [](const mock& of) {
    return std::tie(of.text, of.outcome, of.delay, of.timeout);
  };
  return a.has_value() == b.has_value() && (!a || fields(*a) == fields(*b));
}

/// Whether nothing but the place in the file differs.
bool same(const deployment& a, const deployment& b) {
  const auto where_to = [](const deployment& of) {
    return std::tie(of.id, of.group_name, of.model, of.provider, of.upstream_model, of.api_base,
                    of.api_key.reveal(), of.api_version, of.organization, of.extra_headers,
                    of.ssl_verify, of.ssl_ca_file, of.ssl_certificate);
  };
  const auto limits = [](const deployment& of) {
    return std::tie(of.rpm, of.tpm, of.max_parallel_requests, of.weight, of.order, of.tags,
                    of.timeout, of.stream_timeout, of.stream_keepalive, of.num_retries,
                    of.cooldown_time, of.allowed_fails);
  };
  const auto bodies = [](const deployment& of) {
    return std::tie(of.body_defaults, of.extra_body, of.additional_drop_params, of.drop_params,
                    of.max_input_tokens, of.supported_endpoints, of.mode, of.model_info);
  };
  return where_to(a) == where_to(b) && limits(a) == limits(b) && bodies(a) == bodies(b) &&
         same(a.allowed_fails_policy, b.allowed_fails_policy) && same(a.mock, b.mock);
}

bool same(const std::vector<target>& a, const std::vector<target>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const target& x, const target& y) {
    return x.group == y.group && x.deployment == y.deployment;
  });
}

/// Of its own; its deployments are counted by themselves.
bool same(const group& a, const group& b) {
  return same(a.fallbacks, b.fallbacks) &&
         same(a.context_window_fallbacks, b.context_window_fallbacks) &&
         same(a.content_policy_fallbacks, b.content_policy_fallbacks) &&
         same(a.retry_policy, b.retry_policy) && a.unservable == b.unservable;
}

class merging {
public:
  merging(const settings& before, settings&& fresh) : before_(before), fresh_(std::move(fresh)) {}

  merged_reload run() {
    place_groups();
    place_deployments();
    for (auto& each : result_.settings.groups)
      for (auto* list :
           {&each.fallbacks, &each.context_window_fallbacks, &each.content_policy_fallbacks})
        if (!each.retired)
          for (auto& target : *list)
            move(target);
    count_groups();
    auto& all = result_.settings;
    all.aliases = std::move(fresh_.aliases);
    for (auto& each : all.aliases)
      move(each.target);
    all.left_out = std::move(fresh_.left_out);
    for (auto& each : all.left_out)
      each.group = group_at_[each.group];
    all.router = std::move(fresh_.router);
    all.gateway = std::move(fresh_.gateway);
    all.environment = std::move(fresh_.environment);
    keep_what_needs_a_restart();
    index_names(all);
    return std::move(result_);
  }

private:
  void place_groups() {
    auto& groups = result_.settings.groups;
    groups = before_.groups;
    std::map<std::string, std::size_t, std::less<>> known;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      known.emplace(groups[i].name, i);
      groups[i].retired = true;
    }
    for (auto& each : fresh_.groups) {
      const auto [spot, is_new] = known.try_emplace(each.name, groups.size());
      group_at_.push_back(spot->second);
      places_.push_back(std::move(each.deployments));
      each.deployments.clear();
      if (is_new) {
        groups.push_back(std::move(each));
        continue;
      }
      each.deployments = std::move(groups[spot->second].deployments);
      groups[spot->second] = std::move(each);
    }
  }

  void place_deployments() {
    auto& all = result_.settings;
    all.deployments = before_.deployments;
    std::map<std::pair<std::size_t, std::string>, std::size_t> known;
    for (std::size_t i = 0; i < all.deployments.size(); ++i) {
      known.emplace(std::pair(all.deployments[i].group, all.deployments[i].id), i);
      all.deployments[i].retired = true;
    }
    deployment_at_.resize(fresh_.deployments.size());
    for (std::size_t i = 0; i < fresh_.groups.size(); ++i)
      for (const auto from : places_[i])
        place_deployment(known, from, group_at_[i]);
    std::size_t gone = 0;
    for (std::size_t i = 0; i < all.deployments.size(); ++i) {
      gone += all.deployments[i].retired ? 1 : 0;
      if (i < before_.deployments.size() && all.deployments[i].retired &&
          !before_.deployments[i].retired)
        ++result_.deployments.removed;
    }
    refuse_too_many(gone, "deployments");
  }

  void place_deployment(std::map<std::pair<std::size_t, std::string>, std::size_t>& known,
                        std::size_t from, std::size_t group) {
    auto& all = result_.settings;
    auto& told = fresh_.deployments[from];
    told.group = group;
    const auto [spot, is_new] =
        known.try_emplace(std::pair(group, told.id), all.deployments.size());
    deployment_at_[from] = spot->second;
    if (is_new) {
      ++result_.deployments.added;
      all.groups[group].deployments.push_back(all.deployments.size());
      all.deployments.push_back(std::move(told));
      return;
    }
    const auto& old = before_.deployments[spot->second];
    if (old.retired)
      ++result_.deployments.added;
    else if (!same(old, told))
      ++result_.deployments.changed;
    all.deployments[spot->second] = std::move(told);
  }

  void count_groups() {
    const auto& groups = result_.settings.groups;
    std::size_t gone = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      gone += groups[i].retired ? 1 : 0;
      const bool was_there = i < before_.groups.size() && !before_.groups[i].retired;
      if (groups[i].retired)
        result_.groups.removed += was_there ? 1 : 0;
      else if (!was_there)
        ++result_.groups.added;
      else if (!same(groups[i], before_.groups[i]))
        ++result_.groups.changed;
    }
    refuse_too_many(gone, "model groups");
  }

  void refuse_too_many(std::size_t gone, const char* what) {
    if (gone > retired_max)
      result_.errors.push_back("more than " + std::to_string(retired_max) + " " + what +
                               " have been removed since the start: restart to forget them");
  }

  void move(target& at) const {
    at.group = group_at_[at.group];
    if (at.deployment)
      at.deployment = deployment_at_[*at.deployment];
  }

  template <class Value>
  void keep(const Value& old, Value& now, const char* name) {
    if (!(old == now))
      result_.warnings.push_back(std::string(name) +
                                 " cannot be changed without a restart, and stays as it was");
    now = old;
  }

  void keep_redis() {
    const auto fields = [](const redis_settings& of) {
      return std::tie(of.host, of.unix_socket, of.port, of.username, of.password.reveal(),
                      of.database, of.tls, of.sentinels, of.service, of.sentinel_password.reveal());
    };
    const auto& old = before_.router.redis;
    auto& now = result_.settings.router.redis;
    if (old.has_value() != now.has_value() || (old && fields(*old) != fields(*now)))
      result_.warnings.push_back("router_settings.redis_* (host, port, password, … of the server) "
                                 "cannot be changed without a restart, and stay as they were");
    now = old;
  }

  void keep_what_needs_a_restart() {
    const auto& old = before_.gateway;
    auto& now = result_.settings.gateway;
    keep(old.admin_host, now.admin_host, "vorrang_settings.admin_host");
    keep(old.admin_port, now.admin_port, "vorrang_settings.admin_port");
    keep(old.max_queue_bytes, now.max_queue_bytes, "vorrang_settings.max_queue_bytes");
    keep(old.metrics_priority_classes, now.metrics_priority_classes,
         "vorrang_settings.metrics_priority_classes");
    keep(old.redis_namespace, now.redis_namespace, "vorrang_settings.redis_namespace");
    keep(old.redis_unavailable, now.redis_unavailable, "vorrang_settings.redis_unavailable");
    keep_redis();
    result_.settings.log_level = fresh_.log_level;
    keep(before_.log_level, result_.settings.log_level, "litellm_settings.set_verbose");
    result_.settings.json_logs = fresh_.json_logs;
    keep(before_.json_logs, result_.settings.json_logs, "litellm_settings.json_logs");
    // Where it listens was chosen by whether there are keys: it must not be opened to everybody.
    if (old.has_keys() && !now.has_keys())
      result_.errors.push_back(
          "general_settings.master_key, vorrang_settings.keys: the last key cannot be taken away "
          "without a restart, since everybody who reaches the port would be let in");
    if (!old.has_keys() && now.has_keys())
      result_.warnings.push_back(
          "general_settings.master_key, vorrang_settings.keys: asked for from now on; where the "
          "gateway listens was chosen without a key (127.0.0.1, unless --host or HOST says "
          "otherwise), and stays so until a restart");
  }

  const settings& before_;
  settings fresh_;
  merged_reload result_;
  std::vector<std::size_t> group_at_;            ///< by index in fresh
  std::vector<std::size_t> deployment_at_;       ///< the same
  std::vector<std::vector<std::size_t>> places_; ///< deployments of fresh's groups
};

} // namespace

merged_reload merge_reload(const settings& before, settings fresh) {
  return merging(before, std::move(fresh)).run();
}

} // namespace vorrang::config
