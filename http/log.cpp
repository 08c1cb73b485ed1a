#include "http/log.hpp"

#include "http/json_string.hpp"
#include "http/line_writer.hpp"

#include <cxxabi.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>
#include <typeinfo>

namespace vorrang::http {

namespace {

constexpr const char* text_pattern = "%Y-%m-%dT%H:%M:%S.%e%z %l %v";
constexpr const char* json_pattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})";
/// What an abort waits for.
constexpr int last_words_ms = 300;

std::atomic<log_level> lowest_level = log_level::warning;
std::atomic<log_format> chosen_format = log_format::text;
/// Null before start_log() and after stop_log(). Those who log are gone by then.
std::unique_ptr<line_writer> writer;
/// For the handler of a signal.
std::atomic<const line_writer*> last_writer = nullptr;

std::mutex bounds_mutex;
log_bounds bounds;           // guarded by bounds_mutex
std::uint64_t lost_told = 0; // likewise
/// Whether there is anything that log_tick() could have to say: in most seconds there is not.
std::atomic<bool> may_have_news = false;

std::string_view name_of(log_level level) {
  switch (level) {
  case log_level::debug:
    return "debug";
  case log_level::info:
    return "info";
  case log_level::warning:
    return "warning";
  case log_level::error:
    break;
  }
  return "error";
}

std::string rendered(log_format format, std::string_view text,
                     std::initializer_list<log_field> fields) {
  std::string line;
  if (format == log_format::json) {
    std::string harmless;
    append_harmless(harmless, text);
    line = "\"message\":" + json_quoted(harmless);
  } else {
    append_harmless(line, text);
  }
  for (const log_field& each : fields) {
    if (each.is_absent())
      continue;
    line += format == log_format::json ? ',' : ' ';
    append_field(line, format, each);
  }
  return line;
}

/// Where nobody has started a log: one write, so that lines of several threads do not mix.
void write_at_once(log_level level, std::string line) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char stamp[32] = {};
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ ", &parts);
  line.insert(0, stamp + std::string(name_of(level)) + " ");
  line += '\n';
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
}

std::string and_more(std::string_view text, std::uint64_t left_out) {
  return std::string(text) + " (and " + std::to_string(left_out) + " more like it)";
}

extern "C" void on_abort(int) {
  if (const line_writer* waits = last_writer.load())
    waits->await_from_signal(last_words_ms);
  ::raise(SIGABRT); // the default one by now (SA_RESETHAND): it ends the process, on the way out
}

[[noreturn]] void on_terminate() {
  try {
    if (const auto thrown = std::current_exception())
      std::rethrow_exception(thrown);
    log_line(log_level::error, "terminated");
  } catch (const std::exception& thrown) {
    log_line(log_level::error, "terminated by an exception: " + describe(thrown));
  } catch (...) {
    log_line(log_level::error, "terminated by an exception");
  }
  std::abort();
}

} // namespace

void start_log(log_level lowest, log_format format) {
  lowest_level = lowest;
  chosen_format = format;
  writer = std::make_unique<line_writer>(STDERR_FILENO,
                                         format == log_format::json ? json_pattern : text_pattern);
  last_writer = writer.get();
  struct sigaction action {};
  action.sa_handler = on_abort;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGABRT, &action, nullptr);
  std::set_terminate(on_terminate);
}

bool stop_log(duration patience) {
  if (!writer)
    return true;
  log_tick(never); // what was left out so far
  const bool is_drained = writer->drain(patience);
  last_writer = nullptr;
  writer.reset();
  return is_drained;
}

bool logs(log_level level) noexcept {
  return level >= lowest_level.load(std::memory_order_relaxed);
}

void log_line(log_level level, std::string_view text, std::initializer_list<log_field> fields) {
  if (!logs(level))
    return;
  if (writer)
    writer->write(level, rendered(chosen_format, text, fields));
  else
    write_at_once(level, rendered(log_format::text, text, fields));
}

void log_bounded(log_cause cause, std::string_view subject, std::string_view text,
                 std::initializer_list<log_field> fields, log_level level) {
  if (!logs(level))
    return;
  std::optional<std::uint64_t> left_out;
  {
    const std::lock_guard guard(bounds_mutex);
    may_have_news = true;
    left_out = bounds.take(cause, subject, text, std::chrono::steady_clock::now(), level);
  }
  if (left_out)
    log_line(level, *left_out == 0 ? std::string(text) : and_more(text, *left_out), fields);
}

void log_tick(time_point now) {
  static std::atomic<std::uint64_t> said_by_then = 0;
  const std::uint64_t said = writer ? writer->said() : 0;
  if (said == said_by_then.exchange(said) && !may_have_news)
    return;
  std::vector<log_bounds::repeated> repeated;
  std::uint64_t lost = 0;
  {
    const std::lock_guard guard(bounds_mutex);
    repeated = bounds.due(now);
    may_have_news = !bounds.empty();
    const std::uint64_t lost_so_far = log_lines_lost();
    lost = lost_so_far - std::exchange(lost_told, lost_so_far);
  }
  for (const auto& each : repeated)
    log_line(each.level, and_more(each.text, each.left_out));
  if (lost > 0)
    log_line(log_level::warning, std::to_string(lost) +
                                     " lines of the log were left out: whoever reads it is too "
                                     "slow, or gone");
}

std::string describe(const std::exception& thrown) {
  const char* mangled = typeid(thrown).name();
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), &std::free);
  std::string told = status == 0 ? name.get() : mangled;
  if (told.rfind("std::", 0) == 0)
    told += std::string(": ") + thrown.what();
  return told;
}

std::uint64_t log_lines_lost() {
  return writer ? writer->lost() : 0;
}

} // namespace vorrang::http
