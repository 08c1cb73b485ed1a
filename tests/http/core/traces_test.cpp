// Trace context, sampling, OpenTelemetry's variables, and OTLP as JSON.
#include "http/otlp_json.hpp"
#include "http/trace_context.hpp"
#include "http/trace_settings.hpp"

#include "catch.hpp"

#include <nlohmann/json.hpp>
#include <set>

using namespace vorrang;
using namespace vorrang::http;
using namespace std::chrono_literals;

namespace {

const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

trace_settings read(std::map<std::string, std::string, std::less<>> variables) {
  return read_trace_settings(config::fixed_environment(std::move(variables)));
}

/// With an endpoint.
trace_settings read_more(std::map<std::string, std::string, std::less<>> variables) {
  variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://collector:4318";
  return read(std::move(variables));
}

} // namespace

TEST_CASE("traceparent: what is valid") {
  const auto read = read_traceparent(good);
  REQUIRE(read);
  CHECK(read->trace == trace_id{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736});
  CHECK(read->span == 0x00f067aa0ba902b7);
  CHECK(read->sampled);
  CHECK(traceparent_text(*read) == good);
  auto other = good;
  other[54] = '2'; // other flags mean nothing here
  CHECK_FALSE(read_traceparent(other)->sampled);
  other[54] = '3';
  CHECK(read_traceparent(other)->sampled);
  // A later version: what we know of it, and more behind a dash.
  other = "cc" + good.substr(2);
  CHECK(read_traceparent(other));
  CHECK(read_traceparent(other + "-what-the-future-holds"));
}

TEST_CASE("traceparent: what is not") {
  const auto with = [](std::size_t at, char other) {
    auto text = good;
    text[at] = other;
    return text;
  };
  for (const auto& wrong :
       {std::string(), good.substr(1), good.substr(0, 54), good + "-", good + "0", " " + good,
        "ff" + good.substr(2), "cc" + good.substr(2) + "00", with(2, '_'), with(35, '_'),
        with(52, '_'), with(0, 'g'), with(3, 'A'), with(20, '.'), with(40, 'F'), with(54, 'x'),
        "00-" + std::string(32, '0') + good.substr(35),
        good.substr(0, 36) + std::string(16, '0') + "-01"})
    CHECK_FALSE(read_traceparent(wrong));
}

TEST_CASE("sampler: a parent's flag decides where it is parent-based") {
  const std::optional<trace_parent> none;
  const auto taken = read_traceparent(good);
  auto left = taken;
  left->sampled = false;
  const trace_id id = taken->trace;

  const auto by_default = *trace_sampler::named("parentbased_always_on");
  CHECK(by_default.takes(none, id));
  CHECK(by_default.takes(taken, id));
  CHECK_FALSE(by_default.takes(left, id));
  CHECK(trace_sampler().takes(none, id));
  CHECK_FALSE(trace_sampler().takes(left, id));

  CHECK(trace_sampler::named("always_on")->takes(left, id));
  CHECK_FALSE(trace_sampler::named("always_off")->takes(taken, id));
  CHECK(trace_sampler::named("parentbased_always_off")->takes(taken, id));
  CHECK_FALSE(trace_sampler::named("parentbased_always_off")->takes(none, id));
  for (const auto* unknown :
       {"", "parentbased_", "always", "parentbased_jaeger_remote", "ALWAYS_ON"})
    CHECK_FALSE(trace_sampler::named(unknown));
}

TEST_CASE("sampler: a ratio takes so many, and the same ones each time") {
  auto quarter = *trace_sampler::named("traceidratio");
  quarter.ratio = 0.25;
  trace_ids ids(7);
  std::size_t taken = 0;
  constexpr std::size_t all = 20'000;
  for (std::size_t i = 0; i < all; ++i) {
    const auto id = ids.trace();
    const bool is_taken = quarter.takes(std::nullopt, id);
    CHECK(is_taken == quarter.takes(std::nullopt, id));
    taken += is_taken;
  }
  CHECK(taken > all * 23 / 100);
  CHECK(taken < all * 27 / 100);
  auto edge = quarter;
  edge.ratio = 0;
  CHECK_FALSE(edge.takes(std::nullopt, {1, 0}));
  edge.ratio = 1;
  CHECK(edge.takes(std::nullopt, {~0ULL, ~0ULL}));
}

TEST_CASE("trace ids: none is zero or comes twice") {
  trace_ids ids(0);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 10'000; ++i)
    CHECK(seen.insert(ids.span()).second);
  CHECK(seen.count(0) == 0);
}

