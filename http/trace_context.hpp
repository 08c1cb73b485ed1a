// W3C Trace Context (https://www.w3.org/TR/trace-context/), and which requests are traced.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// Big-endian, as it is written; all zero is invalid.
struct trace_id {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const trace_id&, const trace_id&) = default;
};

/// What a `traceparent` says.
struct trace_parent {
  trace_id trace;
  std::uint64_t span = 0;
  bool sampled = false;
};

/// Strictly as 3.2 of version 00: lower case, no zero ids. Of a later version what 00 has is taken.
/// Nothing: it is invalid, and there is none.
std::optional<trace_parent> read_traceparent(std::string_view text) noexcept;
/// `00-…-…-01`.
std::string traceparent_text(const trace_parent& of);
/// 32 and 16 digits.
std::string hex_of(const trace_id& id);
std::string hex_of(std::uint64_t span);

/// `OTEL_TRACES_SAMPLER`.
struct trace_sampler {
  enum class root : std::uint8_t { always_on, always_off, ratio };
  root of_roots = root::always_on;
  /// A parent's flag decides, where there is one.
  bool parent_based = true;
  /// From 0 to 1, for root::ratio.
  double ratio = 1;

  /// `always_on`, `traceidratio`, `parentbased_always_off` … Nothing: unknown here.
  static std::optional<trace_sampler> named(std::string_view name) noexcept;

  bool takes(const std::optional<trace_parent>& parent, const trace_id& id) const noexcept;
};

/// Random ids that are not zero; one for each thread. Not for secrets.
class trace_ids {
public:
  explicit trace_ids(std::uint64_t seed) noexcept : state_(seed) {}
  trace_id trace() noexcept;
  std::uint64_t span() noexcept;

private:
  std::uint64_t next() noexcept;
  std::uint64_t state_;
};

} // namespace vorrang::http
