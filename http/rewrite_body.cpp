#include "http/rewrite_body.hpp"

#include "http/json_walk.hpp"

#include <algorithm>

namespace vorrang::http {

namespace {

bool holds(const std::vector<std::string>* list, std::string_view name) {
  return list != nullptr && std::find(list->begin(), list->end(), name) != list->end();
}

body_members read_members(std::string_view object) {
  body_members out;
  each_member(object, [&](std::string_view key, std::string_view value) {
    auto name = unescaped(key);
    const auto at =
        std::find_if(out.members.begin(), out.members.end(),
                     [&](const body_members::member& each) { return each.key == name; });
    if (at == out.members.end()) {
      out.members.push_back({std::move(name), std::string(value)});
    } else {
      at->value = std::string(value);
    }
  });
  return out;
}

/// Collects slices; neighbours in the original become one. Where our own bytes stand is certain
/// only at the end, so until then such a slice has no address.
class slice_list {
public:
  slice_list(std::string_view body, rewritten_body& out) : body_(body), out_(out) {
    out_.slices.reserve(slices_reserved);
    out_.own.reserve(own_bytes_reserved);
  }

  void keep(std::size_t begin, std::size_t end) {
    if (begin == end_ && end_ != begin_) {
      end_ = end;
      return;
    }
    flush();
    begin_ = begin;
    end_ = end;
  }
  void add(std::string_view text) {
    flush();
    out_.own.insert(out_.own.end(), text.begin(), text.end());
    push(std::string_view(nullptr, text.size()));
  }
  void finish() {
    flush();
    const char* own = out_.own.data();
    for (auto& slice : out_.slices) {
      if (slice.data() == nullptr) {
        slice = {own, slice.size()};
        own += slice.size();
      }
    }
  }

private:
  static constexpr std::size_t slices_reserved = 8;
  static constexpr std::size_t own_bytes_reserved = 64;

  void flush() {
    if (end_ > begin_) {
      push(body_.substr(begin_, end_ - begin_));
    }
    begin_ = end_ = 0;
  }
  void push(std::string_view slice) {
    out_.slices.push_back(slice);
    out_.size += slice.size();
  }

  std::string_view body_;
  rewritten_body& out_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

class rewriter {
public:
  rewriter(std::string_view body, const inspected_body& inspected, const rewrite_plan& plan,
           rewritten_body& out)
      : body_(body), inspected_(inspected), plan_(plan), out_(out), slices_(body, out) {}

  void run() {
    collect_extras();
    const auto& members = inspected_.members;
    slices_.keep(0, members.empty() ? body_.find('{') + 1 : members.front().key.begin);
    for (std::size_t i = 0; i < members.size(); ++i) {
      take(i);
    }
    add_missing();
    const auto last = members.empty() ? body_.find('{') + 1 : members.back().value.end;
    slices_.keep(last, body_.size());
    slices_.finish();
  }

private:
  /// The configured `extra_body`, then the request's own, which wins.
  void collect_extras() {
    const auto put = [&](const body_members& from, bool is_clients) {
      for (const auto& each : from.members) {
        // The deployment's model and the client's choice to stream stand.
        if (each.key == "model" || each.key == "stream" ||
            (is_clients && is_never_forwarded(each.key, plan_.api, inspected_.store))) {
          continue;
        }
        const auto at =
            std::find_if(extras_.begin(), extras_.end(),
                         [&](const body_members::member& known) { return known.key == each.key; });
        if (at == extras_.end()) {
          extras_.push_back(each);
        } else {
          at->value = each.value;
        }
      }
    };
    if (plan_.extra_body != nullptr) {
      put(*plan_.extra_body, false);
    }
    const auto* own = inspected_.find(body_field::extra_body);
    if (own != nullptr && own->kind == json_kind::object) {
      put(read_members(own->value.of(body_)), true);
    }
    const auto is_dropped_here = [&](const body_members::member& each) {
      return is_dropped(each.key);
    };
    extras_.erase(std::remove_if(extras_.begin(), extras_.end(), is_dropped_here), extras_.end());
  }

  bool is_extra(std::string_view name) const {
    return std::any_of(extras_.begin(), extras_.end(),
                       [&](const body_members::member& each) { return each.key == name; });
  }

  bool is_dropped(std::string_view name) const {
    return name != "model" && (holds(plan_.drop, name) || holds(plan_.drop_also, name));
  }

  bool adds_usage() const {
    return plan_.add_stream_usage && inspected_.stream && !inspected_.client_asked_usage &&
           (plan_.api == body_api::chat || plan_.api == body_api::completions) &&
           !is_extra("stream_options") && !is_dropped("stream_options");
  }

  /// The separator before member `i`, if it is not the first that is written.
  void separate(std::size_t i) {
    if (has_written_) {
      slices_.keep(inspected_.members[i - 1].value.end, inspected_.members[i].key.begin);
    }
    has_written_ = true;
  }

