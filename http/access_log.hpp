// One line for each request that the data port has answered.
#pragma once

#include "actors/types.hpp"
#include "http/line_writer.hpp"
#include "http/log_text.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// What is told of a request. Empty texts and absent numbers: there was no such thing.
struct access_record {
  std::string request_id;
  std::string client; ///< address and port
  std::string_view method;
  std::string path; ///< without the query, which may hold a key
  /// As the client got it; 499 (nginx's number) where it went before its answer began.
  unsigned status = 0;
  std::string model; ///< as it was asked for
  std::string group; ///< whose line it stood in last
  std::string deployment;
  std::optional<std::int32_t> priority;
  std::optional<duration> waited;
  std::uint32_t attempts = 0;
  std::string_view reason; ///< of the last grant
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::optional<duration> first_byte; ///< from the whole head of the request
  duration total{};
  std::string_view error; ///< which of our errors it was, `hung-up` or `broken-stream`
};

/// The fields of a line, without its time.
std::string access_line(const access_record& of, log_format format);

/// Where they go. From any thread; never waits for a reader.
class access_log {
public:
  /// `-` is stdout, anything else a file.
  access_log(const std::string& target, log_format format);

  /// Why it cannot be used; empty: it can.
  const std::string& trouble() const noexcept { return writer_.trouble(); }
  void write(const access_record& of) { writer_.write(log_level::info, access_line(of, format_)); }
  /// Opens the file again. An empty text is success.
  std::string reopen() { return writer_.reopen(); }
  /// False: the process has to end by _Exit().
  bool stop(duration patience) { return writer_.drain(patience); }
  std::uint64_t lost() const { return writer_.lost(); }

private:
  log_format format_;
  line_writer writer_;
};

} // namespace vorrang::http
