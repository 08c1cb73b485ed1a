// All clients and all providers of one gateway, in one thread, as fast as they can: what it sends
// and sees has one clock and one order, and is written down for tests/system/speed_history.py to
// check.
//
//     vorrang_bench_checked PORT ADMIN_PORT SECONDS CONNECTIONS FAILING SEED RECORD PACE
//     DEPLOYMENT...
//
// ADMIN_PORT: who stands in line is asked there twenty times a second; 0: never. FAILING: the share
// of calls that the providers answer with 429 or 500. RECORD: a file, or - for none. PACE:
// when-full or at-once, see `pace`. DEPLOYMENT: the port that it is expected at and its slots, as
// 18001/8; the gateway's group is called m. Prints a line of JSON: requests/s answered with 200,
// and what else became of them.
#include "bench/checked/clients.hpp"
#include "bench/checked/looker.hpp"
#include "bench/checked/provider.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>

namespace vorrang::checked {
namespace {

constexpr moment until_all_is_over_max = 20'000 * milliseconds;
constexpr int poll_ms = 1; // for what is due by the clock: `provider`'s patience

struct wanted {
  unsigned short port = 0;
  unsigned short admin_port = 0;
  double seconds = 0;
  std::size_t connections = 0;
  double failing = 0;
  unsigned long seed = 0;
  const char* file = "-";
  pace answers = pace::when_full;
  std::vector<deployment_place> places;
};

void print(const records& record, std::size_t in_time, double seconds) {
  std::map<int, std::size_t> statuses;
  std::size_t left = 0;
  for (const auto& each : record.requests) {
    if (each.left != never)
      ++left;
    else
      ++statuses[each.status];
  }
  std::printf("{\"per_second\": %.1f, \"requests\": %zu, \"calls\": %zu, \"looks\": %zu, "
              "\"left\": %zu, \"statuses\": {",
              double(in_time) / seconds, record.requests.size(), record.calls.size(),
              record.looks.size(), left);
  const char* between = "";
  for (const auto& [status, count] : statuses) {
    std::printf("%s\"%d\": %zu", between, status, count);
    between = ", ";
  }
  std::printf("}}\n");
}

/// False: the record could not be written.
bool play(const wanted& told) {
  poller sockets;
  ordered_clock clock;
  records record;
  std::mt19937_64 random(told.seed);
  provider answers(sockets, clock, record, random, told.places, told.failing, told.answers);
  clients everybody(sockets, clock, record, random, told.port, told.connections);
  answers.called = [&](long number) {
    everybody.called(number);
  };
  looker looks(sockets, clock, record, everybody, told.admin_port);
  const auto begun = clock.now();
  const auto end = begun + moment(told.seconds * 1e9);
  std::size_t in_time = 0;
  double took = 0;
  for (;;) {
    const auto now = clock.now();
    const bool goes_on = now < end;
    if (!goes_on && took == 0) {
      in_time = everybody.answered();
      took = double(now - begun) / 1e9;
    }
    everybody.act(goes_on);
    answers.act();
    if (told.admin_port != 0 && goes_on)
      looks.act();
    if (!goes_on &&
        ((everybody.is_idle() && answers.is_idle()) || now > end + until_all_is_over_max))
      break;
    sockets.wait(poll_ms);
  }
  print(record, in_time, took);
  return std::strcmp(told.file, "-") == 0 || record.write(told.file);
}

unsigned short port_of(const char* text) {
  return static_cast<unsigned short>(std::atoi(text));
}

} // namespace
} // namespace vorrang::checked

int main(int argc, char* argv[]) {
  using namespace vorrang::checked;
  if (argc < 10) {
    std::fprintf(stderr,
                 "usage: %s PORT ADMIN_PORT SECONDS CONNECTIONS FAILING SEED RECORD "
                 "when-full|at-once DEPLOYMENT_PORT/SLOTS...\n",
                 argv[0]);
    return 2;
  }
  wanted told;
  told.port = port_of(argv[1]);
  told.admin_port = port_of(argv[2]);
  told.seconds = std::atof(argv[3]);
  told.connections = static_cast<std::size_t>(std::atol(argv[4]));
  told.failing = std::atof(argv[5]);
  told.seed = std::strtoul(argv[6], nullptr, 10);
  told.file = argv[7];
  told.answers = std::strcmp(argv[8], "at-once") == 0 ? pace::at_once : pace::when_full;
  for (int i = 9; i < argc; ++i) {
    const char* slots = std::strchr(argv[i], '/');
    told.places.push_back({port_of(argv[i]), slots ? std::strtoul(slots + 1, nullptr, 10) : 1});
  }
  try {
    if (play(told))
      return 0;
    std::fprintf(stderr, "%s: cannot be written\n", told.file);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}
