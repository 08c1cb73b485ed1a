// LiteLLM's keys that Vorrang knows of and does not support.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace vorrang::config {

enum class section : std::uint8_t {
  top,
  model,
  litellm_params,
  model_info,
  litellm_settings,
  router_settings,
  general_settings,
  vorrang_settings,
  other ///< small mappings: only the keys that are read are known
};

/// LiteLLM's keys of this section that have no effect in Vorrang.
const std::vector<std::string_view>& unsupported_keys(section where);
/// Whether it is one of them, or of a family of them (`aws_…`, `…_cost_per_token`).
bool is_unsupported(section where, std::string_view key);
/// What to do instead, as the end of a sentence; empty for most.
std::string_view unsupported_hint(section where, std::string_view key);
/// Whether an OpenAI or Anthropic request has a field of this name.
bool is_body_field(std::string_view key);

} // namespace vorrang::config
