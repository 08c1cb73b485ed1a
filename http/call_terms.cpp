#include "http/call_terms.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace vorrang::http {

namespace {

using std::chrono::milliseconds;

/// How long the client's library waits: the smaller of the two that it may send.
std::optional<milliseconds> library_timeout(const head_fields& fields) {
  std::optional<milliseconds> least;
  for (const auto* name : {"x-stainless-read-timeout", "x-stainless-timeout"}) {
    const auto text = fields.find(name);
    const auto value = text ? read_seconds(*text) : std::nullopt;
    if (value && *value > milliseconds::zero() && (!least || *value < *least))
      least = value;
  }
  return least;
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto word = trimmed(list.substr(0, comma));
    if (!word.empty())
      words.emplace_back(word);
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return words;
}

} // namespace

std::optional<milliseconds> read_seconds(std::string_view text) {
  constexpr double seconds_max = 100.0 * 24 * 3600;
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(seconds))
    return std::nullopt;
  seconds = std::clamp(seconds, -seconds_max, seconds_max);
  return milliseconds(static_cast<milliseconds::rep>(std::llround(seconds * 1000)));
}

terms_result read_terms(const inspected_body& body, const head_fields& fields, const visitor& who,
                        const config::settings& settings,
                        std::optional<milliseconds> keepalive_of_group) {
  terms_result result;
  auto& terms = result.terms;

  auto asked = body.priority;
  if (!asked) {
    if (const auto text = fields.find("x-vorrang-priority")) {
      asked = read_priority(*text);
      if (!asked) {
        result.wrong = {our_error::bad_field,
                        "x-vorrang-priority must be an integer of 32 bits; lower goes first",
                        "priority"};
        return result;
      }
    }
  }
  terms.client_set_priority = asked.has_value();
  terms.priority =
      who.priority(asked, settings.router.default_priority, settings.gateway.min_priority);

  terms.time_limit = settings.router.timeout;
  if (body.timeout)
    terms.time_limit = std::min(terms.time_limit, *body.timeout);
  if (const auto text = fields.find("x-litellm-timeout")) {
    const auto wanted = read_seconds(*text);
    if (!wanted || *wanted <= milliseconds::zero()) {
      result.wrong = {our_error::bad_field,
                      "x-litellm-timeout must be a positive number of seconds", "timeout"};
      return result;
    }
    terms.time_limit = std::min(terms.time_limit, *wanted);
  }
  const auto library = library_timeout(fields);
  if (library && !body.stream) {
    constexpr milliseconds margin{1000};
    terms.time_limit =
        std::min(terms.time_limit, *library > margin ? *library - margin : *library / 2);
  }

  auto interval =
      body.keepalive.value_or(keepalive_of_group.value_or(settings.gateway.stream_keepalive));
  if (interval > milliseconds::zero()) {
    if (library)
      interval = std::min(interval, *library / 2);
    terms.keep_alive = std::max(interval, call_terms::keep_alive_min);
  }

  terms.num_retries = body.num_retries;
  if (const auto text = fields.find("x-litellm-num-retries"); text && !terms.num_retries) {
    terms.num_retries = read_retries(*text);
    if (!terms.num_retries)
      result.wrong = {our_error::bad_field,
                      "x-litellm-num-retries must be a whole number, 0 or more", "num_retries"};
  }
  terms.between_chunks = body.stream_timeout;
  if (const auto text = fields.find("x-litellm-stream-timeout"); text && !terms.between_chunks) {
    terms.between_chunks = read_seconds(*text);
    if (!terms.between_chunks || *terms.between_chunks <= milliseconds::zero())
      result.wrong = {our_error::bad_field,
                      "x-litellm-stream-timeout must be a positive number of seconds",
                      "stream_timeout"};
  }

  terms.tags = body.tags;
  if (terms.tags.empty())
    terms.tags = split_list(fields.value_or("x-litellm-tags", {}));
  return result;
}

} // namespace vorrang::http
