// The files of the live page, as they are built into the program (cmake/EmbedFiles.cmake).
#pragma once

#include <string_view>
#include <vector>

namespace vorrang::http {

struct page_file {
  std::string_view name; ///< `index.html`
  std::string_view content;
};

/// All of them.
const std::vector<page_file>& page_files();

} // namespace vorrang::http
