# Writes files into a C++ source: vorrang::http::page_files().
#
#   cmake -D OUTPUT=page_files.cpp -D FILES="index.html=/path/index.html;…" -P EmbedFiles.cmake
set(arrays "")
set(entries "")
set(number 0)
foreach(entry IN LISTS FILES)
  string(REGEX MATCH "^([^=]+)=(.+)$" matched "${entry}")
  set(name ${CMAKE_MATCH_1})
  file(READ ${CMAKE_MATCH_2} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "const unsigned char file_${number}[] = {${bytes}};\n")
  string(APPEND entries "      {\"${name}\", text_of(file_${number}, sizeof file_${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "// Made by cmake/EmbedFiles.cmake.
#include \"http/page_files.hpp\"

namespace vorrang::http {
namespace {

${arrays}
std::string_view text_of(const unsigned char* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

} // namespace

const std::vector<page_file>& page_files() {
  static const std::vector<page_file> all = {
${entries}  };
  return all;
}

} // namespace vorrang::http
")
