#include "http/answer_headers.hpp"

#include "http/head_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

namespace vorrang::http {

namespace {

using std::chrono::milliseconds;

bool begins_with(std::string_view text, std::string_view start) noexcept {
  return equal_ignoring_case(text.substr(0, start.size()), start);
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) noexcept {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view each) { return equal_ignoring_case(name, each); });
}

/// Upstream fields that speak of the connection they came by, or of bytes that are not passed on as
/// they came.
bool is_withheld(std::string_view name) noexcept {
  return is_hop_by_hop(name) || is_one_of(name, {"content-length", "content-encoding"});
}

bool passes_unchanged(std::string_view name, passed_on what) noexcept {
  return begins_with(name, "x-ratelimit-") || begins_with(name, "openai-") ||
         is_one_of(name, {"x-request-id", "request-id"}) ||
         (what == passed_on::answer ? equal_ignoring_case(name, "content-type")
                                    : is_one_of(name, {"retry-after", "retry-after-ms"}));
}

constexpr std::array<std::string_view, 7> day_names = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers may send, and the two obsolete ones
/// that are to be understood (RFC 9110, 5.6.7): `Sunday, 06-Nov-94 08:49:37 GMT`, whose year is
/// within 50 years of `now`, and `Sun Nov  6 08:49:37 1994`.
std::optional<std::chrono::system_clock::time_point>
read_date(std::string_view text, std::chrono::system_clock::time_point now) {
  char month_name[4] = {};
  int day = 0, year = 0, hour = 0, minute = 0, second = 0;
  const std::string copy(text.substr(0, 40));
  if (std::sscanf(copy.c_str(), "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &day, month_name, &year, &hour,
                  &minute, &second) == 6) {
    // the usual one
  } else if (std::sscanf(copy.c_str(), "%*[A-Za-z], %2d-%3s-%2d %2d:%2d:%2d GMT", &day, month_name,
                         &year, &hour, &minute, &second) == 6) {
    const auto today = std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(now));
    const int this_year = static_cast<int>(today.year());
    year += this_year / 100 * 100;
    year += year < this_year - 50 ? 100 : year > this_year + 50 ? -100 : 0;
  } else if (std::sscanf(copy.c_str(), "%*3s %3s %2d %2d:%2d:%2d %4d", month_name, &day, &hour,
                         &minute, &second, &year) != 6) {
    return std::nullopt;
  }
  const auto month =
      std::find(month_names.begin(), month_names.end(), month_name) - month_names.begin();
  using namespace std::chrono;
  const auto date = std::chrono::year(year) / static_cast<unsigned>(month + 1) / day;
  if (month == 12 || !date.ok() || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  return sys_days(date) + hours(hour) + minutes(minute) + seconds(second);
}

