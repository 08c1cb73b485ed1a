#include "config/yaml_scalar.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace vorrang::config {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Takes a sign off; true for minus.
bool take_sign(std::string_view& text) {
  if (text.empty() || (text.front() != '+' && text.front() != '-')) {
    return false;
  }
  const bool minus = text.front() == '-';
  text.remove_prefix(1);
  return minus;
}

/// One digit in `base`, or -1.
int digit_value(char c, int base) {
  int value = -1;
  if (is_digit(c)) {
    value = c - '0';
  } else if (c >= 'a' && c <= 'f') {
    value = c - 'a' + 10;
  } else if (c >= 'A' && c <= 'F') {
    value = c - 'A' + 10;
  }
  return value < base ? value : -1;
}

/// Digits and `_` in `base`, at least one digit.
std::optional<std::uint64_t> parse_digits(std::string_view text, int base) {
  std::uint64_t value = 0;
  bool any = false;
  for (const char c : text) {
    if (c == '_') {
      continue;
    }
    const int digit = digit_value(c, base);
    const auto wide_base = static_cast<std::uint64_t>(base);
    if (digit < 0 ||
        value > (std::numeric_limits<std::uint64_t>::max() - static_cast<std::uint64_t>(digit)) /
                    wide_base) {
      return std::nullopt;
    }
    value = value * wide_base + static_cast<std::uint64_t>(digit);
    any = true;
  }
  return any ? std::optional(value) : std::nullopt;
}

/// Whether text is `[0-9]…(:[0-5]?[0-9])+`, PyYAML's base 60.
bool is_base_60(std::string_view text) {
  if (text.empty() || !is_digit(text.front())) {
    return false;
  }
  std::size_t colons = 0;
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ':') {
      if (digits == 0) {
        return false;
      }
      ++colons;
      digits = 0;
    } else if (is_digit(c) || (c == '_' && colons == 0)) {
      if (++digits > 2 && colons > 0) {
        return false;
      }
      if (colons > 0 && digits == 2 && text[i - 1] > '5') {
        return false;
      }
    } else {
      return false;
    }
  }
  return colons > 0 && digits > 0;
}

std::optional<std::uint64_t> parse_base_60(std::string_view text) {
  std::uint64_t value = 0;
  while (true) {
    const auto colon = text.find(':');
    const auto part = parse_digits(text.substr(0, colon), 10);
    if (!part || value > (std::uint64_t{1} << 56)) {
      return std::nullopt;
    }
    value = value * 60 + *part;
    if (colon == std::string_view::npos) {
      return value;
    }
    text.remove_prefix(colon + 1);
  }
}

/// `[0-9_]*` around one dot, then an exponent; `strict` wants the dot and the exponent's sign.
bool is_decimal(std::string_view text, bool strict) {
  std::size_t at = 0;
  std::size_t digits = 0;
  const auto run = [&] {
    for (; at < text.size() && (is_digit(text[at]) || text[at] == '_'); ++at) {
      digits += is_digit(text[at]) ? 1 : 0;
    }
  };
  if (text.empty() || text.front() == '_') {
    return false;
  }
  run();
  const bool dot = at < text.size() && text[at] == '.';
  if (dot) {
    ++at;
    run();
  }
  if (digits == 0 || (strict && !dot)) {
    return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
      ++at;
    } else if (strict) {
      return false;
    }
    const auto start = at;
    while (at < text.size() && is_digit(text[at])) {
      ++at;
    }
    if (at == start) {
      return false;
    }
  }
  return at == text.size();
}

/// PyYAML wants a digit after a leading dot, and takes no sign before one.
bool has_plain_start(std::string_view text) {
  const bool has_sign = text.front() == '+' || text.front() == '-';
  const auto rest = text.substr(has_sign ? 1 : 0);
  return rest.front() != '.' || (!has_sign && rest.size() > 1 && is_digit(rest[1]));
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const auto word : words) {
    if (text == word) {
      return true;
    }
  }
  return false;
}

