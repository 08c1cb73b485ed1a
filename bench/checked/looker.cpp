#include "bench/checked/looker.hpp"

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace vorrang::checked {
namespace {

// A page of five hundred tickets takes the gateway and this thread some milliseconds.
constexpr moment between_looks = 50 * milliseconds;

} // namespace

looker::looker(poller& sockets, ordered_clock& clock, records& record, const clients& everybody,
               unsigned short port)
    : sockets_(sockets), clock_(clock), record_(record), everybody_(everybody), port_(port) {}

void looker::act() {
  const auto now = clock_.now();
  if (asked_ != never || now < next_)
    return;
  socket_ = connect_to(port_);
  came_.clear();
  sockets_.add(socket_, *this);
  asked_ = clock_.now();
  write(socket_, "GET /queue/m?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) +
                     "\r\nConnection: close\r\n\r\n");
}

void looker::readable() {
  if (came_.fill(socket_))
    return; // it closes behind the page
  read_page();
  sockets_.forget(*this);
  socket_ = descriptor();
  next_ = clock_.now() + between_looks;
  asked_ = never;
}

void looker::read_page() {
  look_record look;
  look.asked = asked_;
  look.told = clock_.now();
  const auto body = came_.text().find("\r\n\r\n");
  if (number_behind(came_.text(), "HTTP/1.1 ") != 200 || body == std::string_view::npos)
    throw std::runtime_error("the operator's port says " + std::string(came_.text()));
  const auto page = nlohmann::json::parse(came_.text().substr(body + 4));
  look.inversions = page.at("inversions");
  for (const auto& ticket : page.at("tickets")) {
    const auto number =
        ticket.at("why") == "backing-off"
            ? -1
            : everybody_.waiting_one(ticket.at("priority"), ticket.at("bytes"), asked_);
    if (number >= 0)
      look.waiting.push_back(number);
  }
  record_.looks.push_back(std::move(look));
}

} // namespace vorrang::checked
