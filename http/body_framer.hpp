// Takes the framing off a body: Content-Length, chunks, or everything until the end.
#pragma once

#include "http/head_reader.hpp"
#include "http/request_head.hpp"

#include <cstdint>
#include <string_view>

namespace vorrang::http {

/// Decodes one body, fed as bytes arrive and cut anywhere; copies nothing. Chunk extensions and
/// trailers are dropped, and bounded together over the whole body.
///
///     while (!input.empty() && framer.state() == read_state::more) {
///       auto piece = framer.next(input);
///       body.append(piece.data);
///       input.remove_prefix(piece.consumed);
///     }
class body_framer {
public:
  /// Bytes of chunk extensions in a whole body, and, apart from them, of trailers.
  static constexpr std::size_t extension_bytes_max = 16 * 1024;
  static constexpr std::size_t trailer_bytes_max = 16 * 1024;
  static constexpr std::uint64_t no_limit = ~std::uint64_t{0};

  /// Ready for a body of no bytes.
  body_framer() = default;
  /// `bytes_max` bounds the decoded body; a longer Content-Length fails before its first byte.
  body_framer(body_framing framing, std::uint64_t content_length, std::uint64_t bytes_max);

  struct piece {
    std::size_t consumed = 0; ///< bytes of the input that are used up
    std::string_view data;    ///< body bytes: a part of the input, may be empty
  };
  /// The next run of body bytes. Makes progress on any input unless done or failed.
  piece next(std::string_view input);

  /// The connection ended: done if that is how this body ends, failed if it was cut off.
  void finish();

  read_state state() const noexcept { return state_; }
  /// body_too_large or bad_body_framing, when failed.
  our_error error() const noexcept { return error_; }
  /// Body bytes so far.
  std::uint64_t size() const noexcept { return size_; }
  /// Bytes that are certain to come, 0 if unknown: a hint for how much to reserve.
  std::uint64_t bytes_left() const noexcept;

private:
  enum class step : std::uint8_t {
    data,
    size_begin,
    size_digits,
    extension,
    size_lf,
    data_cr,
    data_lf,
    trailer_begin,
    trailer,
    trailer_lf,
    end_lf
  };
  void fail(our_error code);
  bool take_framing(char byte);

  body_framing framing_ = body_framing::none;
  read_state state_ = read_state::done;
  our_error error_ = our_error::none;
  step step_ = step::data;
  unsigned digits_ = 0;
  std::uint64_t left_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t bytes_max_ = no_limit;
  std::size_t extension_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
};

} // namespace vorrang::http
