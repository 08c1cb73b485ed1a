// SHA-256 (FIPS 180-4), for ids that must not give away the key they are made of.
#pragma once

#include <string>
#include <string_view>

namespace vorrang::config {

/// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view text);

} // namespace vorrang::config
