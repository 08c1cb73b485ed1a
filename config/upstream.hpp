// From what a deployment says to where its requests go.
#pragma once

#include "config/environment.hpp"
#include "config/providers.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace vorrang::config {

/// A model's provider and its name there, or why there is none.
struct placed_model {
  const provider* at = nullptr;
  std::string upstream_model;
  std::string unsupported; ///< a sentence; empty if `at` is set
};

/// `openai/gpt-4o`, a bare name, or with `custom_provider` any name. A bare name is its
/// provider's if one is known by it, else openai's if `has_base` or `is_mock`.
placed_model place_model(std::string_view model, std::string_view custom_provider, bool has_base,
                         bool is_mock);

/// The URL without trailing `/`, with `/v1` where the provider wants it; or nothing, and then
/// `problem` says what was expected. Takes azure's `?api-version=` off into `api_version`.
std::optional<std::string> normalise_base(std::string_view url, const provider& at,
                                          std::string& api_version, std::string& problem);

/// The first of the variables (names separated by spaces) that is set and not empty.
std::optional<std::string> first_variable(std::string_view names, const environment& variables);

/// Whether a header of this name and value may be sent: a token, no control characters, and none
/// that belongs to the connection or to the body.
bool is_sendable_header(std::string_view name, std::string_view value);

} // namespace vorrang::config
