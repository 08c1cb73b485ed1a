// The engine as all viewers of the live page see it: looked at once for all of them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace vorrang::http {

/// What was seen at one moment: a text for each model that somebody looks at.
struct live_moment {
  std::uint64_t number = 0; ///< rises by 1
  std::map<std::string, std::string> texts;
};

/// Has a look taken once a second on a thread of its own while somebody views, and none while
/// nobody does. Any thread.
class live_feed {
public:
  static constexpr std::chrono::milliseconds period{1000};
  /// Between two looks, however many viewers come and whatever they change.
  static constexpr std::chrono::milliseconds spacing{200};
  /// Each viewer's connection holds a thread.
  static constexpr std::size_t viewers_max = 8;

  using look = std::function<std::map<std::string, std::string>(const std::set<std::string>&)>;

  /// `take` is called on the feed's thread with the models that are viewed; may take a while.
  explicit live_feed(look take);
  /// Ends.
  ~live_feed();
  live_feed(const live_feed&) = delete;
  live_feed& operator=(const live_feed&) = delete;

  /// Somebody who looks at one model; goes away with the object, which must not outlive the feed.
  class viewer {
  public:
    viewer(live_feed& feed, std::string model) : feed_(feed), model_(std::move(model)) {}
    ~viewer();
    viewer(const viewer&) = delete;
    viewer& operator=(const viewer&) = delete;

    /// Waits for what has not been told to it yet. Empty: the feed has ended, or nothing came in
    /// three periods.
    std::string next();

  private:
    live_feed& feed_;
    std::string model_;
    std::uint64_t seen_ = 0;
  };

  /// Null: there are viewers_max already, or the feed has ended.
  std::unique_ptr<viewer> join(const std::string& model);

  /// Something was changed by hand: look soon.
  void hurry();

  /// No more looks; who waits is told. The thread is gone when this returns.
  void end();
  bool has_ended() const;
  std::size_t viewers_count() const;
  std::uint64_t looks_count() const;

private:
  void run();

  look take_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::multiset<std::string> viewed_;
  std::shared_ptr<const live_moment> last_;
  std::uint64_t looks_ = 0;
  bool hurries_ = false;
  bool ended_ = false;
  std::thread thread_;
};

} // namespace vorrang::http
