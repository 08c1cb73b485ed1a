// The one table of providers: where they are, which variables they take, what they speak.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vorrang::config {

/// How a deployment's key travels.
enum class key_style : std::uint8_t {
  bearer = 0,   ///< `Authorization: Bearer …`
  api_key = 1,  ///< `api-key: …` (azure)
  x_api_key = 2 ///< `x-api-key: …` (anthropic)
};

/// A provider whose API is OpenAI's, or near enough. The views point to static text.
struct provider {
  std::string_view name;
  std::string_view default_base;  ///< empty: the deployment must say `api_base`
  std::string_view key_variables; ///< separated by spaces, the first that is set counts
  std::string_view base_variables;
  key_style keys = key_style::bearer;
  bool appends_v1 = false;           ///< `/v1` is added to a base that lacks it
  bool needs_key = true;             ///< without one a warning is due
  bool speaks_messages = false;      ///< `/v1/messages` natively
  bool speaks_responses = false;     ///< `/v1/responses`
  bool takes_stream_options = false; ///< `stream_options.include_usage` may be added
};

/// The provider of this name, or nullptr.
const provider* find_provider(std::string_view name);
/// All names, in the order of the table.
std::vector<std::string_view> provider_names();
/// Whether LiteLLM has this provider and Vorrang has not.
bool is_foreign_provider(std::string_view name);
/// The provider that a name without prefix means ("gpt-4o" is openai), or nullptr.
const provider* provider_of_bare_name(std::string_view model);

/// `azure` where neither `api_version` nor AZURE_API_VERSION says otherwise.
inline constexpr std::string_view azure_api_version = "2025-02-01-preview";

} // namespace vorrang::config
