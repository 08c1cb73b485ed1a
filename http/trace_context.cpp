#include "http/trace_context.hpp"

namespace vorrang::http {

namespace {

/// Lower case alone, as the format wants it.
bool read_hex(std::string_view digits, std::uint64_t& value) noexcept {
  value = 0;
  for (const char each : digits) {
    const bool is_digit = each >= '0' && each <= '9';
    if (!is_digit && (each < 'a' || each > 'f'))
      return false;
    value = value << 4 | static_cast<std::uint64_t>(is_digit ? each - '0' : each - 'a' + 10);
  }
  return true;
}

void append_hex(std::string& out, std::uint64_t value) {
  static constexpr char digits[] = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4)
    out += digits[value >> shift & 0xF];
}

} // namespace

std::optional<trace_parent> read_traceparent(std::string_view text) noexcept {
  constexpr std::size_t size = 55; // 00-<32>-<16>-<2>
  if (text.size() < size || text[2] != '-' || text[35] != '-' || text[52] != '-')
    return std::nullopt;
  std::uint64_t version = 0, flags = 0;
  trace_parent read;
  if (!read_hex(text.substr(0, 2), version) || !read_hex(text.substr(3, 16), read.trace.high) ||
      !read_hex(text.substr(19, 16), read.trace.low) || !read_hex(text.substr(36, 16), read.span) ||
      !read_hex(text.substr(53, 2), flags))
    return std::nullopt;
  if (version == 0xFF || (version == 0 && text.size() != size) ||
      (text.size() > size && text[size] != '-'))
    return std::nullopt;
  if (read.trace == trace_id{} || read.span == 0)
    return std::nullopt;
  read.sampled = (flags & 1) != 0;
  return read;
}

std::string hex_of(const trace_id& id) {
  std::string out;
  append_hex(out, id.high);
  append_hex(out, id.low);
  return out;
}

std::string hex_of(std::uint64_t span) {
  std::string out;
  append_hex(out, span);
  return out;
}

std::string traceparent_text(const trace_parent& of) {
  std::string out = "00-";
  append_hex(out, of.trace.high);
  append_hex(out, of.trace.low);
  out += '-';
  append_hex(out, of.span);
  out += of.sampled ? "-01" : "-00";
  return out;
}

std::optional<trace_sampler> trace_sampler::named(std::string_view name) noexcept {
  constexpr std::string_view prefix = "parentbased_";
  trace_sampler made;
  made.parent_based = name.substr(0, prefix.size()) == prefix;
  if (made.parent_based)
    name.remove_prefix(prefix.size());
  if (name == "always_on")
    made.of_roots = root::always_on;
  else if (name == "always_off")
    made.of_roots = root::always_off;
  else if (name == "traceidratio")
    made.of_roots = root::ratio;
  else
    return std::nullopt;
  return made;
}

bool trace_sampler::takes(const std::optional<trace_parent>& parent,
                          const trace_id& id) const noexcept {
  if (parent_based && parent)
    return parent->sampled;
  switch (of_roots) {
  case root::always_on:
    return true;
  case root::always_off:
    return false;
  case root::ratio:
    break;
  }
  // As OpenTelemetry's SDKs for Go and Java: 63 bits of the id's lower half, so that everybody on
  // the way takes the same traces.
  constexpr double ids = 9223372036854775808.0;
  return ratio >= 1 || static_cast<double>(id.low >> 1) < ratio * ids;
}

std::uint64_t trace_ids::next() noexcept {
  // SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBU;
  return mixed ^ mixed >> 31;
}

std::uint64_t trace_ids::span() noexcept {
  for (;;)
    if (const std::uint64_t id = next(); id != 0)
      return id;
}

trace_id trace_ids::trace() noexcept {
  return {span(), span()};
}

} // namespace vorrang::http
