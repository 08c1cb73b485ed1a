// The closest known word.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vorrang::config {

/// How many characters must be inserted, left out, replaced or swapped with their neighbour to
/// make `b` of `a`. Stops counting above `distance_max` and returns distance_max + 1.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t distance_max);

/// The closest of `words` that is near enough to be meant: within a third of the length of
/// `word`, at most 3. The first of several equally close ones.
std::optional<std::string> closest(std::string_view word,
                                   const std::vector<std::string_view>& words);

/// ``; did you mean `x`?`` or an empty string.
std::string suggestion(std::string_view word, const std::vector<std::string_view>& words);

} // namespace vorrang::config
