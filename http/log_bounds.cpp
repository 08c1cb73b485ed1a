#include "http/log_bounds.hpp"

namespace vorrang::http {

std::optional<std::uint64_t> log_bounds::take(log_cause cause, std::string_view subject,
                                              std::string_view text, time_point now,
                                              log_level level) {
  std::pair<log_cause, std::string> key(cause, subject);
  auto found = places_.find(key);
  if (found == places_.end()) {
    if (places_.size() >= subjects_max)
      key.second.clear();
    const auto [made, is_new] = places_.try_emplace(std::move(key));
    if (is_new) {
      made->second.since = now;
      made->second.text = text;
      made->second.level = level;
      return 0;
    }
    found = made;
  }
  place& own = found->second;
  if (now - own.since < period) {
    ++own.left_out;
    return std::nullopt;
  }
  own.since = now;
  own.text = text;
  own.level = level;
  return std::exchange(own.left_out, 0);
}

std::vector<log_bounds::repeated> log_bounds::due(time_point now) {
  std::vector<repeated> found;
  for (auto each = places_.begin(); each != places_.end();) {
    place& own = each->second;
    if (now - own.since < period) {
      ++each;
      continue;
    }
    if (own.left_out == 0) {
      each = places_.erase(each);
      continue;
    }
    found.push_back({own.level, own.text, std::exchange(own.left_out, 0)});
    own.since = now; // who goes on is told of once in a period
    ++each;
  }
  return found;
}

} // namespace vorrang::http
