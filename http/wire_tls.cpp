#include "http/wire_tls.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace vorrang::http {

using boost::system::error_code;

namespace {

/// What a TLS record holds at most; what is written is gathered into records of this size.
constexpr std::size_t record_bytes = 16 * 1024;

} // namespace

void wire::secure(std::shared_ptr<tls_context> context, const std::string& host,
                  std::shared_ptr<tls_memory> memory) {
  if (!open_ || broken_)
    return;
  secured_ = std::make_unique<secured>(*this, std::move(context), host, std::move(memory));
  connecting_ = true;
  shake_hands();
}

std::string wire::fault() const {
  return secured_ ? secured_->session.fault() : std::string();
}

/// Calls `next` once the socket is ready; the wire lives until then.
void wire::after(readiness what, void (wire::*next)()) {
  const auto wait = what == readiness::readable ? socket::wait_read : socket::wait_write;
  socket_.async_wait(wait, [self = shared_from_this(), next](const error_code& error) {
    if (!self->open_)
      return;
    if (error) {
      self->connecting_ = self->reading_ = false;
      self->fail();
      self->report();
      return;
    }
    (self.get()->*next)();
  });
}

void wire::shake_hands() {
  switch (secured_->session.handshake()) {
  case tls_step::wants_read:
    return after(readiness::readable, &wire::shake_hands);
  case tls_step::wants_write:
    return after(readiness::writable, &wire::shake_hands);
  case tls_step::done:
    break;
  case tls_step::ended:
  case tls_step::failed:
    fail();
    break;
  }
  connecting_ = false;
  report();
}

/// With reading_ set: reads into the free part of the buffer.
void wire::read_secured() {
  const bool has_waited = std::exchange(secured_->waits_to_read, false);
  if (broken_) { // a write found out meanwhile
    reading_ = false;
    return;
  }
  std::size_t count = 0;
  switch (secured_->session.read(buffer_.get() + end_, capacity_ - end_, count)) {
  case tls_step::wants_read:
    secured_->waits_to_read = true;
    return after(readiness::readable, &wire::read_secured);
  case tls_step::wants_write:
    secured_->waits_to_read = true;
    return after(readiness::writable, &wire::read_secured);
  case tls_step::done:
    end_ += count;
    break;
  case tls_step::ended:
    input_ended_ = true;
    break;
  case tls_step::failed:
    fail();
    break;
  }
  if (!has_waited) {
    runs_.run_soon(secured_->told_soon);
    return;
  }
  reading_ = false;
  report();
}

void wire::write_secured() {
  const bool has_waited = writing_;
  std::array<char, record_bytes> record;
  const std::uint64_t turn_ends = bytes_written_ + turn_bytes_max;
  while (!rest_.empty() && !broken_) {
    const char* from = rest_.front().data();
    std::size_t size = std::min(rest_.front().size(), record_bytes);
    if (size < record_bytes && rest_.size() > 1) {
      size = 0;
      for (const auto piece : rest_) {
        const std::size_t part = std::min(piece.size(), record_bytes - size);
        std::memcpy(record.data() + size, piece.data(), part);
        size += part;
        if (size == record_bytes)
          break;
      }
      from = record.data();
    }
    if (size == 0) {
      rest_.clear(); // empty pieces
      break;
    }
    std::size_t count = 0;
    const auto step = secured_->session.write(from, size, count);
    if (step == tls_step::done)
      take_sent(count);
    const bool is_turn_over = bytes_written_ >= turn_ends && !rest_.empty();
    if (is_turn_over || step == tls_step::wants_read || step == tls_step::wants_write) {
      writing_ = true;
      runs_.watch(stall_, patience::write_stall);
      return after(step == tls_step::wants_read ? readiness::readable : readiness::writable,
                   &wire::write_secured);
    }
    if (step != tls_step::done)
      fail();
  }
  if (!has_waited)
    return;
  stall_.unlink();
  writing_ = false;
  report();
}

void wire::say_goodbye() noexcept {
  if (secured_ && !broken_ && !connecting_)
    secured_->session.say_goodbye();
}

} // namespace vorrang::http
