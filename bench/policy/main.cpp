// Plays scenarios with every policy and prints what came of it as JSON.
#include "bench/policy/policy_report.hpp"
#include "bench/policy/scenarios.hpp"
#include "bench/policy/trace_csv.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iostream>

namespace {

using namespace vorrang::bench;

constexpr std::string_view usage =
    "vorrang_bench_policy [--seed N] [--trace FILE.csv [--deployments N] [--slots N] [--rpm N]]\n"
    "  --seed         of the traces and of all chance (1)\n"
    "  --trace        in place of the standard scenarios; columns arrival_s, priority, service_s,\n"
    "                 deadline_s, and tokens if wanted\n"
    "  --deployments  with a trace: how many (2)\n"
    "  --slots        … and what each takes at once (8)\n"
    "  --rpm          … and in any 60 s; 0: no limit (120)\n";

struct arguments {
  std::uint64_t seed = 1;
  std::string trace;
  limits each;
};

template <class Number>
bool read(std::string_view text, Number least, Number most, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value >= least &&
         value <= most;
}

/// What is wrong with them, or nothing.
std::string read_arguments(int count, char** given, arguments& told) {
  for (int i = 1; i < count; ++i) {
    const std::string_view name = given[i];
    if (i + 1 == count)
      return std::string(name) + " is unknown or needs a value";
    const std::string_view value = given[++i];
    bool good = true;
    if (name == "--seed")
      good = read<std::uint64_t>(value, 0, std::uint64_t(1) << 53, told.seed);
    else if (name == "--trace")
      told.trace = value;
    else if (name == "--deployments")
      good = read<std::size_t>(value, 1, 64, told.each.deployments);
    else if (name == "--slots")
      good = read<std::uint32_t>(value, 1, 1'000'000, told.each.slots);
    else if (name == "--rpm") // above 1000 the engine may hold capacity back for up to 1 s
      good = read<std::uint32_t>(value, 0, 1'000'000, told.each.rpm);
    else
      return std::string(name) + " is unknown";
    if (!good)
      return std::string(name) + ": '" + std::string(value) + "' is no number in its range";
  }
  return {};
}

} // namespace

int main(int count, char** given) {
  arguments told;
  if (const auto wrong = read_arguments(count, given, told); !wrong.empty()) {
    std::cerr << wrong << '\n' << usage;
    return 2;
  }
  std::vector<scenario> plans;
  if (told.trace.empty()) {
    plans = standard_scenarios(told.seed);
  } else {
    std::ifstream file(told.trace);
    if (!file) {
      std::cerr << told.trace << ": cannot be opened\n";
      return 1;
    }
    auto found = read_trace(file, told.trace);
    if (!found.error.empty()) {
      std::cerr << found.error << '\n';
      return 1;
    }
    auto& plan = plans.emplace_back();
    plan.name = "trace";
    plan.about = told.trace;
    plan.requests = std::move(found.requests);
    plan.each = told.each;
    plan.seed = told.seed;
  }
  auto results = nlohmann::json::array();
  for (const auto& plan : plans) {
    auto of = to_json(plan);
    auto& policies = of["policies"] = nlohmann::json::array();
    for (const auto name : policy_names)
      policies.push_back(to_json(plan, name, play(plan, name)));
    results.push_back(std::move(of));
  }
  std::cout << results.dump(2) << '\n';
}
