// What a line of a log is made of: text and fields, as text or as JSON, always on one line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace vorrang::http {

enum class log_level : std::uint8_t {
  debug = 0,   ///< what is decided for each request
  info = 1,    ///< the life of the process and of its deployments
  warning = 2, ///< something is worse than it should be, and may get well by itself
  error = 3,   ///< somebody has to do something
};

enum class log_format : std::uint8_t { text = 0, json = 1 };

/// A name of ours and what it is for this line. Views: for one call.
class log_field {
public:
  log_field(std::string_view name, std::string_view text) noexcept : name_(name), text_(text) {}
  log_field(std::string_view name, const char* text) noexcept
      : log_field(name, std::string_view(text)) {}
  log_field(std::string_view name, const std::string& text) noexcept
      : log_field(name, std::string_view(text)) {}
  template <class Number, class = std::enable_if_t<std::is_integral_v<Number>>>
  log_field(std::string_view name, Number number) noexcept
      : name_(name), number_(static_cast<std::int64_t>(number)), is_number_(true) {}

  std::string_view name() const noexcept { return name_; }
  std::string_view text() const noexcept { return text_; }
  std::int64_t number() const noexcept { return number_; }
  bool is_number() const noexcept { return is_number_; }
  /// A text that is empty: there is nothing to tell.
  bool is_absent() const noexcept { return !is_number_ && text_.empty(); }

private:
  std::string_view name_;
  std::string_view text_;
  std::int64_t number_ = 0;
  bool is_number_ = false;
};

/// A value that came from elsewhere is cut to this many bytes.
inline constexpr std::size_t log_value_bytes_max = 256;

/// Appends `text` as it may stand in a line: what a terminal or a reader of lines would act on
/// (control characters, U+0080 to U+009F, U+2028, U+2029, marks of direction) and bytes that are no
/// UTF-8 become `\xNN` or `\u{NNNN}`.
void append_harmless(std::string& out, std::string_view text);

/// Appends `name=value`, the value in quotes where it needs them and `-` where there is none; or
/// `"name":value`, where an absent one is null. Values are cut to log_value_bytes_max.
void append_field(std::string& out, log_format format, const log_field& field);

} // namespace vorrang::http
