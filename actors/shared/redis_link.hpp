// The link to Redis: every instance has one, for all of its groups.
#pragma once

#include "actors/settings.hpp"
#include "actors/shared/line_link.hpp"

#include <memory>

namespace vorrang {

/// Two connections (calls; what is published) on a thread of its own, and one more for each further
/// server of a cluster. Calls that have gathered go out together; see line_program for what a
/// server is told that does not know the line's function, and redis_node for lost connections, and
/// for answers that do not come.
class redis_link final : public line_link {
public:
  /// Told of what an operator wants to know: connected, lost and why. On the link's thread.
  using reporter = std::function<void(bool up, const std::string& what)>;

  redis_link(redis_settings settings, reporter report);
  /// Calls that are out are not answered any more, but may still reach a server that answers: it is
  /// waited for, for half a second at most.
  ~redis_link() override;

  void call(line_call what, std::function<void(line_answer)> then) override;
  void listen(const std::string& channel, std::function<void(std::string)> heard) override;
  bool is_up() const override;
  void on_up(std::function<void()> up) override;
  const link_counts* counts() const override;

private:
  class worker;
  std::unique_ptr<worker> worker_;
};

} // namespace vorrang