TEST_CASE("trace settings: without an endpoint there are none") {
  CHECK_FALSE(read({}).enabled);
  CHECK_FALSE(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", ""}}).enabled);
  CHECK_FALSE(read_more({{"OTEL_SDK_DISABLED", "TRUE"}}).enabled);
  CHECK_FALSE(read_more({{"OTEL_TRACES_EXPORTER", "none"}}).enabled);
  CHECK(read_more({{"OTEL_SDK_DISABLED", "false"}, {"OTEL_TRACES_EXPORTER", "otlp"}}).enabled);
  for (const auto* wrong :
       {"collector:4318", "ftp://collector", "http://", "http://me:secret@host"}) {
    const auto made = read({{"OTEL_EXPORTER_OTLP_ENDPOINT", wrong}});
    CHECK_FALSE(made.enabled);
    REQUIRE(made.warnings.size() == 1);
    CHECK(made.warnings[0].find("secret") == std::string::npos);
  }
}

TEST_CASE("trace settings: where they go") {
  const auto where = [](const char* name, const char* value) {
    const auto made = read({{name, value}});
    return made.base + " " + made.path;
  };
  const auto* general = "OTEL_EXPORTER_OTLP_ENDPOINT";
  const auto* own = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  CHECK(where(general, "http://collector:4318") == "http://collector:4318 /v1/traces");
  CHECK(where(general, "https://otel.example.com/in/") ==
        "https://otel.example.com:443 /in/v1/traces");
  CHECK(where(general, "http://[::1]:4318") == "http://[::1]:4318 /v1/traces");
  CHECK(where(own, "http://collector:4318") == "http://collector:4318 /");
  CHECK(where(own, "http://collector:4318/custom") == "http://collector:4318 /custom");
  const auto both = read({{general, "http://a:1"}, {own, "http://b:2/x"}});
  CHECK(both.base == "http://b:2");
}

TEST_CASE("trace settings: the rest of the variables") {
  const auto made = read_more({{"OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, X-Team = red"},
                               {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "API-KEY=own"},
                               {"OTEL_RESOURCE_ATTRIBUTES", "service.name=x,env=pr%C3%BCf"},
                               {"OTEL_SERVICE_NAME", "gateway"},
                               {"OTEL_TRACES_SAMPLER", "traceidratio"},
                               {"OTEL_TRACES_SAMPLER_ARG", "0.5"},
                               {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"},
                               {"OTEL_EXPORTER_OTLP_TIMEOUT", "2000"},
                               {"OTEL_BSP_MAX_QUEUE_SIZE", "100"},
                               {"OTEL_BSP_SCHEDULE_DELAY", "50"}});
  CHECK(made.warnings.empty());
  using pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(made.headers == pairs{{"API-KEY", "own"}, {"X-Team", "red"}});
  CHECK(made.resource == pairs{{"env", "prüf"}, {"service.name", "gateway"}});
  CHECK(made.sampler.ratio == 0.5);
  CHECK_FALSE(made.sampler.parent_based);
  CHECK(made.gzip);
  CHECK(made.timeout == 2000ms);
  CHECK(made.spans_max == 100);
  CHECK(made.batch_spans_max == 100);
  CHECK(made.delay == 50ms);
  CHECK(read_more({}).resource == pairs{{"service.name", "vorrang"}});
}

TEST_CASE("trace settings: what is wrong is said, and ignored") {
  const auto wrong = [](const char* name, const char* value) {
    const auto made = read_more({{name, value}});
    CHECK(made.enabled);
    REQUIRE(made.warnings.size() == 1);
    return made;
  };
  CHECK(wrong("OTEL_TRACES_SAMPLER", "xray").sampler.takes(std::nullopt, {}));
  CHECK(wrong("OTEL_BSP_SCHEDULE_DELAY", "soon").delay == 5s);
  CHECK(wrong("OTEL_EXPORTER_OTLP_TIMEOUT", "-1").timeout == 10s);
  CHECK(wrong("OTEL_RESOURCE_ATTRIBUTES", "a=1,b").resource.size() == 1);
  CHECK(wrong("OTEL_EXPORTER_OTLP_HEADERS", "a b=1,c=2").headers.size() == 1);
  CHECK(wrong("OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0ax").headers.empty());
  CHECK_FALSE(wrong("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd").gzip);
  CHECK(wrong("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").enabled);
  const auto ratio = read_more(
      {{"OTEL_TRACES_SAMPLER", "parentbased_traceidratio"}, {"OTEL_TRACES_SAMPLER_ARG", "2"}});
  CHECK(ratio.warnings.size() == 1);
  CHECK(ratio.sampler.ratio == 1);
  const auto grpc = read_more({{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}});
  CHECK_FALSE(grpc.enabled);
  CHECK(grpc.warnings.size() == 1);
}

TEST_CASE("OTLP: spans as JSON") {
  std::vector<std::unique_ptr<request_trace>> traces;
  auto& trace = *traces.emplace_back(std::make_unique<request_trace>());
  trace.id = {0x4bf92f3577b34da6, 0xa3ce929d0e0e4736};
  trace.state = "a=1";
  trace.zero = std::chrono::nanoseconds(1'800'000'000'000'000'000);
  span_record span;
  span.name = "POST /v1/chat/completions";
  span.kind = span_kind::server;
  span.id = 0xb7;
  span.begins = time_point(1ns);
  span.ends = time_point(2s);
  span.attributes = {{"gen_ai.request.model", std::string("m\n\"x")},
                     {"vorrang.priority", std::int64_t{-5}}};
  trace.spans.push_back(span);
  span.parent = 0xb7;
  span.id = 1;
  span.failed = true;
  span.attributes.clear();
  trace.spans.push_back(span);

  const auto made = nlohmann::json::parse(otlp_json({{"service.name", "v"}}, "1.2", traces));
  CHECK(made == nlohmann::json::parse(R"({"resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "v"}}]},
    "scopeSpans": [{"scope": {"name": "vorrang", "version": "1.2"}, "spans": [
      {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00000000000000b7",
       "traceState": "a=1", "name": "POST /v1/chat/completions", "kind": 2,
       "startTimeUnixNano": "1800000000000000001", "endTimeUnixNano": "1800000002000000000",
       "attributes": [{"key": "gen_ai.request.model", "value": {"stringValue": "m\n\"x"}},
                      {"key": "vorrang.priority", "value": {"intValue": "-5"}}]},
      {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "0000000000000001",
       "parentSpanId": "00000000000000b7", "traceState": "a=1",
       "name": "POST /v1/chat/completions", "kind": 2,
       "startTimeUnixNano": "1800000000000000001", "endTimeUnixNano": "1800000002000000000",
       "attributes": [], "status": {"code": 2}}]}]}]})"));
}
