// The plain scheduler, for people who drive their queue themselves: they ask, it answers.
//
// C++17, no CAF, no clock, no threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace vorrang {

/// A request as it joins the queue of its model group.
struct flow_item {
  /// Lower goes first; any 32-bit integer.
  std::int32_t priority = 0;
  /// The caller's name for it, unique within the queue: 1 to `scheduler_text_max` bytes.
  std::string request_id;
  /// Each model group has one queue: 1 to `scheduler_text_max` bytes.
  std::string model_name;
};

/// The longest request id and the longest model name, in bytes.
inline constexpr std::size_t scheduler_text_max = 256;

/// Entries in one queue at most. Nothing leaves but by `poll` at the head and by `remove`, so a
/// caller that forgets its entries meets this limit instead of the machine's.
inline constexpr std::size_t scheduler_queue_max = 1'000'000;

/// Queues that are not empty at most.
inline constexpr std::size_t scheduler_queues_max = 10'000;

/// What a call could not do. Numbers are pinned.
enum class scheduler_error : std::uint8_t {
  none = 0,
  /// That id stands in this queue already; the entry keeps its place and priority.
  duplicate_request = 1,
  /// No such id in this queue: never added, removed, or granted at the head.
  unknown_request = 2,
  /// Nothing stands in the queue of this model.
  empty_queue = 3,
  /// `scheduler_queue_max` entries stand in it, or `scheduler_queues_max` queues are in use.
  queue_full = 4,
  /// An id or a model name that is empty or longer than `scheduler_text_max`.
  bad_name = 5,
};

/// One sentence each.
std::string_view to_string(scheduler_error error) noexcept;

/// The answer to `poll` and `peek`: true means go. `granted` is false where `error` is set.
struct scheduler_answer {
  bool granted = false;
  scheduler_error error = scheduler_error::none;

  explicit operator bool() const noexcept { return granted; }
};

/// LiteLLM's rule to the letter (spec §2): a request may go if any deployment of its group is
/// healthy, whatever its place, and its entry then stays until `remove`; if none is, only the head
/// of line may go, and leaves the queue by it. Entries sort by priority, then by arrival: unlike
/// LiteLLM's, equal priorities are strictly first come, first served.
///
/// A driver adds, polls until the answer is true or its patience ends, and then removes.
/// Passive; not thread-safe. Add, poll, peek and remove are O(log n).
class plain_scheduler {
public:
  /// Puts the item at its place. On an error nothing has changed.
  scheduler_error add_request(flow_item item);

  /// May it go now? `healthy_deployments`: how many deployments of its group are healthy.
  scheduler_answer poll(std::string_view request_id, std::string_view model_name,
                        std::size_t healthy_deployments);

  /// What `poll` would answer; nothing leaves the queue.
  scheduler_answer peek(std::string_view request_id, std::string_view model_name,
                        std::size_t healthy_deployments) const;

  /// Takes it out of the queue; unknown_request or empty_queue if it is not there.
  scheduler_error remove(std::string_view request_id, std::string_view model_name);

  /// The same, by LiteLLM's name.
  scheduler_error remove_request(std::string_view request_id, std::string_view model_name) {
    return remove(request_id, model_name);
  }

  /// Entries in the queue of this model.
  std::size_t size(std::string_view model_name) const;

private:
  /// (priority, arrival number)
  using place = std::pair<std::int32_t, std::uint64_t>;

  struct queue {
    std::set<place> order;
    std::map<std::string, place, std::less<>> places;
  };

  std::map<std::string, queue, std::less<>> queues_;
  std::uint64_t next_arrival_ = 0;
};

} // namespace vorrang
