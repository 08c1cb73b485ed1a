// What the gateway tells about its models and itself, as JSON. Never a secret.
#pragma once

#include "config/settings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// The shape of a models page.
enum class models_form : std::uint8_t { openai, anthropic };

/// One entry for each group and visible alias that `key` may use (null: all); patterns as written.
std::string models_page(const config::settings& all, models_form form, std::int64_t created_s,
                        const config::client_key* key = nullptr);
/// One entry of it, for any name that resolves; nothing for others.
std::optional<std::string> model_page(const config::settings& all, std::string_view id,
                                      models_form form, std::int64_t created_s,
                                      const config::client_key* key = nullptr);
/// An entry for each deployment: `model_name`, `litellm_params` without secrets, `model_info`.
std::string model_info_page(const config::settings& all, const config::client_key* key = nullptr);
/// An entry for each group: its limits summed up, its providers and mode.
std::string model_group_info_page(const config::settings& all,
                                  const config::client_key* key = nullptr);

/// `"I'm alive!"`, as LiteLLM says it.
std::string liveliness_page();
/// `{"status":"healthy", …}`, or `unhealthy` with the reason.
std::string readiness_page(bool ready, std::string_view reason, std::string_view version);

} // namespace vorrang::http
