// An upstream's event stream on its way to the client.
#pragma once

#include "actors/types.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

/// How a stream is changed on its way.
struct relay_rules {
  endpoint api = endpoint::chat;
  /// The name the client asked for, put in place of the upstream's `model`.
  std::string model;
  /// We asked for usage, the client did not: the usage-only chunk is withheld.
  bool withhold_usage = false;
};

/// Feed it what the upstream sends, in any pieces; it gives what the client gets, event by event:
/// an event is passed on when it is complete. Counts tokens on the way. Passive, one thread.
class stream_relay {
public:
  explicit stream_relay(relay_rules rules);
  ~stream_relay();
  stream_relay(const stream_relay&) = delete;
  stream_relay& operator=(const stream_relay&) = delete;

  /// Whole events for the client, possibly none yet; the view holds until the next call.
  std::string_view feed(std::string_view piece);
  /// The upstream ended its body cleanly: what was left without a blank line behind it.
  std::string_view finish();

  /// An event was passed on: the answer has begun, no other attempt is possible.
  bool begun() const noexcept;
  /// `[DONE]`, `message_stop` or `response.completed` came: all is said.
  bool complete() const noexcept;
  /// Why nothing more of the stream can be passed on, as a sentence without its stop: an event over
  /// the limit (16 MiB), broken JSON, text that is no event stream. Empty: nothing is wrong.
  std::string_view fault() const noexcept;
  /// The data of an error that was the first event: nothing was passed on. Else empty.
  std::string_view first_error() const noexcept;
  /// Total tokens as the upstream reported them, else absent.
  std::optional<std::uint64_t> reported_tokens() const noexcept;
  /// The `id` of the response that is streamed (`/v1/responses` only); empty until it is known.
  const std::string& response_id() const noexcept;
  /// Non-empty deltas seen: a token each where no usage was reported.
  std::uint64_t deltas() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace vorrang::http
