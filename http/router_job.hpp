// One call of the router, from its ticket to its result.
#pragma once

#include "actors/request_gate.hpp"
#include "http/attempt.hpp"
#include "http/byte_budget.hpp"
#include "http/call.hpp"
#include "http/router.hpp"
#include "http/sse_reader.hpp"
#include "http/timed_call.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

class router_job;

/// Where jobs run: the real one is a loop, a test's is virtual time. One thread.
class router_place {
public:
  virtual ~router_place() = default;
  virtual time_point now() const = 0;
  virtual request_gate& gate() = 0;
  /// Rings `which` at `due`; `never` takes it back.
  virtual void run_at(timed_call& which, time_point due) = 0;
  /// Sends `request`, which holds until the job hears what came of it: may_send(), then
  /// head_arrived() and what follows from it, or failed().
  virtual void carry(std::shared_ptr<router_job> job, upstream_request request) = 0;
};

/// The requests' own words for the front, and what the owner gave along.
struct router_order {
  std::unique_ptr<call> what;
  /// False: the owner does not want any more of it.
  std::function<bool(std::string_view chunk)> on_chunk;
  /// Called once.
  std::function<void(completion_result)> done;
  /// What the body took of the budget; null: nothing.
  std::unique_ptr<byte_claim> claim;
};

/// Speaks for one request to the gate, plays mocks, tells a carrier's news to the call, and hands
/// out the result. Passive; belongs to the thread of its place. Whatever happens to it, its ticket
/// is settled or cancelled and its owner hears of it: the destructor sees to that.
class router_job final : public request_listener, public std::enable_shared_from_this<router_job> {
public:
  router_job(router_place& place, router_order order);
  ~router_job() override;
  router_job(const router_job&) = delete;
  router_job& operator=(const router_job&) = delete;

  /// Takes the ticket. Once; not if it is over.
  void start();
  /// Nobody wants it any more, or (503) the router ends.
  void cancel();
  void drain();
  bool is_over() const noexcept { return is_over_; }

  // What the carrier of an attempt tells ------------------------------------------------------

  /// Right before the first byte. False: failed(not_sent) comes next.
  bool may_send();
  head_verdict head_arrived(const answer_head& head);
  void answered(answer_head head, std::string body);
  void failed(transport_error error, std::string what_came = {});
  /// The next bytes of a stream; false: nobody wants more of it.
  bool piece_arrived(std::string_view piece);
  /// Absent: its proper end.
  void stream_ended(std::optional<transport_error> error);
  /// Chunks were passed on: only silence between two counts now.
  bool stream_begun() const noexcept { return stream_begun_; }
  /// Called when it is over, so that a carrier that waits stops; empty: nobody is to be told.
  std::function<void()> when_over;

  void on_grant(const grant& given) override;
  void on_waiting_again() override {}
  void on_end(const ending& end) override;
  void on_position(std::uint32_t) override {}

private:
  void play();
  void play_now();
  void settle(const outcome& result);
  void leave();
  void judged(judgement what);
  void stream_judged(judgement what, bool wanted);
  bool pass_on(std::string_view text);
  bool pass_on_events(bool is_end);
  void finish(completion_result result);
  completion_facts facts() const;

  router_place& place_;
  router_order order_;
  ticket_id ticket_ = 0;
  bool is_open_ = false; ///< the gate knows the ticket, and would call us
  bool is_over_ = false;
  std::optional<grant> given_; ///< the last
  std::optional<ending> ended_;
  std::optional<mock_attempt> mock_;
  timed_call timer_;
  time_point ready_ = never; ///< of the mock
  sse_reader events_;
  bool stream_begun_ = false;
  header_fields stream_fields_;
  std::optional<transport_error> broken_; ///< how the stream ended, if not well
};

} // namespace vorrang::http
