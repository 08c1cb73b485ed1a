#include "http/story_ring.hpp"

namespace vorrang::http {

std::vector<story_event> story_ring::find(std::string_view request_id, ticket_id ticket) const {
  const auto request = number_of(request_id);
  std::vector<story_event> found;
  const auto look = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i)
      if (events_[i].request == request || (ticket != 0 && events_[i].ticket == ticket))
        found.push_back(events_[i]);
  };
  if (is_full_)
    look(next_, size_);
  look(0, next_);
  return found;
}

} // namespace vorrang::http
