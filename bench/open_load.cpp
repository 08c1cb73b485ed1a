// An open load: requests are due at times drawn beforehand, whatever becomes of those before them,
// and each is timed from when it was due. A gateway that falls behind shows it in every later one.
//
//     vorrang_bench_open PORT PATH BODY_FILE RATE SECONDS CONNECTIONS SEED
//
// RATE is of all requests together, a second, with exponential times between them (Poisson).
// BODY_FILE holds a JSON object; each request has it with one of the priorities 1, 5 and 9 in
// front, drawn evenly. A request that finds all CONNECTIONS busy waits for one, and that counts.
// Prints a line of JSON: how many were due, failed and were answered; times in µs, by priority; how
// late the load itself was (from the moment a request was due until it was handed to a free
// connection).
#include "bench/load/latencies.hpp"
#include "bench/load/processor_time.hpp"
#include "bench/load/readers.hpp"
#include "bench/load/sockets.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace vorrang::bench;

constexpr std::array<int, 3> priorities{1, 5, 9};
constexpr std::string_view good_answer = "HTTP/1.1 200 ";
constexpr std::uint64_t answer_ns_max = 60'000'000'000;

struct due_request {
  std::uint64_t at_ns = 0;
  int priority = 0;
};

double micros(std::uint64_t ns) {
  return static_cast<double>(ns) / 1000;
}

/// Connections that take what is due, on one thread.
class open_load {
public:
  open_load(std::uint16_t port, std::string path, const std::string& body, unsigned seed)
      : port_(port), path_(std::move(path)), random_(seed) {
    for (const auto priority : priorities)
      texts_[priority] = request_of("{\"priority\":" + std::to_string(priority) + "," +
                                    body.substr(body.find('{') + 1));
  }

  /// Until all that was due is answered. Throws when nobody accepts a connection, or an answer does
  /// not come within a minute.
  void run(double rate, double seconds, std::size_t connections) {
    connections_.resize(connections);
    for (std::size_t i = 0; i < connections; ++i)
      open(i);
    const auto begin = now_ns();
    const auto end = begin + static_cast<std::uint64_t>(seconds * 1e9);
    std::exponential_distribution<double> between(rate / 1e9);
    std::uniform_int_distribution<std::size_t> which(0, priorities.size() - 1);
    auto next = begin;
    while (next < end || !due_.empty() || free_.size() < connections_.size()) {
      for (const auto now = now_ns(); next <= now && next < end;) {
        due_.push_back({next, priorities[which(random_)]});
        ++due_count_;
        next += static_cast<std::uint64_t>(between(random_));
      }
      while (!due_.empty() && !free_.empty())
        send();
      if (next >= end && now_ns() > end + answer_ns_max)
        throw std::runtime_error("an answer did not come within a minute");
      for (const auto& each : poller_.wait_until(next < end ? next : now_ns() + answer_ns_max))
        read(each.data.u64);
    }
  }

  void print() {
    std::printf("{\"due\": %zu, \"failed\": %zu, \"late\": {\"p50\": %.1f, \"p99\": %.1f}",
                due_count_, failed_, late_.at(0.5).value_or(0), late_.at(0.99).value_or(0));
    for (auto& [priority, times] : times_)
      print(std::to_string(priority), times);
    print("all", all_);
    std::printf("}\n");
  }

private:
  struct connection {
    descriptor socket;
    message_reader answers;
    due_request request;
    bool is_good = false;
  };

  static void print(const std::string& name, latencies& times) {
    std::printf(", \"%s\": {\"answered\": %zu, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f}",
                name.c_str(), times.count(), times.at(0.5).value_or(0), times.at(0.99).value_or(0),
                times.at(0.999).value_or(0));
  }

  std::string request_of(const std::string& body) const {
    return "POST " + path_ + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }

  void open(std::size_t i) {
    connections_[i] = {};
    connections_[i].socket = connect_to(port_, false);
    poller_.add(connections_[i].socket, i);
    free_.push_back(i);
  }

  /// What is due for longest, over the connection that was free last.
  void send() {
    const auto i = free_.back();
    free_.pop_back();
    auto& to = connections_[i];
    to.request = due_.front();
    due_.pop_front();
    late_.add(micros(now_ns() - to.request.at_ns));
    const auto& text = texts_[to.request.priority];
    if (write_some(to.socket, text) != static_cast<std::ptrdiff_t>(text.size()))
      fail(i);
  }

  /// A new connection takes its place.
  void fail(std::size_t i) {
    ++failed_;
    open(i);
  }

  void read(std::size_t i) {
    auto& from = connections_[i];
    const auto count = read_some(from.socket, buffer_);
    if (count < 0)
      return;
    if (count == 0) {
      if (const auto idle = std::find(free_.begin(), free_.end(), i); idle != free_.end()) {
        free_.erase(idle); // no request of ours was on it
        return open(i);
      }
      return fail(i);
    }
    const std::string_view bytes(buffer_.data(), static_cast<std::size_t>(count));
    if (!from.answers.is_within())
      from.is_good = bytes.starts_with(good_answer);
    if (from.answers.feed(bytes) == 0)
      return;
    const auto took = micros(now_ns() - from.request.at_ns);
    if (from.is_good) {
      times_[from.request.priority].add(took);
      all_.add(took);
    } else {
      ++failed_;
    }
    free_.push_back(i);
  }

  std::uint16_t port_;
  std::string path_;
  std::mt19937_64 random_;
  std::map<int, std::string> texts_;
  poller poller_;
  std::vector<connection> connections_;
  std::vector<std::size_t> free_; // those without a request
  std::deque<due_request> due_;
  std::array<char, 65536> buffer_;
  std::size_t due_count_ = 0;
  std::size_t failed_ = 0;
  latencies late_;
  std::map<int, latencies> times_;
  latencies all_;
};

} // namespace

int main(int argc, char* argv[]) {
  if (argc != 8) {
    std::fprintf(stderr, "usage: %s PORT PATH BODY_FILE RATE SECONDS CONNECTIONS SEED\n", argv[0]);
    return 2;
  }
  std::ifstream file(argv[3]);
  const std::string body{std::istreambuf_iterator<char>(file), {}};
  if (body.find('{') == std::string::npos) {
    std::fprintf(stderr, "%s: no JSON object\n", argv[3]);
    return 2;
  }
  ::prctl(PR_SET_TIMERSLACK, 1); // else the kernel wakes it up to 50 µs late
  try {
    open_load load(static_cast<std::uint16_t>(std::atoi(argv[1])), argv[2], body,
                   static_cast<unsigned>(std::atoi(argv[7])));
    load.run(std::atof(argv[4]), std::atof(argv[5]), std::strtoul(argv[6], nullptr, 10));
    load.print();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}
