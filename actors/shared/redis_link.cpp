#include "actors/shared/redis_link.hpp"

#include "actors/shared/line_program.hpp"
#include "actors/shared/link_counts.hpp"
#include "actors/shared/redis_node.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <hiredis/hiredis.h>

#include <atomic>
#include <charconv>
#include <map>
#include <set>
#include <thread>

namespace vorrang {
namespace {

namespace asio = boost::asio;

bool begins(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}

/// A call that servers send on to each other so often has failed: they do not agree whose it is.
constexpr unsigned moves_max = 5;

/// So long an end waits for the answers that are still to come.
constexpr auto farewell_max = std::chrono::milliseconds(500);

/// What only another server, or the same one later, can answer better.
bool is_unfit(std::string_view error) {
  for (const auto* each : {"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "BUSY",
                           "TRYAGAIN", "NOAUTH", "NOPERM"})
    if (begins(error, each))
      return true;
  return false;
}

std::string text_of(const redisReply& reply) {
  return reply.str ? std::string(reply.str, reply.len) : std::string();
}

/// `MOVED 3999 127.0.0.1:6381`: where the slot is. An empty host is the one that said it.
std::optional<redis_address> place_in(const std::string& error, const std::string& host) {
  const auto blank = error.rfind(' ');
  const auto colon = error.rfind(':');
  if (blank == std::string::npos || colon == std::string::npos || colon < blank)
    return std::nullopt;
  redis_address to;
  to.host = error.substr(blank + 1, colon - blank - 1);
  if (to.host.empty())
    to.host = host;
  const auto* first = error.data() + colon + 1;
  std::from_chars(first, error.data() + error.size(), to.port);
  return to;
}

std::string name_of(const redis_address& address) {
  return address.unix_socket.empty() ? address.host + ":" + std::to_string(address.port)
                                     : address.unix_socket;
}

} // namespace

/// Everything here runs on the link's thread, but call_at_once().
class redis_link::worker {
public:
  worker(redis_settings settings, reporter report)
      : settings_(std::move(settings)), report_(std::move(report)) {
    if (settings_.tls) {
      tls_.emplace(asio::ssl::context::tls_client);
      tls_->set_default_verify_paths();
      if (!settings_.tls_ca_file.empty())
        tls_->load_verify_file(settings_.tls_ca_file);
      tls_->set_verify_mode(settings_.tls_verify ? asio::ssl::verify_peer : asio::ssl::verify_none);
    }
    asio::post(io_, [this] {
      main_ = &open_node("", [this](auto then) { locate(std::move(then)); });
      open_ears();
    });
    thread_ = std::thread([this] { io_.run(); });
  }

  ~worker() {
    asio::post(io_, [this] {
      is_ending_ = true;
      judge_plainness();
      if (calls_out_ == 0 || !is_up)
        return end();
      last_moment_.expires_after(farewell_max);
      last_moment_.async_wait([this](const boost::system::error_code&) { end(); });
    });
    thread_.join();
  }

  template <class Task>
  void run(Task&& task) {
    asio::post(io_, std::forward<Task>(task));
  }

  using shared_call = std::shared_ptr<line_call>;
  using told_answer = std::function<void(line_answer)>;

  void call(const shared_call& what, const told_answer& then) {
    ++calls_out_;
    send(home_of(what->key), what, counted(then), false);
    --calls_handed_over_;
  }

  /// From any thread: straight into the socket, so that the link's thread has not to wake up for it
  /// first. False where that needs a look at what only this thread knows; nothing is done then, and
  /// the call is counted as one that is handed over.
  bool call_at_once(const shared_call& what, const told_answer& then) {
    // Behind one that is on its way to the thread it would be the first to arrive.
    if (calls_handed_over_ == 0 && is_plain_) {
      ++calls_out_;
      if (main_->command_at_once(program_.words(line_form::function, *what),
                                 heard_of(*main_, line_form::function, what, counted(then), false)))
        return true;
      --calls_out_;
    }
    ++calls_handed_over_;
    return false;
  }

  void listen(const std::string& channel, std::function<void(std::string)>&& heard) {
    channels_[channel] = std::move(heard);
    ears_->send({"SUBSCRIBE", channel});
  }

  void on_up(std::function<void()>&& up) {
    if (main_->is_ready())
      up();
    ups_.push_back(std::move(up));
  }

  std::atomic<bool> is_up = false;
  link_counts counts;

private:
  told_answer counted(const told_answer& then) {
    return [this, then, called = std::chrono::steady_clock::now()](line_answer answer) {
      --calls_out_;
      if (answer.came)
        counts.round_trips.observe(std::chrono::steady_clock::now() - called);
      else
        counts.failed.add();
      if (!is_ending_)
        then(std::move(answer));
      else if (calls_out_ == 0)
        last_moment_.cancel();
    };
  }

