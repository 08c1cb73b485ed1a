// One relayed request, from the ask to the client's answer: what each step means.
#pragma once

#include "http/attempt.hpp"
#include "http/stream_relay.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace vorrang::http {

struct call_plan;
class front;

/// A request that was accepted and goes to a deployment. Its story:
///
///     gate.open(call.wanted())
///     on_grant:  call.attempt(grant) → mock or upstream request
///                head arrives:  look_at_head() → whole, or a stream
///                whole:   judge(head, body) → settle(result); good → good_reply() to the client
///                stream:  relay() fed until it ends, judge_stream() → settle; stream_head() goes
///                         out with the first text the relay gives: until then the attempt may
///                         fail and be followed by another
///                broken:  judge(error) → settle(result)
///     on_end:    end_reply(ending)
///
/// A judgement that is `over` ends it as well: settle, then last_reply() to the client.
///
/// If stream_client() and keep_alive_interval() passes while it waits, the head goes early:
/// stream_head(), then waiting_text() each interval; good answers then begin with early_text(), and
/// every reply is turned into events by as_events(). Passive and belongs to one thread; what it
/// hands out as views or pointers holds as long as said there, and never longer than the call.
class call {
public:
  ~call();
  call(const call&) = delete;
  call& operator=(const call&) = delete;

  /// What to ask the engine for. `bytes` is the size of the body.
  const ask& wanted() const noexcept;

  /// When the request was read whole.
  time_point began() const noexcept;

  /// False: no ticket and no limit (`/v1/messages/count_tokens`). Then there is no gate: one
  /// attempt(ungated_grant()), whose judgement is the end (last_reply() if it is not good).
  bool needs_ticket() const noexcept;
  grant ungated_grant(time_point now) const;

  /// The client asked for a stream: its answer may begin before the attempt.
  bool stream_client() const noexcept;

  /// How long to wait before the first keep-alive text, and between two; absent: never.
  std::optional<duration> keep_alive_interval() const noexcept;

  /// `x-vorrang-request-id`: for logs.
  const std::string& request_id() const noexcept;

  /// For logs and traces. Views: they hold until the next attempt().
  struct told_facts {
    std::string_view model; ///< as asked for
    std::string_view group; ///< of the last attempt, before one the one asked for
    // Of the last attempt; empty before.
    std::string_view deployment;
    std::string_view provider;
    std::string_view upstream_model;
    std::string_view host; ///< empty for mocks
    std::uint16_t port = 0;
  };
  told_facts facts() const;

  /// Attempts that begin send this instead of the client's `traceparent`, and its `tracestate` only
  /// where that is kept. Empty: both as they came.
  void set_traceparent(std::string value, bool keep_tracestate);

  // An attempt -------------------------------------------------------------------------------

  /// The request for this grant's deployment. Forgets the attempt before.
  std::variant<mock_attempt, upstream_request> attempt(const grant& given, time_point now);

  /// Where the last attempt went; empty before the first.
  std::string deployment_id() const;

  /// The answer's head arrived.
  head_verdict look_at_head(const answer_head& head) const;

  /// A whole answer. `wall` is for a Retry-After that is a date.
  judgement judge(answer_head head, std::string body, std::chrono::system_clock::time_point wall);
  /// No answer, or none that can be used. `what_came` says what came instead, for the client; a
  /// sentence without its stop, or empty.
  judgement judge(transport_error error, std::string what_came = {});

  /// The client's answer after a judgement that was good.
  reply good_reply();
  /// The client's answer from the last attempt, as it stands. Also when needs_ticket() is false.
  reply last_reply();

  // A stream ---------------------------------------------------------------------------------

  /// Status, fields, no body. After look_at_head() said `stream`, pass its head; null for a mock's
  /// events, and when the head goes out early, while the request waits.
  reply stream_head(const answer_head* head) const;
  /// Turns the upstream's stream into the client's; only for a client that asked for a stream.
  /// Lives until the next attempt().
  stream_relay& relay();
  /// The relay is over: cleanly, or cut off (`error`, `what_came` as above), or the client hung up.
  judgement judge_stream(std::optional<transport_error> error, bool client_gone,
                         std::string what_came = {});
  /// What a stream that breaks after its first byte ends with.
  std::string broken_stream_text(transport_error error) const;

  /// `: waiting position=3`, or `event: ping` in Anthropic's form. Position 0: unknown.
  std::string waiting_text(std::uint32_t position) const;
  /// What the fields would have told, as a comment, when the head went early.
  std::string early_text() const;
  /// An answer for a client whose head went early: its body as an event of the API's form, or, for
  /// a good whole answer, … as the one `data:` event it can be.
  std::string as_events(const reply& answer) const;

  // The end ----------------------------------------------------------------------------------

  /// The client's answer when the engine ends the request.
  reply end_reply(const ending& end);

private:
  judgement judge_error(answer_head head, std::string body,
                        std::chrono::system_clock::time_point wall);
  friend class front;
  explicit call(std::unique_ptr<call_plan> plan);
  std::unique_ptr<call_plan> plan_;
};

} // namespace vorrang::http
