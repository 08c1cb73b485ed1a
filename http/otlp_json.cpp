#include "http/otlp_json.hpp"

#include "http/json_string.hpp"

namespace vorrang::http {

namespace {

std::string unix_nanos(const request_trace& of, time_point at) {
  return std::to_string((of.zero + at.time_since_epoch()).count());
}

void append_text(std::string& out, std::string_view name, std::string_view value) {
  out +=
      "{\"key\":" + json_quoted(name) + ",\"value\":{\"stringValue\":" + json_quoted(value) + "}},";
}

void append_attribute(std::string& out, const span_attribute& each) {
  if (const auto* text = std::get_if<std::string>(&each.value))
    append_text(out, each.name, *text);
  else
    out += "{\"key\":" + json_quoted(each.name) + ",\"value\":{\"intValue\":\"" +
           std::to_string(std::get<std::int64_t>(each.value)) + "\"}},";
}

/// The comma behind the last one of a list.
void drop_comma(std::string& out) {
  if (out.back() == ',')
    out.pop_back();
}

void append_span(std::string& out, const request_trace& of, const span_record& span) {
  out += "{\"traceId\":\"" + hex_of(of.id) + "\",\"spanId\":\"" + hex_of(span.id) + '"';
  if (span.parent != 0)
    out += ",\"parentSpanId\":\"" + hex_of(span.parent) + '"';
  if (!of.state.empty())
    out += ",\"traceState\":" + json_quoted(of.state);
  out += ",\"name\":" + json_quoted(span.name) +
         ",\"kind\":" + std::to_string(static_cast<unsigned>(span.kind)) +
         ",\"startTimeUnixNano\":\"" + unix_nanos(of, span.begins) + "\",\"endTimeUnixNano\":\"" +
         unix_nanos(of, span.ends) + "\",\"attributes\":[";
  for (const auto& each : span.attributes)
    append_attribute(out, each);
  drop_comma(out);
  out += ']';
  if (span.failed)
    out += ",\"status\":{\"code\":2}";
  out += "},";
}

} // namespace

std::string otlp_json(const std::vector<std::pair<std::string, std::string>>& resource,
                      std::string_view version,
                      std::span<const std::unique_ptr<request_trace>> traces) {
  std::string out = "{\"resourceSpans\":[{\"resource\":{\"attributes\":[";
  for (const auto& [name, value] : resource)
    append_text(out, name, value);
  drop_comma(out);
  out += "]},\"scopeSpans\":[{\"scope\":{\"name\":\"vorrang\",\"version\":" + json_quoted(version) +
         "},\"spans\":[";
  for (const auto& each : traces)
    for (const auto& span : each->spans)
      append_span(out, *each, span);
  drop_comma(out);
  out += "]}]}]}";
  return out;
}

} // namespace vorrang::http
