// What people and editors read of the table of settings.
#pragma once

#include "config/setting_table.hpp"

#include <string>

namespace vorrang::config {

/// A table in Markdown of what is supported in a section: key, what it takes, default, meaning.
std::string markdown_of(section where);
/// A list in Markdown of what is LiteLLM's and not supported, by section and reason.
std::string markdown_of_unsupported();
/// A table in Markdown of the providers: what they speak, their bases and variables.
std::string markdown_of_providers();
/// A JSON schema (draft 7) of the whole file. Keys that it does not know are accepted wherever
/// LiteLLM has more of them; numbers and booleans may be quoted, or come from `os.environ/NAME`.
std::string json_schema();

} // namespace vorrang::config
