// What Vorrang reads. A key that is not here cannot be read: `fields` refuses it.
#include "config/setting_rows.hpp"

namespace vorrang::config {

namespace {

/// Adds rows of one section; what a row has beyond key, type and meaning is said behind it.
class rows {
public:
  rows(std::vector<setting>& into, section where, bool is_litellms)
      : into_(into), where_(where), is_litellms_(is_litellms) {}

  rows& add(std::string_view key, setting_type type, std::string_view meaning) {
    setting made;
    made.where = where_;
    made.key = key;
    made.type = type;
    made.meaning = meaning;
    made.is_litellms = is_litellms_;
    if (type == setting_type::seconds) {
      made.unit = "s";
      made.most = seconds_max;
    }
    into_.push_back(made);
    return *this;
  }
  rows& by_default(std::string_view value) { return change(&setting::default_value, value); }
  rows& from_to(double least, double most) {
    change(&setting::least, least);
    return change(&setting::most, most);
  }
  rows& above_zero() { return change(&setting::above_least, true); }
  rows& unit(std::string_view name) { return change(&setting::unit, name); }
  rows& one_of(std::string_view words) { return change(&setting::words, words); }
  rows& of(section inner) { return change(&setting::inner, inner); }
  rows& is_ours() { return change(&setting::is_litellms, false); }

  /// A whole number of 32 bits with its sign.
  rows& priority(std::string_view key, std::string_view meaning) {
    return add(key, setting_type::whole, meaning).from_to(-2147483648.0, 2147483647.0);
  }
  rows& limit(std::string_view key, std::string_view meaning) {
    return add(key, setting_type::whole, meaning).from_to(0, limit_max);
  }
  rows& count(std::string_view key, std::string_view meaning) {
    return add(key, setting_type::whole, meaning).from_to(0, count_max);
  }

private:
  template <typename Member, typename Value>
  rows& change(Member member, Value value) {
    into_.back().*member = value;
    return *this;
  }