  void take(std::size_t i) {
    const auto& member = inspected_.members[i];
    const auto key = member.key.of(body_);
    const std::string unescaped_key = member.key_is_escaped ? unescaped(key) : std::string();
    const std::string_view name =
        member.key_is_escaped ? std::string_view(unescaped_key) : key.substr(1, key.size() - 2);
    const auto field = inspected_.names[i];
    if (field == body_field::model) {
      replace(i, json_quoted(plan_.model));
      has_model_ = true;
      return;
    }
    if (is_never_forwarded(name, plan_.api, inspected_.store) || is_dropped(name) ||
        is_extra(name)) {
      return;
    }
    if (field == body_field::stream_options && adds_usage() && has_room_for_usage(member)) {
      replace(i, with_usage(member));
      out_.usage_added = true;
      return;
    }
    if (field == body_field::max_tokens && plan_.rename_max_tokens) {
      if (inspected_.find(body_field::max_completion_tokens) == nullptr) {
        separate(i);
        slices_.add("\"max_completion_tokens\"");
        slices_.keep(member.key.end, member.value.end);
      }
      return;
    }
    separate(i);
    slices_.keep(member.key.begin, member.value.end);
  }

  void replace(std::size_t i, std::string_view value) {
    separate(i);
    const auto& member = inspected_.members[i];
    slices_.keep(member.key.begin, member.value.begin);
    slices_.add(value);
  }

  /// An object, or null; anything else is the upstream's to refuse.
  static bool has_room_for_usage(const json_member& member) {
    return member.kind == json_kind::object || member.kind == json_kind::null;
  }

  std::string with_usage(const json_member& member) const {
    std::string inner;
    if (member.kind == json_kind::object) {
      each_member(member.value.of(body_), [&](std::string_view key, std::string_view value) {
        if (!string_is(key, "include_usage")) {
          inner.append(key).append(":").append(value).append(",");
        }
      });
    }
    return "{" + inner + "\"include_usage\":true}";
  }

  void add(std::string_view name, std::string_view value) {
    std::string text = has_written_ ? "," : "";
    text.append(json_quoted(name)).append(":").append(value);
    slices_.add(text);
    has_written_ = true;
  }

  bool request_has(std::string_view name) const {
    return std::any_of(
        inspected_.members.begin(), inspected_.members.end(),
        [&](const json_member& member) { return string_is(member.key.of(body_), name); });
  }

  void add_missing() {
    if (!has_model_) {
      add("model", json_quoted(plan_.model));
    }
    for (const auto& each : extras_) {
      add(each.key, each.value);
    }
    if (plan_.defaults != nullptr) {
      for (const auto& each : plan_.defaults->members) {
        if (lacks(each.key)) {
          add(is_limit(each.key) ? name_of_limit(each.key) : each.key, each.value);
        }
      }
    }
    if (adds_usage() && inspected_.find(body_field::stream_options) == nullptr) {
      add("stream_options", "{\"include_usage\":true}");
      out_.usage_added = true;
    }
  }

  /// The names for the limit of tokens count as one.
  static bool is_limit(std::string_view key) {
    return key == "max_tokens" || key == "max_completion_tokens" || key == "max_output_tokens";
  }

  /// How this API calls the limit that a deployment's settings call `key`.
  std::string_view name_of_limit(std::string_view key) const {
    if (plan_.api == body_api::responses) {
      return "max_output_tokens";
    }
    if (plan_.api == body_api::messages) {
      return "max_tokens";
    }
    return plan_.rename_max_tokens && key == "max_tokens" ? "max_completion_tokens" : key;
  }

  /// Whether a default is to be added.
  bool lacks(const std::string& key) const {
    if (key == "model" || key == "stream" || is_dropped(key) || is_extra(key) || request_has(key)) {
      return false;
    }
    if (!is_limit(key)) {
      return true;
    }
    // Embeddings complete nothing, and their API knows no such field.
    return plan_.api != body_api::embeddings && !request_has("max_tokens") &&
           !request_has("max_completion_tokens") && !request_has("max_output_tokens");
  }

  std::string_view body_;
  const inspected_body& inspected_;
  const rewrite_plan& plan_;
  rewritten_body& out_;
  slice_list slices_;
  std::vector<body_members::member> extras_;
  bool has_written_ = false;
  bool has_model_ = false;
};

} // namespace

const body_members::member* body_members::find(std::string_view key) const noexcept {
  const auto at = std::find_if(members.begin(), members.end(),
                               [&](const member& each) { return each.key == key; });
  return at == members.end() ? nullptr : &*at;
}

std::optional<body_members> parse_body_members(std::string_view text) {
  body_scanner scanner;
  if (!scanner.feed(text) || !scanner.finish() || scanner.root_kind() != json_kind::object) {
    return std::nullopt;
  }
  return read_members(scanner.root().of(text));
}

bool is_never_forwarded(std::string_view name, body_api api, bool store) noexcept {
  static constexpr std::string_view names[] = {"priority",
                                               "timeout",
                                               "request_timeout",
                                               "stream_timeout",
                                               "num_retries",
                                               "max_retries",
                                               "fallbacks",
                                               "context_window_fallbacks",
                                               "tags",
                                               "cache",
                                               "disable_fallbacks",
                                               "caching",
                                               "guardrails",
                                               "no-log",
                                               "ttl",
                                               "keepalive_seconds",
                                               "extra_body"};
  if (name.substr(0, 8) == "litellm_" || name.substr(0, 5) == "mock_") {
    return true;
  }
  if (name == "metadata") {
    return api != body_api::messages && !store;
  }
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::string rewritten_body::joined() const {
  std::string out;
  out.reserve(size);
  for (const auto slice : slices) {
    out += slice;
  }
  return out;
}

rewritten_body rewrite_body(std::string_view body, const inspected_body& inspected,
                            const rewrite_plan& plan) {
  rewritten_body out;
  rewriter(body, inspected, plan, out).run();
  return out;
}

} // namespace vorrang::http
