// `general_settings`, `vorrang_settings`, and keys from the environment.
#include "config/reading.hpp"
#include "config/upstream.hpp"
#include "config/yaml_scalar.hpp"

#include <algorithm>
#include <set>

namespace vorrang::config {

namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

/// A key must fit into a header: printable, without blanks at its ends.
bool fits_header(const std::string& text) {
  return !text.empty() && text.front() != ' ' && text.back() != ' ' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; });
}

constexpr const char* bad_key =
    "expected a key of one character or more, without control characters or blanks at its ends";

void read_master_key(fields& general, reading& to) {
  auto& into = to.all.gateway.master_key;
  if (auto key = general.secret_text("master_key")) {
    if (fits_header(key->reveal())) {
      into = std::move(key);
    } else {
      general.error("master_key", bad_key);
    }
    return;
  }
  if (general.names_unset_variable("master_key")) {
    return;
  }
  for (const char* name : {"LITELLM_MASTER_KEY", "VORRANG_MASTER_KEY"}) {
    const auto value = to.variables(name);
    if (!value) {
      continue;
    }
    if (!fits_header(*value)) {
      // An empty one must not open the gateway.
      to.found.error({}, std::string("variable ") + name, bad_key);
    } else if (!into) {
      into = secret(*value);
    } else if (into->reveal() != *value) {
      to.found.warning({}, std::string("variable ") + name,
                       "differs from LITELLM_MASTER_KEY, which counts");
    }
  }
}

void read_key(const node& item, std::size_t index, std::set<std::string>& seen, reading& to) {
  const auto path = "vorrang_settings.keys[" + std::to_string(index) + "]";
  client_key made;
  made.name = "key " + std::to_string(index + 1);
  const auto accept = [&](std::optional<secret> key, const position& at, const std::string& where) {
    if (!key) {
      return false;
    }
    if (!fits_header(key->reveal())) {
      to.found.error(at, where, bad_key);
      return false;
    }
    if (!seen.insert(key->reveal()).second) {
      to.found.error(at, where, "expected a key of its own, found one that stands above already");
      return false;
    }
    made.key = std::move(*key);
    return true;
  };
  bool usable = false;
  if (item.type == node_type::text) {
    usable = accept(secret(item.text), item.at, path);
  } else if (item.type == node_type::mapping) {
    fields from(&item, section::key, path, to.found);
    auto key = from.secret_text("key");
    if (!key && item.find("key") == nullptr) {
      from.error("key", "expected a key");
    } else if (!key && !from.names_unset_variable("key") &&
               item.find("key")->value->type == node_type::null) {
      from.error("key", "expected a key, found nothing");
    }
    usable = accept(std::move(key), from.place_of("key"), path + ".key");
    if (auto name = from.text_or_number("name")) {
      made.name = std::move(*name);
    }
    made.default_priority = from.int32("default_priority");
    made.best_priority = from.int32("best_priority");
    made.models = from.texts("models").value_or(std::vector<std::string>());
    if (const auto* models = item.find("models");
        models != nullptr && made.models.empty() && models->value->type != node_type::null) {
      from.error("models", "expected at least one model, or no `models` for all of them");
    }
    if (made.default_priority && made.best_priority &&
        *made.default_priority < *made.best_priority) {
      from.warning("default_priority", "is better than `best_priority`, which it is lowered to");
    }
    from.finish();
  } else if (item.type != node_type::null || item.variable.empty()) {
    to.found.error(item.at, path,
                   "expected a key, or a mapping with `key`, found " +
                       std::string(describe(item.type)));
  }
  if (usable) {
    to.all.gateway.keys.push_back(std::move(made));
    to.key_positions.push_back(item.at);
  }
}

void read_priority_classes(fields& own, std::vector<std::int32_t>& into) {
  constexpr const char* key = "metrics_priority_classes";
  const auto* list = own.sequence(key);
  if (list == nullptr) {
    return;
  }
  std::vector<std::int32_t> read;
  for (const auto& item : list->items) {
    const bool is_number = item->type == node_type::integer || item->type == node_type::text;
    const auto value = is_number ? parse_integer(item->text) : std::nullopt;
    if (!value || *value != static_cast<std::int32_t>(*value) ||
        (!read.empty() && *value <= read.back())) {
      own.error(key, "expected whole numbers of 32 bits, each larger than the one before, found `" +
                         excerpt(item->text) + "`");
      return;
    }
    read.push_back(static_cast<std::int32_t>(*value));
  }
  if (read.size() > metrics_priority_classes_max) {
    own.error(key, "expected " + std::to_string(metrics_priority_classes_max) +
                       " numbers at most, found " + std::to_string(read.size()));
    return;
  }
  into = std::move(read);
}

