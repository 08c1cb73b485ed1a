// Plain threads: one slot, four requests; the most urgent of those that wait goes first.
#include "actors/engine.hpp"

#include <iostream>
#include <thread>

int main() {
  vorrang::engine_settings settings;
  auto& group = settings.groups.emplace_back();
  group.name = "gpt-4o";
  group.deployments.emplace_back().max_parallel_requests = 1;
  vorrang::engine engine(settings);

  vorrang::ask wanted;
  wanted.group = *engine.group("gpt-4o");
  wanted.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  vorrang::outcome success;
  success.kind = vorrang::outcome_kind::success;

  // Blocking: this request takes the only slot and keeps it while the others line up.
  auto first = engine.open(wanted);
  auto running = std::get<vorrang::held_grant>(first.next());

  std::vector<std::thread> callers;
  for (int priority : {9, 0, 5}) {
    wanted.priority = priority;
    callers.emplace_back([request = engine.open(wanted), success, priority]() mutable {
      auto answer = request.next();
      if (auto* held = std::get_if<vorrang::held_grant>(&answer)) {
        std::cout << "priority " << priority << " goes\n";
        held->settle(success);
      } else {
        std::cout << to_string(std::get<vorrang::ending>(answer).code) << '\n';
      }
    });
  }
  // With a callback: this one gives up after 20 ms.
  wanted.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  engine.open(
      wanted, [](vorrang::held_grant) { std::cout << "granted?\n"; },
      [&](const vorrang::ending& end) {
        std::cout << "too late: " << to_string(end.code) << '\n';
        running.settle(success); // now the others may go
      });
  for (auto& caller : callers)
    caller.join();
}
