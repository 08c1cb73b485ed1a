// Families of metrics in the making. Private to the page of metrics.
#pragma once

#include "actors/tally.hpp"
#include "http/metrics_page.hpp"

#include <prometheus/metric_family.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vorrang::http {

using label_values = std::vector<std::pair<std::string_view, std::string_view>>;

/// One name with its series.
class metric_family {
public:
  metric_family(std::string_view name, prometheus::MetricType type, std::string_view help) {
    made_.name = name;
    made_.type = type;
    made_.help = help;
  }

  /// A counter's or a gauge's value.
  void add(const label_values& labels, double value) {
    auto& series = begin(labels);
    if (made_.type == prometheus::MetricType::Counter)
      series.counter.value = value;
    else
      series.gauge.value = value;
  }
  void add(const label_values& labels, std::uint64_t value) {
    add(labels, static_cast<double>(value));
  }

  /// A histogram's: `counts` of each bucket alone, one more than there are bounds.
  template <class Bounds>
  void add(const label_values& labels, const Bounds& bounds,
           const std::vector<std::uint64_t>& counts, std::uint64_t sum_ns) {
    auto& told = begin(labels).histogram;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      told.sample_count += counts[i];
      if (i < bounds.size())
        told.bucket.push_back(
            {told.sample_count, std::chrono::duration<double>(bounds[i]).count()});
    }
    told.sample_sum = static_cast<double>(sum_ns) / 1e9;
  }

  prometheus::MetricFamily take() { return std::move(made_); }

private:
  prometheus::ClientMetric& begin(const label_values& labels) {
    auto& series = made_.metric.emplace_back();
    for (const auto& [name, value] : labels) {
      series.label.push_back({std::string(name), std::string(value)});
      // prometheus-cpp 1.0 puts a backslash before a line's end, and the end itself after it.
      auto& told = series.label.back().value;
      std::replace(told.begin(), told.end(), '\n', ' ');
    }
    return series;
  }

  prometheus::MetricFamily made_;
};

/// A histogram over several sets.
template <const auto& Bounds>
class summed_histogram {
public:
  void add(const time_histogram<Bounds>& part) {
    for (std::size_t i = 0; i < counts_.size(); ++i)
      counts_[i] += part.count(i);
    sum_ns_ += part.sum_ns();
  }
  void tell(metric_family& family, const label_values& labels) const {
    family.add(labels, Bounds, counts_, sum_ns_);
  }

private:
  std::vector<std::uint64_t> counts_ =
      std::vector<std::uint64_t>(time_histogram<Bounds>::buckets_count);
  std::uint64_t sum_ns_ = 0;
};

using families = std::vector<prometheus::MetricFamily>;

void add_request_families(families& all, const metrics_facts& facts);
void add_deployment_families(families& all, const metrics_facts& facts);
void add_queue_families(families& all, const metrics_facts& facts);
void add_gateway_families(families& all, const metrics_facts& facts);

} // namespace vorrang::http