  std::vector<setting>& into_;
  section where_;
  bool is_litellms_;
};

using type = setting_type;

void add_top(std::vector<setting>& into) {
  rows(into, section::top, true)
      .add("model_list", type::mapping_list, "the deployments; at least one")
      .of(section::model)
      .add("router_settings", type::mapping, "routing, deadlines, retries, fallbacks, Redis")
      .of(section::router_settings)
      .add("litellm_settings", type::mapping,
           "what LiteLLM reads from here instead of `router_settings`, and some of its own")
      .of(section::litellm_settings)
      .add("general_settings", type::mapping, "the master key and the door")
      .of(section::general_settings)
      .add("vorrang_settings", type::mapping, "what LiteLLM has no word for")
      .of(section::vorrang_settings)
      .is_ours()
      .add("environment_variables", type::values,
           "variables, seen before those of the process: see "
           "[environment_variables](#environment_variables)")
      .add("include", type::texts, "files to read as well: see [include](#include)");
}

void add_model(std::vector<setting>& into) {
  rows(into, section::model, true)
      .add("model_name", type::text,
           "the group's name, which clients ask for: required, up to 512 bytes; may hold `*`")
      .add("litellm_params", type::mapping, "required")
      .of(section::litellm_params)
      .add("model_info", type::mapping, "what is known about the model")
      .of(section::model_info)
      .limit("rpm", "attempts in any 60 s; looked up here, then in `litellm_params`, then in "
                    "`model_info`; none: no limit, 0 takes nothing")
      .limit("tpm", "tokens in any 60 s, likewise")
      .count("max_parallel_requests", "attempts in flight; here, then in `litellm_params`, else "
                                      "`router_settings.default_max_parallel_requests`");
}

void add_upstream(rows& to) {
  to.add("model", type::text, "`provider/model`: required")
      .add("custom_llm_provider", type::text, "the provider, instead of the prefix of `model`")
      .add("api_base", type::text,
           "http or https URL, without user, query and fragment; none: the "
           "[provider's](#providers); a `/` at its end is ignored")
      .add("base_url", type::text, "another name of `api_base`, which wins")
      .add("api_key", type::secret,
           "key to send upstream; none: the [provider's variable](#providers)")
      .add("api_version", type::text_or_number, "of azure")
      .add("organization", type::text_or_number, "sent as `openai-organization`")
      .add("extra_headers", type::values,
           "headers of each request upstream; none that belongs to the connection or the body")
      .add("headers", type::values, "likewise")
      .add("ssl_verify", type::boolean_or_file,
           "`false` (with a warning), or a file of certificates to trust; none: "
           "`litellm_settings.ssl_verify`")
      .add("ssl_certificate", type::text,
           "PEM file with our own certificate and its key, for upstreams that ask for one; none: "
           "`litellm_settings.ssl_certificate`");
}

void add_choice(rows& to) {
  to.limit("rpm", "see `rpm` [above](#model_list)")
      .limit("tpm", "see `tpm` [above](#model_list)")
      .count("max_parallel_requests", "see `max_parallel_requests` [above](#model_list)")
      .add("weight", type::number,
           "[share](#which-deployment) of `simple-shuffle`; beside a deployment that has one, a "
           "missing one is 0")
      .from_to(0, 1e9)
      .priority("order", "only deployments with the lowest healthy one are candidates; none comes "
                         "last")
      .add("tags", type::texts, "see `router_settings.enable_tag_filtering`");
}

void add_times_and_failures(rows& to) {
  to.add("timeout", type::seconds, "bounds one attempt; none: `router_settings` says")
      .above_zero()
      .add("request_timeout", type::seconds, "another name of `timeout`, which wins")
      .above_zero()
      .add("stream_timeout", type::seconds,
           "longest silence between two chunks; none: "
           "`router_settings.stream_timeout`")
      .above_zero()
      .add("keepalive_seconds", type::seconds,
           "a waiting stream's keep-alive, 0 is none; of several in a group the shortest; none: "
           "`vorrang_settings.stream_keepalive`")
      .count("num_retries", "retries of a request after a failure of this deployment; none: "
                            "`router_settings.num_retries`")
      .count("max_retries", "another name of `num_retries`, which wins")
      .add("cooldown_time", type::seconds,
           "0 never cools; none: `model_info.cooldown_time`, else `router_settings.cooldown_time`")
      .count("allowed_fails", "failures in a sliding minute before a cooldown; none: that of "
                              "`model_info`, else of `router_settings`")
      .add("allowed_fails_policy", type::mapping,
           "the same by [kind of failure]"
           "(#failures-by-kind), as a whole in place of "
           "`router_settings.allowed_fails_policy`")
      .of(section::allowed_fails_policy);
}

void add_body_and_mocks(rows& to) {
  to.add("drop_params", type::boolean,
         "a field that the upstream refuses by name is left out from then on; none: "
         "`litellm_settings.drop_params`")
      .add("additional_drop_params", type::texts, "fields taken out of every request")
      .add("extra_body", type::anything, "merged into every request's body")
      .add("mock_response", type::text,
           "answers this without any upstream, see [mocks](#mocks); an empty text is no mock")
      .add("mock_delay", type::seconds, "before a mock's first byte")
      .by_default("0")
      .add("mock_timeout", type::boolean, "a mock that never answers")
      .by_default("false");
}

void add_model_info(std::vector<setting>& into) {
  rows(into, section::model_info, true)
      .add("id", type::text_or_number,
           "the deployment's name, unique, up to 512 bytes; none: the first 32 digits of a SHA-256 "
           "of group, model, base, version and key")
      .limit("rpm", "see `rpm` [above](#model_list)")
      .limit("tpm", "see `tpm` [above](#model_list)")
      .limit("max_input_tokens", "for `router_settings.enable_pre_call_checks`")
      .unit("tokens")
      .add("supported_endpoints", type::texts,
           "paths that it speaks beyond its provider's, such as `/v1/responses`")
      .add("mode", type::text, "such as `embedding`; shown by `/model/info`")
      .add("cooldown_time", type::seconds, "as in `litellm_params`, which wins")
      .count("allowed_fails", "as in `litellm_params`, which wins")
      .add("allowed_fails_policy", type::mapping, "as in `litellm_params`, which wins")
      .of(section::allowed_fails_policy);
}

/// What may stand in `router_settings` and in `litellm_settings`; the former wins.
void add_shared(rows& to) {
  to.add("request_timeout", type::seconds,
         "the deadline where `router_settings.timeout` is not set; otherwise bounds one attempt")
      .above_zero()
      .add("stream_timeout", type::seconds,
           "longest silence between two chunks; none: the deadline's length")
      .above_zero()
      .count("num_retries", "retries of a request after failures")
      .by_default("2")
      .add("retry_policy", type::mapping, "retries by [kind of failure](#failures-by-kind)")
      .of(section::retry_policy)
      .count("allowed_fails", "failures in a sliding minute before a deployment cools down")
      .by_default("3")
      .add("allowed_fails_policy", type::mapping,
           "the same by [kind of failure](#failures-by-kind)")
      .of(section::allowed_fails_policy)
      .add("cooldown_time", type::seconds, "how long a deployment cools down; 0 turns it off")
      .by_default("5")
      .add("model_group_alias", type::aliases, "other names of groups: see [names](#names)")
      .of(section::alias)
      .add("fallbacks", type::fallbacks, "see [fallbacks](#fallbacks)")
      .add("context_window_fallbacks", type::fallbacks,
           "followed instead by a request whose prompt was too long for the model")
      .add("content_policy_fallbacks", type::fallbacks,
           "followed instead by a request that the provider's content policy refused")
      .add("default_fallbacks", type::texts,
           "`fallbacks` of groups that have none, where there is no list of `*` either");
}

void add_litellm(std::vector<setting>& into) {
  rows to(into, section::litellm_settings, true);
  add_shared(to);
  to.add("drop_params", type::boolean,
         "of deployments that do not say: a field that the upstream refuses by name is left out "
         "from then on")
      .by_default("false")
      .add("ssl_verify", type::boolean_or_file,
           "of deployments that do not say: `false` (with a warning), or a file of certificates to "
           "trust")
      .by_default("true")
      .add("ssl_certificate", type::text,
           "of deployments that do not say: PEM file with our own certificate and its key")
      .add("set_verbose", type::boolean, "log level debug")
      .by_default("false")
      .add("json_logs", type::boolean, "each line of the log is a JSON object")
      .by_default("false")
      .add("sse_keepalive_ping_interval_seconds", type::seconds,
           "see `vorrang_settings.stream_keepalive`")
      .add("keepalive_seconds", type::seconds, "see `vorrang_settings.stream_keepalive`");
}

void add_redis(rows& to) {
  to.add("redis_host", type::text, "set: the queue is shared, see [Redis](#redis)")
      .add("redis_port", type::whole, "of `redis_host`")
      .from_to(1, 65535)
      .by_default("6379")
      .add("redis_username", type::text, "none: Redis' default user")
      .add("redis_password", type::secret_or_number, "none is sent without it")
      .add("redis_db", type::whole, "number of the database")
      .from_to(0, 1e6)
      .by_default("0")
      .add("redis_ssl", type::boolean, "TLS")
      .by_default("false")
      .add("redis_url", type::secret,
           "`redis://user:password@host:port/db` and the forms [below](#redis); wins over "
           "`redis_host`")
      .add("sentinel_nodes", type::addresses, "sentinels that know where the master is")
      .add("service_name", type::text, "the master's name at the sentinels: required with them")
      .add("sentinel_password", type::secret_or_number, "of the sentinels, where they ask for one");
}

void add_router(std::vector<setting>& into) {
  rows to(into, section::router_settings, true);
  to.add(
        "routing_strategy", type::word,
        "[how](#which-deployment) one of several free deployments is chosen; "
        "`usage-based-routing` means v2 and `cost-based-routing` means `simple-shuffle`, each with "
        "a warning")
      .one_of("simple-shuffle usage-based-routing-v2 least-busy latency-based-routing "
              "usage-based-routing cost-based-routing")
      .by_default("simple-shuffle")
      .add("timeout", type::seconds,
           "the deadline: waiting and attempts together; none: `request_timeout`, else 600")
      .above_zero()
      .by_default("600")
      .priority("default_priority", "of requests without `priority`; lower goes first")
      .by_default("255");
  add_shared(to);
  to.count("max_fallbacks", "groups to fall back to; more than 4 are 4: with the first one, five "
                            "groups are visited")
      .by_default("4")
      .add("model_group_retry_policy", type::policies,
           "`retry_policy` of a group, which then takes nothing from the general one")
      .of(section::retry_policy)
      .add("retry_after", type::seconds, "the least back-off before a retry")
      .by_default("0")
      .add("disable_cooldowns", type::boolean, "nothing cools down")
      .by_default("false")
      .add("polling_interval", type::seconds,
           "first spacing of probes; 0 means the default, as with LiteLLM; nothing else is polled")
      .by_default("0.03")
      .count("default_max_parallel_requests", "of deployments without their own; none: no limit")
      .add("enable_pre_call_checks", type::boolean,
           "passes over deployments whose `max_input_tokens` is below the estimate")
      .by_default("false")
      .add("enable_tag_filtering", type::boolean,
           "a request's `tags` select deployments with a common one, else those tagged `default`")
      .by_default("false");
  add_redis(to);
}

void add_general(std::vector<setting>& into) {
  rows(into, section::general_settings, true)
      .add("master_key", type::secret,
           "key that clients must send; none: `LITELLM_MASTER_KEY`, else `VORRANG_MASTER_KEY`; an "
           "empty one is an error, also in a variable")
      .add("max_request_size_mb", type::number, "largest body; fractions allowed, 0 is an error")
      .from_to(0, 1e6)
      .above_zero()
      .unit("MiB")
      .by_default("64")
      .add("forward_client_headers_to_llm_api", type::boolean, "the client's `x-…` headers go on")
      .by_default("false")
      .add("always_include_stream_usage", type::boolean,
           "streams are asked for their usage, which is withheld from who did not ask; a provider "
           "that refuses is asked once more without, and not given it again")
      .by_default("true")
      .add("dangerously_allow_mock_testing_request_params", type::boolean,
           "`mock_…` fields of a request count")
      .by_default("false")
      .add("sse_keepalive_ping_interval_seconds", type::seconds,
           "see `vorrang_settings.stream_keepalive`")
      .add("keepalive_seconds", type::seconds, "see `vorrang_settings.stream_keepalive`");
}

void add_vorrang(std::vector<setting>& into) {
  rows(into, section::vorrang_settings, false)
      .add("keys", type::text_or_mapping_list,
           "further keys, each alone or with rules; no key may stand twice")
      .of(section::key)
      .add("max_queue_size", type::whole, "waiting requests of a group; 0: grant now or 429")
      .from_to(0, queue_max)
      .by_default("10000")
      .limit("max_queue_bytes", "bodies in an instance, until the first byte of their answers")
      .unit("bytes")
      .by_default("1073741824")
      .priority("min_priority", "lower values are raised to it; none: any")
      .add("drain_timeout", type::seconds, "how long requests may go on after SIGTERM")
      .by_default("30")
      .add(
          "stream_keepalive", type::seconds,
          "a waiting stream's keep-alive, 0 is none and 0.1 the least that has an effect; none: "
          "`sse_keepalive_ping_interval_seconds`, then `keepalive_seconds`, in `litellm_settings`, "
          "then `general_settings`")
      .by_default("15")
      .add("admin_host", type::text,
           "address of the admin port; on any but loopback it wants the master key")
      .by_default("127.0.0.1")
      .add("admin_port", type::whole, "0: no admin port")
      .from_to(0, 65535)
      .by_default("4001")
      .add("metrics_priority_classes", type::numbers,
           "where the classes begin that [metrics](metrics.md) tell priorities apart by; one more "
           "is below the first; at most 10 rising whole numbers, `[]`: all are one")
      .by_default("[0, 10, 100, 1000]")
      .add("redis_unavailable", type::word,
           "while Redis is away: go on with a share of each limit, or let requests wait")
      .one_of("local hold")
      .by_default("local")
      .add("redis_namespace", type::text, "first part of every key in Redis; no blanks and braces")
      .by_default("vorrang")
      .add("strict", type::boolean, "a deployment that cannot be served is an error")
      .by_default("false");
}

void add_small(std::vector<setting>& into) {
  rows(into, section::key, false)
      .add("key", type::secret, "required")
      .add("name", type::text_or_number, "for logs; none: `key` and its number")
      .priority("default_priority", "of requests without `priority`; none: the router's")
      .priority("best_priority", "better ones are lowered to it; none: any may be asked for")
      .add("models", type::texts, "names or patterns of what may be asked for; none: all");
  rows(into, section::alias, true)
      .add("model", type::text, "what it stands for: required")
      .add("hidden", type::boolean, "left out of `/v1/models`")
      .by_default("false");
  rows(into, section::retry_policy, true)
      .count("BadRequestErrorRetries", "of a 400, 413, 422 …; none: never retried")
      .count("AuthenticationErrorRetries",
             "other deployments tried after a 401 or 403; none: all of them")
      .count("TimeoutErrorRetries", "of a 408 or a deployment's `timeout`; none: `num_retries`")
      .count("RateLimitErrorRetries", "of a 429; none: until the deadline")
      .count("ContentPolicyViolationErrorRetries",
             "of a 400 for the content policy; none: as any 400")
      .count("InternalServerErrorRetries", "of a 5xx, or no HTTP answer; none: `num_retries`")
      .count("ServiceUnavailableErrorRetries", "of a 503; none: as any 5xx");
  rows(into, section::allowed_fails_policy, true)
      .count("BadRequestErrorAllowedFails", "no effect, with a warning: never cools")
      .count("AuthenticationErrorAllowedFails", "401s and 403s; none: the first one cools")
      .count("TimeoutErrorAllowedFails", "none: `allowed_fails`")
      .count("RateLimitErrorAllowedFails",
             "429s; none: the first one cools; a `Retry-After` always does")
      .count("ContentPolicyViolationErrorAllowedFails", "no effect, with a warning: never cools")
      .count("InternalServerErrorAllowedFails", "none: `allowed_fails`")
      .count("ServiceUnavailableErrorAllowedFails", "503s; none: as any 5xx");
}

} // namespace

std::vector<setting> supported_settings() {
  std::vector<setting> made;
  add_top(made);
  add_model(made);
  rows params(made, section::litellm_params, true);
  add_upstream(params);
  add_choice(params);
  add_times_and_failures(params);
  add_body_and_mocks(params);
  add_model_info(made);
  add_router(made);
  add_litellm(made);
  add_general(made);
  add_vorrang(made);
  add_small(made);
  return made;
}

} // namespace vorrang::config
