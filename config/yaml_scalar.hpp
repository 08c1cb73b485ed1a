// What a plain YAML 1.1 scalar means, by the rules of PyYAML's safe_load.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::config {

enum class node_type : std::uint8_t { null, boolean, integer, real, text, sequence, mapping };

/// The type that a plain (unquoted) scalar resolves to; never sequence or mapping. A date, which
/// PyYAML turns into an object of its own, stays text.
node_type resolve_scalar(std::string_view text);

/// yes, no, on, off, true, false in the three spellings of YAML 1.1.
std::optional<bool> parse_boolean(std::string_view text);

/// A whole number: decimal, `0b`, `0x`, octal with a leading 0, base 60, `_` between digits, a
/// sign. Nothing if it is none or does not fit into 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text);

/// A real number as PyYAML knows it (`1.5`, `.5`, `1.0e+3`, base 60, `.inf`, `.nan`), or a whole
/// number, or an exponent without dot or sign (`1e3`), which PyYAML leaves as text.
std::optional<double> parse_real(std::string_view text);

} // namespace vorrang::config
