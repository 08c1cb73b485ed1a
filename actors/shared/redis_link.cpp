#include "actors/shared/redis_link.hpp"

#include "actors/shared/redis_connection.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <hiredis/hiredis.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <random>
#include <thread>

namespace vorrang {
namespace {

namespace asio = boost::asio;
using error_code = boost::system::error_code;
using clock = std::chrono::steady_clock;

constexpr auto answer_time_max = std::chrono::seconds(2);
constexpr auto first_pause = std::chrono::milliseconds(50);
constexpr auto pause_max = std::chrono::seconds(2);

bool begins(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}

/// By which the server knows the script.
std::string sha1_of(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha1(), nullptr);
  std::string result;
  for (unsigned int i = 0; i < length; ++i) {
    result += "0123456789abcdef"[digest[i] >> 4];
    result += "0123456789abcdef"[digest[i] & 15];
  }
  return result;
}

/// What only another server, or the same one later, can answer better.
bool is_unfit(std::string_view error) {
  for (const auto* each : {"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "BUSY",
                           "TRYAGAIN", "NOAUTH", "NOPERM"})
    if (begins(error, each))
      return true;
  return false;
}

} // namespace

/// Everything here runs on the link's thread.
class redis_link::worker {
public:
  worker(redis_settings settings, reporter report)
      : settings_(std::move(settings)), report_(std::move(report)), random_(std::random_device{}()) {
    if (settings_.tls) {
      tls_.emplace(asio::ssl::context::tls_client);
      tls_->set_default_verify_paths();
      if (!settings_.tls_ca_file.empty())
        tls_->load_verify_file(settings_.tls_ca_file);
      tls_->set_verify_mode(settings_.tls_verify ? asio::ssl::verify_peer : asio::ssl::verify_none);
    }
    asio::post(io_, [this] {
      connect_calls();
      connect_ears();
    });
    thread_ = std::thread([this] { io_.run(); });
  }

  ~worker() {
    asio::post(io_, [this] {
      ended_ = true;
      calls_.retry.cancel();
      ears_.retry.cancel();
      overdue_.cancel();
      ping_.cancel();
      if (calls_.connection)
        calls_.connection->close("the end");
      if (ears_.connection)
        ears_.connection->close("the end");
      stay_.reset();
    });
    thread_.join();
  }

  template <class Task>
  void run(Task&& task) {
    asio::post(io_, std::forward<Task>(task));
  }

  void call(line_call&& what, std::function<void(line_answer)>&& then) {
    if (!calls_.connection || !calls_.connection->is_ready())
      return then({false, calls_.trouble.empty() ? "not connected yet" : calls_.trouble});
    out_.push_back({std::move(what), std::move(then), clock::now(), false});
    send(out_.back());
    if (out_.size() == 1)
      watch();
  }

  void listen(const std::string& channel, std::function<void(std::string)>&& heard) {
    channels_[channel] = std::move(heard);
    if (ears_.connection && ears_.connection->is_ready())
      ears_.connection->send(redis_command({"SUBSCRIBE", channel}));
  }

  void on_up(std::function<void()>&& up) {
    if (calls_.connection && calls_.connection->is_ready())
      up();
    ups_.push_back(std::move(up));
  }

  std::atomic<bool> is_up = false;

private:
  struct sent {
    line_call what;
    std::function<void(line_answer)> then;
    clock::time_point at;
    bool whole;
  };
  /// A connection that is made again when it is lost.
  struct lasting {
    explicit lasting(asio::io_context& io) : retry(io) {}
    std::shared_ptr<redis_connection> connection;
    asio::steady_timer retry;
    clock::duration pause = first_pause;
    std::string trouble;
  };

  redis_address address() const {
    return {settings_.host, settings_.port, settings_.unix_socket};
  }

  void open(lasting& which, std::function<void()> ready,
            std::function<void(const redisReply&)> replied,
            std::function<void(const std::string&)> lost) {
    which.connection = std::make_shared<redis_connection>(
        io_, settings_, address(), tls_ ? &*tls_ : nullptr,
        redis_connection::handlers{std::move(ready), std::move(replied), std::move(lost)});
    which.connection->start();
  }

  void later(lasting& which, void (worker::*again)()) {
    if (ended_)
      return;
    std::uniform_real_distribution<double> part(0.5, 1);
    which.retry.expires_after(
        std::chrono::duration_cast<clock::duration>(which.pause * part(random_)));
    which.pause = std::min<clock::duration>(which.pause * 2, pause_max);
    which.retry.async_wait([this, again](error_code error) {
      if (!error && !ended_)
        (this->*again)();
    });
  }

  // --- Calls