void read_vorrang(fields& own, reading& to) {
  auto& into = to.all.gateway;
  if (const auto* keys = own.sequence("keys")) {
    std::set<std::string> seen;
    if (into.master_key) {
      seen.insert(into.master_key->reveal());
    }
    for (std::size_t i = 0; i < keys->items.size(); ++i) {
      read_key(*keys->items[i], i, seen, to);
    }
    if (keys->items.empty()) {
      own.warning("keys", "holds no key");
    }
  }
  if (const auto value = own.whole("max_queue_size", 0, 1'000'000'000)) {
    into.max_queue_size = static_cast<std::uint64_t>(*value);
  }
  if (const auto value = own.limit("max_queue_bytes")) {
    into.max_queue_bytes = *value;
  }
  into.min_priority = own.int32("min_priority");
  into.drain_timeout = own.seconds("drain_timeout", true).value_or(into.drain_timeout);
  if (auto host = own.text("admin_host")) {
    if (host->empty()) {
      own.error("admin_host", "expected an address or a name, found an empty text");
    } else {
      into.admin_host = std::move(*host);
    }
  }
  if (const auto port = own.whole("admin_port", 0, 65535)) {
    into.admin_port = static_cast<std::uint16_t>(*port);
  }
  const auto& host = into.admin_host;
  const bool is_loopback = host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
  if (!is_loopback && into.admin_port != 0 && !into.master_key) {
    own.error("admin_host", "the admin port does not start on `" + excerpt(host) +
                                "` without `general_settings.master_key`: set one, or leave "
                                "admin_host at 127.0.0.1");
  }
  read_priority_classes(own, into.metrics_priority_classes);
  if (const auto mode = own.text("redis_unavailable")) {
    if (*mode == "local" || *mode == "hold") {
      into.redis_unavailable =
          *mode == "hold" ? redis_unavailable_mode::hold : redis_unavailable_mode::local;
    } else {
      own.error("redis_unavailable",
                "expected `local` or `hold`, found \"" + excerpt(*mode) + "\"");
    }
  }
  if (auto name = own.text("redis_namespace")) {
    if (name->empty() || name->find_first_of("{} \t\n") != std::string::npos) {
      own.error("redis_namespace", "expected a text without blanks and braces");
    } else {
      into.redis_namespace = std::move(*name);
    }
  }
  into.strict = own.boolean("strict").value_or(into.strict);
}

} // namespace

void read_gateway(const node* general, const node* own_map, const node* litellm, reading& to) {
  auto& into = to.all.gateway;
  fields from(general, section::general_settings, "general_settings", to.found);
  read_master_key(from, to);
  if (const auto value = from.real("max_request_size_mb", 0, 1e6)) {
    into.max_request_size_bytes =
        static_cast<std::uint64_t>(*value * static_cast<double>(mebibyte));
    if (into.max_request_size_bytes == 0) {
      from.error("max_request_size_mb", "expected a size above 0, found 0");
    }
  }
  into.forward_client_headers_to_llm_api =
      from.boolean("forward_client_headers_to_llm_api").value_or(false);
  into.always_include_stream_usage = from.boolean("always_include_stream_usage").value_or(true);
  into.dangerously_allow_mock_testing_request_params =
      from.boolean("dangerously_allow_mock_testing_request_params").value_or(false);

  into.https_proxy = first_variable("HTTPS_PROXY https_proxy", to.variables).value_or("");
  into.no_proxy = first_variable("NO_PROXY no_proxy", to.variables).value_or("");

  fields own(own_map, section::vorrang_settings, "vorrang_settings", to.found);
  read_vorrang(own, to);

  // Our word for it, else LiteLLM's, else LiteLLM's word for a deployment.
  fields lite(litellm, section::litellm_settings, "litellm_settings", to.found);
  auto keepalive = own.seconds("stream_keepalive", true);
  for (auto* each : {&lite, &from}) {
    for (const char* key : {"sse_keepalive_ping_interval_seconds", "keepalive_seconds"}) {
      const auto value = each->seconds(key, true);
      keepalive = keepalive ? keepalive : value;
    }
  }
  into.stream_keepalive = keepalive.value_or(into.stream_keepalive);
  from.finish();
  own.finish();
}

} // namespace vorrang::config
