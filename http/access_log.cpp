#include "http/access_log.hpp"

#include <unistd.h>

namespace vorrang::http {

namespace {

constexpr const char* text_pattern = "time=%Y-%m-%dT%H:%M:%S.%e%z %v";
constexpr const char* json_pattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z",%v})";

std::int64_t in_ms(duration length) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
}

const char* pattern_of(log_format format) {
  return format == log_format::json ? json_pattern : text_pattern;
}

line_writer writer_to(const std::string& target, log_format format) {
  return target == "-" ? line_writer(STDOUT_FILENO, pattern_of(format))
                       : line_writer(target, pattern_of(format));
}

} // namespace

std::string access_line(const access_record& of, log_format format) {
  std::string line;
  line.reserve(512);
  const auto add = [&](const log_field& field) {
    if (!line.empty())
      line += format == log_format::json ? ',' : ' ';
    append_field(line, format, field);
  };
  const auto add_ms = [&](std::string_view name, const std::optional<duration>& length) {
    add(length ? log_field(name, in_ms(*length)) : log_field(name, ""));
  };
  add({"request_id", of.request_id});
  add({"client", of.client});
  add({"method", of.method});
  add({"path", of.path});
  add({"status", of.status});
  add({"model", of.model});
  add({"group", of.group});
  add({"deployment", of.deployment});
  add(of.priority ? log_field("priority", *of.priority) : log_field("priority", ""));
  add_ms("wait_ms", of.waited);
  add({"attempts", of.attempts});
  add({"reason", of.reason});
  add({"bytes_in", of.bytes_in});
  add({"bytes_out", of.bytes_out});
  add_ms("first_byte_ms", of.first_byte);
  add_ms("total_ms", of.total);
  add({"error", of.error});
  return line;
}

access_log::access_log(const std::string& target, log_format format)
    : format_(format), writer_(writer_to(target, format)) {}

} // namespace vorrang::http
