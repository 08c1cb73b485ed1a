#include "http/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>

namespace vorrang::http {

namespace {

constexpr std::uint32_t lines_a_second_max = 5;

struct bound {
  std::chrono::steady_clock::time_point since{};
  std::uint32_t written = 0;
  std::uint64_t left_out = 0;
};

std::mutex bounds_mutex;
std::array<bound, log_cause_count> bounds;

std::atomic<bool> as_json = false;

spdlog::level::level_enum translated(log_level level) {
  switch (level) {
  case log_level::debug:
    return spdlog::level::debug;
  case log_level::info:
    return spdlog::level::info;
  case log_level::warning:
    return spdlog::level::warn;
  case log_level::error:
    break;
  }
  return spdlog::level::err;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> one = [] {
    auto made = std::make_shared<spdlog::logger>("vorrang",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::warn);
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *one;
}

/// The text between the quotes of a JSON string.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char each : text) {
    if (each == '"' || each == '\\') {
      out += '\\';
      out += each;
    } else if (static_cast<unsigned char>(each) < 0x20) {
      constexpr char digits[] = "0123456789abcdef";
      out += "\\u00";
      out += digits[static_cast<unsigned char>(each) >> 4];
      out += digits[static_cast<unsigned char>(each) & 15];
    } else {
      out += each;
    }
  }
  return out;
}

} // namespace

void start_log(log_level lowest, bool json) {
  logger().set_level(translated(lowest));
  as_json = json;
  if (json)
    logger().set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%v"})");
}

void log_line(log_level level, std::string_view text) {
  if (as_json)
    logger().log(translated(level), "{}", escaped(text));
  else
    logger().log(translated(level), "{}", text);
}

void log_bounded(log_cause cause, std::string_view text) {
  std::uint64_t left_out = 0;
  {
    const std::lock_guard guard(bounds_mutex);
    bound& own = bounds[static_cast<std::size_t>(cause)];
    const auto now = std::chrono::steady_clock::now();
    if (now - own.since >= std::chrono::seconds(1)) {
      own.since = now;
      own.written = 0;
    }
    if (own.written == lines_a_second_max) {
      ++own.left_out;
      return;
    }
    ++own.written;
    left_out = own.left_out;
    own.left_out = 0;
  }
  if (left_out == 0)
    log_line(log_level::warning, text);
  else
    log_line(log_level::warning,
             std::string(text) + " (and " + std::to_string(left_out) + " more like it)");
}

} // namespace vorrang::http
