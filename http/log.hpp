// Messages to the operator. docs/logging.md says what each means.
#pragma once

#include "http/log_bounds.hpp"
#include "http/log_text.hpp"

#include <cstdint>
#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>

namespace vorrang::http {

/// Sends everything from `lowest` on to stderr, by a thread of its own: nobody who logs waits for
/// the reader. Once, before other threads are started. Before it is called, and in programs that
/// never do, warnings and errors go to stderr as text, by whoever logs them.
void start_log(log_level lowest, log_format format);
/// Writes what waits; false: the reader did not take it within `patience`, and the process has to
/// end by _Exit(). What is logged afterwards goes to stderr as before start_log().
bool stop_log(duration patience);

/// Whether lines of this level are written: those who would have to make a text ask first.
bool logs(log_level level) noexcept;

/// Writes a line. `text` and fields are made harmless; neither may hold a key, a prompt or an
/// answer. A request's lines have its id as `request_id`.
void log_line(log_level level, std::string_view text, std::initializer_list<log_field> fields = {});

/// Writes a line, but of each cause and subject (an address, a group …) only one in
/// log_bounds::period; how many were left out is said with the next one, or by log_tick().
void log_bounded(log_cause cause, std::string_view subject, std::string_view text,
                 std::initializer_list<log_field> fields = {},
                 log_level level = log_level::warning);

/// Says what was left out, once its period is over. Called about once a second.
void log_tick(time_point now);

/// What may be told of an exception: its type, and what the standard library's own say. Others may
/// quote what they have read (nlohmann_json does).
std::string describe(const std::exception& thrown);

/// Lines that were left out since start_log(), since the reader was too slow or gone.
std::uint64_t log_lines_lost();

} // namespace vorrang::http
