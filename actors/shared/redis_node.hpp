// A lasting connection to a Redis server: made again when it is lost.
#pragma once

#include "actors/shared/redis_connection.hpp"

#include <chrono>
#include <deque>
#include <optional>
#include <random>

namespace vorrang {

/// How long a server may take to answer (spec §6); also to a connection on which nothing is asked.
inline constexpr auto redis_answer_time_max = std::chrono::seconds(2);

/// One server, and commands for it. A command is answered once, in order: by the server, or by why
/// there is no answer (it may have been carried out). One that is not answered within 2 s closes
/// the connection, and with it all others that are out. It comes back at first after 50 ms, then
/// ever later up to 2 s, each time a bit at random. Belongs to the thread that runs its io_context,
/// but that command_at_once() may come from any.
class redis_node {
public:
  using answered = std::function<void(const redisReply*, const std::string& why)>;
  /// Says where the server is now; nothing, and why, if nobody knows.
  using locator =
      std::function<void(std::function<void(std::optional<redis_address>, const std::string&)>)>;
  struct handlers {
    std::function<void()> ready;
    std::function<void(const std::string& why)> lost;
    /// Set: the node only listens, and hears everything that comes.
    std::function<void(const redisReply&)> pushed;
  };

  redis_node(boost::asio::io_context& io, const redis_settings& settings,
             boost::asio::ssl::context* tls, locator where, handlers told);
  ~redis_node();

  void start();
  /// Waits for the first connection, and is refused at once while one is lost.
  void command(const std::vector<std::string>& words, answered then);
  /// The same where it can go out now; else false, and nothing is done. From any thread; answered
  /// on the node's own.
  bool command_at_once(const std::vector<std::string>& words, answered then);
  /// For a listening node.
  void send(const std::vector<std::string>& words);
  /// The server is no good now: it is tried again later.
  void close(const std::string& why);
  /// A lost connection is tried again now.
  void hurry();
  /// For good.
  void end();
  bool is_ready() const noexcept { return connection_ && connection_->is_ready(); }
  const std::string& trouble() const noexcept { return trouble_; }
  /// An answer was of use: the next loss is tried again soon.
  void is_well() noexcept;

private:
  using clock = std::chrono::steady_clock;
  struct asked {
    std::string bytes;
    answered then;
    clock::time_point at;
  };

  void connect();
  void connected();
  void put_out(const std::string& bytes, answered then);
  void replied(const redisReply& reply);
  void closed(const std::string& why);
  void watch();
  bool is_overdue();
  void ping();

  boost::asio::io_context& io_;
  redis_settings settings_;
  boost::asio::ssl::context* tls_;
  locator where_;
  handlers told_;
  std::shared_ptr<redis_connection> connection_;
  boost::asio::steady_timer retry_;
  boost::asio::steady_timer overdue_;
  std::deque<asked> waiting_;
  /// For what is out, in the order in which it went, and whether more may go.
  std::mutex out_mutex_;
  std::deque<asked> out_;
  bool takes_commands_ = false;
  /// Whether overdue_ runs: it is not set anew for each command, which would wake the thread.
  bool is_watched_ = false;
  std::string trouble_;
  std::chrono::milliseconds pause_;
  std::minstd_rand random_{std::random_device{}()};
  bool heard_ = false;
  bool ended_ = false;
  /// Outlived by callbacks that come too late.
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

} // namespace vorrang
