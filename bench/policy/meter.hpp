// What is measured, apart from whoever decides.
#pragma once

#include "bench/policy/trace.hpp"

#include <map>
#include <set>

namespace vorrang::bench {

/// How it went for one class of requests, that is for one priority.
struct class_result {
  std::int32_t priority = 0;
  std::uint64_t requests = 0;
  std::uint64_t answered = 0;
  /// Whose deadline passed before the answer was whole.
  std::uint64_t missed = 0;
  /// Error answers that their clients heard.
  std::uint64_t refusals = 0;
  /// Of the answered.
  std::uint64_t tokens = 0;
  /// Seconds of slots that its answers took, from the first arrival to the last one.
  double slot_seconds = 0;
  /// Answers that began while a more urgent request waited.
  std::uint64_t inversions = 0;
  /// Answers that began while an equal waited that had come earlier.
  std::uint64_t out_of_turn = 0;
  /// From the arrival to the begin of the answer; of those without an answer, to the deadline.
  /// Sorted.
  std::vector<duration> waits;
  /// The longest time in which somebody of this class waited and nobody of it was begun.
  duration starved{};
};

/// Follows who waits for an answer, wherever: in a line, in a slot that gives an error, or in the
/// client's own pause between two tries.
class meter {
public:
  explicit meter(const scenario& plan);

  void arrived(time_point now, request_index which);
  void refused(request_index which);
  /// An answer begins that will be whole if its client stays. With that it waits no longer.
  void served(time_point now, request_index which);
  /// It is whole, and took a slot for so long between the first arrival and the last one.
  void answered(request_index which, double slot_seconds);
  /// The client has hung up.
  void missed(time_point now, request_index which);

  bool anyone_waits() const noexcept { return !waiting_.empty(); }
  /// By priority, the most urgent first.
  std::vector<class_result> results() &&;

private:
  struct running_class {
    class_result result;
    std::size_t waiting = 0;
    time_point waits_since{};
  };

  running_class& of(request_index which) { return classes_[plan_.requests[which].priority]; }
  void leave(time_point now, request_index which);

  const scenario& plan_;
  std::map<std::int32_t, running_class> classes_;
  /// (priority, request): requests are numbered in the order in which they come.
  std::set<std::pair<std::int32_t, request_index>> waiting_;
};

} // namespace vorrang::bench
