// A request's head that has passed the door.
#pragma once

#include "http/head_fields.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

enum class http_method : std::uint8_t { get, head, post, put, patch, delete_, options, other };

/// How the bytes after a head are to be read.
enum class body_framing : std::uint8_t {
  none,        ///< no body
  length,      ///< `Content-Length`
  chunked,     ///< `Transfer-Encoding: chunked`
  until_close, ///< answers only: everything until the connection ends
};

/// What the door let in. Made by head_reader; nothing in it needs to be checked again.
struct request_head {
  http_method method = http_method::get;
  /// The path, percent-decoded: valid UTF-8 without control characters. `*` for `OPTIONS *`.
  std::string path;
  /// What follows the first `?`, not decoded; empty if there is none.
  std::string query;
  /// 0 or 1 for HTTP/1.0 and HTTP/1.1.
  unsigned version_minor = 1;
  /// The client allows another request on this connection; always false for HTTP/1.0.
  bool keep_alive = true;
  /// `Expect: 100-continue` (HTTP/1.1 with a body): write `100 Continue` before reading the body.
  bool expects_continue = false;
  body_framing framing = body_framing::none;
  /// Bytes of the body for body_framing::length.
  std::uint64_t content_length = 0;
  /// A `Content-Encoding` other than `identity`: 415.
  bool has_content_coding = false;
  head_fields fields;
};

/// The value of a query parameter, percent-decoded; empty if it is not there.
std::string query_value(std::string_view query, std::string_view name);

/// Percent-decodes; nothing if a `%` is not followed by two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text);

} // namespace vorrang::http
