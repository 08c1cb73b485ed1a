#include "http/body_framer.hpp"

#include <algorithm>

namespace vorrang::http {

body_framer::body_framer(body_framing framing, std::uint64_t content_length,
                         std::uint64_t bytes_max)
    : framing_(framing), bytes_max_(bytes_max) {
  state_ = read_state::more;
  switch (framing) {
  case body_framing::none:
    state_ = read_state::done;
    break;
  case body_framing::length:
    left_ = content_length;
    if (content_length > bytes_max) {
      fail(our_error::body_too_large);
    } else if (content_length == 0) {
      state_ = read_state::done;
    }
    break;
  case body_framing::chunked:
    step_ = step::size_begin;
    break;
  case body_framing::until_close:
    left_ = no_limit;
    break;
  }
}

std::uint64_t body_framer::bytes_left() const noexcept {
  const bool is_known =
      state_ == read_state::more && step_ == step::data && framing_ != body_framing::until_close;
  return is_known ? left_ : 0;
}

body_framer::piece body_framer::next(std::string_view input) {
  piece out;
  while (state_ == read_state::more && out.consumed < input.size()) {
    if (step_ != step::data) {
      if (!take_framing(input[out.consumed++])) {
        break;
      }
      continue;
    }
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - out.consumed));
    if (size > bytes_max_ - size_) {
      fail(our_error::body_too_large);
      break;
    }
    out.data = input.substr(out.consumed, size);
    out.consumed += size;
    size_ += size;
    if (framing_ == body_framing::until_close) {
      break;
    }
    left_ -= size;
    if (left_ == 0 && framing_ == body_framing::length) {
      state_ = read_state::done;
    } else if (left_ == 0) {
      step_ = step::data_cr;
    }
    break;
  }
  return out;
}

/// One byte of chunk framing. False once the body is done or has failed.
bool body_framer::take_framing(char byte) {
  const auto code = static_cast<unsigned char>(byte);
  const bool is_text = byte == '\t' || (code >= 0x20 && code != 0x7F);
  const auto expect = [&](char wanted, step then) {
    if (byte != wanted) {
      fail(our_error::bad_body_framing);
      return;
    }
    step_ = then;
  };
  switch (step_) {
  case step::data:
    break;
  case step::size_begin:
  case step::size_digits: {
    const bool is_digit = byte >= '0' && byte <= '9';
    const char lower = static_cast<char>(code | 0x20U);
    if (is_digit || (lower >= 'a' && lower <= 'f')) {
      const auto value = static_cast<std::uint64_t>(is_digit ? byte - '0' : lower - 'a' + 10);
      left_ = (step_ == step::size_begin ? 0 : left_) * 16 + value;
      digits_ = step_ == step::size_begin ? 1 : digits_ + 1;
      step_ = step::size_digits;
      if (digits_ > 15) { // so that it cannot overflow; also bounds leading zeros
        fail(our_error::bad_body_framing);
      }
    } else if (step_ == step::size_begin) {
      fail(our_error::bad_body_framing);
    } else if (byte == '\r') {
      step_ = step::size_lf;
    } else if (byte == ';' || byte == ' ' || byte == '\t') {
      step_ = step::extension;
    } else {
      fail(our_error::bad_body_framing);
    }
    break;
  }
  case step::extension:
    if (byte == '\r') {
      step_ = step::size_lf;
    } else if (!is_text || ++extension_bytes_ > extension_bytes_max) {
      fail(our_error::bad_body_framing);
    }
    break;
  case step::size_lf:
    expect('\n', left_ > 0 ? step::data : step::trailer_begin);
    if (state_ == read_state::more && left_ > bytes_max_ - size_) {
      fail(our_error::body_too_large);
    }
    break;
  case step::data_cr:
    expect('\r', step::data_lf);
    break;
  case step::data_lf:
    expect('\n', step::size_begin);
    break;
  case step::trailer_begin:
    if (byte == '\r') {
      step_ = step::end_lf;
      break;
    }
    step_ = step::trailer;
    [[fallthrough]];
  case step::trailer:
    if (byte == '\r') {
      step_ = step::trailer_lf;
    } else if (!is_text || ++trailer_bytes_ > trailer_bytes_max) {
      fail(our_error::bad_body_framing);
    }
    break;
  case step::trailer_lf:
    expect('\n', step::trailer_begin);
    break;
  case step::end_lf:
    if (byte == '\n') {
      state_ = read_state::done;
    } else {
      fail(our_error::bad_body_framing);
    }
    break;
  }
  return state_ == read_state::more;
}

void body_framer::finish() {
  if (state_ != read_state::more) {
    return;
  }
  if (framing_ == body_framing::until_close) {
    state_ = read_state::done;
  } else {
    fail(our_error::bad_body_framing);
  }
}

void body_framer::fail(our_error code) {
  state_ = read_state::failed;
  error_ = code;
}

} // namespace vorrang::http
