// What an operator is told of deployments: that one cools down, that it is back, and that instances
// have different limits for them.
#pragma once

#include "actors/snapshot.hpp"
#include "http/log_text.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace vorrang::http {

struct deployment_event {
  log_level level = log_level::info;
  std::string group;
  std::string deployment; ///< empty: of the whole group
  std::string text;
  std::uint16_t status = 0;     ///< of the failure; 0: no HTTP answer
  std::int64_t cooldown_ms = 0; ///< until its end
};

/// Compares what the queues look like with how they looked before. Passive.
class deployment_watch {
public:
  /// `views` about once a second; of groups that are missing nothing is said.
  std::vector<deployment_event> look(const std::vector<queue_view>& views);

private:
  struct seen {
    bool cooling = false;
    std::uint64_t cooldowns = 0;
  };
  std::map<std::pair<std::string, std::string>, seen> deployments_;
  struct seen_group {
    bool all_cooling = false;
    bool limits_differ = false;
  };
  std::map<std::string, seen_group> groups_;
};

} // namespace vorrang::http
