#include "http/trace_settings.hpp"

#include "http/head_fields.hpp"
#include "http/head_text.hpp"
#include "http/request_head.hpp"
#include "http/upstream_head.hpp"

#include <algorithm>
#include <charconv>
#include <map>

namespace vorrang::http {

namespace {

class reading {
public:
  explicit reading(const config::environment& variables) : variables_(variables) {}

  std::string text(const char* name) const { return variables_(name).value_or(std::string()); }
  /// The first of both that is set: what is meant for traces alone goes first.
  std::string text(const char* own, const char* general) const {
    auto found = text(own);
    return found.empty() ? text(general) : found;
  }

  template <class Number>
  void take(const char* name, Number lowest, Number highest, Number& to) {
    const auto written = text(name);
    if (written.empty())
      return;
    Number value{};
    const char* end = written.data() + written.size();
    const auto read = std::from_chars(written.data(), end, value);
    if (read.ec != std::errc() || read.ptr != end || !(value >= lowest) || !(value <= highest))
      warn(std::string(name) + " is ignored: expected a number from " + std::to_string(lowest) +
           " to " + std::to_string(highest));
    else
      to = value;
  }

  void take_ms(const char* name, std::chrono::milliseconds& to) {
    constexpr std::int64_t hour_ms = 3'600'000;
    std::int64_t value = to.count();
    take<std::int64_t>(name, 1, hour_ms, value);
    to = std::chrono::milliseconds(value);
  }

