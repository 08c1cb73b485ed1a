#include "http/stream_relay.hpp"

#include "http/model_restamp.hpp"
#include "http/sse_reader.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace vorrang::http {

namespace {

/// Whether some `"key": "…"` holds a text that is not empty. Keys within texts are escaped there,
/// so this needs no parser.
bool has_text(std::string_view json, std::string_view quoted_key) {
  for (auto at = json.find(quoted_key); at != std::string_view::npos;
       at = json.find(quoted_key, at + 1)) {
    auto rest = json.substr(at + quoted_key.size());
    const auto skip_blanks = [&] {
      while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t'))
        rest.remove_prefix(1);
    };
    skip_blanks();
    if (rest.empty() || rest.front() != ':')
      continue;
    rest.remove_prefix(1);
    skip_blanks();
    if (rest.size() >= 2 && rest[0] == '"' && rest[1] != '"')
      return true;
  }
  return false;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool has_delta(endpoint api, const sse_event& event) {
  static constexpr std::array<std::string_view, 5> chat_texts = {
      "\"content\"", "\"reasoning_content\"", "\"reasoning\"", "\"arguments\"", "\"refusal\""};
  switch (api) {
  case endpoint::messages:
    return event.type == "content_block_delta";
  case endpoint::responses:
    return ends_with(event.type, ".delta");
  case endpoint::completions:
    return has_text(event.data, "\"text\"");
  default:
    return std::any_of(chat_texts.begin(), chat_texts.end(),
                       [&](std::string_view key) { return has_text(event.data, key); });
  }
}

bool is_last(endpoint api, const sse_event& event) {
  switch (api) {
  case endpoint::messages:
    return event.type == "message_stop";
  case endpoint::responses:
    return event.type == "response.completed" || event.type == "response.failed" ||
           event.type == "response.incomplete";
  default:
    return event.data == "[DONE]";
  }
}

/// `response.id` of `response.created`.
std::string created_id(std::string_view data) {
  const auto event = nlohmann::json::parse(data, nullptr, false);
  const auto id = nlohmann::json::json_pointer("/response/id");
  return event.is_object() && event.contains(id) && event[id].is_string()
             ? event[id].get<std::string>()
             : std::string();
}

/// Takes the next line off `text`, with its end.
std::string_view take_line(std::string_view& text) {
  const auto at = line_size(text);
  const bool is_pair = text.substr(at, 2) == "\r\n";
  const auto line = text.substr(0, at + (is_pair ? 2 : 1));
  text.remove_prefix(line.size());
  return line;
}

/// The event with other data. Where the data stood on one line, nothing but it changes; else it
/// stands where its first line did.
void append_with_data(std::string& out, const sse_event& event, std::string_view data) {
  const auto at = event.data.empty() ? std::string_view::npos : event.bytes.find(event.data);
  if (at != std::string_view::npos) {
    out.append(event.bytes.substr(0, at)).append(data);
    out.append(event.bytes.substr(at + event.data.size()));
    return;
  }
  bool is_written = false;
  for (auto rest = event.bytes; !rest.empty();) {
    const auto line = take_line(rest);
    const auto name = line.substr(0, line.find_first_of(":\r\n"));
    if (name != "data") {
      out.append(line);
    } else if (!std::exchange(is_written, true)) {
      for (std::size_t begin = 0; begin <= data.size();) {
        const auto end = std::min(data.find('\n', begin), data.size());
        out.append("data: ").append(data.substr(begin, end - begin)).append("\n");
        begin = end + 1;
      }
    }
  }
}

} // namespace

struct stream_relay::state {
  relay_rules rules;
  sse_reader reader;
  std::string output;
  std::optional<std::uint64_t> prompt_tokens;
  std::optional<std::uint64_t> completion_tokens;
  std::optional<std::uint64_t> total_tokens;
  std::string response_id;
  std::uint64_t deltas = 0;
  std::string_view fault;
  std::string first_error;
  bool begun = false;
  bool complete = false;

  void take(const sse_event& event) {
    if (event.is_foreign) {
      fault = "the upstream sent text that is no event stream";
      return;
    }
    if (event.is_comment || event.data.empty()) {
      output.append(event.bytes);
      return;
    }
    complete |= is_last(rules.api, event);
    const auto stamped = restamp_model(event.data, rules.model);
    if (!stamped.is_object) {
      if (event.data.front() == '{')
        fault = "the upstream sent an event whose JSON is broken";
      else
        output.append(event.bytes);
      return;
    }
    const bool is_error = stamped.error_only || event.type == "error";
    if (is_error && !begun && output.empty()) {
      first_error = event.data;
      fault = "the upstream's stream began with an error";
      return;
    }
    note(stamped.usage);
    if (rules.api == endpoint::responses && event.type == "response.created")
      response_id = created_id(event.data);
    if (has_delta(rules.api, event))
      ++deltas;
    if (stamped.usage_only && rules.withhold_usage)
      return;
    append_with_data(output, event, stamped.text);
  }

  void note(const answer_usage& usage) {
    if (usage.prompt_tokens)
      prompt_tokens = usage.prompt_tokens;
    if (usage.completion_tokens)
      completion_tokens = usage.completion_tokens;
    if (usage.total_tokens)
      total_tokens = usage.total_tokens;
  }
};

stream_relay::stream_relay(relay_rules rules) : state_(std::make_unique<state>()) {
  state_->rules = std::move(rules);
}

stream_relay::~stream_relay() = default;

std::string_view stream_relay::feed(std::string_view piece) {
  auto& own = *state_;
  own.output.clear();
  own.reader.feed(piece);
  sse_event event;
  while (own.fault.empty() && own.reader.next(event))
    own.take(event);
  own.begun |= !own.output.empty();
  return own.output;
}

std::string_view stream_relay::finish() {
  auto& own = *state_;
  own.output.clear();
  sse_event event;
  if (own.fault.empty() && own.reader.last(event))
    own.take(event);
  own.begun |= !own.output.empty();
  return own.output;
}

bool stream_relay::begun() const noexcept {
  return state_->begun;
}

bool stream_relay::complete() const noexcept {
  return state_->complete;
}

std::string_view stream_relay::first_error() const noexcept {
  return state_->first_error;
}

std::string_view stream_relay::fault() const noexcept {
  if (state_->reader.too_large())
    return "the upstream sent an event of more than 16 MiB";
  return state_->fault;
}

std::optional<std::uint64_t> stream_relay::reported_tokens() const noexcept {
  // Anthropic tells the prompt's tokens first and the answer's last, each in an event of its own.
  if (state_->rules.api == endpoint::messages) {
    if (!state_->prompt_tokens || !state_->completion_tokens)
      return std::nullopt;
    return *state_->prompt_tokens + *state_->completion_tokens;
  }
  return state_->total_tokens;
}

const std::string& stream_relay::response_id() const noexcept {
  return state_->response_id;
}

std::uint64_t stream_relay::deltas() const noexcept {
  return state_->deltas;
}

} // namespace vorrang::http