  /// Whether there is nothing to know of a call but that the one server there is runs functions.
  void judge_plainness() {
    is_plain_ = !is_ending_ && !tls_ && homes_.empty() && !without_functions_.contains(main_);
  }
  using then_told = std::function<void(std::optional<redis_address>, const std::string&)>;

  // --- Servers

  void end() {
    for (auto& [name, node] : nodes_)
      node->end();
    ears_->end();
    for (auto& [number, node] : asking_)
      node->end();
    stay_.reset();
  }

  redis_node& open_node(const std::string& name, redis_node::locator where) {
    auto& node = nodes_[name];
    node = std::make_unique<redis_node>(
        io_, settings_, tls_ ? &*tls_ : nullptr, std::move(where),
        redis_node::handlers{[this, name] { node_ready(name); },
                             [this, name](const std::string& why) { node_lost(name, why); },
                             {}});
    node->start();
    return *node;
  }

  void node_ready(const std::string& name) {
    without_functions_.erase(nodes_[name].get());
    judge_plainness();
    if (name.empty() && !is_up.exchange(true))
      report_(true, "Redis answers");
    if (ears_)
      ears_->hurry();
    tell_up();
  }

  void node_lost(const std::string& name, const std::string& why) {
    if (name.empty() && (is_up.exchange(false) || !told_lost_)) {
      told_lost_ = true;
      report_(false, "Redis is away: " + why);
    }
    // Whoever lived there is asked for anew.
    std::erase_if(homes_, [&](const auto& each) { return each.second == name; });
    judge_plainness();
  }

  void tell_up() {
    for (const auto& up : ups_)
      up();
  }

  /// In a cluster, the server of the key's slot as far as it is known; else the one there is. If
  /// that is away, any other of the cluster says who has taken its place.
  redis_node& home_of(const std::string& key) {
    const auto home = homes_.find(key);
    if (home != homes_.end())
      return *nodes_[home->second];
    if (!main_->is_ready())
      for (auto& [name, node] : nodes_)
        if (node->is_ready())
          return *node;
    return *main_;
  }

  /// Where the server is now: as the settings say, or as a sentinel does.
  void locate(then_told then) {
    if (settings_.sentinels.empty())
      return then(redis_address{settings_.host, settings_.port, settings_.unix_socket}, {});
    ask_sentinel(0, std::move(then));
  }

  void ask_sentinel(std::size_t tried, then_told then) {
    if (tried == settings_.sentinels.size())
      return then(std::nullopt, "no sentinel knows a master of the name " + settings_.service);
    const auto& at = settings_.sentinels[(first_sentinel_ + tried) % settings_.sentinels.size()];
    auto own = settings_;
    own.username.clear();
    own.password = settings_.sentinel_password;
    own.database = 0;
    // The master, or nothing: the first word of either handler counts.
    const auto over = std::make_shared<bool>(false);
    const auto number = ++asked_;
    const auto end_with = [this, tried, then, over, number](std::optional<redis_address> master) {
      if (std::exchange(*over, true))
        return;
      asio::post(io_, [this, tried, then, number, master] { // not from inside the node
        asking_.erase(number);
        if (!master)
          return ask_sentinel(tried + 1, then);
        first_sentinel_ += tried;
        then(master, {});
      });
    };
    auto& node = asking_[number];
    node = std::make_unique<redis_node>(
        io_, own, tls_ ? &*tls_ : nullptr,
        [address = redis_address{at.first, at.second, ""}](auto found) { found(address, {}); },
        redis_node::handlers{
            [] {}, [end_with](const std::string&) { end_with(std::nullopt); }, {}});
    node->command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", settings_.service},
                  [end_with](const redisReply* reply, const std::string&) {
                    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
                      return end_with(std::nullopt);
                    redis_address master{text_of(*reply->element[0]), 0, ""};
                    const auto port = text_of(*reply->element[1]);
                    std::from_chars(port.data(), port.data() + port.size(), master.port);
                    end_with(master);
                  });
    node->start();
  }

  // --- Calls

  void send(redis_node& node, const std::shared_ptr<line_call>& what,
            const std::function<void(line_answer)>& then, bool asking) {
    send_as(node, without_functions_.contains(&node) ? line_form::script : line_form::function,
            what, then, asking);
  }

  void send_as(redis_node& node, line_form form, const std::shared_ptr<line_call>& what,
               const std::function<void(line_answer)>& then, bool asking) {
    if (asking && form != line_form::load)
      node.command({"ASKING"}, [](const redisReply*, const std::string&) {});
    node.command(program_.words(form, *what), heard_of(node, form, what, then, asking));
  }

