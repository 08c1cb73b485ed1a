// What one request pays in each room on its way, without sockets and actors: the head and the body
// are read, a window counts, a deployment is chosen.
#include "actors/choice.hpp"
#include "actors/queue_report.hpp"
#include "actors/windows.hpp"
#include "http/head_reader.hpp"
#include "http/inspected_body.hpp"

#include <benchmark/benchmark.h>

#include <string>

namespace {

using namespace vorrang;
using namespace vorrang::http;

/// What the harness itself costs in each round: nothing is measured.
void nothing(benchmark::State& state) {
  std::size_t round = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(++round);
  state.SetItemsProcessed(state.iterations());
}

/// As OpenAI's Python client writes it.
constexpr std::string_view usual_head =
    "POST /v1/chat/completions HTTP/1.1\r\n"
    "Host: gateway.example:4000\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Connection: keep-alive\r\n"
    "Accept: application/json\r\n"
    "Content-Type: application/json\r\n"
    "User-Agent: OpenAI/Python 1.99.0\r\n"
    "X-Stainless-Lang: python\r\n"
    "X-Stainless-Package-Version: 1.99.0\r\n"
    "X-Stainless-OS: Linux\r\n"
    "X-Stainless-Arch: x64\r\n"
    "X-Stainless-Runtime: CPython\r\n"
    "X-Stainless-Runtime-Version: 3.11.2\r\n"
    "Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n"
    "X-Stainless-Async: false\r\n"
    "x-stainless-retry-count: 0\r\n"
    "x-stainless-read-timeout: 600\r\n"
    "Content-Length: 187\r\n"
    "\r\n";

void head(benchmark::State& state) {
  head_reader reader;
  for (auto _ : state) {
    reader.feed(usual_head);
    if (reader.state() != read_state::done)
      state.SkipWithError("the head is not read");
    benchmark::DoNotOptimize(reader.head());
    reader.reset();
  }
  state.SetItemsProcessed(state.iterations());
}

/// A chat request of about so many bytes: messages of 500 each, with an escape now and then.
std::string body_of(std::int64_t bytes) {
  std::string text = R"({"model":"gpt-4o","priority":5,"temperature":0.2,"messages":[)";
  const std::string line = "The quick brown fox jumps over the lazy dog.\\n";
  while (std::int64_t(text.size()) < bytes - 100) {
    text += text.back() == '[' ? R"({"role":"user","content":")" : R"(,{"role":"user","content":")";
    for (int i = 0; i < 10 && std::int64_t(text.size()) < bytes - 100; ++i)
      text += line;
    text += "\"}";
  }
  return text + R"(],"max_tokens":100,"stream":false})";
}

/// Checked, and our fields found. Argument: bytes.
void body(benchmark::State& state) {
  const auto text = body_of(state.range(0));
  for (auto _ : state) {
    body_scanner scanner;
    scanner.feed(text);
    const auto found = inspect(text, scanner);
    if (found.fault || found.priority != 5)
      state.SkipWithError("the body is not read");
    benchmark::DoNotOptimize(found);
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * std::int64_t(text.size()));
}

/// A grant is entered, and the sum asked for. Argument: grants of the last 60 s.
void window(benchmark::State& state) {
  const auto step = window_length / state.range(0);
  sliding_window counted;
  time_point now{};
  for (std::int64_t i = 0; i < state.range(0); ++i)
    counted.add(now += step, 1);
  for (auto _ : state) {
    counted.add(now += step, 1);
    benchmark::DoNotOptimize(counted.used(now));
  }
  state.SetItemsProcessed(state.iterations());
}

/// Arguments: the strategy, and among how many healthy deployments.
void choice(benchmark::State& state) {
  const auto strategy = static_cast<routing_strategy>(state.range(0));
  const auto count = static_cast<deployment_index>(state.range(1));
  deployment_settings settings;
  settings.rpm = 100;
  std::vector<candidate> healthy(count);
  for (deployment_index i = 0; i < count; ++i) {
    healthy[i].deployment = i;
    healthy[i].settings = &settings;
    healthy[i].in_flight = i % 7;
    healthy[i].window_tokens = i % 5;
  }
  choice_random random{42};
  std::vector<candidate> candidates;
  for (auto _ : state) {
    candidates = healthy; // it is thinned out; no allocation after the first
    benchmark::DoNotOptimize(choose(strategy, candidates, random));
  }
  state.SetItemsProcessed(state.iterations());
}

/// A piece of a line for the operator: for so long its queue decides nothing. Argument: who waits.
void copy_a_piece(benchmark::State& state) {
  group_settings settings;
  settings.deployments.resize(3);
  group_board board{1};
  group_queue queue(settings, 0, 1, board);
  const time_point now{std::chrono::seconds(1000)};
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    ticket_offer offered;
    offered.id = static_cast<ticket_id>(i) + 1;
    offered.since = now;
    offered.wanted.priority = static_cast<std::int32_t>(i * 7919 % 256);
    queue.offer(now, 0, std::move(offered));
    queue.serve(now);
    queue.output().clear();
  }
  piece_request wanted;
  wanted.wants_tickets = true;
  for (auto _ : state) {
    const auto piece = copy_piece(queue, now, wanted);
    benchmark::DoNotOptimize(piece.view.tickets.data());
    wanted.slot = piece.is_last ? 0 : piece.next_slot;
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(nothing);
BENCHMARK(head);
BENCHMARK(body)->RangeMultiplier(10)->Range(1'000, 10'000'000);
BENCHMARK(window)->Arg(10)->Arg(1'000)->Arg(100'000);
BENCHMARK(copy_a_piece)->Arg(100)->Arg(10'000);
BENCHMARK(choice)->ArgsProduct(
    {{int(routing_strategy::simple_shuffle), int(routing_strategy::usage_based),
      int(routing_strategy::least_busy), int(routing_strategy::latency_based)},
     {2, 10, 500}});

} // namespace
