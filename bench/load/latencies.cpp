#include "bench/load/latencies.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace vorrang::bench {

namespace {

constexpr int points_each_power = 10;
/// 0.99 · 100 must not become rank 100 by what binary fractions leave over.
constexpr double rounding = 1e-9;

nlohmann::ordered_json or_null(const std::optional<double>& us) {
  if (!us)
    return nullptr;
  return std::round(*us * 10) / 10;
}

} // namespace

std::optional<double> latencies::at(double share) {
  if (count() == 0)
    return std::nullopt;
  sort();
  const auto rank = std::ceil(share * static_cast<double>(count()) - rounding);
  const auto place = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  if (place >= taken_.size())
    return std::nullopt;
  return taken_[place];
}

double latencies::share_within(double us) {
  if (count() == 0)
    return 0;
  sort();
  const auto within = std::upper_bound(taken_.begin(), taken_.end(), us) - taken_.begin();
  return static_cast<double>(within) / static_cast<double>(count());
}

nlohmann::ordered_json latencies::json() {
  nlohmann::ordered_json made;
  made["count"] = count();
  made["lost"] = lost();
  made["p50"] = or_null(at(0.5));
  made["p99"] = or_null(at(0.99));
  made["p999"] = or_null(at(0.999));
  made["max"] = or_null(at(1));
  auto& curve = made["curve"] = nlohmann::ordered_json::array();
  for (int i = 0;; ++i) {
    const auto left = std::pow(10.0, -double(i) / points_each_power);
    if (left * static_cast<double>(count()) < 1 - rounding)
      break;
    auto point = nlohmann::ordered_json::array();
    point.push_back(1 - left);
    point.push_back(or_null(at(1 - left)));
    curve.push_back(std::move(point));
  }
  return made;
}

void latencies::sort() {
  if (is_sorted_)
    return;
  std::sort(taken_.begin(), taken_.end());
  is_sorted_ = true;
}

} // namespace vorrang::bench
