// An upstream with one slot: how long from its answer until the next request is there?
//
//     vorrang_bench_handover PORT COUNT WARM HOLD_MS [direct]
//
// Listens on PORT and holds the first request until a line comes on its standard input. Then it
// answers that one, and each next one HOLD_MS after it has come, so that whoever is in between
// sleeps again, as between the calls of a model. A handover is the time from right before an answer
// is written, whole, until the first bytes of the next request have been read; WARM of them are
// made and not counted, then COUNT. With `direct` a client in a thread of its own asks again as
// soon as it is answered, with nobody in between: what the harness itself takes.
//
// Prints a line of JSON: the handovers in µs, and how many requests came while another one was held
// (`beyond`). Then it holds the last request until its standard input ends.
#include "bench/load/latencies.hpp"
#include "bench/load/processor_time.hpp"
#include "bench/load/readers.hpp"
#include "bench/load/sockets.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>

namespace {

using namespace vorrang::bench;

constexpr int next_within_ms = 10'000;
constexpr std::uint64_t listener_number = 0;
constexpr std::uint64_t input_number = 1;

const std::string answer_body =
    R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"up",)"
    R"("choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",)"
    R"("content":"Hello."}}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}})";
const std::string answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                           std::to_string(answer_body.size()) + "\r\n\r\n" + answer_body;

/// One thread, one slot.
class slot_upstream {
public:
  slot_upstream(std::uint16_t port, std::size_t count, std::size_t warm, int hold_ms)
      : listener_(listen_at(port)), wanted_(count + warm), warm_(warm), hold_ms_(hold_ms) {
    poller_.add(listener_, listener_number);
    poller_.add(STDIN_FILENO, input_number);
    handovers_.reserve(count);
  }

  /// Until so many handovers have been made and the request of the last one is held.
  void run() {
    while (made_ < wanted_ || held_.empty()) {
      const auto events = poller_.wait(timeout_ms());
      if (events.empty() && answered_ns_)
        throw std::runtime_error("no next request within " + std::to_string(next_within_ms) +
                                 " ms, after " + std::to_string(made_));
      for (const auto& each : events)
        take(each.data.u64);
      if (is_begun_ && !held_.empty() && made_ < wanted_ && now_ns() >= release_ns_)
        release();
    }
  }

  void print() {
    nlohmann::ordered_json made;
    made["beyond"] = beyond_;
    made["us"] = handovers_.json();
    std::printf("%s\n", made.dump().c_str());
    std::fflush(stdout);
  }

private:
  struct peer {
    descriptor socket;
    message_reader requests;
  };

  int timeout_ms() const {
    if (answered_ns_)
      return next_within_ms;
    if (!is_begun_ || held_.empty())
      return -1;
    const auto now = now_ns();
    return release_ns_ <= now ? 0 : static_cast<int>((release_ns_ - now) / 1'000'000) + 1;
  }

  void take(std::uint64_t number) {
    if (number == listener_number)
      accept();
    else if (number == input_number)
      begin();
    else
      read(number);
  }

  void accept() {
    while (auto socket = accept_from(listener_)) {
      const auto number = next_number_++;
      poller_.add(socket, number);
      peers_[number].socket = std::move(socket);
    }
  }

  void begin() {
    char line[16];
    if (::read(STDIN_FILENO, line, sizeof line) <= 0)
      throw std::runtime_error("the standard input has ended");
    is_begun_ = true;
  }

  void read(std::uint64_t number) {
    auto& from = peers_.at(number);
    const auto count = read_some(from.socket, buffer_);
    const auto now = now_ns();
    if (count < 0)
      return;
    if (count == 0) {
      peers_.erase(number);
      return;
    }
    if (!from.requests.is_within())
      comes(now);
    if (from.requests.feed({buffer_.data(), static_cast<std::size_t>(count)}) > 0) {
      held_.push_back(number);
      release_ns_ = now + static_cast<std::uint64_t>(hold_ms_) * 1'000'000;
    }
  }

  /// The first bytes of a request.
  void comes(std::uint64_t now) {
    if (open_++ > 0)
      ++beyond_;
    if (!answered_ns_)
      return;
    if (made_++ >= warm_)
      handovers_.add(static_cast<double>(now - *answered_ns_) / 1000);
    answered_ns_.reset();
  }

  void release() {
    const auto& to = peers_.at(held_.front()).socket;
    held_.pop_front();
    --open_;
    answered_ns_ = now_ns();
    write_all(to, answer);
  }

  descriptor listener_;
  poller poller_;
  std::unordered_map<std::uint64_t, peer> peers_;
  std::uint64_t next_number_ = input_number + 1;
  std::array<char, 65536> buffer_;

  std::size_t wanted_;
  std::size_t warm_;
  int hold_ms_;
  bool is_begun_ = false;
  std::size_t open_ = 0;           // requests that have begun to come and are not answered
  std::deque<std::uint64_t> held_; // whose requests are whole and wait for their answers
  std::uint64_t release_ns_ = 0;   // when the next one is answered
  std::optional<std::uint64_t> answered_ns_;
  std::size_t made_ = 0;
  std::size_t beyond_ = 0;
  latencies handovers_;
};

/// Asks again and again on one connection, until the other side closes it.
void ask_directly(std::uint16_t port) {
  const std::string body =
      R"({"model":"up","messages":[{"role":"user","content":")" + std::string(500, 'x') + R"("}]})";
  const std::string request =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  const auto socket = connect_to(port, true);
  message_reader answers;
  std::array<char, 4096> buffer;
  for (;;) {
    write_all(socket, request);
    for (bool is_whole = false; !is_whole;) {
      const auto count = read_some(socket, buffer);
      if (count == 0)
        return;
      if (count > 0)
        is_whole = answers.feed({buffer.data(), static_cast<std::size_t>(count)}) > 0;
    }
  }
}

void wait_for_the_end_of_input() {
  char rest[16];
  while (::read(STDIN_FILENO, rest, sizeof rest) > 0) {
  }
}

} // namespace

int main(int argc, char* argv[]) {
  if (argc != 5 && !(argc == 6 && std::string(argv[5]) == "direct")) {
    std::fprintf(stderr, "usage: %s PORT COUNT WARM HOLD_MS [direct]\n", argv[0]);
    return 2;
  }
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  try {
    std::jthread client;
    slot_upstream upstream(port, static_cast<std::size_t>(std::atoi(argv[2])),
                           static_cast<std::size_t>(std::atoi(argv[3])), std::atoi(argv[4]));
    // Its connection ends with the upstream, which is destroyed before the thread is joined.
    if (argc == 6)
      client = std::jthread(ask_directly, port);
    upstream.run();
    upstream.print();
    wait_for_the_end_of_input();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
