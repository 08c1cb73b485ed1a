// What became of a loop's last requests, in a ring of fixed size.
#pragma once

#include "actors/types.hpp"

#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

namespace vorrang::http {

enum class story_step : std::uint8_t {
  arrived = 1,  ///< took a ticket; `number` is its priority
  granted = 2,  ///< `number` is its priority then, `attempt` and `deployment` what was granted
  tried = 3,    ///< the attempt is over: `detail` is the outcome's kind, `number` its retry-after
  fallback = 4, ///< waits in the line of `group` from now on
  over = 5,     ///< `detail` is the place in end_labels, `status` what its client got
};

/// One step of one request. Trivial, so that a ring of them costs nothing before it is used.
struct story_event {
  /// Of a time_point, which is not trivial.
  duration::rep at;
  /// story_ring::number_of() its id.
  std::uint64_t request;
  ticket_id ticket;
  group_index group;
  deployment_index deployment;
  /// A priority, or a Retry-After in milliseconds (negative: none).
  std::int32_t number;
  /// HTTP; 0: none.
  std::uint16_t status;
  /// The attempt's number, from 1 up.
  std::uint16_t attempt;
  story_step step;
  std::uint8_t detail;
  /// For `tried`: a transport_error; 0: there was none.
  std::uint8_t error;
  /// For `granted`: it was a probe.
  bool is_probe;
  /// For `over`: the answer had begun, and its client did not get all of it.
  bool is_cut;

  time_point when() const noexcept { return time_point(duration(at)); }
};
static_assert(std::is_trivially_default_constructible_v<story_event> && sizeof(story_event) == 48);

/// Keeps the last `events` steps of a loop's requests, written and read by the loop's thread alone:
/// no lock, no memory, no system call for a step. A request is known by a number of 64 bits made of
/// its id, since clients may choose ids of any length: two of the ring's ids have the same number
/// about once in 10^9 rings.
class story_ring {
public:
  /// Steps that are kept. A request has four, if its first attempt is good.
  static constexpr std::size_t events_max = 32768;

  explicit story_ring(std::size_t events = events_max)
      : size_(events), events_(std::make_unique_for_overwrite<story_event[]>(events)) {}

  void add(const story_event& event) noexcept {
    events_[next_] = event;
    if (++next_ == size_) {
      next_ = 0;
      is_full_ = true;
    }
  }

  /// Those of the request with this id, or of the ticket (0: none), oldest first. Looks at each:
  /// about 0.1 ms for 32768.
  std::vector<story_event> find(std::string_view request_id, ticket_id ticket) const;

  /// How far back it goes; absent: nothing was forgotten yet.
  std::optional<time_point> kept_since() const noexcept {
    return is_full_ ? std::optional(events_[next_].when()) : std::nullopt;
  }

  /// FNV-1a.
  static std::uint64_t number_of(std::string_view request_id) noexcept {
    std::uint64_t number = 0xcbf29ce484222325;
    for (const char byte : request_id)
      number = (number ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    return number;
  }

private:
  std::size_t size_;
  std::unique_ptr<story_event[]> events_; // not written before it is used: no pages until then
  std::size_t next_ = 0;
  bool is_full_ = false;
};

} // namespace vorrang::http
