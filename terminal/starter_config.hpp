// The configuration that `vorrang init` writes.
#pragma once

#include <string>
#include <string_view>

namespace vorrang::terminal {

/// LiteLLM's config.yaml with comments. What begins with `#` and no blank is a setting that is
/// turned off: without the `#` it is one.
std::string_view starter_config() noexcept;

/// Writes it. A file that is there is replaced only by `force`, and then at once: who reads it sees
/// the old one or the new one. A link stays, and what it leads to is replaced. What is no regular
/// file is never written to. False: `trouble` says why and what to do.
bool write_starter_config(const std::string& file, bool force, std::string& trouble);

} // namespace vorrang::terminal
