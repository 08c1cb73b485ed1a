#include "config/known_keys.hpp"

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

bool contains(const std::vector<std::string_view>& all, std::string_view key) {
  return std::find(all.begin(), all.end(), key) != all.end();
}

const std::vector<std::string_view> none;

const std::vector<std::string_view> top_keys = words(
    "callback_settings guardrails mcp_servers mcp_tools vector_store_registry credential_list "
    "prompts search_tools agent_list finetune_settings files_settings assistant_settings "
    "default_vertex_config worker_config secret_manager_settings policies policy_attachments");

const std::vector<std::string_view> params_keys = words(
    "itpm otpm tpd rpd daily_reset_time region_name azure_ad_token azure_ad_token_provider "
    "tenant_id client_id client_secret azure_scope azure_username azure_password "
    "timeout_by_service_tier stream_timeout_by_service_tier configurable_clientside_auth_params "
    "litellm_credential_name provider_affinity_header litellm_trace_id max_file_size_mb "
    "default_api_key_tpm_limit default_api_key_rpm_limit max_budget budget_duration "
    "allow_client_keepalive_override use_in_pass_through use_litellm_proxy "
    "use_chat_completions_api use_xai_oauth fireworks_forward_user_id "
    "merge_reasoning_content_in_choices tag_regex vector_store_id allowed_openai_params "
    "model_info mock_tool_calls mock_testing_fallbacks mock_testing_context_fallbacks "
    "mock_testing_content_policy_fallbacks mock_testing_rate_limit_error cache caching "
    "cache_params guardrails fallbacks context_window_fallbacks content_policy_fallbacks "
    "disable_fallbacks model_list no-log no_log ttl litellm_metadata metadata prompt_id "
    "prompt_variables initial_prompt_value roles final_prompt_value bos_token eos_token "
    "hf_model_name ensure_alternating_roles supports_system_message user_continue_message "
    "assistant_continue_message input_cost_per_second output_cost_per_second base_model "
    "api_type deployment_id logger_fn verbose preset_cache_key responses_api_version "
    "turn_off_message_logging sagemaker_base_url client http_client shared_session "
    "provider_specific_header allowed_model_region ssl_key");

const std::vector<std::string_view> litellm_keys = words(
    "success_callback failure_callback callbacks service_callbacks turn_off_message_logging "
    "redact_user_api_key_info langfuse_default_tags modify_params enable_preview_features "
    "mcp_aliases cache cache_params disable_end_user_cost_tracking "
    "disable_end_user_cost_tracking_prometheus_only key_generation_settings "
    "disable_add_transform_inline_image_block disable_hf_tokenizer_download "
    "enable_json_schema_validation force_ipv4 network_mock priority_reservation "
    "priority_reservation_settings default_internal_user_params default_team_params "
    "default_team_settings upperbound_key_generate_params default_key_generate_params "
    "max_internal_user_budget internal_user_budget_duration max_budget budget_duration "
    "default_max_internal_user_budget default_internal_user_budget_duration max_end_user_budget "
    "model_group_settings guardrails telemetry drop_unsupported_params s3_callback_params "
    "datadog_params datadog_llm_observability_params gcs_bucket_name credential_list "
    "custom_provider_map public_model_groups public_model_groups_links credentials "
    "content_policy_fallback_models prometheus_metrics_config "
    "custom_prometheus_metadata_labels custom_prometheus_tags require_auth_for_metrics_endpoint "
    "prometheus_initialize_budget_metrics enable_loadbalancing_on_batch_endpoints "
    "forward_traceparent_to_llm_provider store_audit_logs add_function_to_prompt "
    "banned_keywords_list blocked_user_list post_call_rules use_litellm_proxy api_base api_key "
    "api_version organization token headers add_user_information_to_llm_headers "
    "max_tokens aclient_session client_session default_redis_batch_cache_expiry "
    "default_redis_ttl default_in_memory_ttl cost_discount_config cost_margin_config "
    "model_cost_map_url suppress_debug_info log_raw_request_response");

const std::vector<std::string_view> router_keys = words(
    "assistants_config search_tools guardrail_list cache_responses cache_kwargs caching_groups "
    "client_ttl default_litellm_params debug_level set_verbose routing_strategy_args "
    "provider_budget_config alerting_config optional_pre_call_checks "
    "ignore_invalid_deployments router_general_settings deployment_affinity_ttl_seconds "
    "model_group_affinity_config routing_groups tag_filtering_match_any tag_routing_prefix "
    "weights fallback_on_unsupported_params enable_health_check_routing "
    "health_check_staleness_threshold enable_weighted_failover redis_cluster redis_startup_nodes");

