#pragma once

#include "bench/checked/clients.hpp"

namespace vorrang::checked {

/// Asks the operator's port again and again who stands in line.
class looker final : public watcher {
public:
  looker(poller& sockets, ordered_clock& clock, records& record, const clients& everybody,
         unsigned short port);
  ~looker() override { sockets_.forget(*this); }

  /// Begins the next look when it is due.
  void act();
  void readable() override;

private:
  void read_page();

  poller& sockets_;
  ordered_clock& clock_;
  records& record_;
  const clients& everybody_;
  unsigned short port_;
  descriptor socket_;
  message_buffer came_;
  moment asked_ = never;
  moment next_ = 0;
};

} // namespace vorrang::checked
