// The reader's parts, one for each section. Internal to config/.
#pragma once

#include "config/diagnostic.hpp"
#include "config/environment.hpp"
#include "config/fields.hpp"
#include "config/settings.hpp"
#include "config/yaml_tree.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vorrang::config {

/// Limits on `include`.
inline constexpr std::size_t include_depth_max = 8;
inline constexpr std::size_t include_files_max = 64;

/// What a fallback key says, before the names are looked up.
struct fallback_rule {
  std::string from; ///< a group, or "*"
  std::vector<std::string> to;
  position at;
  std::string path;
};

/// What the sections hand to each other.
struct reading {
  config::settings all;
  diagnostics found;
  environment variables; ///< with `environment_variables` before them

  // From litellm_settings and router_settings.
  bool drop_params = false;
  bool ssl_verify = true;
  std::string ssl_ca_file;
  std::string ssl_certificate;
  std::uint32_t max_fallbacks = fallbacks_max;
  std::vector<fallback_rule> fallbacks;
  std::vector<fallback_rule> context_window_fallbacks;
  std::vector<fallback_rule> content_policy_fallbacks;
  std::optional<fallback_rule> default_fallbacks;
  std::vector<std::pair<mapping_entry, failure_policy>> group_retry_policies;
  std::string group_retry_policy_path;

  // From the sections, for read_names().
  std::vector<const node*> alias_maps; ///< the one that counts first
  std::vector<std::string> alias_paths;
  std::vector<position> key_positions; ///< of `vorrang_settings.keys`
};

/// Parses a file's text and merges what it includes; nullptr after an error.
node_ptr load_text(const std::string& text, const std::string& name, reading& to);
/// The same from a file.
node_ptr load_file(const std::string& path, reading& to);

/// Reads `environment_variables` into `to.all.environment` and puts them before `to.variables`,
/// then replaces every `os.environ/NAME` in the tree.
void read_environment(node& root, reading& to);

/// `general_settings`, `vorrang_settings`, and the keys of the environment.
void read_gateway(const node* general, const node* own, const node* litellm, reading& to);
/// `router_settings` and `litellm_settings`.
void read_router(const node* router, const node* litellm, reading& to);
/// `model_list`.
void read_models(const node* list, const position& at, reading& to);
/// Aliases, fallbacks, policies for groups, models of keys: what refers to groups by name.
void read_names(reading& to);

/// `retry_policy` or `allowed_fails_policy`; `suffix` is "Retries" or "AllowedFails".
failure_policy read_failure_policy(const node* map, const std::string& path,
                                   const std::string& suffix, diagnostics& out);
/// `ssl_verify`: true, false, or a file of certificates to trust.
void read_ssl_verify(fields& from, bool& verify, std::string& ca_file);

} // namespace vorrang::config
