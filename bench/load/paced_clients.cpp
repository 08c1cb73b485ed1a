#include "bench/load/paced_clients.hpp"

#include <stdexcept>

namespace vorrang::bench {

namespace {

constexpr std::size_t opening_max = 64; // without an answer's head
constexpr std::uint64_t end_within_ns = 5'000'000'000;
constexpr int turn_ms = 10;
/// So that figures do not have to move while events are read.
constexpr std::size_t events_expected = 1 << 18;

std::string request() {
  const std::string body =
      R"({"model":"paced","stream":true,"messages":[{"role":"user","content":"Tell a story."}]})";
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
         "Content-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

} // namespace

paced_clients::paced_clients(std::uint16_t port, const pace& plan, paced_shared& shared)
    : port_(port), wanted_(plan.streams), shared_(shared) {
  clients_.reserve(wanted_);
  late_.reserve(events_expected);
  way_.reserve(events_expected);
}

void paced_clients::run() {
  std::uint64_t give_up_ns = 0;
  while (gone_ < wanted_ && !shared_.is_over) {
    open_more();
    for (const auto& each : poller_.wait(turn_ms))
      read(clients_[each.data.u64]);
    if (!shared_.is_ended)
      continue;
    if (give_up_ns == 0)
      give_up_ns = now_ns() + end_within_ns;
    else if (now_ns() > give_up_ns)
      break;
  }
  shared_.is_over = true;
}

void paced_clients::open_more() {
  while (clients_.size() < wanted_ && clients_.size() - begun_ < opening_max) {
    auto& made = clients_.emplace_back();
    made.socket = connect_to(port_, false);
    write_all(made.socket, request());
    poller_.add(made.socket, clients_.size() - 1);
  }
}

void paced_clients::read(client& from) {
  const auto count = read_some(from.socket, buffer_);
  const auto now = now_ns();
  if (count < 0)
    return;
  const auto had_begun = from.answer.has_begun();
  if (count > 0)
    from.answer.feed({buffer_.data(), static_cast<std::size_t>(count)}, found_);
  note(now);
  if (!had_begun && from.answer.has_begun() && ++begun_ == wanted_)
    shared_.is_open = true;
  if (count == 0 || from.answer.is_whole()) {
    if (!from.answer.has_begun())
      throw std::runtime_error("a stream was not answered");
    whole_ += from.answer.is_whole();
    ++gone_;
    from.socket.close();
  }
}

void paced_clients::note(std::uint64_t now) {
  if (found_.empty())
    return;
  shared_.events_read += found_.size();
  for (const auto& each : found_) {
    if (each.due_ns < shared_.from_ns || each.due_ns >= shared_.to_ns)
      continue;
    late_.add(static_cast<double>(now - each.due_ns) / 1000);
    way_.add(static_cast<double>(now - each.written_ns) / 1000);
  }
  found_.clear();
}

} // namespace vorrang::bench