  void connect_calls() {
    open(
        calls_,
        [this] {
          if (!calls_.trouble.empty() || !was_up_)
            report_(true, "Redis answers");
          was_up_ = true;
          is_up = true;
          calls_.trouble.clear();
          for (const auto& up : ups_)
            up();
        },
        [this](const redisReply& reply) { answered(reply); },
        [this](const std::string& why) {
          if (!ended_ && calls_.trouble.empty())
            report_(false, "Redis is away: " + why);
          calls_.trouble = why;
          is_up = false;
          overdue_.cancel();
          for (auto& each : std::exchange(out_, {}))
            if (!ended_)
              each.then({false, why});
          later(calls_, &worker::connect_calls);
        });
  }

  void send(const sent& what) {
    std::vector<std::string> words{what.whole ? "EVAL" : "EVALSHA",
                                   what.whole ? line_script : script_name_, "1", what.what.key};
    words.insert(words.end(), what.what.arguments.begin(), what.what.arguments.end());
    calls_.connection->send(redis_command(words));
  }

  void answered(const redisReply& reply) {
    if (out_.empty())
      return calls_.connection->close("it answered what nobody asked");
    auto first = std::move(out_.front());
    out_.pop_front();
    const std::string text(reply.str ? reply.str : "", reply.str ? reply.len : 0);
    if (reply.type == REDIS_REPLY_ERROR && begins(text, "NOSCRIPT") && !first.whole) {
      first.whole = true;
      out_.push_back(std::move(first));
      return send(out_.back());
    }
    const bool came = reply.type == REDIS_REPLY_STRING;
    if (came)
      calls_.pause = first_pause;
    first.then({came, text});
    if (!came && is_unfit(text))
      calls_.connection->close(text);
  }

  /// Closes a connection on which nothing is heard.
  void watch() {
    if (out_.empty())
      return;
    overdue_.expires_at(out_.front().at + answer_time_max);
    overdue_.async_wait([this](error_code error) {
      if (error || out_.empty())
        return;
      if (clock::now() >= out_.front().at + answer_time_max)
        calls_.connection->close("no answer within 2 s");
      else
        watch();
    });
  }

  // --- What is published

  void connect_ears() {
    open(
        ears_,
        [this] {
          std::vector<std::string> words{"SUBSCRIBE"};
          for (const auto& [channel, heard] : channels_)
            words.push_back(channel);
          if (words.size() > 1)
            ears_.connection->send(redis_command(words));
          ears_heard_ = true;
          ping();
          // Whatever was said meanwhile is looked for.
          if (calls_.connection && calls_.connection->is_ready())
            for (const auto& up : ups_)
              up();
        },
        [this](const redisReply& reply) {
          ears_.pause = first_pause;
          ears_heard_ = true;
          if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 3 || !reply.element[1]->str ||
              !reply.element[2]->str)
            return;
          if (std::string_view(reply.element[0]->str, reply.element[0]->len) != "message")
            return;
          const auto found =
              channels_.find(std::string(reply.element[1]->str, reply.element[1]->len));
          if (found != channels_.end())
            found->second(std::string(reply.element[2]->str, reply.element[2]->len));
        },
        [this](const std::string&) {
          ping_.cancel();
          later(ears_, &worker::connect_ears);
        });
  }

  /// Where nothing is published for long, silence alone does not tell that the way is broken.
  void ping() {
    if (!std::exchange(ears_heard_, false))
      return ears_.connection->close("no answer within 2 s");
    ears_.connection->send(redis_command({"PING"}));
    ping_.expires_after(answer_time_max);
    ping_.async_wait([this](error_code error) {
      if (!error && ears_.connection && ears_.connection->is_ready())
        ping();
    });
  }

  redis_settings settings_;
  reporter report_;
  std::mt19937 random_;
  asio::io_context io_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> stay_{
      asio::make_work_guard(io_)};
  std::optional<asio::ssl::context> tls_;
  lasting calls_{io_};
  lasting ears_{io_};
  asio::steady_timer overdue_{io_};
  std::deque<sent> out_;
  std::map<std::string, std::function<void(std::string)>> channels_;
  std::vector<std::function<void()>> ups_;
  asio::steady_timer ping_{io_};
  bool ears_heard_ = false;
  const std::string script_name_ = sha1_of(line_script);
  bool was_up_ = false;
  bool ended_ = false;
  std::thread thread_;
};

redis_link::redis_link(redis_settings settings, reporter report)
    : worker_(std::make_unique<worker>(std::move(settings), std::move(report))) {}

redis_link::~redis_link() = default;

void redis_link::call(line_call what, std::function<void(line_answer)> then) {
  worker_->run([to = worker_.get(), what = std::move(what), then = std::move(then)]() mutable {
    to->call(std::move(what), std::move(then));
  });
}

void redis_link::listen(const std::string& channel, std::function<void(std::string)> heard) {
  worker_->run([to = worker_.get(), channel, heard = std::move(heard)]() mutable {
    to->listen(channel, std::move(heard));
  });
}

bool redis_link::is_up() const {
  return worker_->is_up;
}

void redis_link::on_up(std::function<void()> up) {
  worker_->run([to = worker_.get(), up = std::move(up)]() mutable { to->on_up(std::move(up)); });
}

} // namespace vorrang
