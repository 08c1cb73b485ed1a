#include "bench/checked/provider.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace vorrang::checked {
namespace {

// Nobody else comes: those who are there are answered.
constexpr moment patience = milliseconds;
constexpr double rests = 1.0 / 256;
constexpr double answered_at_once = 0.75;

std::string with_length(const char* first_line, const std::string& body) {
  return "HTTP/1.1 " + std::string(first_line) +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string error(const char* first_line) {
  return with_length(
      first_line,
      R"({"error":{"message":"not now","type":"server_error","param":null,"code":null}})");
}

std::string whole_answer(long number) {
  return with_length(
      "200 OK",
      R"({"id":"c","object":"chat.completion","created":1,"model":"x","choices":[{"index":0,)"
      R"("finish_reason":"stop","message":{"role":"assistant","content":"number )" +
          std::to_string(number) +
          R"( "}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}})");
}

std::string chunk(const std::string& event) {
  char size[16];
  std::snprintf(size, sizeof(size), "%zx\r\n", event.size() + 8);
  return size + ("data: " + event) + "\n\n\r\n";
}

std::string event(const std::string& choice) {
  return chunk(R"({"id":"c","object":"chat.completion.chunk","created":1,"model":"x",)"
               R"("choices":[{"index":0,)" +
               choice + "}]}");
}

std::string first_piece(long number) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
         "chunked\r\n\r\n" +
         event(R"("delta":{"role":"assistant","content":"number )" + std::to_string(number) +
               R"( "},"finish_reason":null)");
}

std::string last_piece() {
  return event(R"("delta":{},"finish_reason":"stop")") + chunk("[DONE]") + "0\r\n\r\n";
}

} // namespace

/// One of the gateway's connections.
struct provider::call_line final : watcher {
  call_line(provider& all, deployment& told, descriptor accepted, int name)
      : owner(all), at(told), socket(std::move(accepted)), connection(name) {
    owner.sockets_.add(socket, *this);
  }
  ~call_line() override { owner.sockets_.forget(*this); }
  void readable() override;

  provider& owner;
  deployment& at;
  descriptor socket;
  int connection;
  message_buffer came;
  moment begun = never;
  long number = -1;
  bool is_whole = false;
  bool is_stream = false;
  bool first_is_out = false;
  bool is_over = false;
};

struct provider::deployment {
  std::size_t index = 0;
  std::size_t slots = 0;
  std::unique_ptr<door> entrance;
  std::list<std::unique_ptr<call_line>> lines;
  std::vector<call_line*> running;
  moment rests_until = 0;
  moment changed = 0;
};

class provider::door final : public watcher {
public:
  door(provider& all, deployment& to, unsigned short port)
      : owner_(all), to_(to), socket_(listen_on(port)) {
    owner_.sockets_.add(socket_, *this);
  }
  ~door() override { owner_.sockets_.forget(*this); }

  void readable() override {
    for (;;) {
      descriptor next(::accept4(socket_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (next.number() < 0)
        return;
      send_at_once(next);
      to_.lines.push_back(
          std::make_unique<call_line>(owner_, to_, std::move(next), owner_.connections_++));
    }
  }

private:
  provider& owner_;
  deployment& to_;
  descriptor socket_;
};

void provider::call_line::readable() {
  const bool was_empty = came.empty();
  if (!came.fill(socket)) {
    if (begun != never)
      owner.finish(*this, owner.clock_.now(), 0);
    is_over = true; // swept away by `act`, since whoever called is on its way through the sockets
    owner.sockets_.forget(*this);
    socket = descriptor();
    return;
  }
  if (was_empty && begun == never) {
    begun = owner.clock_.now();
    at.running.push_back(this);
    at.changed = begun;
  }
  const auto request = came.whole();
  if (!request || is_whole)
    return;
  is_whole = true;
  number = number_behind(request->body, "number ");
  is_stream = request->body.find("\"stream\":true") != request->body.npos;
  came.clear();
  if (owner.called)
    owner.called(number);
}

provider::provider(poller& sockets, ordered_clock& clock, records& record, std::mt19937_64& random,
                   const std::vector<deployment_place>& places, double failing, pace answers)
    : sockets_(sockets), clock_(clock), record_(record), random_(random), failing_(failing),
      answers_(answers) {
  for (const auto& place : places) {
    auto& made = *deployments_.emplace_back(std::make_unique<deployment>());
    made.index = deployments_.size() - 1;
    made.slots = place.slots;
    made.entrance = std::make_unique<door>(*this, made, place.port);
  }
}

provider::~provider() = default;

bool provider::is_idle() const {
  return std::all_of(deployments_.begin(), deployments_.end(),
                     [](const auto& each) { return each->running.empty(); });
}

// Whether it answers now, or rests from now on.
bool provider::is_due(deployment& at, moment now) {
  if (answers_ == pace::at_once)
    return true;
  if (now < at.rests_until || (at.running.size() < at.slots && now < at.changed + patience))
    return false;
  std::uniform_real_distribution<double> draw(0, 1);
  if (draw(random_) >= rests)
    return true;
  at.rests_until = now + moment(draw(random_) * 3 * milliseconds);
  return false;
}

void provider::act() {
  std::uniform_real_distribution<double> draw(0, 1);
  for (const auto& each : deployments_) {
    each->lines.remove_if([](const auto& line) { return line->is_over; });
    const auto now = clock_.now();
    if (each->running.empty() || !is_due(*each, now))
      continue;
    each->changed = now;
    const auto running = each->running;
    for (auto* line : running)
      if (line->is_whole && (answers_ == pace::at_once || line == running.front() ||
                             draw(random_) < answered_at_once))
        answer(*line);
  }
}

/// The whole answer, or the next piece of a stream.
void provider::answer(call_line& line) {
  const double roll = std::uniform_real_distribution<double>(0, 1)(random_);
  const bool fails = roll < failing_ && !line.first_is_out;
  if (line.is_stream && !fails && !line.first_is_out) {
    line.first_is_out = true;
    write(line.socket, first_piece(line.number));
    return;
  }
  const int status = !fails ? 200 : roll < failing_ / 2 ? 429 : 500;
  const auto at = clock_.now();
  // Whoever has gone does not take it, and its end is seen at once.
  write(line.socket, status == 429    ? error("429 Too Many Requests")
                     : status == 500  ? error("500 Internal Server Error")
                     : line.is_stream ? last_piece()
                                      : whole_answer(line.number));
  finish(line, at, status);
}

void provider::finish(call_line& line, moment at, int status) {
  record_.calls.push_back({line.number, line.at.index, line.connection, line.begun, at, status});
  std::erase(line.at.running, &line);
  line.at.changed = at;
  line.begun = never;
  line.number = -1;
  line.is_whole = line.is_stream = line.first_is_out = false;
  line.came.clear();
}

} // namespace vorrang::checked