/// A whole number in the spelling of YAML 1.1, of any size.
bool is_integer(std::string_view text) {
  take_sign(text);
  if (text.empty() || !is_digit(text.front())) {
    return false;
  }
  const auto all = [&](std::size_t from, int base) {
    for (const char c : text.substr(from)) {
      if (c != '_' && digit_value(c, base) < 0) {
        return false;
      }
    }
    return from < text.size();
  };
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'b' || text[1] == 'x')) {
    return all(2, text[1] == 'b' ? 2 : 16);
  }
  if (text.size() > 1 && text[0] == '0') {
    return all(1, 8);
  }
  return all(0, 10) || (text[0] != '0' && is_base_60(text));
}

} // namespace

std::optional<bool> parse_boolean(std::string_view text) {
  if (is_one_of(text, {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
    return true;
  }
  if (is_one_of(text, {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
    return false;
  }
  return std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  if (!is_integer(text)) {
    return std::nullopt;
  }
  const bool minus = take_sign(text);
  std::optional<std::uint64_t> value;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'b' || text[1] == 'x')) {
    value = parse_digits(text.substr(2), text[1] == 'b' ? 2 : 16);
  } else if (text.size() > 1 && text[0] == '0') {
    value = parse_digits(text.substr(1), 8);
  } else if (text.find(':') != std::string_view::npos) {
    value = parse_base_60(text);
  } else {
    value = parse_digits(text, 10);
  }
  if (!value || *value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  const auto signed_value = static_cast<std::int64_t>(*value);
  return minus ? -signed_value : signed_value;
}

std::optional<double> parse_real(std::string_view text) {
  if (const auto whole = parse_integer(text)) {
    return static_cast<double>(*whole);
  }
  const bool minus = take_sign(text);
  const double sign = minus ? -1.0 : 1.0;
  if (is_one_of(text, {".inf", ".Inf", ".INF"})) {
    return sign * std::numeric_limits<double>::infinity();
  }
  if (is_one_of(text, {".nan", ".NaN", ".NAN"})) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  double base_60 = 0;
  if (const auto dot = text.rfind('.');
      dot != std::string_view::npos && is_base_60(text.substr(0, dot))) {
    const auto whole = parse_base_60(text.substr(0, dot));
    if (!whole) {
      return std::nullopt;
    }
    base_60 = static_cast<double>(*whole);
    text.remove_prefix(dot);
    if (text == ".") {
      return sign * base_60;
    }
  }
  if (!is_decimal(text, false)) {
    return std::nullopt;
  }
  std::string digits;
  for (const char c : text) {
    if (c != '_') {
      digits += c;
    }
  }
  double value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size() || failure == std::errc::invalid_argument) {
    return std::nullopt;
  }
  if (failure == std::errc::result_out_of_range) {
    return std::nullopt;
  }
  return sign * (base_60 + value);
}

node_type resolve_scalar(std::string_view text) {
  if (text.empty() || is_one_of(text, {"~", "null", "Null", "NULL"})) {
    return node_type::null;
  }
  if (parse_boolean(text)) {
    return node_type::boolean;
  }
  if (is_integer(text)) {
    return node_type::integer;
  }
  auto unsigned_text = text;
  take_sign(unsigned_text);
  if (is_one_of(unsigned_text, {".inf", ".Inf", ".INF"}) ||
      is_one_of(text, {".nan", ".NaN", ".NAN"}) ||
      (is_decimal(unsigned_text, true) && has_plain_start(text))) {
    return node_type::real;
  }
  if (const auto dot = text.rfind('.');
      dot != std::string_view::npos &&
      is_base_60(unsigned_text.substr(0, unsigned_text.rfind('.'))) && parse_real(text)) {
    return node_type::real;
  }
  return node_type::text;
}

} // namespace vorrang::config
