// The way to the server that keeps a shared line.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace vorrang {

struct link_counts;

/// A call of line.lua: KEYS[1] and ARGV, as the head of the script explains them.
struct line_call {
  std::string key;
  std::vector<std::string> arguments;
  /// How often a server has sent it on to another; the link's own.
  unsigned moves = 0;
};

/// What came back: the script's reply, or why there is none.
struct line_answer {
  bool came = false;
  std::string text;
};

/// Callbacks run on a thread of the link's own and must not block. Each call is answered once, also
/// when the server is away; one that was not answered may have been carried out.
class line_link {
public:
  virtual ~line_link() = default;
  virtual void call(line_call what, std::function<void(line_answer)> then) = 0;
  /// Hears everything that is published on a channel from now on.
  virtual void listen(const std::string& channel, std::function<void(std::string)> heard) = 0;
  /// False while the server is away.
  virtual bool is_up() const = 0;
  /// Told each time the server can be called, or listened to, (again).
  virtual void on_up(std::function<void()> up) = 0;
  /// For metrics; null: nothing is counted. Any thread may read it while the link lives.
  virtual const link_counts* counts() const { return nullptr; }
};

} // namespace vorrang
