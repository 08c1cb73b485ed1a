// A set of deployments of one group: one word for the usual group, more where there are more.
#pragma once

#include "actors/types.hpp"

#include <cstddef>

namespace vorrang {

/// Bits by deployment_index. Sets of one group may be combined whatever their sizes.
class deployment_set {
public:
  deployment_set() = default;

  /// The set of the deployments 0 … count − 1.
  static deployment_set all(std::size_t count) {
    deployment_set result;
    for (std::size_t i = 0; i < count; ++i)
      result.insert(static_cast<deployment_index>(i));
    return result;
  }

  bool contains(deployment_index i) const noexcept {
    if (i < 64)
      return (first_ >> i) & 1;
    const auto word = i / 64 - 1;
    return word < rest_.size() && ((rest_[word] >> (i % 64)) & 1);
  }

  void insert(deployment_index i) { word_at(i) |= std::uint64_t{1} << (i % 64); }

  void erase(deployment_index i) noexcept {
    if (contains(i))
      word_at(i) &= ~(std::uint64_t{1} << (i % 64));
  }

  bool empty() const noexcept {
    if (first_)
      return false;
    for (auto word : rest_)
      if (word)
        return false;
    return true;
  }

  deployment_set& operator|=(const deployment_set& other) {
    first_ |= other.first_;
    if (rest_.size() < other.rest_.size())
      rest_.resize(other.rest_.size());
    for (std::size_t i = 0; i < other.rest_.size(); ++i)
      rest_[i] |= other.rest_[i];
    return *this;
  }

  deployment_set& operator&=(const deployment_set& other) {
    first_ &= other.first_;
    for (std::size_t i = 0; i < rest_.size(); ++i)
      rest_[i] &= i < other.rest_.size() ? other.rest_[i] : 0;
    return *this;
  }

  deployment_set& operator-=(const deployment_set& other) noexcept {
    first_ &= ~other.first_;
    for (std::size_t i = 0; i < rest_.size() && i < other.rest_.size(); ++i)
      rest_[i] &= ~other.rest_[i];
    return *this;
  }

  bool intersects(const deployment_set& other) const noexcept {
    if (first_ & other.first_)
      return true;
    for (std::size_t i = 0; i < rest_.size() && i < other.rest_.size(); ++i)
      if (rest_[i] & other.rest_[i])
        return true;
    return false;
  }

  /// Every member is one of `other`'s.
  bool within(const deployment_set& other) const noexcept {
    if (first_ & ~other.first_)
      return false;
    for (std::size_t i = 0; i < rest_.size(); ++i)
      if (rest_[i] & ~(i < other.rest_.size() ? other.rest_[i] : 0))
        return false;
    return true;
  }

  friend bool operator==(const deployment_set& a, const deployment_set& b) noexcept {
    return a.within(b) && b.within(a);
  }

  /// Calls `visit(deployment_index)` for each member, in rising order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    each_bit(first_, 0, visit);
    for (std::size_t i = 0; i < rest_.size(); ++i)
      each_bit(rest_[i], static_cast<deployment_index>(64 * (i + 1)), visit);
  }

private:
  template <class Visit>
  static void each_bit(std::uint64_t word, deployment_index base, Visit&& visit) {
    for (; word; word &= word - 1)
      visit(base + static_cast<deployment_index>(__builtin_ctzll(word)));
  }

  std::uint64_t& word_at(deployment_index i) {
    if (i < 64)
      return first_;
    const std::size_t word = i / 64 - 1;
    if (word >= rest_.size())
      rest_.resize(word + 1);
    return rest_[word];
  }

  std::uint64_t first_ = 0;
  std::vector<std::uint64_t> rest_;
};

} // namespace vorrang
