#pragma once

#include "bench/checked/records.hpp"
#include "bench/checked/sockets.hpp"

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

namespace vorrang::checked {

/// By what a waiting request is known at the operator's port, which tells priorities and lengths of
/// bodies: a length that no other of its priority has. One that finds none has the common length.
class lengths {
public:
  /// Of bodies; at least as long as what they have to hold.
  static constexpr std::size_t shortest = 180;

  lengths();
  /// The length for this request from now on.
  std::size_t take(int priority, long number);
  /// Its request has had its end. It is not given out before `at`.
  void give_back(int priority, std::size_t length, moment at);
  void pass_time(moment now);
  /// The request that had this length last, or -1.
  long owner(int priority, std::size_t length) const;

private:
  static constexpr std::size_t for_each_priority = 256;
  struct returned {
    moment at;
    int priority;
    std::size_t length;
  };
  std::map<int, std::deque<std::size_t>> free_;
  std::map<int, std::vector<long>> owners_;
  std::deque<returned> later_;
};

/// Clients that ask again when they have their answer, each on a connection of its own; in waves of
/// changing size, so that all priorities wait. Some hang up: while they wait, when their call has
/// come to the provider, or in the middle of a stream.
class clients {
public:
  clients(poller& sockets, ordered_clock& clock, records& record, std::mt19937_64& random,
          unsigned short port, std::size_t count);
  ~clients();

  /// Sends and hangs up what is due.
  void act(bool may_send);
  /// The call of this request has come to the provider.
  void called(long number);
  bool is_idle() const { return idle_.size() == all_.size(); }
  std::size_t answered() const { return answered_; }
  /// The request that this ticket is, if that is certain: it was sent before, and nobody else could
  /// have had its priority and length.
  long waiting_one(int priority, std::size_t length, moment before) const;

private:
  struct client;
  struct leaving {
    moment at;
    client* who;
    long number;
  };

  void send(client& who);
  void hang_up(client& who);
  void finish(client& who, const message* answer);
  void connect(client& who);

  poller& sockets_;
  ordered_clock& clock_;
  records& record_;
  std::mt19937_64& random_;
  unsigned short port_;
  std::vector<std::unique_ptr<client>> all_;
  std::vector<client*> idle_;
  std::vector<leaving> leaving_;
  std::unordered_map<long, client*> leave_when_called_;
  std::size_t wave_ = 1;
  std::size_t answered_ = 0;
  int connections_ = 0;
  lengths lengths_;
};

} // namespace vorrang::checked
