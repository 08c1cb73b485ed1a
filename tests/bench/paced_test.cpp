// Both ends of the paced streams with nobody in between: every event is read, once.
#include "bench/load/paced_clients.hpp"
#include "catch.hpp"

#include <system_error>
#include <thread>

using namespace vorrang::bench;

TEST_CASE("paced: every event of the time that counts is read and timed, and every stream ends") {
  pace plan;
  plan.streams = 20;
  plan.events_a_second = 50;
  paced_shared shared;
  paced_upstream upstream(0, plan, {}, shared);
  paced_clients clients(upstream.port(), plan, shared);
  std::jthread thread([&] { clients.run(); });
  upstream.run(0.1, 0.2);
  thread.join();
  CHECK(upstream.counted() == 200);
  CHECK(upstream.late().count() == 200);
  CHECK(clients.late().count() + upstream.late().lost() == 200);
  CHECK(clients.way().count() == clients.late().count());
  // An event is written before it is read, and due before that.
  CHECK(clients.way().at(0) > 0.0);
  CHECK(clients.late().at(0) >= clients.way().at(0));
  CHECK(clients.whole() == 20);
  CHECK(upstream.last().at_ns > upstream.first().at_ns);
  CHECK(upstream.last().own_ns > upstream.first().own_ns);
}

TEST_CASE("paced: clients that cannot connect say so, and keep nobody waiting") {
  pace plan;
  paced_shared shared;
  paced_upstream upstream(0, plan, {}, shared);
  const auto nobody = [] {
    return port_of(listen_at(0));
  }(); // closed again
  paced_clients clients(nobody, plan, shared);
  CHECK_THROWS_AS(clients.run(), std::system_error);
  shared.is_over = true;
  upstream.run(0.1, 0.1);
  CHECK(upstream.counted() == 0);
}
