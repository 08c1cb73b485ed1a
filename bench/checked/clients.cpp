#include "bench/checked/clients.hpp"

#include <algorithm>
#include <array>

namespace vorrang::checked {
namespace {

constexpr std::array<int, 6> priorities{-1, 0, 5, 7, 100, 255};
constexpr double streams = 0.1;
// Of each kind: hang up while they wait, when they are called, in the middle of a stream.
constexpr double leave_waiting = 0.01;
constexpr double leave_called = 0.003;
constexpr double leave_streaming = 0.05;
constexpr moment wait_until_left_max = 4 * milliseconds;
// Whoever has gone may be in line until the gateway has noticed.
constexpr moment kept_of_the_gone = 1000 * milliseconds;

} // namespace

lengths::lengths() {
  for (const auto priority : priorities) {
    owners_[priority].assign(for_each_priority + 1, -1);
    for (std::size_t i = 1; i <= for_each_priority; ++i)
      free_[priority].push_back(i);
  }
}

std::size_t lengths::take(int priority, long number) {
  auto& left = free_[priority];
  if (left.empty())
    return shortest;
  const auto found = left.front();
  left.pop_front();
  owners_[priority][found] = number;
  return shortest + found;
}

void lengths::give_back(int priority, std::size_t length, moment at) {
  if (length > shortest)
    later_.push_back({at, priority, length - shortest});
}

void lengths::pass_time(moment now) {
  std::erase_if(later_, [&](const returned& each) {
    if (each.at > now)
      return false;
    free_[each.priority].push_back(each.length);
    return true;
  });
}

long lengths::owner(int priority, std::size_t length) const {
  const auto found = owners_.find(priority);
  return found == owners_.end() || length <= shortest || length > shortest + for_each_priority
             ? -1
             : found->second[length - shortest];
}

struct clients::client final : watcher {
  explicit client(clients& all) : owner(all) {}
  ~client() override { owner.sockets_.forget(*this); }
  void readable() override;

  clients& owner;
  descriptor socket;
  message_buffer came;
  int connection = 0;
  long number = -1; // -1: idle
  std::size_t length = 0;
  bool leaves_when_it_streams = false;
};

void clients::client::readable() {
  const bool goes_on = came.fill(socket);
  if (!goes_on) {
    owner.finish(*this, nullptr);
    owner.connect(*this);
    return;
  }
  if (const auto answer = came.whole()) {
    owner.finish(*this, &*answer);
    came.clear();
  } else if (leaves_when_it_streams) {
    owner.hang_up(*this);
  }
}

clients::clients(poller& sockets, ordered_clock& clock, records& record, std::mt19937_64& random,
                 unsigned short port, std::size_t count)
    : sockets_(sockets), clock_(clock), record_(record), random_(random), port_(port) {
  for (std::size_t i = 0; i < count; ++i) {
    auto& made = *all_.emplace_back(std::make_unique<client>(*this));
    connect(made);
    idle_.push_back(&made);
  }
}

clients::~clients() = default;

void clients::connect(client& who) {
  sockets_.forget(who);
  who.socket = descriptor();
  who.socket = connect_to(port_);
  who.connection = connections_++;
  who.came.clear();
  sockets_.add(who.socket, who);
}

void clients::act(bool may_send) {
  const auto now = clock_.now();
  lengths_.pass_time(now);
  const auto due = std::exchange(leaving_, {});
  for (const auto& each : due) {
    if (each.who->number == each.number && each.at <= now)
      hang_up(*each.who);
    else if (each.who->number == each.number)
      leaving_.push_back(each);
  }
  if (!may_send || idle_.size() < wave_)
    return;
  const std::array<std::size_t, 6> waves{1, 1, 1, 8, all_.size() / 8, all_.size() / 2};
  wave_ = std::max<std::size_t>(
      1, waves[std::uniform_int_distribution<std::size_t>(0, waves.size() - 1)(random_)]);
  for (auto* each : std::exchange(idle_, {}))
    send(*each);
}

void clients::send(client& who) {
  std::uniform_real_distribution<double> draw(0, 1);
  const auto number = static_cast<long>(record_.requests.size());
  auto& told = record_.requests.emplace_back();
  told.connection = who.connection;
  told.priority =
      priorities[std::uniform_int_distribution<std::size_t>(0, priorities.size() - 1)(random_)];
  const bool is_stream = draw(random_) < streams;
  const double roll = draw(random_);
  who.number = number;
  who.length = lengths_.take(told.priority, number);
  who.leaves_when_it_streams = is_stream && draw(random_) < leave_streaming;
  if (roll < leave_called)
    leave_when_called_.emplace(number, &who);
  const std::string begin = "{\"model\":\"m\",\"priority\":" + std::to_string(told.priority) +
                            (is_stream ? ",\"stream\":true" : "") +
                            ",\"messages\":[{\"role\":\"user\",\"content\":\"number " +
                            std::to_string(number) + " ";
  const std::string end = "\"}]}";
  const std::string text = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                           "Content-Type: application/json\r\nContent-Length: " +
                           std::to_string(who.length) + "\r\n\r\n" + begin +
                           std::string(who.length - begin.size() - end.size(), 'x') + end;
  told.sent = clock_.now();
  if (roll >= leave_called && roll < leave_called + leave_waiting)
    leaving_.push_back(
        {told.sent + moment(draw(random_) * double(wait_until_left_max)), &who, number});
  write(who.socket, text); // a connection that is broken shows it when it is read
}

void clients::called(long number) {
  if (const auto found = leave_when_called_.find(number); found != leave_when_called_.end()) {
    leaving_.push_back({0, found->second, number});
    leave_when_called_.erase(found);
  }
}

void clients::hang_up(client& who) {
  auto& told = record_.requests[static_cast<std::size_t>(who.number)];
  told.left = clock_.now();
  leave_when_called_.erase(who.number);
  lengths_.give_back(told.priority, who.length, told.left + kept_of_the_gone);
  who.number = -1;
  connect(who);
  idle_.push_back(&who);
}

void clients::finish(client& who, const message* answer) {
  if (who.number < 0)
    return;
  auto& told = record_.requests[static_cast<std::size_t>(who.number)];
  told.answered = clock_.now();
  told.status = 0;
  if (answer) {
    told.status = static_cast<int>(number_behind(answer->head, "HTTP/1.1 "));
    told.deployment = answer->field("x-litellm-model-id");
    told.attempts = number_behind(answer->head, "x-vorrang-attempts: ");
    told.wait_ms = number_behind(answer->head, "x-vorrang-wait-ms: ");
    told.echoed = number_behind(answer->body, "number ");
    answered_ += told.status == 200;
  }
  leave_when_called_.erase(who.number);
  lengths_.give_back(told.priority, who.length, told.answered);
  who.number = -1;
  idle_.push_back(&who);
}

long clients::waiting_one(int priority, std::size_t length, moment before) const {
  const auto number = lengths_.owner(priority, length);
  if (number < 0 || record_.requests[static_cast<std::size_t>(number)].sent >= before)
    return -1;
  return number;
}

} // namespace vorrang::checked
