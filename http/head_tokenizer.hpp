// Finds the parts of a head. A few lines of our own: Beast's parser took a tenth of all the
// instructions of a relayed request, and every rule had to be checked again (tests compare the
// two).
#pragma once

#include "http/head_fields.hpp"

#include <cstdint>
#include <string_view>

namespace vorrang::http {

/// The parts of a first line, as views into the head's text.
struct first_line {
  std::string_view method, target; ///< requests
  unsigned status = 0;             ///< answers
  unsigned version_minor = 0;
};

/// Both take a head that is complete up to its empty line (`fields.text()`, every line ended by
/// CRLF and without other CR or LF), add its fields, and are false if it is malformed, or neither
/// HTTP/1.0 nor HTTP/1.1.
bool tokenize_request(head_fields& fields, first_line& line);
bool tokenize_answer(head_fields& fields, first_line& line);

/// What framing of bodies rests on.
struct length_reading {
  const char* fault = nullptr; ///< a sentence, if it can be read in two ways or not at all
  bool chunked = false;
  bool has_length = false;
  std::uint64_t length = 0;
};
length_reading read_lengths(const head_fields& fields, unsigned version_minor);

/// Whether a field that may stand several times holds `word` in any of its lists.
bool any_list_holds(const head_fields& fields, std::string_view name, std::string_view word);

} // namespace vorrang::http