  void warn(std::string sentence) { warnings.push_back(std::move(sentence)); }
  std::vector<std::string> warnings;

private:
  const config::environment& variables_;
};

/// `key1=value1,key2=value2`, values percent-encoded (W3C Baggage without properties).
std::vector<std::pair<std::string, std::string>> read_pairs(std::string_view list, bool& is_bad) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    const auto one = trimmed(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (one.empty())
      continue;
    const auto equals = one.find('=');
    const auto name = trimmed(one.substr(0, equals));
    const auto value =
        equals == one.npos ? std::nullopt : percent_decoded(trimmed(one.substr(equals + 1)));
    if (name.empty() || !value)
      is_bad = true;
    else
      pairs.emplace_back(name, *value);
  }
  return pairs;
}

void read_endpoint(reading& from, trace_settings& to) {
  const auto own = from.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  const auto general = from.text("OTEL_EXPORTER_OTLP_ENDPOINT");
  const auto& chosen = own.empty() ? general : own;
  const auto* name =
      own.empty() ? "OTEL_EXPORTER_OTLP_ENDPOINT" : "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  if (chosen.empty())
    return;
  const auto address = parse_upstream_address(chosen);
  if (!address) {
    from.warn(std::string(name) +
              " is ignored, and no traces are exported: expected http://host:port or "
              "https://host:port, without a user's name");
    return;
  }
  to.enabled = true;
  to.base =
      (address->tls ? "https://" : "http://") +
      (address->host.find(':') == std::string::npos ? address->host : "[" + address->host + "]") +
      ":" + std::to_string(address->port);
  to.path = address->base_path;
  if (own.empty())
    to.path += "/v1/traces";
  else if (to.path.empty())
    to.path = "/";
  if (!address->base_query.empty())
    to.path += "?" + address->base_query;
}

void read_protocol(reading& from, trace_settings& to) {
  const auto protocol =
      from.text("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
  if (protocol == "grpc") {
    to.enabled = false;
    from.warn("OTEL_EXPORTER_OTLP_PROTOCOL=grpc: no traces are exported, since gRPC is not spoken "
              "here; set it to http/json, and the endpoint to the collector's HTTP port (4318)");
  } else if (protocol == "http/protobuf") {
    from.warn("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf: traces are sent as http/json, which "
              "collectors take at the same port and path; set it to http/json");
  } else if (!protocol.empty() && protocol != "http/json") {
    from.warn("OTEL_EXPORTER_OTLP_PROTOCOL is ignored: expected http/json");
  }
}

void read_sampler(reading& from, trace_settings& to) {
  const auto name = from.text("OTEL_TRACES_SAMPLER");
  if (!name.empty()) {
    if (const auto found = trace_sampler::named(name))
      to.sampler = *found;
    else
      from.warn("OTEL_TRACES_SAMPLER is ignored: expected always_on, always_off, traceidratio, or "
                "one of these behind parentbased_");
  }
  if (to.sampler.of_roots == trace_sampler::root::ratio) {
    const auto text = from.text("OTEL_TRACES_SAMPLER_ARG");
    double ratio = 1;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, ratio);
    if (text.empty() || (read.ec == std::errc() && read.ptr == end && ratio >= 0 && ratio <= 1))
      to.sampler.ratio = text.empty() ? 1 : ratio;
    else
      from.warn("OTEL_TRACES_SAMPLER_ARG is ignored: expected a number from 0 to 1");
  }
}

void read_resource(reading& from, trace_settings& to) {
  bool is_bad = false;
  std::map<std::string, std::string> all;
  for (auto& [name, value] : read_pairs(from.text("OTEL_RESOURCE_ATTRIBUTES"), is_bad))
    all[name] = std::move(value);
  if (is_bad) { // all of it, as the specification says
    from.warn("OTEL_RESOURCE_ATTRIBUTES is ignored: expected name=value,name=value with the values "
              "percent-encoded");
    all.clear();
  }
  if (const auto name = from.text("OTEL_SERVICE_NAME"); !name.empty())
    all["service.name"] = name;
  all.try_emplace("service.name", "vorrang");
  to.resource.assign(all.begin(), all.end());
}

void read_headers(reading& from, trace_settings& to) {
  bool is_bad = false;
  // What stands for traces alone goes first, of names that are in both too.
  for (const auto* name : {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"}) {
    for (auto& pair : read_pairs(from.text(name), is_bad)) {
      const bool is_known =
          std::any_of(to.headers.begin(), to.headers.end(), [&](const auto& other) {
            return equal_ignoring_case(other.first, pair.first);
          });
      if (!is_field_name(pair.first) || !is_field_value(pair.second))
        is_bad = true;
      else if (!is_known)
        to.headers.push_back(std::move(pair));
    }
  }
  if (is_bad)
    from.warn("a part of OTEL_EXPORTER_OTLP_HEADERS is ignored: expected name=value,name=value "
              "with the values percent-encoded");
}

} // namespace

trace_settings read_trace_settings(const config::environment& variables) {
  trace_settings made;
  reading from(variables);
  if (equal_ignoring_case(from.text("OTEL_SDK_DISABLED"), "true"))
    return made;
  const auto exporter = from.text("OTEL_TRACES_EXPORTER");
  if (exporter == "none")
    return made;
  read_endpoint(from, made);
  if (!made.enabled) {
    made.warnings = std::move(from.warnings);
    return made;
  }
  if (!exporter.empty() && exporter != "otlp") {
    made.enabled = false;
    from.warn("OTEL_TRACES_EXPORTER: no traces are exported; expected otlp or none");
  }
  read_protocol(from, made);
  read_sampler(from, made);
  read_resource(from, made);
  read_headers(from, made);
  made.ca_file =
      from.text("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE");
  const auto compression =
      from.text("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION");
  made.gzip = compression == "gzip";
  if (!compression.empty() && !made.gzip && compression != "none")
    from.warn("OTEL_EXPORTER_OTLP_COMPRESSION is ignored: expected gzip or none");
  from.take_ms("OTEL_EXPORTER_OTLP_TIMEOUT", made.timeout);
  from.take_ms("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", made.timeout);
  from.take<std::size_t>("OTEL_BSP_MAX_QUEUE_SIZE", 1, 1'000'000, made.spans_max);
  from.take<std::size_t>("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, 100'000, made.batch_spans_max);
  from.take_ms("OTEL_BSP_SCHEDULE_DELAY", made.delay);
  made.batch_spans_max = std::min(made.batch_spans_max, made.spans_max);
  made.warnings = std::move(from.warnings);
  return made;
}

} // namespace vorrang::http
