// Every message and every actor interface of the engine. CAF 0.17.6 (a move to a later CAF touches
// this file: type-id block, signatures, start-up).
//
//   request actor ──offer, cancel──► queue actor ──take──► deployment actor
//        ▲  └───────────────settle, head─────────────────────►   │
//        └──verdicts (grant, waiting again, ended)── queue ◄─room┘
#pragma once

#include "actors/group_queue.hpp"
#include "actors/line_copy.hpp"
#include "actors/shared/line_link.hpp"

#include <boost/container/small_vector.hpp>
#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

namespace vorrang {

struct offer_batch;
struct engine_directory;

/// What a message is full of. Where requests come one by one it is one, which needs no memory of
/// its own.
template <class Entry>
using batch_of = boost::container::small_vector<Entry, 1>;

/// What a queue tells an owner, in order.
struct verdict_batch {
  batch_of<verdict> verdicts;
};

/// Tickets that their owners do not want any more; also settled nowhere if they were granted.
struct cancel_batch {
  batch_of<ticket_id> tickets;
};

/// Grants that a queue has made at one deployment, in order.
struct take_batch {
  batch_of<take> takes;
};

/// Attempts that ended at one deployment.
struct settle_batch {
  struct entry {
    grant_id grant;
    outcome result;
  };
  batch_of<entry> settles;
};

/// What a deployment tells its queue: its figures now, and the attempts they already reflect.
struct room_report {
  deployment_index deployment = 0;
  room figures;
  batch_of<attempt_result> results;
  /// Probes whose 2xx head has arrived.
  batch_of<grant_id> heads;
};

/// This instance's part of a deployment's limits, while the line it shares is away (spec §6).
struct limit_share {
  std::uint32_t rank = 0;
  std::uint32_t count = 1;
};

/// Who there is and what holds from now on: a directory in which every place of the one before
/// names the same actor and the same settings' place.
struct reload_order {
  std::shared_ptr<engine_directory> now;
};

/// Moves a waiting ticket.
struct move_ticket {
  ticket_id ticket = 0;
  std::int32_t priority = 0;
};

/// Figures for tests and metrics.
struct queue_counters {
  std::uint64_t waiting = 0;
  std::uint64_t grants = 0;
  std::uint64_t inversions = 0;
};

} // namespace vorrang

CAF_BEGIN_TYPE_ID_BLOCK(vorrang_engine, 4200)
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::offer_batch))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::cancel_batch))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::take_batch))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::settle_batch))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::room_report))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::verdict_batch))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::move_ticket))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::change_result))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::piece_request))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::queue_counters))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::queue_piece))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::limit_share))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::line_answer))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::reload_order))
CAF_ADD_TYPE_ID(vorrang_engine, (vorrang::ticket_view))
CAF_ADD_ATOM(vorrang_engine, vorrang, offer_atom, "offer")
CAF_ADD_ATOM(vorrang_engine, vorrang, cancel_atom, "cancel")
CAF_ADD_ATOM(vorrang_engine, vorrang, take_atom, "take")
CAF_ADD_ATOM(vorrang_engine, vorrang, settle_atom, "settle")
CAF_ADD_ATOM(vorrang_engine, vorrang, head_atom, "head")
CAF_ADD_ATOM(vorrang_engine, vorrang, open_atom, "open")
CAF_ADD_ATOM(vorrang_engine, vorrang, room_atom, "room")
CAF_ADD_ATOM(vorrang_engine, vorrang, verdict_atom, "verdict")
CAF_ADD_ATOM(vorrang_engine, vorrang, tick_atom, "tick")
CAF_ADD_ATOM(vorrang_engine, vorrang, watch_atom, "watch")
CAF_ADD_ATOM(vorrang_engine, vorrang, healthy_atom, "healthy")
CAF_ADD_ATOM(vorrang_engine, vorrang, place_atom, "place")
CAF_ADD_ATOM(vorrang_engine, vorrang, move_atom, "move")
CAF_ADD_ATOM(vorrang_engine, vorrang, end_atom, "end")
CAF_ADD_ATOM(vorrang_engine, vorrang, drain_atom, "drain")
CAF_ADD_ATOM(vorrang_engine, vorrang, show_atom, "show")
CAF_ADD_ATOM(vorrang_engine, vorrang, why_atom, "why")
CAF_ADD_ATOM(vorrang_engine, vorrang, count_atom, "count")
CAF_ADD_ATOM(vorrang_engine, vorrang, start_atom, "start")
CAF_ADD_ATOM(vorrang_engine, vorrang, stop_atom, "stop")
CAF_ADD_ATOM(vorrang_engine, vorrang, share_atom, "share")
CAF_ADD_ATOM(vorrang_engine, vorrang, line_atom, "line")
CAF_ADD_ATOM(vorrang_engine, vorrang, note_atom, "note")
CAF_ADD_ATOM(vorrang_engine, vorrang, up_atom, "up")
CAF_ADD_ATOM(vorrang_engine, vorrang, reload_atom, "reload")
CAF_END_TYPE_ID_BLOCK(vorrang_engine)

