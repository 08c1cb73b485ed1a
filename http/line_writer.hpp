// Lines that are written by a thread of their own: whoever has one to say never waits.
#pragma once

#include "actors/types.hpp"
#include "http/log_text.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace vorrang::http {

/// A bounded queue of lines (spdlog's), and where they go. If its reader is too slow, the oldest
/// lines are left out and counted. From any thread.
class line_writer {
public:
  /// Lines that wait at most, some 400 bytes each, and what is longer than 250 bytes.
  static constexpr std::size_t lines_max = 2048;

  /// To an open descriptor, which is not closed: stdout or stderr. `pattern` is spdlog's.
  line_writer(int descriptor, const std::string& pattern);
  /// To the end of a file, or into a FIFO, whose reader may come later. If it cannot be opened,
  /// trouble() says why, and nothing is written. Waits for no reader.
  line_writer(const std::string& file, const std::string& pattern);
  /// Writes what waits, if that takes no longer than drain() was told; else the thread is left to
  /// itself: the process has to end by _Exit().
  ~line_writer();
  line_writer(const line_writer&) = delete;
  line_writer& operator=(const line_writer&) = delete;

  /// One line, without its end. Never waits for the reader.
  void write(log_level level, std::string_view line);

  /// Opens the file again, for those who move it away (logrotate). Where that fails the file of
  /// before goes on; an empty text is success. For one thread at a time; never waits for the
  /// reader.
  std::string reopen();
  const std::string& trouble() const noexcept { return trouble_; }

  /// Waits until everything is written; false: it was not, within `patience`.
  bool drain(duration patience);
  /// The same without a lock, for the handler of a signal: waits at most `ms`.
  void await_from_signal(int ms) const noexcept;

  /// Lines since the start, without a lock.
  std::uint64_t said() const noexcept;
  /// Those of them that were left out: the queue was full, or they could not be written.
  std::uint64_t lost() const;

private:
  struct parts;
  void start(int descriptor, const std::string& pattern);

  std::unique_ptr<parts> parts_;
  std::string trouble_;
};

} // namespace vorrang::http
