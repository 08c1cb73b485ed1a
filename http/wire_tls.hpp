// The part of a wire that only TLS needs. Private to wire.cpp and wire_tls.cpp.
#pragma once

#include "http/wire.hpp"

namespace vorrang::http {

struct wire::secured {
  explicit secured(wire& owner, std::shared_ptr<tls_context> context, const std::string& host,
                   std::shared_ptr<tls_memory> memory)
      : session(std::move(context), owner.socket_.native_handle(), host, std::move(memory)),
        told_soon(&owner, [](void* self) {
          auto& own = *static_cast<wire*>(self);
          own.reading_ = false;
          own.report();
        }) {}

  tls_session session;
  /// A read that ended at once is told like one that had to wait: never inside keep_reading().
  waiting_call told_soon;
  bool waits_to_read = false;
};

} // namespace vorrang::http
