#include "config/yaml_text.hpp"

#include <algorithm>
#include <cstdio>

namespace vorrang::config {

namespace {

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// Bytes of the UTF-8 sequence that begins at `at`; 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto lead = byte(at);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80U) {
      return 0;
    }
  }
  const auto second = byte(at + 1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
      (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
    return 0;
  }
  return length;
}

} // namespace

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  std::size_t start = 0;
  while (start <= text.size()) {
    const auto end = text.find('\n', start);
    auto line = text.substr(start, end == std::string_view::npos ? end : end - start);
    if (!line.empty() && line.back() == '\r') {
      line.remove_suffix(1);
    }
    lines.emplace_back(line);
    if (end == std::string_view::npos) {
      break;
    }
    start = end + 1;
  }
  return lines;
}

std::optional<missing_colon> find_missing_colon(const std::string& line, std::uint32_t number) {
  std::size_t at = line.find_first_not_of(' ');
  if (at == std::string::npos) {
    return std::nullopt;
  }
  if (line.compare(at, 2, "- ") == 0) {
    at = line.find_first_not_of(' ', at + 1);
    if (at == std::string::npos) {
      return std::nullopt;
    }
  }
  const std::size_t key_start = at;
  while (at < line.size() && is_key_character(line[at])) {
    ++at;
  }
  if (at == key_start || (line[key_start] >= '0' && line[key_start] <= '9')) {
    return std::nullopt;
  }
  const std::size_t key_end = at;
  const std::size_t mark = line.find_first_not_of(' ', at);
  std::size_t value = mark;
  std::string found;
  if (mark != std::string::npos && (line[mark] == ';' || line[mark] == '=')) {
    found = std::string(1, line[mark]);
    value = line.find_first_not_of(' ', mark + 1);
  } else if (mark == key_end && mark != std::string::npos) {
    // `name:value` (no space after the colon) and `name.rest` are other things.
    if (line[mark] != ':' || mark + 1 >= line.size() || line[mark + 1] == ' ') {
      return std::nullopt;
    }
    found = ":";
    value = mark + 1;
  }
  const std::string rest = value == std::string::npos ? std::string() : line.substr(value);
  // A proper `key: value` further right means that this is a key with spaces, or a sentence.
  if (found != ":" &&
      (rest.find(": ") != std::string::npos || (!rest.empty() && rest.back() == ':'))) {
    return std::nullopt;
  }
  missing_colon result;
  result.line = number;
  result.column = static_cast<std::uint32_t>(key_start + 1);
  result.key = line.substr(key_start, key_end - key_start);
  result.found = std::move(found);
  result.repair = line.substr(0, key_end) + ": " + rest;
  return result;
}

std::optional<missing_colon> find_missing_colon_before(const std::vector<std::string>& lines,
                                                       std::uint32_t line, std::uint32_t reach) {
  const auto indent = [](const std::string& text) {
    auto at = text.find_first_not_of(' ');
    return at == std::string::npos ? text.size() : at;
  };
  if (line == 0 || lines.empty()) {
    return std::nullopt;
  }
  const std::uint32_t last =
      std::min<std::uint32_t>(line, static_cast<std::uint32_t>(lines.size()));
  std::optional<missing_colon> weak;
  for (std::uint32_t number = last; number > 0 && last - number <= reach; --number) {
    const auto& text = lines[number - 1];
    const auto start = indent(text);
    if (start == text.size() || text[start] == '#') {
      continue;
    }
    auto found = find_missing_colon(text, number);
    if (found && !found->found.empty()) {
      return found;
    }
    // Without a sign in the colon's place it is a guess: only for a neighbour of the same depth,
    // and not for an item of a list.
    if (found && !weak && number != last && text[start] != '-' &&
        start == indent(lines[last - 1])) {
      weak = found;
    }
    // A line with a colon of its own, other than the one complained about, ends the search.
    if (number != last && !found) {
      break;
    }
  }
  return weak;
}

std::optional<bad_character> find_bad_character(std::string_view text) {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const auto length = utf8_length(text, at);
    if (length == 0) {
      return bad_character{line, column, "expected UTF-8 text, found a byte that is not UTF-8"};
    }
    if ((byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7F) {
      char name[8];
      std::snprintf(name, sizeof name, "0x%02x", static_cast<unsigned>(byte));
      return bad_character{line, column,
                           std::string("expected text, found the control character ") + name};
    }
    at += length;
    if (byte == '\n') {
      ++line;
      column = 1;
    } else {
      ++column;
    }
  }
  return std::nullopt;
}

} // namespace vorrang::config
