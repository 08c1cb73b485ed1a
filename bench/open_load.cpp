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
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using steady = std::chrono::steady_clock;

constexpr std::array<int, 3> priorities{1, 5, 9};
constexpr auto reconnect_pause = std::chrono::milliseconds(10);

struct due_request {
  steady::time_point at;
  int priority = 0;
};

double micros(steady::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

double at_share(std::vector<double>& times, double share) {
  if (times.empty())
    return 0;
  const auto place = static_cast<std::ptrdiff_t>(share * double(times.size() - 1));
  std::nth_element(times.begin(), times.begin() + place, times.end());
  return times[static_cast<std::size_t>(place)];
}

/// Connections that take what is due, on one thread.
class open_load {
public:
  open_load(unsigned short port, std::string path, std::string body, unsigned seed)
      : to_(asio::ip::address_v4::loopback(), port), path_(std::move(path)), random_(seed) {
    for (const auto priority : priorities)
      texts_[priority] = request_of("{\"priority\":" + std::to_string(priority) + "," +
                                    body.substr(body.find('{') + 1));
  }

  void run(double rate, double seconds, int connections) {
    for (int i = 0; i < connections; ++i)
      asio::co_spawn(io_, carry(), asio::detached);
    asio::co_spawn(io_, let_come(rate, seconds), asio::detached);
    io_.run();
  }

  void print() {
    std::printf("{\"due\": %zu, \"failed\": %zu, \"late\": {\"p50\": %.1f, \"p99\": %.1f}",
                due_count_, failed_, at_share(late_, 0.5), at_share(late_, 0.99));
    std::vector<double> all;
    for (auto& [priority, times] : times_) {
      all.insert(all.end(), times.begin(), times.end());
      print(std::to_string(priority), times);
    }
    print("all", all);
    std::printf("}\n");
  }

private:
  static void print(const std::string& name, std::vector<double>& times) {
    std::printf(", \"%s\": {\"answered\": %zu, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f}",
                name.c_str(), times.size(), at_share(times, 0.5), at_share(times, 0.99),
                at_share(times, 0.999));
  }

  std::string request_of(const std::string& body) const {
    return "POST " + path_ + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(to_.port()) +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }

  /// Puts each request where connections find it when it is due; ends when all are answered.
  asio::awaitable<void> let_come(double rate, double seconds) {
    std::exponential_distribution<double> between(rate);
    std::uniform_int_distribution<std::size_t> which(0, priorities.size() - 1);
    const auto begin = steady::now();
    const auto end = begin + std::chrono::duration_cast<steady::duration>(
                                 std::chrono::duration<double>(seconds));
    auto next = begin;
    asio::steady_timer timer(io_);
    while (next < end) {
      timer.expires_at(next);
      co_await timer.async_wait(asio::use_awaitable);
      for (const auto now = steady::now(); next <= now && next < end;) {
        due_.push_back({next, priorities[which(random_)]});
        ++due_count_;
        next += std::chrono::duration_cast<steady::duration>(
            std::chrono::duration<double>(between(random_)));
      }
      wake();
    }
    over_ = true;
    for (auto* each : idle_)
      each->cancel();
  }

  void wake() {
    for (auto left = due_.size(); left > 0 && !idle_.empty(); --left) {
      idle_.back()->cancel();
      idle_.pop_back();
    }
  }

  /// One connection: the oldest that is due, and again; a new one after a fault.
  asio::awaitable<void> carry() {
    asio::steady_timer bell(io_);
    for (;;) {
      try {
        tcp::socket socket(io_);
        co_await socket.async_connect(to_, asio::use_awaitable);
        socket.set_option(tcp::no_delay(true));
        boost::beast::flat_buffer buffer;
        while (co_await find(bell))
          co_await exchange(socket, buffer);
        co_return;
      } catch (const boost::system::system_error&) {
        ++failed_;
        if (over_)
          co_return;
      }
      bell.expires_after(reconnect_pause);
      co_await bell.async_wait(asio::use_awaitable);
    }
  }

  /// Waits until something is due; false when no more will be.
  asio::awaitable<bool> find(asio::steady_timer& bell) {
    while (due_.empty()) {
      if (over_)
        co_return false;
      idle_.push_back(&bell);
      bell.expires_at(steady::time_point::max());
      boost::system::error_code rung;
      co_await bell.async_wait(asio::redirect_error(asio::use_awaitable, rung));
    }
    co_return true;
  }

  asio::awaitable<void> exchange(tcp::socket& socket, boost::beast::flat_buffer& buffer) {
    const auto what = due_.front();
    due_.pop_front();
    late_.push_back(micros(steady::now() - what.at));
    co_await asio::async_write(socket, asio::buffer(texts_[what.priority]), asio::use_awaitable);
    http::response<http::string_body> answer;
    co_await http::async_read(socket, buffer, answer, asio::use_awaitable);
    if (answer.result() != http::status::ok)
      ++failed_;
    else
      times_[what.priority].push_back(micros(steady::now() - what.at));
  }

  asio::io_context io_{1};
  tcp::endpoint to_;
  std::string path_;
  std::mt19937_64 random_;
  std::map<int, std::string> texts_;
  std::deque<due_request> due_;
  std::vector<asio::steady_timer*> idle_;
  bool over_ = false;
  std::size_t due_count_ = 0;
  std::size_t failed_ = 0;
  std::vector<double> late_;
  std::map<int, std::vector<double>> times_;
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
  open_load load(static_cast<unsigned short>(std::atoi(argv[1])), argv[2], body,
                 static_cast<unsigned>(std::atoi(argv[7])));
  load.run(std::atof(argv[4]), std::atof(argv[5]), std::atoi(argv[6]));
  load.print();
}