// They stay within the process and are never serialised.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::offer_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::cancel_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::take_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::settle_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::room_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::verdict_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::move_ticket)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::change_result)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::piece_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::queue_counters)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::queue_piece)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::ticket_view)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::limit_share)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::line_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::reload_order)

namespace vorrang {

/// Offers tickets, for one request or for many, and hears what becomes of them. An actor of the
/// host's own is one as soon as it takes this message.
using request_actor = caf::typed_actor<
    // Grants, returns, endings, places in line, in order.
    caf::reacts_to<verdict_atom, verdict_batch>>;

/// Wants to know when a group can take something.
using watching_actor = caf::typed_actor<caf::reacts_to<healthy_atom>>;

/// Tickets that one owner offers at once. The owner hears `verdict_batch`es.
struct offer_batch {
  request_actor owner;
  batch_of<ticket_offer> tickets;
};

/// Tracks one deployment's rpm, tpm, slots and health, and reports them to its queue.
using deployment_actor = caf::typed_actor<
    // Everybody is there: report the first figures.
    caf::reacts_to<start_atom>,
    // The queue granted attempts here.
    caf::reacts_to<take_atom, take_batch>,
    // Attempts are over.
    caf::reacts_to<settle_atom, settle_batch>,
    // A 2xx head arrived for a grant.
    caf::reacts_to<head_atom, grant_id>,
    // Re-opening of this phase holds nobody back.
    caf::reacts_to<open_atom, std::uint32_t>,
    // Keep to this part of the limits from now on.
    caf::reacts_to<share_atom, limit_share>,
    // Other limits and rules hold from now on: report the figures by them.
    caf::reacts_to<reload_atom, reload_order>,
    // Time has passed; the number tells a stale timer from the latest.
    caf::reacts_to<tick_atom, std::uint64_t>>;

/// Holds the line of one group and decides who goes next.
using queue_actor = caf::typed_actor<
    // Tickets join the line; each is answered by verdicts to its owner.
    caf::reacts_to<offer_atom, offer_batch>,
    // Tickets leave it.
    caf::reacts_to<cancel_atom, cancel_batch>,
    // A deployment's figures, and what became of attempts.
    caf::reacts_to<room_atom, room_report>,
    // Time has passed.
    caf::reacts_to<tick_atom, std::uint64_t>,
    // What the shared line answered, what it published, and that it can be called again.
    caf::reacts_to<line_atom, line_answer>, caf::reacts_to<note_atom, std::string>,
    caf::reacts_to<up_atom>,
    // Another queue wants `healthy` once this group can take something.
    caf::reacts_to<watch_atom, watching_actor>,
    // A group this one falls back to can take something.
    caf::reacts_to<healthy_atom>,
    // An owner asks for a ticket's place in line; answered by a verdict.
    caf::reacts_to<place_atom, ticket_id>,
    // The operator moves a waiting ticket.
    caf::replies_to<move_atom, move_ticket>::with<change_result>,
    // The operator ends a waiting ticket.
    caf::replies_to<end_atom, ticket_id>::with<change_result>,
    // A piece of the line, and what the deployments look like; line_copy puts pieces together.
    caf::replies_to<show_atom, piece_request>::with<queue_piece>,
    // What one ticket waits for.
    caf::replies_to<why_atom, ticket_id>::with<ticket_view>,
    caf::replies_to<count_atom>::with<queue_counters>,
    // Other settings hold from now on, and further deployments may be there.
    caf::reacts_to<reload_atom, reload_order>,
    // From now on everything ends with `draining`.
    caf::reacts_to<drain_atom>>;

} // namespace vorrang
