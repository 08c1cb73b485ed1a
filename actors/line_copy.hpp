// Copying a line in pieces: what one piece holds, and how they are put together.
//
// A queue with ten thousand tickets must not stand still while it is copied, so it is asked for a
// piece at a time and decides between two of them. Passive, no CAF.
#pragma once

#include "actors/snapshot.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace vorrang {

/// What one piece costs its queue at most: so many tickets are copied, or so many places of the
/// queue's memory looked at. About 20 us.
inline constexpr std::size_t piece_tickets_max = 256;
inline constexpr std::size_t piece_slots_max = 4096;
/// Tickets in one piece of a line that instances share: for so many the script of Redis takes half
/// a millisecond, and decides nothing meanwhile.
inline constexpr std::size_t shared_piece_tickets_max = 25;
/// Of such a line no more are read in one go: Redis, which decides for all, looks each of them up.
inline constexpr std::size_t shared_tickets_max = 1000;

/// Asks for the next piece.
struct piece_request {
  /// The queue's own tickets are copied as they lie in memory, from this slot on. Of a shared line
  /// they are only asked how long they have waited.
  std::size_t slot = 0;
  /// A shared line is copied in order, from this place on (0: the head), so many at most.
  std::size_t place = 0;
  std::size_t limit = 0;
  /// False: only the figures, and the longest waits.
  bool wants_tickets = false;
  /// False: a shared line is asked nothing at all, and who waits is counted of this instance alone.
  bool wants_line = true;
  /// Where classes of priorities begin, rising, for queue_view::oldest_waits.
  std::vector<std::int32_t> classes;
};

/// A piece. The first one (slot 0) has the deployments.
struct queue_piece {
  /// `tickets` in no order and without positions, unless `in_order`.
  queue_view view;
  bool in_order = false;
  /// `view.waiting` is how many wait; false: the shared line was not asked.
  bool has_count = true;
  /// Of a shared line: there are places behind these.
  bool has_more = false;
  /// For piece_request::slot of the next one; false: the last slot was looked at.
  std::size_t next_slot = 0;
  bool is_last = true;
};

/// Puts pieces together to a page of the line.
///
/// What it promises: whoever waits from the first piece to the last is there exactly once, as it
/// stood when its piece was copied, and in order; whoever comes or goes meanwhile may be missing,
/// and whoever goes may still be there. Of a line that instances share, one that moves forward
/// meanwhile may be missing too. Figures are those of the first piece, the count of who waits that
/// of the last.
class line_copy {
public:
  /// Tickets at `offset` … `offset + limit − 1`. `classes` as in piece_request.
  line_copy(std::uint64_t offset, std::size_t limit, std::vector<std::int32_t> classes = {})
      : offset_(offset), limit_(limit), classes_(std::move(classes)) {}

  /// Figures alone, from what this instance knows by itself.
  static line_copy of_figures(std::vector<std::int32_t> classes) {
    line_copy made(0, 0, std::move(classes));
    made.wants_line_ = false;
    return made;
  }

  piece_request next() const;
  /// False: it was the last.
  bool add(queue_piece&& piece);
  /// The page; nothing is left here.
  queue_view take();

private:
  void begin(queue_piece& piece);
  void keep_best();

  std::uint64_t offset_;
  std::size_t limit_;
  std::vector<std::int32_t> classes_;
  queue_view view_;
  std::size_t slot_ = 0;
  bool wants_line_ = true;
  bool has_begun_ = false;
  bool in_order_ = false;
  bool began_again_ = false;
  bool places_over_ = false; ///< of a shared line
};

} // namespace vorrang
