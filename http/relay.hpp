// One call on its way: into the line, to a deployment, back to the client.
#pragma once

#include "actors/request_gate.hpp"
#include "http/attempt.hpp"
#include "http/call.hpp"
#include "http/coroutine.hpp"
#include "http/request_observers.hpp"

#include <optional>
#include <string_view>

namespace vorrang::http {

class connection;
class exchange;
class stream_relay;

/// Speaks for one request to the gate, carries its attempts and writes its answer. Whatever happens
/// to the coroutine, the ticket is cancelled or settled: the destructor sees to it.
class relay final : public request_listener {
public:
  /// Both outlive it.
  relay(connection& client, call& carried);
  ~relay() override;
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;

  /// Returns when the request is over: answered, or its client is gone.
  awaitable<> run();

  void on_grant(const grant& given) override;
  void on_waiting_again() override;
  void on_fallback(group_index to) override;
  void on_end(const ending& end) override;
  void on_position(std::uint32_t position) override;
  void on_freed() override;

private:
  enum class pass : std::uint8_t { over, again };

  void take_ticket();
  void leave();
  void settle(const outcome& result);
  bool settle_and_hear(const outcome& result);
  bool frees_before_the_end(const stream_relay& through) const;
  awaitable<> slot_is_free();
  awaitable<> free_slot();
  awaitable<> wait_in_line();
  awaitable<> write_waiting(std::uint32_t position);
  awaitable<pass> attempt(const grant& given);
  awaitable<judgement> carry(upstream_request request);
  awaitable<judgement> play(mock_attempt planned);
  awaitable<judgement> relay_stream(exchange& from, const upstream_request& request);
  awaitable<judgement> play_stream(mock_attempt planned);
  awaitable<bool> pass_on(std::string_view text, const answer_head* head);
  awaitable<> end_stream();
  awaitable<> answer(reply whole, bool is_good, time_point now);
  judgement judge_failure(exchange& failed, bool until_is_the_deadline);
  reply farewell();
  void tell_head(const answer_head& head);
  void count_stream(time_point now);
  transport_error named(transport_error error, bool until_is_the_deadline) const;

  connection& client_;
  call& call_;
  request_observers observers_;
  ticket_id ticket_ = 0;
  bool is_open_ = false; ///< the gate knows the ticket, and would call us
  std::optional<grant> granted_;
  std::optional<ending> ended_;
  std::optional<std::uint32_t> position_;
  std::optional<transport_error> broken_; ///< how the stream ended, if not well
  bool is_cut_ = false;                   ///< … or because nobody wanted more of it
  time_point next_comment_ = never;
  bool head_is_out_ = false;  ///< the head of a stream was sent
  bool went_early_ = false;   ///< … before the attempt
  bool stream_begun_ = false; ///< bytes of the answer were passed on
};

} // namespace vorrang::http
