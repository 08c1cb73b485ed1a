#pragma once

#include "bench/checked/records.hpp"
#include "bench/checked/sockets.hpp"

#include <functional>
#include <list>
#include <memory>
#include <random>
#include <vector>

namespace vorrang::checked {

/// One deployment behind the gateway: a port, and as many calls at once as the gateway may make.
struct deployment_place {
  unsigned short port = 0;
  std::size_t slots = 0;
};

/// When calls are answered. `when_full`: as long as enough wait, only when all slots of a
/// deployment are taken, and not all of them at once: so nearly every grant falls between two
/// moments at which this thread knows who holds which slot. Now and then a deployment rests, so
/// that a call too many has the time to arrive. `at_once`: as fast as the gateway goes.
enum class pace : std::uint8_t { when_full, at_once };

/// Answers for all deployments.
class provider {
public:
  /// A share of `failing` of the calls is answered with 429 or 500.
  provider(poller& sockets, ordered_clock& clock, records& record, std::mt19937_64& random,
           const std::vector<deployment_place>& places, double failing, pace answers);
  ~provider();

  /// Told of each request whose call has come whole.
  std::function<void(long)> called;

  /// Writes the answers that are due; after all that could be read has been.
  void act();
  bool is_idle() const;

private:
  struct call_line;
  struct deployment;
  class door;

  bool is_due(deployment& at, moment now);
  void answer(call_line& line);
  void finish(call_line& line, moment at, int status);

  poller& sockets_;
  ordered_clock& clock_;
  records& record_;
  std::mt19937_64& random_;
  double failing_;
  pace answers_;
  int connections_ = 0;
  std::vector<std::unique_ptr<deployment>> deployments_;
};

} // namespace vorrang::checked
