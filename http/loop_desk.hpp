// The request actor of one loop: it speaks for all requests of the loop's connections.
#pragma once

#include "actors/request_gate.hpp"
#include "http/loop.hpp"

#include <memory>

namespace caf {
class actor_system;
}

namespace vorrang {
struct engine_directory;
}

namespace vorrang::http {

/// A request_gate whose requests are plain objects. What the loop's handlers ask for is gathered
/// and goes out in one message for each actor once they have run; what the queues answer arrives
/// at the loop in one posted handler, which calls the listeners. For the loop's thread alone.
class loop_desk final : public request_gate {
public:
  /// `home` must outlive the desk; `tag` must differ from those of other desks of the engine.
  loop_desk(loop& home, caf::actor_system& system, std::shared_ptr<engine_directory> engine,
            std::uint16_t tag);
  /// Cancels what is open.
  ~loop_desk() override;

  /// A reload: a directory in which places are kept (extend_engine). Before begin_reload().
  void follow(std::shared_ptr<engine_directory> engine);

  ticket_id open(ask wanted, request_listener& listener) override;
  void cancel(ticket_id ticket) override;
  bool begin_sending(ticket_id ticket) override;
  void head_arrived(ticket_id ticket) override;
  void settle(ticket_id ticket, const outcome& result) override;
  bool settle_and_hear(ticket_id ticket, const outcome& result) override;
  void ask_position(ticket_id ticket) override;

  /// Requests that are not over.
  std::size_t size() const noexcept;

private:
  struct parts; // CAF stays out of this header
  std::unique_ptr<parts> parts_;
};

} // namespace vorrang::http