  redis_node::answered heard_of(redis_node& node, line_form form, const shared_call& what,
                                const told_answer& then, bool asking) {
    return [this, to = &node, form, what, then, asking](const redisReply* reply,
                                                        const std::string& why) {
      if (!reply)
        return then({false, why});
      const bool is_good = reply->type == REDIS_REPLY_STRING;
      const auto text = text_of(*reply);
      if (is_good)
        to->is_well();
      if (is_good && form != line_form::load)
        return then({true, text});
      if (const auto next = line_program::next(form, is_good ? std::string_view() : text)) {
        if (*next == line_form::script) {
          without_functions_.insert(to);
          judge_plainness();
        }
        return send_as(*to, *next, what, then, asking);
      }
      if (begins(text, "MOVED ") || begins(text, "ASK "))
        return follow(text, what, then);
      then({false, text});
      if (is_unfit(text))
        to->close(text);
    };
  }

  void follow(const std::string& error, const std::shared_ptr<line_call>& what,
              const std::function<void(line_answer)>& then) {
    const auto place = place_in(error, settings_.host);
    if (!place || ++what->moves > moves_max)
      return then({false, error});
    const auto name = name_of(*place);
    if (!nodes_.contains(name))
      open_node(name, [place](auto found) { found(place, {}); });
    const bool asks = begins(error, "ASK ");
    if (!asks) {
      homes_[what->key] = name;
      judge_plainness();
    }
    send(*nodes_[name], what, then, asks);
  }

  // --- What is published

  void open_ears() {
    ears_ = std::make_unique<redis_node>(
        io_, settings_, tls_ ? &*tls_ : nullptr,
        [this](auto then) { locate_ears(std::move(then)); },
        redis_node::handlers{[this] {
                               std::vector<std::string> words{"SUBSCRIBE"};
                               for (const auto& [channel, heard] : channels_)
                                 words.push_back(channel);
                               if (words.size() > 1)
                                 ears_->send(words);
                               tell_up(); // whatever was said meanwhile is looked for
                             },
                             [this](const std::string&) { ++ears_tried_; },
                             [this](const redisReply& reply) {
                               heard(reply);
                             }});
    ears_->start();
  }

  /// A cluster's servers all tell what any of them is told.
  void locate_ears(then_told then) {
    std::vector<std::string> names;
    for (const auto& [name, node] : nodes_)
      if (!name.empty() && node->is_ready())
        names.push_back(name);
    const auto which = names.empty() ? 0 : ears_tried_ % (names.size() + 1);
    if (which == 0)
      return locate(std::move(then));
    then(place_in(" " + names[which - 1], ""), {});
  }

  void heard(const redisReply& reply) {
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 3 ||
        text_of(*reply.element[0]) != "message")
      return;
    const auto found = channels_.find(text_of(*reply.element[1]));
    if (found != channels_.end())
      found->second(text_of(*reply.element[2]));
  }

  redis_settings settings_;
  reporter report_;
  asio::io_context io_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> stay_{
      asio::make_work_guard(io_)};
  asio::steady_timer last_moment_{io_};
  std::atomic<std::size_t> calls_out_ = 0;
  /// Those that the thread has not taken yet.
  std::atomic<std::size_t> calls_handed_over_ = 0;
  /// Set by judge_plainness(); only if it is set may other threads use main_.
  std::atomic<bool> is_plain_ = false;
  bool is_ending_ = false;
  std::optional<asio::ssl::context> tls_;
  /// By address; "" is the one that the settings name.
  std::map<std::string, std::unique_ptr<redis_node>> nodes_;
  redis_node* main_ = nullptr;
  /// Where a key is, if not there.
  std::map<std::string, std::string> homes_;
  /// Sentinels that are being asked.
  std::map<std::uint64_t, std::unique_ptr<redis_node>> asking_;
  std::uint64_t asked_ = 0;
  std::size_t first_sentinel_ = 0;
  std::unique_ptr<redis_node> ears_;
  std::size_t ears_tried_ = 0;
  std::map<std::string, std::function<void(std::string)>> channels_;
  std::vector<std::function<void()>> ups_;
  const line_program program_;
  /// Servers that run scripts only, as far as is known since they were last reached.
  std::set<const redis_node*> without_functions_;
  bool told_lost_ = false;
  std::thread thread_;
};

redis_link::redis_link(redis_settings settings, reporter report)
    : worker_(std::make_unique<worker>(std::move(settings), std::move(report))) {}

redis_link::~redis_link() = default;

void redis_link::call(line_call what, std::function<void(line_answer)> then) {
  auto shared = std::make_shared<line_call>(std::move(what));
  if (!worker_->call_at_once(shared, then))
    worker_->run([to = worker_.get(), what = std::move(shared), then = std::move(then)] {
      to->call(what, then);
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

const link_counts* redis_link::counts() const {
  return &worker_->counts;
}

void redis_link::on_up(std::function<void()> up) {
  worker_->run([to = worker_.get(), up = std::move(up)]() mutable { to->on_up(std::move(up)); });
}

} // namespace vorrang
