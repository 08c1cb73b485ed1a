#include "config/spelling.hpp"

#include <algorithm>

namespace vorrang::config {

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t distance_max) {
  const std::size_t difference = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (difference > distance_max) {
    return distance_max + 1;
  }
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::vector<std::size_t> next(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    std::size_t least = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        next[j] = std::min(next[j], before[j - 2] + 1);
      }
      least = std::min(least, next[j]);
    }
    if (least > distance_max + 1) {
      return distance_max + 1;
    }
    std::swap(before, row);
    std::swap(row, next);
  }
  return std::min(row[b.size()], distance_max + 1);
}

std::optional<std::string> closest(std::string_view word,
                                   const std::vector<std::string_view>& words) {
  constexpr std::size_t length_max = 100;
  if (word.size() > length_max) {
    return std::nullopt;
  }
  std::size_t best = std::min<std::size_t>(3, std::max<std::size_t>(1, word.size() / 3)) + 1;
  std::optional<std::string> found;
  for (const auto each : words) {
    const auto distance = edit_distance(word, each, best - 1);
    if (distance < best) {
      best = distance;
      found = std::string(each);
    }
  }
  return found;
}

std::string suggestion(std::string_view word, const std::vector<std::string_view>& words) {
  const auto found = closest(word, words);
  return found ? "; did you mean `" + *found + "`?" : std::string();
}

} // namespace vorrang::config
