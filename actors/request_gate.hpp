// The seam between those who carry requests and the engine that decides.
#pragma once

#include "actors/types.hpp"

namespace vorrang {

/// What the owner of a request hears of it. Called by the gate, never from inside a call to it.
class request_listener {
public:
  virtual ~request_listener() = default;
  /// The attempt may be made now; settle() it once, whatever happens.
  virtual void on_grant(const grant& given) = 0;
  /// After a settle: the ticket is back at its original place.
  virtual void on_waiting_again() = 0;
  /// The same, but in the line of another group: that of before has failed for good.
  virtual void on_fallback(group_index) { on_waiting_again(); }
  /// The request is over; nothing more will be heard of it.
  virtual void on_end(const ending& end) = 0;
  /// The answer to ask_position(): 1 is the head of line.
  virtual void on_position(std::uint32_t position) = 0;
  /// After settle_and_hear(): the slot is free for whoever asks next.
  virtual void on_freed() {}
};

/// Where requests are opened, cancelled and settled. One owner thread; calls never block and never
/// call back; what they cause is heard later through the listener.
class request_gate {
public:
  virtual ~request_gate() = default;

  /// Takes a ticket. `listener` must outlive the request: until on_end, or until cancel() or a
  /// settle() that ends it has returned.
  virtual ticket_id open(ask wanted, request_listener& listener) = 0;

  /// The owner does not want it any more (its client hung up). A waiting ticket leaves the line, a
  /// grant that is held or on its way is settled as cancelled. No callback follows.
  virtual void cancel(ticket_id ticket) = 0;

  /// The first byte of the request is about to be written upstream. False: the grant is older than
  /// 10 s or the request is over; do not send (the ticket waits again).
  virtual bool begin_sending(ticket_id ticket) = 0;

  /// A 2xx head arrived from the upstream (ends a probe's doubt before the answer is whole).
  virtual void head_arrived(ticket_id ticket) = 0;

  /// Reports the attempt. After success, rejected with no other way, or cancelled the request is
  /// over: success and cancelled are followed by no callback, all other kinds by on_waiting_again
  /// (and later a grant) or on_end.
  virtual void settle(ticket_id ticket, const outcome& result) = 0;

  /// As settle() with success or cancelled, for those who let the next request come and do not want
  /// to see it refused. True: on_freed() follows; until then the listener must live, or cancel().
  /// False: nothing follows (where requests may wait, the next one just does).
  virtual bool settle_and_hear(ticket_id ticket, const outcome& result) {
    settle(ticket, result);
    return false;
  }

  /// Asks for the place in line; answered by on_position while the ticket waits.
  virtual void ask_position(ticket_id ticket) = 0;
};

} // namespace vorrang