std::optional<double> read_number(std::string_view text) noexcept {
  if (text.empty() || text[0] < '0' || text[0] > '9') {
    return std::nullopt; // from_chars takes "inf" and "nan" for numbers
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

std::optional<milliseconds> bounded(double ms) noexcept {
  if (!(ms > 0)) {
    return std::nullopt;
  }
  return milliseconds(static_cast<std::int64_t>(std::min(ms, 3'600'000.0)));
}

} // namespace

void add_gateway_fields(header_fields& fields, const gateway_facts& facts) {
  const auto add = [&](const char* name, std::string_view value) {
    if (!value.empty()) {
      fields.add(name, value);
    }
  };
  const auto add_number = [&](const char* name, auto value) {
    if (value) {
      fields.add(name, std::int64_t{*value});
    }
  };
  add("x-vorrang-request-id", facts.request_id);
  add("x-litellm-call-id", facts.request_id);
  add_number("x-vorrang-priority", facts.priority);
  if (facts.waited) {
    fields.add("x-vorrang-wait-ms", std::int64_t{facts.waited->count()});
  }
  add("x-vorrang-granted-by", facts.granted_by);
  add_number("x-vorrang-attempts", facts.attempts);
  add("x-litellm-model-id", facts.model_id);
  add("x-litellm-model-group", facts.model_group);
  add_number("x-litellm-attempted-retries", facts.retries);
  add_number("x-litellm-attempted-fallbacks", facts.fallbacks);
  if (facts.client_set_priority) {
    // Python's way to write a bool: what clients of LiteLLM compare with.
    fields.add("x-litellm-request-prioritization-used", "True");
  }
  if (facts.queue_path) {
    add_number("x-litellm-priority", facts.priority);
  }
}

void add_browser_fields(header_fields& fields) {
  fields.add("access-control-allow-origin", "*");
  fields.add(
      "access-control-expose-headers",
      "x-vorrang-request-id, x-vorrang-priority, x-vorrang-wait-ms, x-vorrang-granted-by, "
      "x-vorrang-attempts, x-litellm-call-id, x-litellm-model-id, x-litellm-model-group, "
      "x-litellm-attempted-retries, x-litellm-attempted-fallbacks, x-litellm-priority, "
      "x-litellm-request-prioritization-used, x-request-id, request-id, retry-after, "
      "x-should-retry, x-ratelimit-limit-requests, x-ratelimit-limit-tokens, "
      "x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, "
      "x-ratelimit-reset-tokens");
}

reply preflight_reply(std::string_view asked_headers, std::string_view allowed_methods) {
  reply out;
  out.status = 204;
  out.fields.add("access-control-allow-origin", "*");
  out.fields.add("access-control-allow-methods", allowed_methods);
  if (!asked_headers.empty() && is_field_value(asked_headers)) {
    out.fields.add("access-control-allow-headers", asked_headers);
  }
  out.fields.add("access-control-max-age", "600");
  out.fields.add("vary", "Access-Control-Request-Headers");
  return out;
}

void add_upstream_fields(header_fields& fields, const head_fields& upstream, passed_on what) {
  const auto listed = upstream.value_or("connection", {}); // names more hop-by-hop fields
  for (std::size_t i = 0; i < upstream.size(); ++i) {
    const auto [name, value] = upstream[i];
    if (is_withheld(name) || (!listed.empty() && list_holds(listed, name)) ||
        (what == passed_on::error && equal_ignoring_case(name, "content-type"))) {
      continue;
    }
    if (passes_unchanged(name, what)) {
      fields.add_read({}, name, value);
    } else {
      fields.add_read("llm_provider-", name, value);
    }
  }
}

std::string_view id_from_client(const head_fields& fields) noexcept {
  const auto id = fields.value_or("x-litellm-call-id", "");
  const bool is_harmless = id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char byte) {
                             return byte > 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
                           });
  return is_harmless ? id : std::string_view();
}

std::string render_answer_head(std::uint16_t status, const header_fields& fields,
                               const answer_framing& framing, std::string_view date) {
  auto head = head_text::of_answer(status);
  const bool has_no_body = status == 204 || status == 304;
  const bool until_close = !has_no_body && !framing.content_length && framing.version_minor == 0;
  head.add_lines(fields.lines());
  if (!date.empty()) {
    head.add_known("Date", date);
  }
  if (has_no_body) {
    // no length: RFC 9110, 8.6
  } else if (framing.content_length) {
    head.add_known("Content-Length", *framing.content_length);
  } else if (!until_close) {
    head.add_known("Transfer-Encoding", "chunked");
  }
  if (!framing.keep_alive || framing.version_minor == 0 || until_close) {
    head.add_known("Connection", "close");
  }
  return std::move(head).finish();
}

std::string chunk_begin(std::uint64_t size) {
  std::array<char, 20> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + 16, size, 16);
  static_cast<void>(error); // 16 digits hold every size
  return std::string(digits.data(), end) + "\r\n";
}

std::string http_date(std::chrono::system_clock::time_point at) {
  using namespace std::chrono;
  const auto day = floor<std::chrono::days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(floor<seconds>(at - day));
  std::array<char, 40> out{};
  std::snprintf(out.data(), out.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                day_names[weekday(day).c_encoding()].data(), static_cast<unsigned>(date.day()),
                month_names[static_cast<unsigned>(date.month()) - 1].data(),
                static_cast<int>(date.year()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()));
  return out.data();
}

std::optional<milliseconds> read_retry_after(const head_fields& upstream,
                                             std::chrono::system_clock::time_point now) {
  if (const auto ms = read_number(upstream.value_or("retry-after-ms", {}))) {
    return bounded(*ms);
  }
  const auto value = upstream.value_or("retry-after", {});
  if (const auto seconds = read_number(value)) {
    return bounded(*seconds * 1000);
  }
  const auto date = read_date(value, now);
  if (!date || *date <= now) {
    return std::nullopt;
  }
  return bounded(
      static_cast<double>(std::chrono::duration_cast<milliseconds>(*date - now).count()));
}

} // namespace vorrang::http
