// LiteLLM's keys that have no effect in Vorrang, by the reason.
#include "config/setting_rows.hpp"

#include <algorithm>

namespace vorrang::config {

namespace {

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const auto end = text.find(' ');
    if (end != 0) {
      out.push_back(text.substr(0, end));
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

struct refusal {
  section where;
  std::string_view why; ///< the end of a sentence
  std::string_view keys;
};

constexpr refusal refusals[] = {
    {section::top, "no callbacks and no logging services are called; see `/metrics`",
     "callback_settings"},
    {section::top, "requests are passed on unchecked", "guardrails policies policy_attachments"},
    {section::top, "only the paths of the data port are served",
     "mcp_servers mcp_tools vector_store_registry search_tools agent_list "
     "finetune_settings files_settings assistant_settings worker_config"},
    {section::top, "write `api_key` and `api_base` into `litellm_params`", "credential_list"},
    {section::top, "prompts are passed on as they are", "prompts"},
    {section::top, "there is no provider for it", "default_vertex_config"},
    {section::top, "values come from the file and from variables (`os.environ/NAME`)",
     "secret_manager_settings"},
    {section::litellm_params, "limits are `rpm` and `tpm`", "itpm otpm tpd rpd daily_reset_time"},
    {section::litellm_params, "write an `api_key`: no tokens are fetched",
     "azure_ad_token azure_ad_token_provider tenant_id client_id "
     "client_secret azure_scope azure_username azure_password use_xai_oauth"},
    {section::litellm_params, "write `timeout` and `stream_timeout`",
     "timeout_by_service_tier stream_timeout_by_service_tier"},
    {section::litellm_params, "a request with a key or an address of its own is refused",
     "configurable_clientside_auth_params allow_client_keepalive_override"},
    {section::litellm_params, "write `api_key` and `api_base` into `litellm_params`",
     "litellm_credential_name"},
    {section::litellm_params, "each attempt is routed by itself",
     "provider_affinity_header region_name allowed_model_region tag_regex"},
    {section::litellm_params, "no callbacks and no logging services are called; see `/metrics`",
     "litellm_trace_id no-log no_log litellm_metadata metadata "
     "turn_off_message_logging logger_fn"},
    {section::litellm_params,
     "there are no users, teams and virtual keys; list keys under `vorrang_settings.keys`",
     "default_api_key_tpm_limit default_api_key_rpm_limit"},
    {section::litellm_params, "prices and budgets are not kept",
     "max_budget budget_duration input_cost_per_second output_cost_per_second "
     "base_model"},
    {section::litellm_params,
     "answers are not cached; the shared queue's Redis is set in `router_settings`",
     "cache caching cache_params ttl preset_cache_key"},
    {section::litellm_params, "requests are passed on unchecked", "guardrails"},
    {section::litellm_params, "write it into `router_settings`, for the group",
     "fallbacks context_window_fallbacks content_policy_fallbacks "
     "disable_fallbacks model_list"},
    {section::litellm_params, "prompts are passed on as they are",
     "prompt_id prompt_variables initial_prompt_value roles "
     "final_prompt_value bos_token eos_token hf_model_name "
     "ensure_alternating_roles supports_system_message user_continue_message "
     "assistant_continue_message"},
    {section::litellm_params, "write `mock_response: litellm.RateLimitError` and the like instead",
     "mock_tool_calls mock_testing_fallbacks mock_testing_context_fallbacks "
     "mock_testing_content_policy_fallbacks mock_testing_rate_limit_error"},
    {section::litellm_params, "write `model_info` beside `litellm_params`", "model_info"},
    {section::litellm_params, "nothing is translated or added to a request or an answer",
     "merge_reasoning_content_in_choices allowed_openai_params "
     "use_chat_completions_api fireworks_forward_user_id "
     "api_type deployment_id responses_api_version"},
    {section::litellm_params, "only the paths of the data port are served",
     "max_file_size_mb use_in_pass_through use_litellm_proxy vector_store_id"},
    {section::litellm_params, "see `--log-level`", "verbose"},
    {section::litellm_params, "there is no provider for it", "sagemaker_base_url"},
    {section::litellm_params, "it is about how LiteLLM itself runs",
     "client http_client shared_session"},
    {section::litellm_params, "write the key into the file of `ssl_certificate`", "ssl_key"},
    {section::litellm_settings, "no callbacks and no logging services are called; see `/metrics`",
     "success_callback failure_callback callbacks service_callbacks "
     "turn_off_message_logging redact_user_api_key_info langfuse_default_tags "
     "s3_callback_params datadog_params datadog_llm_observability_params "
     "gcs_bucket_name post_call_rules prometheus_metrics_config "
     "custom_prometheus_metadata_labels custom_prometheus_tags "
     "require_auth_for_metrics_endpoint prometheus_initialize_budget_metrics "
     "store_audit_logs log_raw_request_response telemetry"},
    {section::litellm_settings,
     "answers are not cached; the shared queue's Redis is set in `router_settings`",
     "cache cache_params default_redis_batch_cache_expiry default_redis_ttl "
     "default_in_memory_ttl"},
    {section::litellm_settings,
     "there are no users, teams and virtual keys; list keys under `vorrang_settings.keys`",
     "disable_end_user_cost_tracking "
     "disable_end_user_cost_tracking_prometheus_only key_generation_settings "
     "default_internal_user_params default_team_params default_team_settings "
     "upperbound_key_generate_params default_key_generate_params "
     "blocked_user_list public_model_groups public_model_groups_links"},
    {section::litellm_settings, "prices and budgets are not kept",
     "max_internal_user_budget internal_user_budget_duration max_budget "
     "budget_duration default_max_internal_user_budget "
     "default_internal_user_budget_duration max_end_user_budget "
     "cost_discount_config cost_margin_config model_cost_map_url"},
    {section::litellm_settings,
     "priorities are those of the requests and of `vorrang_settings.keys`",
     "priority_reservation priority_reservation_settings"},
    {section::litellm_settings, "requests are passed on unchecked",
     "guardrails banned_keywords_list"},
    {section::litellm_settings, "nothing is translated or added to a request or an answer",
     "modify_params disable_add_transform_inline_image_block "
     "enable_json_schema_validation add_function_to_prompt "
     "add_user_information_to_llm_headers"},
    {section::litellm_settings, "only the paths of the data port are served",
     "mcp_aliases enable_loadbalancing_on_batch_endpoints use_litellm_proxy"},
    {section::litellm_settings, "write `api_key` and `api_base` into `litellm_params`",
     "credential_list credentials api_base api_key api_version organization "
     "token headers"},
    {section::litellm_settings, "write it into `router_settings`, for the group",
     "content_policy_fallback_models"},
    {section::litellm_settings, "it is about how LiteLLM itself runs",
     "enable_preview_features disable_hf_tokenizer_download force_ipv4 "
     "custom_provider_map aclient_session client_session suppress_debug_info"},
    {section::router_settings, "only the paths of the data port are served",
     "assistants_config search_tools"},
    {section::router_settings, "requests are passed on unchecked", "guardrail_list"},
    {section::router_settings,
     "answers are not cached; the shared queue's Redis is set in `router_settings`",
     "cache_responses cache_kwargs caching_groups"},
    {section::router_settings, "write them into each `litellm_params`", "default_litellm_params"},
    {section::router_settings, "see `--log-level`", "debug_level set_verbose"},
    {section::router_settings,
     "deployments are chosen by `routing_strategy`, `order`, `weight` and tags alone",
     "routing_strategy_args routing_groups router_general_settings weights "
     "optional_pre_call_checks enable_weighted_failover "
     "fallback_on_unsupported_params"},
    {section::router_settings, "prices and budgets are not kept", "provider_budget_config"},
    {section::router_settings, "alert rules for Prometheus are in deploy/prometheus",
     "alerting_config"},
    {section::router_settings, "see `vorrang_settings.strict`", "ignore_invalid_deployments"},
    {section::router_settings, "each attempt is routed by itself",
     "deployment_affinity_ttl_seconds model_group_affinity_config"},
    {section::router_settings,
     "a deployment's health is known from its traffic; `/health?probe=true` asks",
     "enable_health_check_routing health_check_staleness_threshold"},
    {section::router_settings, "`redis_host` may be any server of a cluster",
     "redis_cluster redis_startup_nodes"},
    {section::router_settings, "it is about how LiteLLM itself runs", "client_ttl"},
    {section::general_settings, "virtual keys do not work; list keys under `vorrang_settings.keys`",
     "database_url store_model_in_db database_connection_pool_limit "
     "database_connection_timeout database_type database_args "
     "allow_requests_on_db_unavailable disable_prisma_schema_update "
     "supported_db_objects disable_adding_master_key_hash_to_db "
     "disable_reset_budget custom_key_generate custom_key_update "
     "user_api_key_cache_ttl user_api_key_cache_max_size "
     "proxy_budget_rescheduler_min_time proxy_budget_rescheduler_max_time "
     "proxy_batch_write_at proxy_batch_polling_interval default_team_disabled "
     "allow_user_auth user_header_name user_header_mappings "
     "enforce_user_param"},
    {section::general_settings, "prices and budgets are not kept",
     "disable_spend_logs disable_spend_updates spend_report_frequency "
     "store_prompts_in_spend_logs maximum_spend_logs_retention_period "
     "maximum_spend_logs_retention_interval maximum_spend_logs_size"},
    {section::general_settings, "only `master_key` and `vorrang_settings.keys` let requests in",
     "custom_auth enable_jwt_auth enable_oauth2_auth litellm_jwtauth "
     "oauth2_config_mappings enable_oauth2_proxy_auth custom_sso "
     "service_account_settings use_client_credentials_pass_through_routes "
     "dangerously_permit_weak_or_unset_master_key disable_master_key_return"},
    {section::general_settings, "see docs/security.md for the headers that a key may come in",
     "litellm_key_header_name"},
    {section::general_settings, "a request with a key or an address of its own is refused",
     "allow_client_side_credentials"},
    {section::general_settings,
     "set `max_parallel_requests` for each deployment, or "
     "`router_settings.default_max_parallel_requests`",
     "max_parallel_requests global_max_parallel_requests "
     "disable_retry_on_max_parallel_request_limit_error"},
    {section::general_settings, "every address is let in; bind with --host or use a firewall",
     "allowed_ips"},
    {section::general_settings, "values come from the file and from variables (`os.environ/NAME`)",
     "key_management_system key_management_settings use_azure_key_vault "
     "use_google_kms infer_model_from_keys"},
    {section::general_settings, "the paths are fixed",
     "allowed_routes public_routes admin_only_routes pass_through_endpoints "
     "pass_through_request_timeout"},
    {section::general_settings, "nothing is translated or added to a request or an answer",
     "enforced_params reject_clientside_metadata_tags "
     "disable_responses_id_security max_response_size_mb "
     "forward_openai_org_id"},
    {section::general_settings,
     "a deployment's health is known from its traffic; `/health?probe=true` asks",
     "background_health_checks health_check_interval health_check_details "
     "health_check_concurrency model_list_healthy_only"},
    {section::general_settings, "alert rules for Prometheus are in deploy/prometheus",
     "alerting alerting_threshold alerting_args alert_types "
     "alert_to_webhook_url"},
    {section::general_settings, "no callbacks and no logging services are called; see `/metrics`",
     "otel"},
    {section::general_settings, "the client's address decides nothing",
     "use_x_forwarded_for trusted_proxy_ranges mcp_internal_ip_ranges"},
    {section::general_settings, "only the paths of the data port are served",
     "user_mcp_management_mode plugins return_wildcard_routes"},
    {section::general_settings, "there is no user interface for it",
     "ui_access_mode enable_public_model_hub control_plane_url"},
    {section::general_settings, "it is about how LiteLLM itself runs", "litellm_license"},
    {section::general_settings,
     "answers are not cached; the shared queue's Redis is set in `router_settings`",
     "coordination_redis"},
    {section::general_settings, "a client that hangs up is always noticed", "cancel_on_disconnect"},
    {section::general_settings, "see `vorrang_settings.max_queue_size`",
     "max_in_flight_requests_per_worker max_queued_requests_per_worker "
     "admission_queue_timeout_seconds"},
    {section::general_settings, "reload with SIGHUP or `POST /reload`",
     "proxy_config_reload_interval_seconds"},
    {section::general_settings,
     "a client names its model; other names are `router_settings.model_group_alias`",
     "completion_model embedding_model image_generation_model moderation_model"},
    {section::litellm_settings, "`traceparent` and `tracestate` always go on",
     "forward_traceparent_to_llm_provider"},
    {section::litellm_settings, "write it into each `litellm_params`, as a default of the body",
     "max_tokens"},
    {section::litellm_settings, "write `mock_response` into `litellm_params`", "network_mock"},
    {section::litellm_settings, "see `litellm_params.drop_params`", "drop_unsupported_params"},
    {section::litellm_settings, "write what it says into each `litellm_params`",
     "model_group_settings"},
    {section::litellm_params, "see `extra_headers`", "provider_specific_header"},
    {section::router_settings,
     "a request's tags need one in common with the deployment's; patterns of tags are not known",
     "tag_filtering_match_any tag_routing_prefix"},
};

const std::vector<std::string_view> body_fields = words(
    "audio dimensions encoding_format frequency_penalty function_call functions language "
    "logit_bias "
    "logprobs max_completion_tokens max_tokens modalities n parallel_tool_calls prediction "
    "presence_penalty prompt_cache_key prompt_cache_retention reasoning reasoning_effort "
    "response_format safety_identifier seed service_tier stop stop_sequences store stream "
    "stream_options suffix system temperature text thinking tool_choice tools top_k top_logprobs "
    "top_p truncation user verbosity web_search_options min_p repetition_penalty best_of echo "
    "input_type instructions include max_output_tokens chat_template_kwargs guided_json");

} // namespace

std::vector<setting> unsupported_settings() {
  std::vector<setting> made;
  for (const auto& each : refusals) {
    for (const auto key : words(each.keys)) {
      setting row;
      row.where = each.where;
      row.key = key;
      row.state = setting_state::unsupported;
      row.meaning = each.why;
      made.push_back(row);
    }
  }
  return made;
}

const std::vector<setting_family>& unsupported_families() {
  constexpr std::string_view no_provider = "there is no provider for it";
  constexpr std::string_view no_service = "no callbacks and no logging services are called; see "
                                          "`/metrics`";
  constexpr std::string_view no_price = "prices and budgets are not kept";
  static const std::vector<setting_family> made = {
      {"aws_", true, no_provider},
      {"vertex_", true, no_provider},
      {"watsonx_", true, no_provider},
      {"milvus_", true, no_provider},
      {"s3_", true, no_service},
      {"gcs_", true, no_service},
      {"langfuse_", true, no_service},
      {"langsmith_", true, no_service},
      {"arize_", true, no_service},
      {"posthog_", true, no_service},
      {"humanloop_", true, no_service},
      {"auto_router_", true, "a group's deployments are chosen by `routing_strategy` alone"},
      {"complexity_router_", true, "a group's deployments are chosen by `routing_strategy` alone"},
      {"adaptive_router_", true, "a group's deployments are chosen by `routing_strategy` alone"},
      {"quality_router_", true, "a group's deployments are chosen by `routing_strategy` alone"},
      {"valkey_", true, "answers are not cached"},
      {"litellm_", true, "it is about how LiteLLM itself runs"},
      {"anthropic_federation_", true, "write an `api_key`: no tokens are fetched"},
      {"anthropic_issuer_", true, "write an `api_key`: no tokens are fetched"},
      {"token_exchange_", true, "write an `api_key`: no tokens are fetched"},
      {"_cost_per_", false, no_price},
      {"_token_cost", false, no_price}};
  return made;
}

bool is_body_field(std::string_view key) {
  return std::find(body_fields.begin(), body_fields.end(), key) != body_fields.end();
}

} // namespace vorrang::config
