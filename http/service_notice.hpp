// What a service manager that asked for it is told: systemd's notification protocol.
#pragma once

#include <string_view>

namespace vorrang::http {

/// Sends `state` (lines such as `READY=1`, see sd_notify(3)) as one datagram to the socket that the
/// variable `NOTIFY_SOCKET` names: a path, or `@` and a name in the abstract namespace. Waits while
/// that socket's queue is full, as libsystemd does; does nothing where the variable is not set.
/// Returns whether it was sent.
///
/// The protocol is a datagram, and promised to stay: no reason to link libsystemd for it.
bool notify_service_manager(std::string_view state);

/// `READY=1`: it listens, also after a reload.
void notify_ready();

/// `RELOADING=1` with the time on the monotonic clock, as `Type=notify-reload` wants it.
void notify_reloading();

/// `STOPPING=1`: no new connections, what waits and runs goes on.
void notify_stopping();

} // namespace vorrang::http
