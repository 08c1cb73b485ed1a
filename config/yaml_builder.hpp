// One reading of a YAML text by yaml-cpp's events.
#pragma once

#include "config/yaml_tree.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vorrang::config {

/// What ended the reading.
struct syntax_error {
  position at;
  std::string message;
};

/// Builds the tree of a text; `lines` are its lines. Findings that do not end the reading go to
/// `out`. On a syntax error the result is nullptr and `failure` is set.
node_ptr build_tree(const std::string& text, const std::vector<std::string>& lines,
                    std::uint32_t file, diagnostics& out, std::optional<syntax_error>& failure);

} // namespace vorrang::config
