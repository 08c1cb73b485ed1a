// How long things took, and what is said of that.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <optional>
#include <vector>

namespace vorrang::bench {

/// Times in µs. What never came counts as later than anything that did, so that a load which loses
/// half of its events does not look like a quick one.
class latencies {
public:
  void reserve(std::size_t count) { taken_.reserve(count); }
  void add(double us) {
    taken_.push_back(us);
    is_sorted_ = false;
  }
  void add_lost(std::size_t count) { lost_ += count; }

  /// With what was lost.
  std::size_t count() const { return taken_.size() + lost_; }
  std::size_t lost() const { return lost_; }

  /// The shortest of the times that at least this share of all did not exceed (the nearest rank).
  /// None where that one never came, and of nothing.
  std::optional<double> at(double share);

  /// The share of all that took at most so long; 0 of nothing.
  double share_within(double us);

  /// `count`, `lost`, `p50`, `p99`, `p999`, `max`, and `curve`: pairs of a share and its time, from
  /// the shortest on, ten for each power of ten by which fewer are left, while one is. What never
  /// came is null.
  nlohmann::ordered_json json();

private:
  void sort();

  std::vector<double> taken_;
  std::size_t lost_ = 0;
  bool is_sorted_ = true;
};

} // namespace vorrang::bench
