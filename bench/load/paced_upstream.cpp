#include "bench/load/paced_upstream.hpp"

#include <algorithm>
#include <stdexcept>

namespace vorrang::bench {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t open_within_ns = 20 * second_ns;
/// Between the last head and the first event: whoever opened the streams has done with that.
constexpr std::uint64_t breath_ns = second_ns / 10;
/// How far the upstream itself may fall behind before it gives up.
constexpr std::uint64_t behind_ns_max = 2 * second_ns;
constexpr int turn_ms = 10;

/// With the first event, which models write at once: a gateway may keep a head back until there is
/// one, because until then it may still ask somebody else.
const std::string answer_begin =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n" +
    event_chunk(R"({"role":"assistant","content":""})");
constexpr std::string_view answer_end = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

std::uint64_t in_ns(double seconds) {
  return static_cast<std::uint64_t>(seconds * 1e9);
}

void wait_until(std::uint64_t ns) {
  timespec at{};
  at.tv_sec = static_cast<time_t>(ns / second_ns);
  at.tv_nsec = static_cast<long>(ns % second_ns);
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

} // namespace

paced_upstream::paced_upstream(std::uint16_t port, const pace& plan, std::vector<pid_t> between,
                               paced_shared& shared)
    : listener_(listen_at(port)), plan_(plan), between_(std::move(between)), shared_(shared) {
  poller_.add(listener_, 0);
}

void paced_upstream::run(double warm_seconds, double seconds) {
  try {
    open();
    if (!shared_.is_over)
      keep_pace(now_ns() + breath_ns, warm_seconds, seconds);
    end();
  } catch (...) {
    shared_.is_over = true; // or the clients would wait on
    throw;
  }
}

void paced_upstream::open() {
  const auto give_up_ns = now_ns() + open_within_ns;
  while (!shared_.is_open && !shared_.is_over) {
    for (const auto& each : poller_.wait(turn_ms)) {
      if (each.data.u64 == 0)
        accept();
      else
        read(static_cast<std::size_t>(each.data.u64 - 1));
    }
    if (now_ns() > give_up_ns)
      throw std::runtime_error("of " + std::to_string(plan_.streams) + " streams " +
                               std::to_string(streams_.size()) + " were asked for within 20 s");
  }
  // A client with an answer's head has asked here, so nobody is missing but after a fault.
  if (!shared_.is_over && streams_.size() != plan_.streams)
    throw std::runtime_error("the upstream has been asked " + std::to_string(streams_.size()) +
                             " times, not " + std::to_string(plan_.streams));
}

void paced_upstream::accept() {
  while (auto socket = accept_from(listener_)) {
    auto& made = accepted_.emplace_back();
    poller_.add(socket, accepted_.size());
    made.socket = std::move(socket);
  }
}

void paced_upstream::read(std::size_t number) {
  auto& from = accepted_[number];
  const auto count = read_some(from.socket, buffer_);
  if (count < 0)
    return;
  if (count == 0) {
    from.is_broken = true;
    from.socket.close();
    return;
  }
  if (from.request.feed({buffer_.data(), static_cast<std::size_t>(count)}) > 0) {
    write(from, answer_begin);
    streams_.push_back(&from);
  }
}

void paced_upstream::keep_pace(std::uint64_t begin_ns, double warm_seconds, double seconds) {
  const auto warm_events = plan_.events_before(in_ns(warm_seconds));
  const auto all_events = plan_.events_before(in_ns(warm_seconds + seconds));
  const auto end_ns = begin_ns + in_ns(warm_seconds + seconds);
  const auto give_up_ns = end_ns + behind_ns_max;
  counted_ = all_events - warm_events;
  late_.reserve(counted_);
  shared_.to_ns = end_ns;
  shared_.from_ns = begin_ns + plan_.due_ns(warm_events);
  std::uint64_t next = 0;
  while (next < all_events) {
    wait_until(begin_ns + plan_.due_ns(next));
    auto now = now_ns();
    if (shared_.is_over || now > give_up_ns)
      break;
    for (; next < all_events && now >= begin_ns + plan_.due_ns(next) && now <= give_up_ns; ++next) {
      if (next == warm_events) {
        first_ = sample();
        now = now_ns();
      }
      stamps at;
      at.due_ns = begin_ns + plan_.due_ns(next);
      at.written_ns = now;
      auto& to = *streams_[plan_.stream_of(next)];
      write(to, event_.with(at));
      if (next >= warm_events)
        late_.add(static_cast<double>(now - at.due_ns) / 1000);
      now = now_ns();
    }
  }
  if (next <= warm_events && !shared_.is_over)
    throw std::runtime_error("the upstream itself has written nothing that counts");
  last_ = sample();
  late_.add_lost(all_events - std::max(next, warm_events));
}

/// What does not fit goes before whatever is written next.
void paced_upstream::write(stream& to, std::string_view bytes) {
  if (to.is_broken)
    return;
  if (!to.waiting.empty()) {
    const auto count = write_some(to.socket, to.waiting);
    to.is_broken = count < 0;
    to.waiting.erase(0, static_cast<std::size_t>(std::max<std::ptrdiff_t>(count, 0)));
  }
  std::ptrdiff_t count = 0;
  if (to.waiting.empty() && !to.is_broken) {
    count = write_some(to.socket, bytes);
    to.is_broken = count < 0;
  }
  if (to.is_broken)
    return;
  if (static_cast<std::size_t>(count) < bytes.size()) {
    to.waiting += bytes.substr(static_cast<std::size_t>(count));
    ++held_back_;
  }
}

void paced_upstream::end() {
  for (auto* each : streams_)
    write(*each, answer_end);
  shared_.is_ended = true;
  while (!shared_.is_over) {
    wait_until(now_ns() + turn_ms * second_ns / 1000);
    for (auto* each : streams_) {
      if (!each->waiting.empty())
        write(*each, {});
    }
  }
}

paced_sample paced_upstream::sample() const {
  paced_sample made;
  made.at_ns = now_ns();
  made.events_read = shared_.events_read;
  made.between_ns = processor_ns_of(between_);
  made.own_ns = own_processor_ns();
  made.ticks = machine_ticks_now();
  return made;
}

} // namespace vorrang::bench
