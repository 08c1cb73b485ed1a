#include "actors/shared/redis_node.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>

namespace vorrang {
namespace {

using error_code = boost::system::error_code;

constexpr std::chrono::milliseconds first_pause(50);
constexpr std::chrono::milliseconds pause_max(2000);

} // namespace

redis_node::redis_node(boost::asio::io_context& io, const redis_settings& settings,
                       boost::asio::ssl::context* tls, locator where, handlers told)
    : io_(io), settings_(settings), tls_(tls), where_(std::move(where)), told_(std::move(told)),
      retry_(io), overdue_(io), pause_(first_pause) {}

redis_node::~redis_node() {
  end();
}

void redis_node::start() {
  connect();
}

void redis_node::connect() {
  where_([this, alive = std::weak_ptr(alive_)](const std::optional<redis_address>& address,
                                               const std::string& why) {
    if (alive.expired() || ended_)
      return;
    if (!address)
      return closed(why);
    connection_ = std::make_shared<redis_connection>(
        io_, settings_, *address, tls_,
        redis_connection::handlers{[this] { connected(); },
                                   [this](const redisReply& reply) { replied(reply); },
                                   [this](const std::string& closed_why) {
                                     closed(closed_why);
                                   }});
    connection_->start();
  });
}

void redis_node::connected() {
  trouble_.clear();
  {
    const std::lock_guard lock(out_mutex_);
    takes_commands_ = true;
    for (auto& each : std::exchange(waiting_, {}))
      put_out(each.bytes, std::move(each.then));
  }
  told_.ready();
  if (told_.pushed) {
    heard_ = true;
    ping();
  }
}

void redis_node::command(const std::vector<std::string>& words, answered then) {
  if (!is_ready() && !trouble_.empty())
    return then(nullptr, trouble_);
  if (!is_ready())
    return waiting_.push_back({redis_command(words), std::move(then), {}});
  const std::lock_guard lock(out_mutex_);
  put_out(redis_command(words), std::move(then));
}

bool redis_node::command_at_once(const std::vector<std::string>& words, answered then) {
  const auto bytes = redis_command(words);
  const std::lock_guard lock(out_mutex_);
  if (!takes_commands_)
    return false;
  put_out(bytes, std::move(then));
  return true;
}

void redis_node::put_out(const std::string& bytes, answered then) {
  out_.push_back({{}, std::move(then), clock::now()});
  connection_->send(bytes);
  if (!std::exchange(is_watched_, true))
    boost::asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired())
        watch();
    });
}

void redis_node::send(const std::vector<std::string>& words) {
  if (is_ready())
    connection_->send(redis_command(words));
}

void redis_node::is_well() noexcept {
  pause_ = first_pause;
}

void redis_node::replied(const redisReply& reply) {
  if (told_.pushed) {
    heard_ = true;
    is_well();
    return told_.pushed(reply);
  }
  std::optional<asked> first;
  {
    const std::lock_guard lock(out_mutex_);
    if (!out_.empty()) {
      first = std::move(out_.front());
      out_.pop_front();
    }
  }
  if (!first)
    return close("it answered what nobody asked");
  first->then(&reply, {});
}

void redis_node::close(const std::string& why) {
  if (const auto held = connection_)
    held->close(why);
}

void redis_node::closed(const std::string& why) {
  if (ended_)
    return;
  overdue_.cancel();
  trouble_ = why.empty() ? "it cannot be reached" : why;
  std::deque<asked> lost;
  {
    const std::lock_guard lock(out_mutex_);
    takes_commands_ = is_watched_ = false;
    lost.swap(out_);
  }
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(lost));
  waiting_.clear();
  for (const auto& each : lost)
    each.then(nullptr, trouble_);
  told_.lost(trouble_);
  std::uniform_real_distribution<double> part(0.5, 1);
  retry_.expires_after(std::chrono::duration_cast<clock::duration>(pause_ * part(random_)));
  pause_ = std::min(pause_ * 2, pause_max);
  retry_.async_wait([this, alive = std::weak_ptr(alive_)](error_code error) {
    if (!error && !alive.expired() && !ended_)
      connect();
  });
}

// Closes a connection on which nothing is heard.
void redis_node::watch() {
  {
    const std::lock_guard lock(out_mutex_);
    is_watched_ = takes_commands_ && !out_.empty();
    if (!is_watched_)
      return;
    overdue_.expires_at(out_.front().at + redis_answer_time_max);
  }
  overdue_.async_wait([this, alive = std::weak_ptr(alive_)](error_code error) {
    if (error || alive.expired())
      return;
    if (is_overdue())
      close("no answer within 2 s");
    else
      watch();
  });
}

bool redis_node::is_overdue() {
  const std::lock_guard lock(out_mutex_);
  return !out_.empty() && clock::now() >= out_.front().at + redis_answer_time_max;
}

// Where nothing is published for long, silence alone does not tell that the way is broken.
void redis_node::ping() {
  if (!std::exchange(heard_, false))
    return close("no answer within 2 s");
  send({"PING"});
  overdue_.expires_after(redis_answer_time_max);
  overdue_.async_wait([this, alive = std::weak_ptr(alive_)](error_code error) {
    if (!error && !alive.expired() && is_ready())
      ping();
  });
}

void redis_node::hurry() {
  if (!ended_ && !trouble_.empty() && !is_ready() && retry_.cancel() > 0)
    connect();
}

void redis_node::end() {
  if (std::exchange(ended_, true))
    return;
  {
    const std::lock_guard lock(out_mutex_);
    takes_commands_ = false;
  }
  alive_.reset();
  retry_.cancel();
  overdue_.cancel();
  if (connection_)
    connection_->close("the end");
}

} // namespace vorrang