const std::vector<std::string_view> general_keys = words(
    "completion_model embedding_model image_generation_model moderation_model "
    "disable_spend_logs disable_spend_updates disable_master_key_return "
    "disable_retry_on_max_parallel_request_limit_error disable_reset_budget "
    "disable_adding_master_key_hash_to_db disable_responses_id_security enable_jwt_auth "
    "enforce_user_param reject_clientside_metadata_tags allowed_routes key_management_system "
    "key_management_settings database_url database_connection_pool_limit "
    "database_connection_timeout database_type database_args allow_requests_on_db_unavailable "
    "custom_auth max_parallel_requests global_max_parallel_requests infer_model_from_keys "
    "background_health_checks health_check_interval health_check_details health_check_concurrency "
    "alerting alerting_threshold alerting_args alert_types alert_to_webhook_url "
    "use_client_credentials_pass_through_routes public_routes admin_only_routes enforced_params "
    "enable_oauth2_auth use_x_forwarded_for service_account_settings store_model_in_db "
    "supported_db_objects user_mcp_management_mode store_prompts_in_spend_logs "
    "max_response_size_mb proxy_budget_rescheduler_min_time proxy_budget_rescheduler_max_time "
    "proxy_batch_write_at proxy_batch_polling_interval custom_key_generate custom_key_update "
    "allowed_ips default_team_disabled allow_user_auth user_api_key_cache_ttl "
    "user_api_key_cache_max_size disable_prisma_schema_update litellm_key_header_name custom_sso "
    "allow_client_side_credentials use_azure_key_vault use_google_kms spend_report_frequency "
    "ui_access_mode litellm_jwtauth litellm_license oauth2_config_mappings "
    "pass_through_endpoints enable_oauth2_proxy_auth forward_openai_org_id "
    "maximum_spend_logs_retention_period maximum_spend_logs_retention_interval "
    "coordination_redis cancel_on_disconnect max_in_flight_requests_per_worker "
    "max_queued_requests_per_worker admission_queue_timeout_seconds plugins "
    "dangerously_permit_weak_or_unset_master_key control_plane_url pass_through_request_timeout "
    "user_header_name user_header_mappings enable_public_model_hub model_list_healthy_only "
    "return_wildcard_routes mcp_internal_ip_ranges trusted_proxy_ranges otel "
    "maximum_spend_logs_size proxy_config_reload_interval_seconds");

const std::vector<std::string_view> body_fields = words(
    "audio dimensions encoding_format frequency_penalty function_call functions language "
    "logit_bias "
    "logprobs max_completion_tokens max_tokens modalities n parallel_tool_calls prediction "
    "presence_penalty prompt_cache_key prompt_cache_retention reasoning reasoning_effort "
    "response_format safety_identifier seed service_tier stop stop_sequences store stream "
    "stream_options suffix system temperature text thinking tool_choice tools top_k top_logprobs "
    "top_p truncation user verbosity web_search_options min_p repetition_penalty best_of echo "
    "input_type instructions include max_output_tokens chat_template_kwargs guided_json");

bool has_unsupported_prefix(std::string_view key) {
  static const std::vector<std::string_view> prefixes =
      words("aws_ vertex_ s3_ watsonx_ langfuse_ langsmith_ arize_ posthog_ auto_router_ "
            "complexity_router_ adaptive_router_ quality_router_ milvus_ valkey_ humanloop_ gcs_ "
            "litellm_ anthropic_federation_ anthropic_issuer_ token_exchange_");
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view each) { return key.substr(0, each.size()) == each; });
}

} // namespace

const std::vector<std::string_view>& unsupported_keys(section where) {
  switch (where) {
  case section::top:
    return top_keys;
  case section::litellm_params:
    return params_keys;
  case section::litellm_settings:
    return litellm_keys;
  case section::router_settings:
    return router_keys;
  case section::general_settings:
    return general_keys;
  default:
    return none;
  }
}

bool is_unsupported(section where, std::string_view key) {
  if (contains(unsupported_keys(where), key)) {
    return true;
  }
  return where == section::litellm_params &&
         (has_unsupported_prefix(key) || key.find("_cost_per_") != std::string_view::npos ||
          key.find("_token_cost") != std::string_view::npos);
}

std::string_view unsupported_hint(section where, std::string_view key) {
  if (where == section::general_settings) {
    if (key == "database_url" || key == "store_model_in_db") {
      return "virtual keys do not work; list keys under `vorrang_settings.keys`";
    }
    if (key == "max_parallel_requests" || key == "global_max_parallel_requests") {
      return "set `max_parallel_requests` for each deployment, or "
             "`router_settings.default_max_parallel_requests`";
    }
    if (key == "custom_auth" || key == "enable_jwt_auth" || key == "enable_oauth2_auth") {
      return "only `master_key` and `vorrang_settings.keys` let requests in";
    }
    if (key == "allowed_ips") {
      return "every address is let in; bind with --host or use a firewall";
    }
  }
  if (where == section::litellm_settings && (key == "cache" || key == "cache_params")) {
    return "answers are not cached; the shared queue's Redis is set in `router_settings`";
  }
  if (where == section::router_settings && key == "default_litellm_params") {
    return "write them into each `litellm_params`";
  }
  if (where == section::litellm_params && key == "litellm_credential_name") {
    return "write `api_key` and `api_base` into `litellm_params`";
  }
  if (where == section::top && key == "guardrails") {
    return "requests are passed on unchecked";
  }
  return {};
}

bool is_body_field(std::string_view key) {
  return contains(body_fields, key);
}

} // namespace vorrang::config
