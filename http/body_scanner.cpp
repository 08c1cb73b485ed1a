#include "http/body_scanner.hpp"

#include <utility>

namespace vorrang::http {

namespace {

constexpr bool is_blank(char byte) noexcept {
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

constexpr bool is_digit(char byte) noexcept {
  return byte >= '0' && byte <= '9';
}

/// Room for as many at once; most documents have fewer.
constexpr std::size_t usual_members = 8;

/// Bytes of the whole valid sequences from `at` on; 0 leaves it to the step by step way, which
/// knows why a sequence is wrong and carries one over the end of a piece.
std::size_t skip_utf8(const char* at, const char* end) noexcept {
  const char* const begin = at;
  while (end - at >= 4 && static_cast<unsigned char>(*at) >= 0x80) {
    const auto size = utf8_sequence(std::string_view(at, 4));
    if (size == 0) {
      break;
    }
    at += size;
  }
  return static_cast<std::size_t>(at - begin);
}

} // namespace

std::string_view to_string(json_fault fault) noexcept {
  switch (fault) {
  case json_fault::none:
    return "valid";
  case json_fault::syntax:
    return "not valid JSON";
  case json_fault::bad_utf8:
    return "not valid UTF-8";
  case json_fault::too_deep:
    return "nested more than 256 levels deep";
  case json_fault::after_the_end:
    return "followed by something after the JSON document";
  case json_fault::cut_off:
    return "cut off";
  case json_fault::too_many_members:
    return "an object of more than 4096 members";
  }
  return "not valid";
}

bool body_scanner::refuse(json_fault fault, std::size_t at) {
  fault_ = fault;
  fault_at_ = at;
  return false;
}

bool body_scanner::in_object() const noexcept {
  const auto level = depth_ - 1;
  return ((is_object_[level / 64] >> (level % 64)) & 1U) != 0;
}

bool body_scanner::open(bool object, std::size_t at) {
  if (depth_ == depth_max) {
    return refuse(json_fault::too_deep, at);
  }
  const auto bit = std::uint64_t{1} << (depth_ % 64);
  auto& word = is_object_[depth_ / 64];
  word = object ? word | bit : word & ~bit;
  ++depth_;
  state_ = object ? state::object_first : state::array_first;
  if (meter_)
    meter_->open(object, at);
  return true;
}

bool body_scanner::close(bool object, std::size_t at) {
  if (in_object() != object) {
    return refuse(json_fault::syntax, at);
  }
  --depth_;
  end_value(at + 1);
  if (meter_)
    meter_->close(at + 1);
  return true;
}

bool body_scanner::begin_value(char byte, std::size_t at) {
  auto kind = json_kind::number;
  token_at_ = at;
  saved_ = 0;
  switch (byte) {
  case '"':
    kind = json_kind::string;
    state_ = state::string;
    in_key_ = false;
    break;
  case '{':
    kind = json_kind::object;
    break;
  case '[':
    kind = json_kind::array;
    break;
  case 't':
    kind = json_kind::boolean;
    literal_ = "rue";
    state_ = state::literal;
    break;
  case 'f':
    kind = json_kind::boolean;
    literal_ = "alse";
    state_ = state::literal;
    break;
  case 'n':
    kind = json_kind::null;
    literal_ = "ull";
    state_ = state::literal;
    break;
  case '-':
    state_ = state::minus;
    break;
  case '0':
    state_ = state::zero;
    break;
  default:
    if (!is_digit(byte)) {
      return refuse(json_fault::syntax, at);
    }
    state_ = state::integer;
    break;
  }
  if (depth_ == 0) {
    root_kind_ = kind;
    root_.begin = at;
  } else if (at_top_member()) {
    members_.back().value.begin = at;
    members_.back().kind = kind;
  }
  return byte == '{' || byte == '[' ? open(byte == '{', at) : true;
}

bool body_scanner::begin_key(std::size_t at) {
  if (at_top_member()) {
    if (members_.size() == members_max) {
      return refuse(json_fault::too_many_members, at);
    }
    if (members_.capacity() == 0)
      members_.reserve(usual_members);
    members_.emplace_back().key.begin = at;
  }
  in_key_ = true;
  token_at_ = at;
  state_ = state::string;
  return true;
}

bool body_scanner::end_string(std::size_t at) {
  if (in_key_) {
    if (at_top_member()) {
      members_.back().key.end = at + 1;
    }
    state_ = state::colon;
    if (meter_)
      meter_->key(token(at + 1));
  } else {
    end_value(at + 1);
    if (meter_)
      meter_->string(token(at + 1), saved_);
  }
  return true;
}

void body_scanner::scalar_ends(json_kind kind, std::size_t end) {
  end_value(end);
  if (meter_)
    meter_->scalar(kind, end - token_at_);
}

void body_scanner::end_value(std::size_t end) {
  if (depth_ == 0) {
    root_.end = end;
  } else if (at_top_member()) {
    members_.back().value.end = end;
  }
  state_ = state::after_value;
}

bool body_scanner::next_in_container(char byte, std::size_t at) {
  if (depth_ == 0) {
    return refuse(json_fault::after_the_end, at);
  }
  switch (byte) {
  case ',':
    state_ = in_object() ? state::object_key : state::value;
    return true;
  case '}':
    return close(true, at);
  case ']':
    return close(false, at);
  default:
    return refuse(json_fault::syntax, at);
  }
}

/// The first byte of a sequence (RFC 3629): how many follow, and what the next one may be.
bool body_scanner::begin_utf8(unsigned char byte, std::size_t at) {
  utf8_low_ = 0x80;
  utf8_high_ = 0xBF;
  if (byte >= 0xC2 && byte <= 0xDF) {
    utf8_left_ = 1;
  } else if (byte >= 0xE0 && byte <= 0xEF) {
    utf8_left_ = 2;
    utf8_low_ = byte == 0xE0 ? 0xA0 : 0x80;
    utf8_high_ = byte == 0xED ? 0x9F : 0xBF;
  } else if (byte >= 0xF0 && byte <= 0xF4) {
    utf8_left_ = 3;
    utf8_low_ = byte == 0xF0 ? 0x90 : 0x80;
    utf8_high_ = byte == 0xF4 ? 0x8F : 0xBF;
  } else {
    return refuse(json_fault::bad_utf8, at);
  }
  state_ = state::utf8;
  return true;
}

bool body_scanner::take_escape(char byte, std::size_t at) {
  switch (byte) {
  case '"':
  case '\\':
  case '/':
  case 'b':
  case 'f':
  case 'n':
  case 'r':
  case 't':
    state_ = state::string;
    ++saved_;
    return true;
  case 'u':
    state_ = state::hex;
    hex_digits_ = 0;
    unicode_ = 0;
    return true;
  default:
    return refuse(json_fault::syntax, at);
  }
}

bool body_scanner::take_hex(char byte, std::size_t at) {
  const int digit = hex_digit(byte);
  if (digit < 0) {
    return refuse(json_fault::syntax, at);
  }
  unicode_ = unicode_ * 16 + static_cast<std::uint32_t>(digit);
  if (++hex_digits_ == 4) {
    state_ = state::string;
    count_escape(at + 1);
  }
  return true;
}

/// As unescaped() reads it: of a pair the second half makes four bytes of three.
void body_scanner::count_escape(std::size_t end) {
  constexpr std::size_t escape_size = 6;
  const bool is_low = unicode_ >= 0xDC00 && unicode_ <= 0xDFFF;
  if (is_low && high_ends_ == end - escape_size)
    saved_ += escape_size - 1;
  else
    saved_ += escape_size - utf8_size(unicode_);
  high_ends_ = unicode_ >= 0xD800 && unicode_ <= 0xDBFF ? end : 0;
}

/// `taken` is false when the number ended before this byte.
bool body_scanner::take_number(char byte, std::size_t at, bool& taken) {
  taken = true;
  switch (state_) {
  case state::minus:
    if (!is_digit(byte)) {
      return refuse(json_fault::syntax, at);
    }
    state_ = byte == '0' ? state::zero : state::integer;
    return true;
  case state::dot:
  case state::exponent_sign:
    if (!is_digit(byte)) {
      return refuse(json_fault::syntax, at);
    }
    state_ = state_ == state::dot ? state::fraction : state::exponent_digits;
    return true;
  case state::exponent:
    if (!is_digit(byte) && byte != '+' && byte != '-') {
      return refuse(json_fault::syntax, at);
    }
    state_ = is_digit(byte) ? state::exponent_digits : state::exponent_sign;
    return true;
  default:
    break;
  }
  if (is_digit(byte) && state_ != state::zero) {
    return true;
  }
  if (byte == '.' && (state_ == state::zero || state_ == state::integer)) {
    state_ = state::dot;
  } else if ((byte == 'e' || byte == 'E') && state_ != state::exponent_digits) {
    state_ = state::exponent;
  } else {
    taken = false;
    scalar_ends(json_kind::number, at);
  }
  return true;
}

bool body_scanner::feed(std::string_view document) {
  if (fault_ != json_fault::none) {
    return false;
  }
  document_ = document.data();
  const char* const end = document_ + document.size();
  const char* p = document_ + offset_;
  const auto at = [&] {
    return static_cast<std::size_t>(p - document_);
  };
  while (p != end) {
    const char byte = *p;
    switch (state_) {
    case state::string:
      p += plain_size({p, static_cast<std::size_t>(end - p)});
      if (p == end) {
        continue;
      }
      if (*p == '"') {
        end_string(at());
      } else if (*p == '\\') {
        state_ = state::escape;
        if (in_key_ && at_top_member()) {
          members_.back().key_is_escaped = true;
        }
      } else if (static_cast<unsigned char>(*p) < 0x20) {
        return refuse(json_fault::syntax, at());
      } else if (const auto size = skip_utf8(p, end); size > 0) {
        p += size;
        continue;
      } else if (!any_bytes_ && !begin_utf8(static_cast<unsigned char>(*p), at())) {
        return false;
      }
      break;
    case state::utf8: {
      const auto code = static_cast<unsigned char>(byte);
      if (code < utf8_low_ || code > utf8_high_) {
        return refuse(json_fault::bad_utf8, at());
      }
      utf8_low_ = 0x80;
      utf8_high_ = 0xBF;
      if (--utf8_left_ == 0) {
        state_ = state::string;
      }
      break;
    }
    case state::value:
      if (!is_blank(byte) && !begin_value(byte, at())) {
        return false;
      }
      break;
    case state::array_first:
      if (!is_blank(byte) && !(byte == ']' ? close(false, at()) : begin_value(byte, at()))) {
        return false;
      }
      break;
    case state::object_first:
    case state::object_key:
      if (is_blank(byte)) {
        break;
      }
      if (byte == '}' && state_ == state::object_first) {
        close(true, at());
      } else if (byte != '"') {
        return refuse(json_fault::syntax, at());
      } else if (!begin_key(at())) {
        return false;
      }
      break;
    case state::colon:
      if (byte == ':') {
        state_ = state::value;
      } else if (!is_blank(byte)) {
        return refuse(json_fault::syntax, at());
      }
      break;
    case state::after_value:
      if (!is_blank(byte) && !next_in_container(byte, at())) {
        return false;
      }
      break;
    case state::escape:
      if (!take_escape(byte, at())) {
        return false;
      }
      break;
    case state::hex:
      if (!take_hex(byte, at())) {
        return false;
      }
      break;
    case state::literal:
      if (byte != *literal_) {
        return refuse(json_fault::syntax, at());
      }
      if (*++literal_ == '\0') {
        scalar_ends(literal_[-1] == 'l' ? json_kind::null : json_kind::boolean, at() + 1);
      }
      break;
    case state::integer:
    case state::fraction:
    case state::exponent_digits:
      while (p != end && is_digit(*p)) {
        ++p;
      }
      if (p == end) {
        continue;
      }
      [[fallthrough]];
    default: {
      bool taken = true;
      if (!take_number(*p, at(), taken)) {
        return false;
      }
      if (!taken) {
        continue;
      }
      break;
    }
    }
    ++p;
  }
  offset_ = document.size();
  return true;
}

bool body_scanner::finish() {
  if (fault_ != json_fault::none) {
    return false;
  }
  switch (state_) {
  case state::zero:
  case state::integer:
  case state::fraction:
  case state::exponent_digits:
    scalar_ends(json_kind::number, offset_);
    break;
  default:
    break;
  }
  if (state_ != state::after_value || depth_ != 0) {
    return refuse(json_fault::cut_off, offset_);
  }
  return true;
}

void body_scanner::reset() {
  auto members = std::move(members_);
  members.clear();
  *this = body_scanner();
  members_ = std::move(members);
}

} // namespace vorrang::http
