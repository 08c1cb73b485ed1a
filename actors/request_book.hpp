// What the owner of requests must remember: where each stands, what it holds, where it goes next.
#pragma once

#include "actors/group_queue.hpp"
#include "actors/request_gate.hpp"

namespace vorrang {

/// A grant on which nothing was sent for so long goes back (spec, "What a grant holds").
inline constexpr duration unsent_grant_max = std::chrono::seconds(10);

/// What a book wants told to the engine's actors, gathered until the owner of the book sends it.
struct book_output {
  struct offered {
    group_index group;
    ticket_offer ticket;
  };
  struct named {
    group_index group;
    ticket_id ticket;
  };
  struct settled {
    group_index group;
    deployment_index deployment;
    grant_id grant;
    outcome result;
  };
  struct headed {
    group_index group;
    deployment_index deployment;
    grant_id grant;
  };
  std::vector<offered> offers;
  std::vector<named> cancels;
  std::vector<settled> settles;
  std::vector<headed> heads;
  std::vector<named> places;

  bool empty() const noexcept {
    return offers.empty() && cancels.empty() && settles.empty() && heads.empty() && places.empty();
  }
  void clear();
};

/// The requests of one owner (a loop of the gateway, or an actor for embedded use) as plain
/// objects: their listeners, the grants they hold, and the groups they may still fall back to. A
/// grant is settled exactly once, and one that reaches a request that is over goes back.
///
/// Passive: takes the time; not thread-safe. Listeners are called by `deliver` and `sweep` alone.
class request_book {
public:
  /// `settings` must outlive the book. `tag` makes its tickets different from those of other books.
  /// `unsent_max`: after how long an unsent grant goes back; duration::max() for never.
  request_book(const engine_settings& settings, std::uint16_t tag, duration unsent_max);

  /// A reload: groups and deployments of before are at their places in `settings`, which must
  /// outlive the book. Before any queue grants by them.
  void follow(const engine_settings& settings) noexcept { settings_ = &settings; }

  ticket_id open(time_point now, ask wanted, request_listener& listener);
  void cancel(ticket_id ticket);
  bool begin_sending(time_point now, ticket_id ticket);
  /// Tells the deployment of a probe's head, its success; to any other it says nothing.
  void head_arrived(ticket_id ticket);
  void settle(ticket_id ticket, const outcome& result);
  bool settle_and_hear(ticket_id ticket, const outcome& result);
  void ask_position(ticket_id ticket);

  /// What the queues said.
  void deliver(time_point now, std::span<const verdict> verdicts);

  /// Gives back grants that were not used in time.
  void sweep(time_point now);
  /// When `sweep` has something to do; `never` if nothing is unsent.
  time_point next_sweep() const noexcept;

  /// Cancels everything; no listener is called.
  void close();

  /// The group whose queue the request stands in (or was granted by) now; no_index if it is over.
  group_index group_of(ticket_id ticket) const;

  /// It was granted an attempt that is not settled yet.
  bool holds_grant(ticket_id ticket) const;

  book_output& output() noexcept { return output_; }
  /// Requests that are not over.
  std::size_t size() const noexcept { return open_; }

private:
  enum class stage : std::uint8_t { free, waiting, granted, settled, freeing };

  /// Only for requests whose group has fallbacks.
  struct journey {
    ask wanted;
    std::vector<fallback_target> next;
    std::vector<fallback_target> next_for_long_prompts;
    std::vector<fallback_target> next_for_content_policy;
    /// The error of the last group that failed for good.
    std::optional<ending> last_error;
    /// Attempts so far, and whether the last of them ended by its own timeout.
    std::uint32_t attempts = 0;
    bool timed_out = false;
  };
  struct request {
    request_listener* listener = nullptr;
    std::unique_ptr<journey> way;
    grant_id held = 0;
    time_point since{};
    group_index group = 0;
    deployment_index deployment = no_index;
    std::uint32_t generation = 0;
    std::uint32_t fallbacks = 0;
    stage at = stage::free;
    bool sent = false;
    bool probe = false;
  };
  struct unsent {
    time_point granted_at;
    ticket_id ticket;
    grant_id grant;
  };

  request* find(ticket_id ticket);
  void release(request& over);
  bool still_unsent(const unsent& entry);
  void give_back(const grant& unwanted);
  void on_grant(time_point now, const grant& given);
  void on_end(const ended& how);
  bool fall_back(request& failed, const ended& how);

  const engine_settings* settings_;
  ticket_id tag_;
  duration unsent_max_;
  std::vector<request> requests_;
  std::vector<std::uint32_t> free_;
  std::deque<unsent> unsent_;
  book_output output_;
  std::size_t open_ = 0;
};

} // namespace vorrang
