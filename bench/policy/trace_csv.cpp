#include "bench/policy/trace_csv.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace vorrang::bench {
namespace {

constexpr double seconds_limit = 1e8; // a time_point holds 292 years

constexpr std::array<std::string_view, 5> columns = {"arrival_s", "priority", "service_s",
                                                     "deadline_s", "tokens"};
enum column : std::size_t { arrival_s, priority, service_s, deadline_s, tokens };

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> result;
  for (;;) {
    const auto comma = line.find(',');
    result.push_back(trimmed(line.substr(0, comma)));
    if (comma == line.npos)
      return result;
    line.remove_prefix(comma + 1);
  }
}

template <class Number>
bool parse(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text.substr(0, 40)) + "'";
}

/// Reads lines into requests. Each function returns what is wrong, or nothing.
class reader {
public:
  std::string header(std::string_view line) {
    for (const auto name : split(line)) {
      const auto found = std::ranges::find(columns, name);
      if (found == columns.end())
        return "unknown column " + quoted(name) +
               "; known: arrival_s, priority, service_s, deadline_s, tokens";
      const auto which = static_cast<std::size_t>(found - columns.begin());
      if (std::ranges::find(order_, which) != order_.end())
        return "column " + quoted(name) + " stands there twice";
      order_.push_back(which);
    }
    for (const auto which : {arrival_s, priority, service_s, deadline_s})
      if (std::ranges::find(order_, which) == order_.end())
        return "column " + quoted(columns[which]) + " is missing";
    return {};
  }
  bool has_header() const { return !order_.empty(); }

  std::string row(std::string_view line, request& made) const {
    const auto fields = split(line);
    if (fields.size() != order_.size())
      return std::to_string(fields.size()) + " fields; the header has " +
             std::to_string(order_.size());
    for (std::size_t i = 0; i < fields.size(); ++i)
      if (auto wrong = field(order_[i], fields[i], made); !wrong.empty())
        return std::string(columns[order_[i]]) + ": " + wrong;
    return {};
  }

private:
  static std::string field(std::size_t which, std::string_view text, request& made) {
    if (which == priority)
      return parse(text, made.priority) ? "" : quoted(text) + " is no 32-bit integer";
    if (which == tokens)
      return text.empty() || parse(text, made.tokens) ? "" : quoted(text) + " is no whole number";
    if (which == deadline_s && text.empty())
      return {};
    double value = 0;
    if (!parse(text, value))
      return quoted(text) + " is no number";
    if (which == arrival_s ? !(value >= 0) : !(value > 0))
      return quoted(text) + (which == arrival_s ? " is not ≥ 0" : " is not > 0");
    if (!(value < seconds_limit))
      return quoted(text) + " is not below 1e8";
    if (which == arrival_s)
      made.arrival = seconds_of(value);
    else if (which == service_s)
      made.service = seconds_of(value);
    else
      made.deadline = seconds_of(value);
    return {};
  }

  /// Which column each field of a row is.
  std::vector<std::size_t> order_;
};

} // namespace

csv_trace read_trace(std::istream& file, std::string_view name) {
  csv_trace result;
  reader rows;
  std::string text;
  std::size_t number = 0;
  const auto fail = [&](const std::string& wrong) {
    result.requests.clear();
    result.error = std::string(name) + ":" + std::to_string(number) + ": " + wrong;
    return std::move(result);
  };
  while (std::getline(file, text)) {
    ++number;
    auto line = trimmed(text);
    if (number == 1 && line.starts_with("\xEF\xBB\xBF"))
      line.remove_prefix(3); // spreadsheets write this mark
    if (line.empty() || line.front() == '#')
      continue;
    if (!rows.has_header()) {
      if (const auto wrong = rows.header(line); !wrong.empty())
        return fail(wrong);
      continue;
    }
    if (result.requests.size() == trace_rows_max)
      return fail("more than " + std::to_string(trace_rows_max) + " requests");
    if (const auto wrong = rows.row(line, result.requests.emplace_back()); !wrong.empty())
      return fail(wrong);
  }
  if (file.bad())
    return fail("cannot be read any further");
  if (result.requests.empty())
    return fail(rows.has_header() ? "no request after the header" : "no header");
  std::ranges::stable_sort(result.requests, {}, &request::arrival);
  return result;
}

} // namespace vorrang::bench
