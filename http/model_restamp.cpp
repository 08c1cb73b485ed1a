#include "http/model_restamp.hpp"

#include "http/json_walk.hpp"

#include <charconv>

namespace vorrang::http {

namespace {

std::optional<std::uint64_t> count(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

void read_usage(std::string_view object, answer_usage& usage) {
  if (kind_of(object) != json_kind::object) {
    return;
  }
  each_member(object, [&](std::string_view key, std::string_view value) {
    const auto number = count(value);
    if (!number) {
      return;
    }
    if (string_is(key, "prompt_tokens") || string_is(key, "input_tokens")) {
      usage.prompt_tokens = number;
    } else if (string_is(key, "completion_tokens") || string_is(key, "output_tokens")) {
      usage.completion_tokens = number;
    } else if (string_is(key, "total_tokens")) {
      usage.total_tokens = number;
    }
  });
  if (!usage.total_tokens && (usage.prompt_tokens || usage.completion_tokens)) {
    usage.total_tokens = usage.prompt_tokens.value_or(0) + usage.completion_tokens.value_or(0);
  }
}

/// Goes over the members that matter and copies what lies between them.
class restamping {
public:
  restamping(std::string_view document, std::string_view model, restamped& out)
      : document_(document), model_(model), out_(out) {}

  void run(const std::vector<json_member>& members) {
    bool has_no_choices = false;
    bool has_usage = false;
    bool has_error = false;
    bool has_answer = false;
    for (const auto& member : members) {
      const auto key = member.key.of(document_);
      const auto value = member.value.of(document_);
      if (string_is(key, "model")) {
        stamp(value);
      } else if (string_is(key, "usage")) {
        has_usage = member.kind == json_kind::object;
        read_usage(value, out_.usage);
      } else if (string_is(key, "error")) {
        has_error = member.kind == json_kind::object || member.kind == json_kind::string;
      } else if (string_is(key, "data") || string_is(key, "output") || string_is(key, "content")) {
        has_answer = true;
      } else if (string_is(key, "choices")) {
        has_answer = true;
        has_no_choices = member.kind == json_kind::array && value[after_blanks(value, 1)] == ']';
      } else if (member.kind == json_kind::object &&
                 (string_is(key, "response") || string_is(key, "message"))) {
        has_answer = true;
        inside(value);
      }
    }
    out_.usage_only = has_usage && has_no_choices;
    out_.error_only = has_error && !has_answer;
    out_.text.append(document_.substr(copied_));
  }

private:
  void inside(std::string_view object) {
    each_member(object, [&](std::string_view key, std::string_view value) {
      if (string_is(key, "model")) {
        stamp(value);
      } else if (string_is(key, "usage")) {
        read_usage(value, out_.usage);
      }
    });
  }

  void stamp(std::string_view value) {
    if (kind_of(value) != json_kind::string) {
      return;
    }
    const auto at = static_cast<std::size_t>(value.data() - document_.data());
    out_.text.append(document_.substr(copied_, at - copied_));
    out_.text.append(json_quoted(model_));
    copied_ = at + value.size();
  }

  std::string_view document_;
  std::string_view model_;
  restamped& out_;
  std::size_t copied_ = 0;
};

} // namespace

restamped restamp_model(std::string_view document, std::string_view model) {
  restamped out;
  body_scanner scanner(body_scanner::measuring::no, body_scanner::encoding::any);
  if (!scanner.feed(document) || !scanner.finish() || scanner.root_kind() != json_kind::object) {
    out.text = document;
    // More than we look into is no reason not to pass it on.
    const auto first = document.find_first_not_of(" \t\r\n");
    out.is_object = first != std::string_view::npos && document[first] == '{' &&
                    (scanner.fault() == json_fault::too_deep ||
                     scanner.fault() == json_fault::too_many_members);
    return out;
  }
  out.is_object = true;
  out.text.reserve(document.size() + model.size() + 2);
  restamping(document, model, out).run(scanner.members());
  return out;
}

} // namespace vorrang::http
