#include "http/inspected_body.hpp"

#include "http/json_walk.hpp"
#include "http/rewrite_body.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

namespace vorrang::http {

namespace {

using std::chrono::milliseconds;

struct named_field {
  std::string_view name;
  body_field field;
  bool once; ///< ours: a second one is refused
};

constexpr named_field fields[] = {
    {"model", body_field::model, true},
    {"priority", body_field::priority, true},
    {"stream", body_field::stream, true},
    {"timeout", body_field::timeout, true},
    {"stream_timeout", body_field::stream_timeout, true},
    {"request_timeout", body_field::request_timeout, true},
    {"max_tokens", body_field::max_tokens, false},
    {"max_completion_tokens", body_field::max_completion_tokens, false},
    {"max_output_tokens", body_field::max_output_tokens, false},
    {"n", body_field::n, false},
    {"stream_options", body_field::stream_options, true},
    {"tags", body_field::tags, true},
    {"metadata", body_field::metadata, true},
    {"messages", body_field::messages, false},
    {"prompt", body_field::prompt, false},
    {"input", body_field::input, false},
    {"store", body_field::store, true},
    {"extra_body", body_field::extra_body, true},
    {"disable_fallbacks", body_field::disable_fallbacks, true},
    {"mock_response", body_field::mock_response, true},
    {"mock_delay", body_field::mock_delay, true},
    {"mock_timeout", body_field::mock_timeout, true},
    {"keepalive_seconds", body_field::keepalive_seconds, true},
    {"num_retries", body_field::num_retries, true},
    {"fallbacks", body_field::fallbacks, true},
    {"previous_response_id", body_field::previous_response_id, true},
};

constexpr std::string_view forbidden[] = {
    "api_key", "api_base", "base_url", "api_version", "custom_llm_provider", "model_list"};

bool is_forbidden(std::string_view name) {
  return std::find(std::begin(forbidden), std::end(forbidden), name) != std::end(forbidden);
}

/// A request may name many tags; these are looked at.
constexpr std::size_t tags_max = 100;
constexpr double seconds_max = 100.0 * 24 * 3600;

std::string shown(std::string_view name) {
  return json_quoted(name.substr(0, 100));
}

std::optional<double> number(std::string_view text) noexcept {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    return text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<milliseconds> seconds(std::string_view text) noexcept {
  const auto value = number(text);
  if (!value || *value < 0) {
    return std::nullopt;
  }
  return milliseconds(static_cast<std::int64_t>(std::ceil(std::min(*value, seconds_max) * 1000)));
}

std::optional<std::uint64_t> count(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

std::uint32_t cut(std::uint64_t value) noexcept {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

void read_tags(std::string_view value, std::vector<std::string>& tags) {
  if (kind_of(value) != json_kind::array) {
    return;
  }
  each_element(value, [&](std::string_view element) {
    if (kind_of(element) == json_kind::string && tags.size() < tags_max) {
      tags.push_back(unescaped(element));
    }
  });
}

/// Reads the members one by one into an inspected_body.
class inspection {
public:
  inspection(std::string_view body, inspected_body& out) : body_(body), out_(out) {}

  void run() {
    out_.names.reserve(out_.members.size());
    for (const auto& member : out_.members) {
      const auto name = name_of(member);
      const auto* known = std::find_if(std::begin(fields), std::end(fields),
                                       [&](const named_field& each) { return each.name == name; });
      const bool is_known = known != std::end(fields);
      out_.names.push_back(is_known ? known->field : body_field::none);
      if (is_forbidden(name)) {
        refuse(our_error::forbidden_field,
               "The field " + shown(name) + " is not accepted from clients; remove it", name);
      }
      if (is_known ? known->once && is_second(known->field)
                   : is_never_forwarded(name, body_api::chat, false) &&
                         !seen_others_.insert(std::string(name)).second) {
        refuse(our_error::duplicate_field, "The field " + shown(name) + " is there twice", name);
      } else if (is_known) {
        read(known->field, member);
      }
    }
    if (out_.tags.empty()) {
      read_metadata_tags();
    }
    apply_extra_limits();
  }

private:
  bool is_second(body_field field) {
    const auto bit = std::uint64_t{1} << static_cast<unsigned>(field);
    const bool seen = (seen_ & bit) != 0;
    seen_ |= bit;
    return seen;
  }

  std::string_view name_of(const json_member& member) {
    const auto key = member.key.of(body_);
    if (!member.key_is_escaped) {
      return key.substr(1, key.size() - 2);
    }
    name_ = unescaped(key);
    return name_;
  }

  void refuse(our_error code, std::string message, std::string_view param) {
    if (!out_.fault) {
      out_.fault = {code, std::move(message), std::string(param.substr(0, 100))};
    }
  }

  void refuse_value(std::string_view name, const char* wanted) {
    refuse(our_error::bad_field,
           "Invalid value for '" + std::string(name) + "': expected " + wanted, name);
  }

  void read_flag(const json_member& member, bool& flag) {
    flag = member.kind == json_kind::boolean && member.value.of(body_) == "true";
  }

  std::optional<std::string> text(const json_member& member) {
    return member.kind == json_kind::string ? std::optional(unescaped(member.value.of(body_)))
                                            : std::nullopt;
  }

  void read(body_field field, const json_member& member) {
    if (member.kind == json_kind::null) {
      return;
    }
    const auto value = member.value.of(body_);
    const bool is_number = member.kind == json_kind::number;
    switch (field) {
    case body_field::model:
      out_.model = text(member);
      if (!out_.model || out_.model->empty()) {
        out_.model.reset();
        refuse_value("model", "a string that is not empty");
      }
      break;
    case body_field::priority:
      out_.priority = is_number ? read_priority(value) : std::nullopt;
      if (!out_.priority) {
        refuse_value("priority", "an integer of 32 bits");
      }
      break;
    case body_field::stream:
      if (member.kind != json_kind::boolean) {
        refuse_value("stream", "true or false");
      }
      read_flag(member, out_.stream);
      break;
    case body_field::timeout:
      out_.timeout = is_number ? seconds(value) : std::nullopt;
      if (!out_.timeout || out_.timeout->count() == 0) {
        out_.timeout.reset();
        refuse_value("timeout", "a positive number of seconds");
      }
      break;
    case body_field::stream_timeout:
      out_.stream_timeout = is_number ? seconds(value) : std::nullopt;
      if (!out_.stream_timeout || out_.stream_timeout->count() == 0) {
        out_.stream_timeout.reset();
        refuse_value("stream_timeout", "a positive number of seconds");
      }
      break;
    case body_field::num_retries:
      out_.num_retries = is_number ? read_retries(value) : std::nullopt;
      if (!out_.num_retries) {
        refuse_value("num_retries", "a whole number, 0 or more");
      }
      break;
    case body_field::fallbacks:
      if (!read_fallbacks(value)) {
        refuse_value("fallbacks", "a list of at most 20 models, by name");
      }
      break;
    case body_field::max_tokens:
      out_.max_tokens = count(value);
      break;
    case body_field::max_completion_tokens:
    case body_field::max_output_tokens:
      out_.max_completion_tokens = count(value);
      break;
    case body_field::n:
      out_.n = answers(value);
      break;
    case body_field::stream_options:
      if (member.kind == json_kind::object) {
        each_member(value, [&](std::string_view key, std::string_view inner) {
          if (string_is(key, "include_usage")) {
            out_.client_asked_usage = inner == "true";
          }
        });
      }
      break;
    case body_field::tags:
      read_tags(value, out_.tags);
      break;
    case body_field::store:
      read_flag(member, out_.store);
      break;
    case body_field::disable_fallbacks:
      read_flag(member, out_.disable_fallbacks);
      break;
    case body_field::mock_response:
      out_.mock_response = text(member);
      break;
    case body_field::mock_delay:
      out_.mock_delay = seconds(value);
      break;
    case body_field::mock_timeout:
      read_flag(member, out_.mock_timeout);
      break;
    case body_field::keepalive_seconds:
      out_.keepalive = seconds(value);
      break;
    case body_field::previous_response_id:
      out_.previous_response_id = text(member);
      break;
    case body_field::extra_body:
      read_extra_body(member);
      break;
    default:
      break;
    }
  }

  /// In the three forms that LiteLLM takes: a name, `{"model": name}`, and `{from: [name, …]}`.
  /// False if it is anything else.
  bool read_fallbacks(std::string_view value) {
    bool good = kind_of(value) == json_kind::array;
    const auto add = [&](std::string from, std::string_view to) {
      good = good && kind_of(to) == json_kind::string &&
             out_.fallbacks.size() < inspected_body::fallbacks_max;
      if (good) {
        out_.fallbacks.push_back({std::move(from), unescaped(to)});
      }
    };
    if (good) {
      each_element(value, [&](std::string_view element) {
        if (kind_of(element) != json_kind::object) {
          return add({}, element);
        }
        each_member(element, [&](std::string_view key, std::string_view inner) {
          if (kind_of(inner) == json_kind::array) {
            each_element(inner, [&](std::string_view name) { add(unescaped(key), name); });
          } else {
            good = good && string_is(key, "model");
            add({}, inner);
          }
        });
      });
    }
    return good;
  }

  /// Its members go upstream at the top level, and so must not undo what we decide there.
  void read_extra_body(const json_member& member) {
    if (member.kind != json_kind::object) {
      return refuse_value("extra_body", "an object");
    }
    each_member(member.value.of(body_), [&](std::string_view key, std::string_view value) {
      if (string_is(key, "model") || string_is(key, "stream")) {
        refuse_value("extra_body", "an object without 'model' and 'stream'");
      } else if (string_is(key, "n")) {
        extra_n_ = answers(value);
      } else if (string_is(key, "max_tokens") || string_is(key, "max_completion_tokens") ||
                 string_is(key, "max_output_tokens")) {
        extra_limit_ = std::max(extra_limit_, count(value));
      } else if (const auto name = unescaped(key); is_forbidden(name)) {
        refuse(our_error::forbidden_field,
               "The field " + shown(name) +
                   " is not accepted from clients, in extra_body neither; remove it",
               "extra_body");
      }
    });
  }

  /// What `extra_body` says of the answer's length wins upstream, so it does in the estimate.
  void apply_extra_limits() {
    if (extra_n_) {
      out_.n = *extra_n_;
    }
    if (extra_limit_) {
      out_.max_completion_tokens =
          std::max({extra_limit_, out_.max_completion_tokens, out_.max_tokens});
    }
  }

  static std::uint32_t answers(std::string_view value) {
    return static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(count(value).value_or(1), 1, 1'000'000));
  }

  void read_metadata_tags() {
    const auto* metadata = out_.find(body_field::metadata);
    if (metadata == nullptr || metadata->kind != json_kind::object) {
      return;
    }
    each_member(metadata->value.of(body_), [&](std::string_view key, std::string_view value) {
      if (string_is(key, "tags")) {
        out_.tags.clear();
        read_tags(value, out_.tags);
      }
    });
  }

  std::string_view body_;
  inspected_body& out_;
  std::string name_;
  std::optional<std::uint32_t> extra_n_;
  std::optional<std::uint64_t> extra_limit_;
  std::uint64_t seen_ = 0; ///< a bit for each body_field
  std::set<std::string, std::less<>> seen_others_;
};

} // namespace

const json_member* inspected_body::find(body_field field) const noexcept {
  const auto at = std::find(names.begin(), names.end(), field);
  return at == names.end() ? nullptr : &members[static_cast<std::size_t>(at - names.begin())];
}

bool inspected_body::has(body_field field) const noexcept {
  const auto* member = find(field);
  return member != nullptr && member->kind != json_kind::null;
}

inspected_body inspect(std::string_view body, body_scanner& scanner) {
  inspected_body out;
  if (!scanner.finish()) {
    out.fault = {our_error::bad_json,
                 "The request's body is " + std::string(to_string(scanner.fault())) + " (byte " +
                     std::to_string(scanner.fault_at()) + ")",
                 ""};
    return out;
  }
  if (scanner.root_kind() != json_kind::object) {
    out.fault = {our_error::bad_json, "The request's body is not a JSON object", ""};
    return out;
  }
  out.members = scanner.members();
  out.text = scanner.text();
  inspection(body, out).run();
  return out;
}

fault missing_field(const inspected_body& body, body_api api, bool path_names_model) {
  const auto missing = [](const char* name) {
    return fault{our_error::missing_field,
                 "The field '" + std::string(name) + "' is missing from the request's body", name};
  };
  if (!body.model && !path_names_model) {
    return missing("model");
  }
  switch (api) {
  case body_api::chat:
  case body_api::messages:
    return body.has(body_field::messages) ? fault{} : missing("messages");
  case body_api::completions:
    return body.has(body_field::prompt) ? fault{} : missing("prompt");
  case body_api::embeddings:
    return body.has(body_field::input) ? fault{} : missing("input");
  case body_api::responses:
    // A stored prompt may stand in for the input.
    return body.has(body_field::input) || body.has(body_field::prompt) ? fault{} : missing("input");
  }
  return {};
}

std::optional<std::uint32_t> read_retries(std::string_view text) noexcept {
  const auto value = count(text);
  return value ? std::optional(cut(*value)) : std::nullopt;
}

std::optional<std::int32_t> read_priority(std::string_view text) noexcept {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

std::uint32_t prompt_estimate(const text_measure& measure) noexcept {
  return cut((measure.text_bytes + 3) / 4 + 1000 * measure.non_text_parts);
}

std::uint32_t token_estimate(const inspected_body& inspected, body_api api,
                             std::uint64_t answer_default) noexcept {
  const std::uint64_t prompt = prompt_estimate(inspected.text);
  if (api == body_api::embeddings) {
    return cut(prompt);
  }
  const auto each =
      inspected.max_completion_tokens.value_or(inspected.max_tokens.value_or(answer_default));
  // Both factors are cut first, so that the product cannot overflow.
  const auto answer = std::min<std::uint64_t>(each, std::numeric_limits<std::uint32_t>::max()) *
                      std::min<std::uint64_t>(inspected.n, 1'000'000);
  return cut(prompt + answer);
}

} // namespace vorrang::http
