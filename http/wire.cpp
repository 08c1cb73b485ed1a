#include "http/wire.hpp"

#include "http/hangup_watch.hpp"
#include "http/wire_tls.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace vorrang::http {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// Pieces given to the kernel in one call.
constexpr std::size_t pieces_max = 16;

/// A sequence of buffers without memory of its own; a std::array would count its empty ones too.
class buffers {
public:
  using value_type = asio::const_buffer;
  using const_iterator = const asio::const_buffer*;

  explicit buffers(std::span<const std::string_view> pieces) {
    std::size_t left = wire::turn_bytes_max;
    for (const auto piece : pieces) {
      if (size_ == pieces_max || left == 0)
        break;
      const std::size_t size = std::min(piece.size(), left);
      buffers_[size_++] = asio::const_buffer(piece.data(), size);
      left -= size;
    }
  }
  const_iterator begin() const noexcept { return buffers_; }
  const_iterator end() const noexcept { return buffers_ + size_; }

private:
  asio::const_buffer buffers_[pieces_max];
  std::size_t size_ = 0;
};

} // namespace

wire::wire(loop& runs)
    : runs_(runs), socket_(runs.context().get_executor()), stall_(this, [](void* self) {
        auto& own = *static_cast<wire*>(self);
        own.stalled_ = true;
        own.fail();
        own.report();
      }) {}

wire::~wire() = default;

std::string wire::peer() const {
  error_code error;
  const auto other = socket_.remote_endpoint(error);
  if (error)
    return {};
  const auto address = other.address();
  // A client of IPv4 at a socket of both.
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string() + ":" +
           std::to_string(other.port());
  const auto text = address.to_string();
  return (address.is_v6() ? "[" + text + "]" : text) + ":" + std::to_string(other.port());
}

void wire::adopt(const tcp& protocol, int descriptor) {
  error_code ignored;
  if (socket_.assign(protocol, descriptor, ignored)) {
    fail();
    return;
  }
  open_ = true;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
}

bool wire::connect(const tcp::endpoint& to) {
  error_code error;
  socket_.open(to.protocol(), error);
  if (error)
    return false;
  open_ = true;
  socket_.non_blocking(true, error);
  socket_.set_option(tcp::no_delay(true), error);
  connecting_ = true;
  socket_.async_connect(to, [self = shared_from_this()](const error_code& failed) {
    self->connecting_ = false;
    if (failed)
      self->fail();
    self->report();
  });
  return true;
}

void wire::report() {
  if (listener_ != nullptr)
    listener_->wake();
  else if (idle_call_ != nullptr && open_)
    idle_call_(idle_owner_);
}

void wire::fail() noexcept {
  broken_ = true;
  input_ended_ = true;
  if (writing_) {
    // The writer takes is_writing() for leave to free its bytes.
    error_code ignored;
    socket_.cancel(ignored);
    writing_ = false;
  }
  rest_.clear();
  stall_.unlink();
}

void wire::consume(std::size_t count) noexcept {
  begin_ += count;
  if (begin_ == end_ && !reading_) // a read that is pending goes to where the end is now
    begin_ = end_ = 0;
}

void wire::keep_reading(std::size_t bytes_min) {
  if (reading_ || input_ended_ || connecting_ || !open_)
    return;
  const std::size_t used = end_ - begin_;
  if (used == 0)
    begin_ = end_ = 0;
  // A full buffer grows: a read into no room would complete at once, and without a pending read
  // nobody sees the end of the connection.
  std::size_t wanted = std::max(bytes_min, capacity_);
  if (used == wanted)
    wanted *= 2;
  if (used == 0)
    wanted = bytes_min; // back to the small one, once it has served
  wanted = std::min(wanted, bytes_max);
  if (wanted != capacity_ && wanted > used) {
    auto other = std::make_unique_for_overwrite<char[]>(wanted);
    if (used > 0)
      std::memcpy(other.get(), buffer_.get() + begin_, used);
    buffer_ = std::move(other);
    capacity_ = wanted;
    begin_ = 0;
    end_ = used;
  } else if (end_ == capacity_ && begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, used);
    begin_ = 0;
    end_ = used;
  }
  if (end_ < capacity_)
    read_more();
  else
    watch_end();
}

void wire::watch_end() {
  if (watched_ != 0)
    return;
  auto ended = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || !self->open_)
      return;
    self->input_ended_ = true; // what is in the buffer was sent before, and is of no use now
    self->report();
  };
  watched_ = runs_.hangups().add(socket_.native_handle(), std::move(ended));
}

void wire::forget_end() {
  if (watched_ != 0)
    runs_.hangups().forget(std::exchange(watched_, 0), socket_.native_handle());
}

void wire::read_more() {
  forget_end();
  reading_ = true;
  if (secured_)
    return read_secured();
  socket_.async_read_some(asio::buffer(buffer_.get() + end_, capacity_ - end_),
                          [self = shared_from_this()](const error_code& error, std::size_t count) {
                            self->reading_ = false;
                            if (!self->open_)
                              return;
                            self->end_ += count;
                            if (error == asio::error::eof)
                              self->input_ended_ = true;
                            else if (error)
                              self->fail();
                            self->report();
                          });
}

void wire::write(std::string_view first, std::span<const std::string_view> more) {
  if (broken_ || !open_)
    return;
  rest_.clear();
  rest_.push_back(first);
  rest_.insert(rest_.end(), more.begin(), more.end());
  if (secured_)
    write_secured();
  else
    write_now();
}

void wire::write_now() {
  error_code error;
  const std::size_t count = socket_.write_some(buffers(rest_), error);
  if (error && error != asio::error::would_block && error != asio::error::try_again) {
    fail();
    return;
  }
  take_sent(count);
  if (rest_.empty())
    return;
  writing_ = true;
  runs_.watch(stall_, patience::write_stall);
  write_rest();
}

void wire::take_sent(std::size_t count) {
  bytes_written_ += count;
  auto first = rest_.begin();
  while (first != rest_.end() && count >= first->size())
    count -= (first++)->size();
  if (first != rest_.end())
    first->remove_prefix(count);
  rest_.erase(rest_.begin(), first);
}

void wire::write_rest() {
  socket_.async_write_some(buffers(rest_),
                           [self = shared_from_this()](const error_code& error, std::size_t count) {
                             if (!self->open_ || self->broken_)
                               return;
                             if (error) {
                               self->fail();
                               self->report();
                               return;
                             }
                             self->take_sent(count);
                             if (!self->rest_.empty()) {
                               self->runs_.watch(self->stall_, patience::write_stall);
                               self->write_rest();
                               return;
                             }
                             self->stall_.unlink();
                             self->writing_ = false;
                             self->report();
                           });
}

void wire::end_output() {
  error_code ignored;
  if (open_)
    socket_.shutdown(socket::shutdown_send, ignored);
}

void wire::close() {
  if (!open_)
    return;
  say_goodbye();
  open_ = false;
  listener_ = nullptr;
  idle_call_ = nullptr;
  writing_ = false;
  input_ended_ = true;
  rest_.clear();
  stall_.unlink();
  forget_end();
  error_code ignored;
  socket_.close(ignored);
}

} // namespace vorrang::http
