#include "config/printer.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <sstream>

namespace vorrang::config {

namespace {

std::string seconds(milliseconds value) {
  std::ostringstream out;
  out << std::setprecision(12) << static_cast<double>(value.count()) / 1000.0 << " s";
  return out.str();
}

std::string real(double value) {
  std::ostringstream out;
  out << std::setprecision(12) << value;
  return out.str();
}

std::string place(const location& where) {
  return where.file + ":" + std::to_string(where.line);
}

/// Words between commas.
class list {
public:
  void add(const std::string& word) { text_ += (text_.empty() ? "" : ", ") + word; }
  template <typename Number>
  void add(const char* name, const std::optional<Number>& value) {
    if (value) {
      add(std::string(name) + " " + std::to_string(*value));
    }
  }
  void add(const char* name, const std::optional<milliseconds>& value) {
    if (value) {
      add(std::string(name) + " " + seconds(*value));
    }
  }
  void add(const char* name, bool value) {
    if (value) {
      add(std::string(name));
    }
  }
  const std::string& text() const { return text_; }
  std::string text_or(const char* other) const { return text_.empty() ? other : text_; }

private:
  std::string text_;
};

std::string policy_text(const failure_policy& policy) {
  list out;
  out.add("bad request", policy.bad_request);
  out.add("authentication", policy.authentication);
  out.add("timeout", policy.timeout);
  out.add("rate limit", policy.rate_limit);
  out.add("content policy", policy.content_policy);
  out.add("internal server error", policy.internal_server_error);
  out.add("service unavailable", policy.service_unavailable);
  return out.text_or("nothing set");
}

std::string names_of(const std::vector<target>& targets) {
  list out;
  for (const auto& each : targets) {
    out.add(each.name);
  }
  return out.text();
}

std::string mock_text(const mock& value) {
  list out;
  switch (value.outcome) {
  case mock_outcome::answer:
    out.add("answers \"" + excerpt(value.text) + "\"");
    break;
  case mock_outcome::rate_limit_error:
    out.add(std::string("answers 429"));
    break;
  case mock_outcome::internal_server_error:
    out.add(std::string("answers 500"));
    break;
  case mock_outcome::context_window_exceeded_error:
    out.add(std::string("answers 400"));
    break;
  }
  if (value.delay.count() > 0) {
    out.add("after " + seconds(value.delay));
  }
  out.add("never answers", value.timeout);
  return "mock: " + out.text();
}

void print_deployment(std::ostream& out, const deployment& each) {
  out << "    " << excerpt(each.model, 200) << "  (id " << excerpt(each.id, 200) << ", "
      << place(each.where) << ")\n";
  if (each.mock) {
    out << "      " << mock_text(*each.mock) << "\n";
  } else {
    out << "      " << each.provider << " at " << each.api_base << ", key "
        << (each.api_key.empty() ? "none" : each.api_key.masked());
    if (!each.api_version.empty()) {
      out << ", api-version " << each.api_version;
    }
    out << (each.ssl_verify ? "" : ", certificate not checked") << "\n";
  }
  list limits;
  limits.add("rpm", each.rpm);
  limits.add("tpm", each.tpm);
  limits.add("max_parallel_requests", each.max_parallel_requests);
  out << "      limits: " << limits.text_or("none") << "\n";
  list more;
  if (each.weight) {
    more.add("weight " + real(*each.weight));
  }
  more.add("order", each.order);
  for (const auto& tag : each.tags) {
    more.add("tag " + excerpt(tag));
  }
  more.add("timeout", each.timeout);
  more.add("stream_timeout", each.stream_timeout);
  more.add("num_retries", each.num_retries);
  more.add("cooldown_time", each.cooldown_time);
  more.add("allowed_fails", each.allowed_fails);
  if (each.allowed_fails_policy) {
    more.add("allowed failures by kind: " + policy_text(*each.allowed_fails_policy));
  }
  more.add("max_input_tokens", each.max_input_tokens);
  more.add("drop_params", each.drop_params);
  for (const auto& header : each.extra_headers) {
    // Its value may be a secret.
    more.add("header " + header.first);
  }
  if (each.body_defaults != "{}") {
    more.add("body defaults " + excerpt(each.body_defaults, 100));
  }
  if (each.extra_body != "{}") {
    more.add("extra body " + excerpt(each.extra_body, 100));
  }
  if (!more.text().empty()) {
    out << "      " << more.text() << "\n";
  }
}

void print_groups(std::ostream& out, const settings& all) {
  out << "model groups: " << all.groups.size() << "\n";
  for (const auto& group : all.groups) {
    out << "  " << excerpt(group.name, 200) << (group.is_pattern() ? "  (pattern)" : "") << "\n";
    if (group.unservable) {
      out << "    cannot be served: " << *group.unservable << "\n";
    }
    for (const auto index : group.deployments) {
      print_deployment(out, all.deployments.at(index));
    }
    const std::pair<const char*, const std::vector<target>*> fallbacks[] = {
        {"fallbacks", &group.fallbacks},
        {"context window fallbacks", &group.context_window_fallbacks},
        {"content policy fallbacks", &group.content_policy_fallbacks}};
    for (const auto& [title, targets] : fallbacks) {
      if (!targets->empty()) {
        out << "    " << title << ": " << names_of(*targets) << "\n";
      }
    }
    if (group.retry_policy) {
      out << "    retry policy: " << policy_text(*group.retry_policy) << "\n";
    }
  }
  for (const auto& each : all.left_out) {
    out << "  left out: " << excerpt(each.group_name, 200) << ": " << excerpt(each.model, 200)
        << " (" << place(each.where) << "): " << each.unsupported.value_or("") << "\n";
  }
  for (const auto& each : all.aliases) {
    out << "alias: " << excerpt(each.name, 200) << " means " << excerpt(each.model, 200)
        << (each.hidden ? " (hidden)" : "") << "\n";
  }
}

void print_router(std::ostream& out, const router_settings& router) {
  out << "queue: default priority " << router.default_priority << ", deadline "
      << seconds(router.timeout);
  if (router.attempt_timeout) {
    out << ", one attempt " << seconds(*router.attempt_timeout);
  }
  if (router.stream_timeout) {
    out << ", between chunks " << seconds(*router.stream_timeout);
  }
  out << "\nrouting: " << to_string(router.routing_strategy) << ", polling interval "
      << seconds(router.polling_interval)
      << (router.enable_pre_call_checks ? ", pre-call checks" : "")
      << (router.enable_tag_filtering ? ", tag filtering" : "") << "\n";
  out << "failures: " << router.num_retries << " retries, at most " << router.max_fallbacks
      << " fallbacks, least back-off " << seconds(router.retry_after) << "; ";
  if (router.disable_cooldowns) {
    out << "no cooldowns\n";
  } else {
    out << "cooldown " << seconds(router.cooldown_time) << " after more than "
        << router.allowed_fails << " failures a minute\n";
  }
  if (router.allowed_fails_policy) {
    out << "allowed failures: " << policy_text(*router.allowed_fails_policy) << "\n";
  }
  if (router.redis) {
    out << "redis: ";
    if (!router.redis->sentinels.empty())
      out << router.redis->service << " of " << router.redis->sentinels.size() << " sentinels";
    else if (router.redis->unix_socket.empty())
      out << (router.redis->tls ? "rediss://" : "redis://") << router.redis->host << ":"
          << router.redis->port;
    else
      out << "unix://" << router.redis->unix_socket;
    out << "/" << router.redis->database << ", password "
        << (router.redis->password.empty() ? "none" : router.redis->password.masked())
        << ": the queue is shared\n";
  } else {
    out << "redis: none, the queue is this instance's own\n";
  }
}

void print_gateway(std::ostream& out, const gateway_settings& gateway) {
  out << "master key: " << (gateway.master_key ? gateway.master_key->masked() : std::string("none"))
      << "\n";
  for (const auto& each : gateway.keys) {
    list more;
    more.add("default priority", each.default_priority);
    more.add("best priority", each.best_priority);
    for (const auto& model : each.models) {
      more.add("model " + excerpt(model));
    }
    out << "key: " << each.key.masked() << " (" << excerpt(each.name) << ")"
        << (more.text().empty() ? "" : ": " + more.text()) << "\n";
  }
  if (!gateway.has_keys()) {
    out << "no key: everybody who can reach the port is let in, so it listens on 127.0.0.1 alone "
           "unless --host says otherwise\n";
  }
  out << "bounds: " << gateway.max_queue_size << " waiting in a group, " << gateway.max_queue_bytes
      << " bytes of bodies, " << gateway.max_request_size_bytes << " bytes a request";
  if (gateway.min_priority) {
    out << ", priorities from " << *gateway.min_priority;
  }
  out << "\nstreams: "
      << (gateway.stream_keepalive.count() == 0
              ? std::string("no keep-alive")
              : "keep-alive after " + seconds(gateway.stream_keepalive))
      << "; draining: up to " << seconds(gateway.drain_timeout) << "; admin port: ";
  if (gateway.admin_port == 0) {
    out << "none\n";
  } else {
    out << gateway.admin_host << ":" << gateway.admin_port << "\n";
  }
}

} // namespace

void print_settings(std::ostream& out, const settings& all) {
  print_groups(out, all);
  print_router(out, all.router);
  print_gateway(out, all.gateway);
  for (const auto& [name, value] : all.environment) {
    out << "environment variable: " << excerpt(name) << " = "
        << (value.empty() ? "(empty)" : "****") << "\n";
  }
}

void print_diagnostics(std::ostream& out, const read_result& result, bool left_out_is_error) {
  for (const auto& each : result.diagnostics) {
    const bool is_error =
        each.level == severity::error || (each.level == severity::left_out && left_out_is_error);
    out << (is_error ? "error: " : "warning: ") << to_text(each) << "\n";
  }
  if (result.diagnostics_dropped > 0) {
    out << "and " << result.diagnostics_dropped << " more\n";
  }
}

bool print_check(std::ostream& out, const read_result& result) {
  if (!result.has_errors()) {
    print_settings(out, result.settings);
  }
  print_diagnostics(out, result, true);
  const auto warnings =
      std::count_if(result.diagnostics.begin(), result.diagnostics.end(),
                    [](const diagnostic& each) { return each.level == severity::warning; });
  const auto errors = static_cast<std::ptrdiff_t>(result.diagnostics.size()) - warnings;
  out << (errors == 0 ? "configuration is good" : "configuration is not good") << ": " << errors
      << (errors == 1 ? " error, " : " errors, ") << warnings
      << (warnings == 1 ? " warning" : " warnings") << "\n";
  return result.passes_check();
}

} // namespace vorrang::config
