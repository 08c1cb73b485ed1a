// What the configuration's tests share: read a text, and look at what was found.
#pragma once

#include "config/reader.hpp"

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vorrang::config::test {

using variables = std::map<std::string, std::string, std::less<>>;

inline read_result read(std::string_view text, variables set = {}) {
  return read_text(text, "config.yaml", fixed_environment(std::move(set)));
}

inline std::vector<std::string> texts_of(const read_result& result, severity level) {
  std::vector<std::string> out;
  for (const auto& each : result.diagnostics) {
    if (each.level == level) {
      out.push_back(to_text(each));
    }
  }
  return out;
}
inline std::vector<std::string> errors(const read_result& result) {
  return texts_of(result, severity::error);
}
inline std::vector<std::string> warnings(const read_result& result) {
  return texts_of(result, severity::warning);
}
inline std::vector<std::string> left_out(const read_result& result) {
  return texts_of(result, severity::left_out);
}

/// Whether one of the lines begins with `start` and holds each of `parts`.
inline bool has_line(const std::vector<std::string>& lines, std::string_view start,
                     std::initializer_list<std::string_view> parts = {}) {
  for (const auto& line : lines) {
    bool fits = line.rfind(start, 0) == 0;
    for (const auto part : parts) {
      fits = fits && line.find(part) != std::string::npos;
    }
    if (fits) {
      return true;
    }
  }
  return false;
}

inline std::string join(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) {
    out += line + "\n";
  }
  return out;
}

/// One mock deployment, six lines; what is under test follows.
inline std::string with_mock(std::string_view rest) {
  return "model_list:\n"
         "  - model_name: fake\n"
         "    litellm_params:\n"
         "      model: openai/fake\n"
         "      mock_response: hello\n"
         "\n" +
         std::string(rest);
}

/// One deployment of openai with these lines in its litellm_params (six blanks before each).
inline std::string with_params(std::string_view params) {
  return "model_list:\n"
         "  - model_name: m\n"
         "    litellm_params:\n"
         "      model: openai/gpt-4o\n"
         "      api_key: sk-upstream-key-1234\n" +
         std::string(params);
}

} // namespace vorrang::config::test
