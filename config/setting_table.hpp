// Every setting there is: the one list that the reader, its warnings, the reference in
// docs/configuration.md and the schema for editors are made from.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vorrang::config {

/// A mapping in the file, by what its keys mean.
enum class section : std::uint8_t {
  top,
  model, ///< an entry of `model_list`
  litellm_params,
  model_info,
  litellm_settings,
  router_settings,
  general_settings,
  vorrang_settings,
  key,   ///< an entry of `vorrang_settings.keys`
  alias, ///< an entry of `model_group_alias` that is a mapping
  retry_policy,
  allowed_fails_policy,
  environment_variables ///< any name is a key
};

inline constexpr section all_sections[] = {section::top,
                                           section::model,
                                           section::litellm_params,
                                           section::model_info,
                                           section::litellm_settings,
                                           section::router_settings,
                                           section::general_settings,
                                           section::vorrang_settings,
                                           section::key,
                                           section::alias,
                                           section::retry_policy,
                                           section::allowed_fails_policy,
                                           section::environment_variables};

/// The name that the reference and the schema call it by.
std::string_view name_of(section where) noexcept;

enum class setting_type : std::uint8_t {
  text,
  text_or_number, ///< kept as it is written
  secret,         ///< text that no message and no page shows
  secret_or_number,
  word, ///< one of `words`
  boolean,
  boolean_or_file,
  whole,
  number,
  seconds,      ///< whole or not, kept as milliseconds
  texts,        ///< a list of texts, or one text
  numbers,      ///< a list of whole numbers
  values,       ///< a mapping of names to texts or numbers
  anything,     ///< a mapping that is passed on as it is
  mapping,      ///< of the keys of `inner`
  mapping_list, ///< a list of such mappings
  text_or_mapping_list,
  fallbacks, ///< `[{name: [name, …]}, …]`
  aliases,   ///< `{name: name}` or `{name: {…}}` with the keys of `inner`
  policies,  ///< `{name: {…}}` with the keys of `inner`
  addresses  ///< `[[host, port], …]`
};

enum class setting_state : std::uint8_t {
  supported,
  unsupported ///< LiteLLM has it; here it is a warning and has no effect
};

/// One key of one section.
struct setting {
  section where = section::top;
  std::string_view key;
  setting_type type = setting_type::text;
  /// As it would be written in the file; empty: none, and what that means stands in `meaning`.
  std::string_view default_value;
  double least = 0; ///< of whole, number and seconds, and so is `most`
  double most = 0;
  bool above_least = false; ///< `least` itself is refused
  std::string_view unit;    ///< "s", "MiB" …; empty: none
  std::string_view words;   ///< of a word: those that are accepted, between blanks
  section inner = section::top;
  bool is_litellms = true; ///< else Vorrang's own
  setting_state state = setting_state::supported;
  /// A sentence of Markdown, without its full stop. Of an unsupported one: why, or what to do
  /// instead.
  std::string_view meaning;
};

/// Those of a section, the supported ones first, each in the order of the reference.
const std::vector<setting>& settings_of(section where);
/// The row of a key, or nullptr.
const setting* find_setting(section where, std::string_view key);

/// A family of unsupported keys in `litellm_params`, by what their names begin with or hold.
struct setting_family {
  std::string_view part;
  bool begins = true; ///< else it may stand anywhere in the name
  std::string_view meaning;
};
const std::vector<setting_family>& unsupported_families();

/// Why a key of LiteLLM's has no effect here: from its row, or its family in `litellm_params`.
std::optional<std::string_view> why_unsupported(section where, std::string_view key);

/// Whether an OpenAI or Anthropic request has a field of this name.
bool is_body_field(std::string_view key);

/// Seconds in a configuration are at most 30 days.
inline constexpr double seconds_max = 30.0 * 24 * 3600;
inline constexpr double limit_max = 1e15; ///< of rpm, tpm and sizes
inline constexpr double count_max = 1e6;
inline constexpr double queue_max = 1e9; ///< of `max_queue_size`

} // namespace vorrang::config
