#include "actors/line_copy.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vorrang {
namespace {

bool goes_before(const ticket_report& a, const ticket_report& b) noexcept {
  return a.priority != b.priority ? a.priority < b.priority : a.arrival < b.arrival;
}

} // namespace

piece_request line_copy::next() const {
  piece_request wanted;
  wanted.slot = slot_;
  wanted.place = offset_ + view_.tickets.size();
  const auto left = std::min(limit_, shared_tickets_max) -
                    std::min({view_.tickets.size(), limit_, shared_tickets_max});
  wanted.limit = places_over_ ? 0 : std::min(left, shared_piece_tickets_max);
  wanted.wants_tickets = limit_ > 0;
  wanted.wants_line = wants_line_;
  wanted.classes = classes_;
  return wanted;
}

void line_copy::begin(queue_piece& piece) {
  has_begun_ = true;
  in_order_ = piece.in_order;
  view_ = std::exchange(piece.view, {});
  piece.view.waiting = view_.waiting;
  piece.view.tickets = std::exchange(view_.tickets, {});
  piece.view.oldest_wait = view_.oldest_wait;
}

bool line_copy::add(queue_piece&& piece) {
  if (has_begun_ && piece.in_order != in_order_) {
    // The line has become shared, or is so no more.
    if (std::exchange(began_again_, true))
      return false;
    has_begun_ = false;
    view_ = {};
    slot_ = 0;
    places_over_ = false;
    return true;
  }
  if (!has_begun_)
    begin(piece);
  if (piece.has_count)
    view_.waiting = piece.view.waiting;
  view_.oldest_wait = std::max(view_.oldest_wait, piece.view.oldest_wait);
  view_.oldest_waits.resize(std::max(view_.oldest_waits.size(), piece.view.oldest_waits.size()));
  for (std::size_t i = 0; i < piece.view.oldest_waits.size(); ++i)
    view_.oldest_waits[i] = std::max(view_.oldest_waits[i], piece.view.oldest_waits[i]);
  for (auto& each : piece.view.tickets) {
    // In order, one that has moved back since may come twice: the line is read from its head.
    const auto is_same = [&](const ticket_report& other) {
      return other.id == each.id;
    };
    if (in_order_ && std::any_of(view_.tickets.begin(), view_.tickets.end(), is_same))
      continue;
    view_.tickets.push_back(std::move(each));
  }
  slot_ = piece.next_slot;
  // A shared line has more places, or this instance's part of it more slots.
  if (in_order_) {
    places_over_ |= !piece.has_more;
    return !piece.is_last || next().limit > 0;
  }
  keep_best();
  return !piece.is_last;
}

/// Those beyond the page need not be kept.
void line_copy::keep_best() {
  const auto last =
      static_cast<std::size_t>(std::min<std::uint64_t>(offset_, view_.tickets.max_size() / 4) +
                               std::min(limit_, view_.tickets.max_size() / 4));
  if (view_.tickets.size() < 2 * last + piece_tickets_max)
    return;
  const auto end = view_.tickets.begin() + static_cast<std::ptrdiff_t>(last);
  std::nth_element(view_.tickets.begin(), end, view_.tickets.end(), goes_before);
  view_.tickets.erase(end, view_.tickets.end());
}

queue_view line_copy::take() {
  auto& all = view_.tickets;
  view_.offset = offset_;
  if (!in_order_) {
    std::sort(all.begin(), all.end(), goes_before);
    const auto first = std::min<std::uint64_t>(offset_, all.size());
    const auto last = std::min<std::uint64_t>(first + limit_, all.size());
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(last), all.end());
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(first));
  }
  auto place = static_cast<std::uint32_t>(offset_);
  for (auto& each : all)
    each.position = ++place;
  return std::exchange(view_, {});
}

} // namespace vorrang
