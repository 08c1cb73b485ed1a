// Looking at YAML as lines of text: what a parser's error does not say.
#pragma once

#include "config/diagnostic.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {

/// A line such as `redis_host; os.environ/X` or `timeout = 5`, where a colon belongs.
struct missing_colon {
  std::uint32_t line = 0;   ///< from 1
  std::uint32_t column = 0; ///< of the key, from 1
  std::string key;
  std::string found;  ///< what stands in the colon's place: ";", "=", or empty
  std::string repair; ///< the whole line with its colon
};

/// A text cut into lines, without their ends.
std::vector<std::string> split_lines(std::string_view text);

/// Whether this line is a key and a value with something else where the colon belongs.
std::optional<missing_colon> find_missing_colon(const std::string& line, std::uint32_t number);

/// The line at fault for a parser's error at `line` (from 1): the last one before it, or itself,
/// that lacks its colon. A parser notices only at the next colon, up to `reach` lines later.
std::optional<missing_colon> find_missing_colon_before(const std::vector<std::string>& lines,
                                                       std::uint32_t line,
                                                       std::uint32_t reach = 50);

/// Why these bytes are no YAML text (not UTF-8, a control character), and where; or nothing.
struct bad_character {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string message;
};
std::optional<bad_character> find_bad_character(std::string_view text);

} // namespace vorrang::config
