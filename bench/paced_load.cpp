// Streams whose events are due at fixed times: how late does each reach its client?
//
//     vorrang_bench_paced UPSTREAM_PORT TARGET_PORT STREAMS RATE WARM_SECONDS SECONDS WITHIN_MS
//                         [PID...]
//
// One thread is the upstream and listens on UPSTREAM_PORT, another one all clients, which ask
// TARGET_PORT: the same port for nobody in between. Once all streams are open each has RATE events
// a second, and all of them follow each other evenly. Events are due whatever becomes of those
// before them, and each carries when it was due and when it was written, so that a client's reading
// tells its lateness. Those of the first WARM_SECONDS are not counted.
//
// Prints a line of JSON: how late events were read, from when they were due (`late`) and written
// (`way`), and written (`load_late`), in µs; the share of all due that were read within WITHIN_MS;
// for each event that was read the processor time of PIDs and of this program, in µs; the share of
// the machine's processors that had nothing to do; how many streams came to their end.
#include "bench/load/paced_clients.hpp"
#include "bench/load/paced_upstream.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace vorrang::bench;

constexpr int arguments_min = 8;

/// What was used between two moments, and how many events were read between them.
nlohmann::ordered_json each_event(const paced_sample& from, const paced_sample& to) {
  const auto events = static_cast<double>(to.events_read - from.events_read);
  nlohmann::ordered_json made;
  made["events_a_second"] = events * 1e9 / static_cast<double>(to.at_ns - from.at_ns);
  made["between_us"] = nullptr;
  made["load_us"] = nullptr;
  if (events > 0) {
    made["between_us"] = static_cast<double>(to.between_ns - from.between_ns) / events / 1000;
    made["load_us"] = static_cast<double>(to.own_ns - from.own_ns) / events / 1000;
  }
  made["idle"] = idle_share(from.ticks, to.ticks);
  return made;
}

void print(paced_upstream& upstream, paced_clients& clients, const pace& plan, double within_ms) {
  auto& late = clients.late();
  // What was due and has not come: lost between, or never written.
  const auto lost = upstream.counted() - late.count();
  late.add_lost(lost);
  clients.way().add_lost(lost);
  auto made = each_event(upstream.first(), upstream.last());
  made["streams"] = plan.streams;
  made["rate"] = plan.events_a_second;
  made["within"] = late.share_within(within_ms * 1000);
  made["whole"] = clients.whole();
  made["held_back"] = upstream.held_back();
  made["late"] = late.json();
  made["way"] = clients.way().json();
  made["load_late"] = upstream.late().json();
  std::printf("%s\n", made.dump().c_str());
}

} // namespace

int main(int argc, char* argv[]) {
  if (argc < arguments_min) {
    std::fprintf(stderr,
                 "usage: %s UPSTREAM_PORT TARGET_PORT STREAMS RATE WARM_SECONDS SECONDS WITHIN_MS "
                 "[PID...]\n",
                 argv[0]);
    return 2;
  }
  const auto upstream_port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  const auto target_port = static_cast<std::uint16_t>(std::atoi(argv[2]));
  pace plan;
  plan.streams = static_cast<std::size_t>(std::atoi(argv[3]));
  plan.events_a_second = std::atof(argv[4]);
  std::vector<pid_t> between;
  for (int i = arguments_min; i < argc; ++i)
    between.push_back(std::atoi(argv[i]));
  try {
    raise_file_limit();
    paced_shared shared;
    paced_upstream upstream(upstream_port, plan, between, shared);
    paced_clients clients(target_port, plan, shared);
    std::exception_ptr fault;
    std::jthread thread([&] {
      try {
        clients.run();
      } catch (...) {
        fault = std::current_exception();
        shared.is_over = true;
      }
    });
    upstream.run(std::atof(argv[5]), std::atof(argv[6]));
    thread.join();
    if (fault)
      std::rethrow_exception(fault);
    print(upstream, clients, plan, std::atof(argv[7]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
