// All who follow one request: the metrics, the story that an operator can ask for, and the journal
// of the access log and of traces.
#pragma once

#include "http/request_journal.hpp"
#include "http/request_meter.hpp"
#include "http/request_story.hpp"

namespace vorrang::http {

class call;

/// Told once what happens to a request, tells each of them. Belongs to the request's loop.
class request_observers {
public:
  /// `journal` null: nobody reads it. All outlive it; `carried` is asked for what it is, and told
  /// what an attempt's request says of the trace.
  request_observers(loop_metrics& counts, story_ring& stories, request_journal* journal,
                    call& carried);

  // Its ticket.
  void opens();
  void opened(ticket_id ticket);
  void granted(const grant& given);
  void waits_again();
  void falls_back(group_index to);
  void ended(const ending& how);
  /// The gateway ends (`draining`), or its client hung up (`cancelled`): then nothing more happens.
  void given_up(end_code why, time_point now);

  // An attempt.
  void attempt_begins(const grant& given, time_point now);
  /// Its deployment's address is known.
  void attempt_goes_out();
  void upstream_answered(unsigned status);
  void upstream_failed(transport_error error);
  void settled(const outcome& result, time_point now);

  // Its answer.
  /// The deadline came in the middle of a call.
  void timed_out_calling();
  void answered_well() { meter_.answered_well(); }
  /// A whole answer goes to the client; `is_good`: an upstream's.
  void answers(unsigned status, bool is_good, time_point now);
  /// The first event of a stream goes to the client.
  void stream_begins(unsigned status, time_point now);
  void stream_breaks();
  /// Nothing more of it is sent; absent `given_up`: it was whole or broke by itself.
  void stream_ends(bool is_broken, std::optional<end_code> given_up, time_point now);
  /// An error of ours that comes after the head.
  void fails(our_error why);

private:
  request_meter meter_;
  request_story story_;
  request_journal* const journal_;
  call& call_;
};

} // namespace vorrang::http
