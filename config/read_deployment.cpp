// The parts of one entry of `model_list`.
#include "config/read_deployment.hpp"

#include "config/json_text.hpp"
#include "config/spelling.hpp"

#include <algorithm>

namespace vorrang::config {

namespace {

/// What /model/info may show: nothing that came from a variable.
std::string public_info(const node& info) {
  json_object out;
  for (const auto& each : info.entries) {
    if (each.value->variable.empty()) {
      out.add(each.key, *each.value);
    }
  }
  return out.text();
}

void warn_about_model_info(fields& info, const node& map) {
  const auto known = info.known();
  for (const auto& each : map.entries) {
    // Other keys are kept for /model/info; only what looks like a slip is worth a word.
    const auto near = [&](std::string_view word) {
      return word.size() > 3 && edit_distance(each.key, word, 1) <= 1;
    };
    const auto hit = std::find_if(known.begin(), known.end(), near);
    if (!info.is_known(each.key) && hit != known.end()) {
      info.warning(each.key,
                   "unknown key, has no effect; did you mean `" + std::string(*hit) + "`?");
    }
  }
}

} // namespace

void read_mock(entry& e) {
  auto& from = e.params;
  const auto text = from.text("mock_response");
  const auto delay = from.seconds("mock_delay", true);
  const bool timeout = from.boolean("mock_timeout").value_or(false);
  // An empty text is no mock.
  if ((!text || text->empty()) && !timeout) {
    if (delay) {
      from.warning("mock_delay", "has no effect without `mock_response`");
    }
    return;
  }
  mock made;
  made.text = text.value_or("");
  made.delay = delay.value_or(milliseconds(0));
  made.timeout = timeout;
  if (made.text == "litellm.RateLimitError") {
    made.outcome = mock_outcome::rate_limit_error;
  } else if (made.text == "litellm.InternalServerError") {
    made.outcome = mock_outcome::internal_server_error;
  } else if (made.text == "litellm.ContextWindowExceededError") {
    made.outcome = mock_outcome::context_window_exceeded_error;
  } else if (made.text.rfind("litellm.", 0) == 0 || made.text.rfind("Exception: ", 0) == 0) {
    from.warning("mock_response",
                 "is answered as a text; the errors are `litellm.RateLimitError`, "
                 "`litellm.InternalServerError` and `litellm.ContextWindowExceededError`");
  }
  e.made.mock = std::move(made);
}

/// Without what may be a secret: user and password, query.
std::string shown_url(std::string_view url) {
  std::string shown(url.substr(0, url.find('?')));
  if (shown.size() < url.size())
    shown += "?…";
  const auto scheme = shown.find("//");
  const auto begin = scheme == std::string::npos ? 0 : scheme + 2;
  const auto end = shown.rfind('@');
  if (end != std::string::npos && end >= begin)
    shown.replace(begin, end - begin, "…");
  return shown;
}

void read_headers(entry& e) {
  for (const char* key : {"extra_headers", "headers"}) {
    const auto* map = e.params.mapping(key);
    if (map == nullptr) {
      continue;
    }
    for (const auto& each : map->entries) {
      if (each.value->type == node_type::null) {
        continue;
      }
      if (!each.value->is_scalar() || !is_sendable_header(each.key, each.value->text)) {
        e.params.error(key, "expected header names and values on one line, none of which belongs "
                            "to the connection, found `" +
                                excerpt(each.key) + "`");
        continue;
      }
      e.made.extra_headers.emplace_back(each.key, each.value->text);
    }
  }
}

void read_limits(entry& e, const reading& to) {
  const auto first = [&](std::string_view key) {
    auto a = e.item.limit(key);
    auto b = e.params.limit(key);
    auto c = e.info.limit(key);
    return a ? a : b ? b : c;
  };
  e.made.rpm = first("rpm");
  e.made.tpm = first("tpm");
  auto outer = e.item.count("max_parallel_requests");
  auto inner = e.params.count("max_parallel_requests");
  e.made.max_parallel_requests = outer ? outer : inner;
  if (!e.made.max_parallel_requests) {
    e.made.max_parallel_requests = to.all.router.default_max_parallel_requests;
  }
}

void read_reliability(entry& e, reading& to) {
  auto& made = e.made;
  auto& from = e.params;
  made.weight = from.real("weight", 0, 1e9);
  made.order = from.int32("order");
  if (auto tags = from.texts("tags")) {
    made.tags = std::move(*tags);
  }
  made.timeout = from.seconds("timeout", false);
  if (const auto other = from.seconds("request_timeout", false); other && !made.timeout) {
    made.timeout = other;
  }
  made.stream_timeout = from.seconds("stream_timeout", false);
  made.stream_keepalive = from.seconds("keepalive_seconds", true);
  made.num_retries = from.count("num_retries");
  if (const auto other = from.count("max_retries"); other && !made.num_retries) {
    made.num_retries = other;
  }
  for (auto* each : {&e.info, &from}) {
    if (const auto value = each->seconds("cooldown_time", true)) {
      made.cooldown_time = value;
    }
    if (const auto value = each->count("allowed_fails")) {
      made.allowed_fails = value;
    }
    if (const auto* map = each->mapping("allowed_fails_policy")) {
      made.allowed_fails_policy =
          read_failure_policy(map, each->path_to("allowed_fails_policy"), "AllowedFails", to.found);
    }
  }
}

void read_model_info(entry& e, const node* map) {
  auto& from = e.info;
  auto& made = e.made;
  if (auto id = from.text_or_number("id")) {
    if (id->empty() || id->size() > name_bytes_max || !is_sendable_header("x", *id)) {
      from.error("id", "expected a text of 1 to 512 bytes without control characters");
    } else {
      made.id = std::move(*id);
      made.id_is_given = true;
    }
  }
  if (const auto value = from.limit("max_input_tokens")) {
    made.max_input_tokens = value;
  }
  if (auto endpoints = from.texts("supported_endpoints")) {
    made.supported_endpoints = std::move(*endpoints);
  }
  if (auto mode = from.text("mode")) {
    made.mode = std::move(*mode);
  }
  if (map != nullptr) {
    made.model_info = public_info(*map);
    warn_about_model_info(from, *map);
  }
}

void read_upstream(entry& e, const placed_model& placed, reading& to) {
  auto& made = e.made;
  auto& from = e.params;
  const auto& at = *placed.at;
  made.provider = std::string(at.name);
  made.upstream_model = placed.upstream_model;
  made.api_version = from.text_or_number("api_version").value_or("");

  std::string key_of_base = "api_base";
  auto base = from.text("api_base");
  const auto other = from.text("base_url");
  if (other && !base) {
    base = other;
    key_of_base = "base_url";
  }
  e.base_is_given = base && !base->empty();
  const bool base_is_missing =
      from.names_unset_variable("api_base") || from.names_unset_variable("base_url");
  if (!e.base_is_given && !made.mock) {
    base = first_variable(at.base_variables, to.variables);
    if (!base && !at.default_base.empty()) {
      base = std::string(at.default_base);
    }
  }
  if (base && !base->empty() && !made.mock) {
    std::string problem;
    if (auto url = normalise_base(*base, at, made.api_version, problem)) {
      made.api_base = std::move(*url);
    } else {
      from.error(key_of_base,
                 problem + (e.base_is_given ? ", found \"" + excerpt(shown_url(*base), 80) + "\""
                                            : std::string(" in the variable")));
    }
  } else if (!made.mock && !base_is_missing) {
    from.error("api_base", "expected `api_base`: the provider " + made.provider +
                               " has no address of its own (or set the variable " +
                               std::string(at.base_variables) + ")");
  }
  if (at.name == "azure" && made.api_version.empty()) {
    made.api_version =
        first_variable("AZURE_API_VERSION", to.variables).value_or(std::string(azure_api_version));
  }

  auto key = from.secret_text("api_key");
  if (key && !key->empty()) {
    if (!is_sendable_header("x", key->reveal())) {
      from.error("api_key", "expected a key without control characters");
    }
    made.api_key = std::move(*key);
  } else if (!made.mock && !(from.names_unset_variable("api_key") && e.base_is_given)) {
    // A key that was meant for one host must not be replaced by another's.
    made.api_key = secret(first_variable(at.key_variables, to.variables).value_or(""));
    if (!is_sendable_header("x", made.api_key.reveal())) {
      from.error("api_key", "expected a key without control characters in the variable " +
                                std::string(at.key_variables));
    }
    if (made.api_key.empty() && at.needs_key && !e.base_is_given) {
      from.warning("api_key",
                   "no key: set `api_key`, or the variable " +
                       std::string(at.key_variables.substr(0, at.key_variables.find(' '))));
    }
  }
  made.organization = from.text_or_number("organization").value_or("");
  if (!is_sendable_header("x", made.organization)) {
    from.error("organization", "expected a text without control characters");
  }
}

void read_body(entry& e, const node& params, reading& to) {
  auto& from = e.params;
  if (const auto* extra = from.mapping("extra_body")) {
    e.made.extra_body = to_json_text(*extra);
  }
  if (auto names = from.texts("additional_drop_params")) {
    e.made.additional_drop_params = std::move(*names);
  }
  e.made.drop_params = from.boolean("drop_params").value_or(to.drop_params);
  e.made.ssl_verify = to.ssl_verify;
  e.made.ssl_ca_file = to.ssl_ca_file;
  read_ssl_verify(from, e.made.ssl_verify, e.made.ssl_ca_file);
  e.made.ssl_certificate = from.text("ssl_certificate").value_or(to.ssl_certificate);

  // Whatever is no setting is a default of the body.
  json_object defaults;
  for (const auto& each : params.entries) {
    if (from.is_known(each.key) || why_unsupported(section::litellm_params, each.key)) {
      continue;
    }
    if (!is_body_field(each.key)) {
      if (const auto meant = closest(each.key, from.known())) {
        to.found.warning(each.at, from.path_to(excerpt(each.key, 60)),
                         "unknown key, goes into the body of each request; did you mean `" +
                             *meant + "`?");
      }
    }
    if (each.value->type != node_type::null) {
      defaults.add(each.key, *each.value);
    }
  }
  e.made.body_defaults = defaults.text();
  from.finish_open();
}

} // namespace vorrang::config
