// The engine's actors in virtual time: one stimulus, one expectation, and nothing left over.
#include "catch.hpp"
#include "virtual_engine.hpp"

#include <deque>
#include <map>

using namespace vorrang;
using namespace std::chrono_literals;

namespace {

/// Remembers what one request heard.
struct listener final : request_listener {
  void on_grant(const grant& given) override { grants.push_back(given); }
  void on_waiting_again() override { ++returns; }
  void on_end(const ending& how) override { end = how; }
  void on_position(std::uint32_t place) override { position = place; }

  std::vector<grant> grants;
  int returns = 0;
  std::uint32_t position = 0;
  std::optional<ending> end;
};

engine_settings one_deployment(deployment_settings deployment) {
  engine_settings settings;
  auto& group = settings.groups.emplace_back();
  group.name = "a";
  deployment.id = "a-1";
  group.deployments.push_back(std::move(deployment));
  return settings;
}

deployment_settings one_slot() {
  deployment_settings result;
  result.max_parallel_requests = 1;
  return result;
}

outcome of_kind(outcome_kind kind, std::uint16_t status = 0) {
  outcome result;
  result.kind = kind;
  result.status = status;
  return result;
}

const auto success = of_kind(outcome_kind::success, 200);

outcome come_back_in(duration wait) {
  auto result = of_kind(outcome_kind::rate_limited, 429);
  result.retry_after = wait;
  return result;
}

struct fixture {
  explicit fixture(engine_settings settings, duration unsent_max = duration::max())
      : engine(std::move(settings), unsent_max) {}

  ticket_id open(listener& to, std::int32_t priority = 255, duration patience = 600s,
                 group_index group = 0) {
    ask wanted;
    wanted.group = group;
    wanted.priority = priority;
    wanted.deadline = engine.now() + patience;
    const auto ticket = engine.book().open(engine.now(), wanted, to);
    engine.quiet();
    return ticket;
  }
  void settle(ticket_id ticket, const outcome& result) {
    engine.book().settle(ticket, result);
    engine.quiet();
  }

  test::virtual_engine engine;
};

} // namespace

TEST_CASE("a free slot is granted at once, and a settle frees it for the next") {
  fixture f(one_deployment(one_slot()));
  listener first, second;
  const auto running = f.open(first);
  f.open(second);
  REQUIRE(first.grants.size() == 1);
  CHECK(first.grants[0].reason == grant_reason::healthy_deployment);
  CHECK(first.grants[0].attempt == 1);
  CHECK(second.grants.empty());
  f.engine.advance(3s);
  f.settle(running, success);
  REQUIRE(second.grants.size() == 1);
  CHECK(second.grants[0].waited == 3s);
  CHECK_FALSE(first.end);
}

TEST_CASE("a holder that settles before the deployment has heard of its grant is heard then") {
  fixture f(one_deployment(one_slot()));
  settle_batch quick;
  quick.settles.push_back({1, success}); // the first grant of the first group
  caf::anon_send(f.engine.directory().deployments[0][0], settle_atom_v, std::move(quick));
  f.engine.quiet();
  listener first, second;
  f.open(first);
  REQUIRE(first.grants.size() == 1);
  REQUIRE(first.grants[0].id == 1);
  f.open(second);
  CHECK(second.grants.size() == 1);
}

TEST_CASE("those that wait go by priority, then by arrival") {
  fixture f(one_deployment(one_slot()));
  listener holder;
  auto running = f.open(holder, 0);
  const std::vector<std::int32_t> priorities = {5, 0, 5, -3, 2147483647, 0, -2147483647 - 1};
  std::vector<listener> waiting(priorities.size());
  std::vector<ticket_id> tickets;
  for (std::size_t i = 0; i < priorities.size(); ++i)
    tickets.push_back(f.open(waiting[i], priorities[i]));

  std::vector<std::size_t> order;
  std::map<std::size_t, bool> seen;
  for (std::size_t round = 0; round < priorities.size(); ++round) {
    f.settle(running, success);
    for (std::size_t i = 0; i < waiting.size(); ++i)
      if (!waiting[i].grants.empty() && !seen[i]) {
        seen[i] = true;
        order.push_back(i);
        running = tickets[i];
      }
  }
  CHECK(order == std::vector<std::size_t>{6, 3, 1, 5, 0, 2, 4});
  CHECK(f.engine.counters(0).inversions == 0);
}

TEST_CASE("a request that always draws 429 does not hold the line") {
  fixture f(one_deployment({}));
  listener poisonous;
  const auto poison = f.open(poisonous, 0);
  f.settle(poison, come_back_in(1s));
  std::vector<listener> others(2);
  std::vector<ticket_id> tickets;
  for (auto& each : others)
    tickets.push_back(f.open(each));
  f.engine.advance(1s);
  REQUIRE(poisonous.grants.size() == 2); // back at its original place, once
  f.settle(poison, come_back_in(1s));
  for (std::size_t round = 0; round < others.size(); ++round) {
    INFO(round);
    f.engine.advance(1s);
    REQUIRE(others[round].grants.size() ==
            1); // the one grant of the re-opening is not the poison's
    CHECK(poisonous.grants.size() == round + 2);
    f.settle(tickets[round], success);
    f.engine.advance(10ms);
    REQUIRE(poisonous.grants.size() == round + 3);
    f.settle(poison, come_back_in(1s));
  }
  REQUIRE(poisonous.end); // at its third: others were answered between them
  CHECK(poisonous.end->code == end_code::attempts_exhausted);
  CHECK(poisonous.end->status == 429);
}

TEST_CASE("a deadline ends a waiting ticket at its time, not a millisecond before") {
  fixture f(one_deployment(one_slot()));
  listener holder, late;
  const auto running = f.open(holder);
  f.open(late, 0, 2s);
  f.engine.advance(2s - 1ms);
  CHECK_FALSE(late.end);
  f.engine.advance(1ms);
  REQUIRE(late.end);
  CHECK(late.end->code == end_code::timed_out);
  CHECK(late.end->waited == 2s);
  f.settle(running, success);
  CHECK(late.grants.empty());
  f.engine.advance(700s);
  CHECK(f.engine.time().pending() == 0);
}

TEST_CASE("rpm: 1 lets one go each minute, the most urgent first") {
  deployment_settings limited;
  limited.rpm = 1;
  fixture f(one_deployment(limited));
  const auto start = f.engine.now();
  listener heard[4];
  std::vector<duration> granted_at(4);
  std::vector<ticket_id> tickets;
  tickets.push_back(f.open(heard[0], 0, 200s));
  for (const int priority : {3, 1, 2})
    tickets.push_back(f.open(heard[priority], priority, 200s));
  for (int second = 0; second <= 200; ++second) {
    for (auto& one : heard)
      if (one.grants.size() == 1 &&
          granted_at[static_cast<std::size_t>(&one - heard)] == duration{})
        granted_at[static_cast<std::size_t>(&one - heard)] = one.grants[0].at - start + 1ns;
    f.engine.advance(1s);
  }
  CHECK(granted_at == std::vector<duration>{1ns, 60s + 1ns, 120s + 1ns, 180s + 1ns});
}

TEST_CASE("a grant that reaches a cancelled request goes back whole") {
  deployment_settings limited = one_slot();
  limited.rpm = 1;
  fixture f(one_deployment(limited));
  listener gone, next;
  ask wanted;
  wanted.deadline = f.engine.now() + 10s;
  // Offered and cancelled before the grant can arrive.
  const auto ticket = f.engine.book().open(f.engine.now(), wanted, gone);
  send_book(f.engine.book().output(), f.engine.owner(), f.engine.directory());
  f.engine.time().run();
  f.engine.book().cancel(ticket);
  f.engine.quiet();
  CHECK(gone.grants.empty());
  f.open(next);
  CHECK(next.grants.size() == 1);
}

TEST_CASE("a ticket opened and cancelled in one breath is never granted") {
  fixture f(one_deployment(one_slot()));
  listener gone, next;
  ask wanted;
  wanted.deadline = f.engine.now() + 10s;
  const auto ticket = f.engine.book().open(f.engine.now(), wanted, gone);
  f.engine.book().cancel(ticket);
  f.engine.quiet();
  f.open(next);
  CHECK(next.grants.size() == 1);
  CHECK(f.engine.counters(0).waiting == 0);
}

TEST_CASE("an unsent grant goes back after ten seconds, its rpm unit included") {
  deployment_settings limited = one_slot();
  limited.rpm = 1;
  fixture f(one_deployment(limited), unsent_grant_max);
  listener slow;
  const auto ticket = f.open(slow);
  REQUIRE(slow.grants.size() == 1);
  f.engine.advance(10s - 1ms);
  CHECK(slow.returns == 0);
  f.engine.advance(1ms);
  CHECK(slow.returns == 1);
  REQUIRE(slow.grants.size() == 2);
  CHECK(slow.grants[1].attempt == 1);
  CHECK(f.engine.book().begin_sending(f.engine.now(), ticket));
  f.engine.advance(30s);
  CHECK(slow.returns == 1);
}

TEST_CASE("an owner that dies leaves nothing behind") {
  fixture f(one_deployment(one_slot()));
  auto dying = f.engine.time().system().spawn([](request_actor::pointer) {
    return request_actor::behavior_type{[](verdict_atom, const verdict_batch&) {
    }};
  });
  offer_batch offers;
  offers.owner = dying;
  offers.tickets.resize(3);
  for (std::size_t i = 0; i < 3; ++i) {
    offers.tickets[i].id = 900 + i;
    offers.tickets[i].since = f.engine.now();
    offers.tickets[i].wanted.deadline = f.engine.now() + 600s;
  }
  caf::anon_send(f.engine.directory().queues[0], offer_atom_v, std::move(offers));
  f.engine.quiet();
  listener patient;
  f.open(patient);
  CHECK(patient.grants.empty());
  CHECK(f.engine.counters(0).waiting == 3);
  caf::anon_send_exit(dying, caf::exit_reason::user_shutdown);
  dying = nullptr;
  f.engine.quiet();
  CHECK(patient.grants.size() == 1);
  CHECK(f.engine.counters(0).waiting == 0);
}

TEST_CASE("when everything cools, a fallback that becomes free is taken at that moment") {
  auto settings = one_deployment(one_slot());
  auto& other = settings.groups.emplace_back();
  other.name = "b";
  other.deployments.push_back(one_slot());
  other.deployments[0].id = "b-1";
  settings.groups[0].fallbacks = {1};
  fixture f(settings);

  listener busy;
  const auto in_b = f.open(busy, 0, 600s, 1);
  REQUIRE(busy.grants.size() == 1);
  listener limited, behind;
  const auto first = f.open(limited);
  REQUIRE(limited.grants.size() == 1);
  f.open(behind);
  outcome too_many = of_kind(outcome_kind::rate_limited, 429);
  too_many.retry_after = 30s;
  f.settle(first, too_many);
  CHECK(behind.grants.empty());
  f.engine.advance(1s);
  f.settle(in_b, success);
  // `limited` came first and takes the slot; the other waits in b now.
  REQUIRE(limited.grants.size() == 2);
  CHECK(limited.grants[1].group == 1);
  CHECK(limited.grants[1].fallbacks == 1);
  CHECK(limited.grants[1].attempt == 2);
  CHECK(f.engine.counters(1).waiting == 1);
  f.settle(first, success);
  REQUIRE(behind.grants.size() == 1);
  CHECK(behind.grants[0].group == 1);
}

TEST_CASE("a fallback to one deployment goes there and nowhere else, and waits for it") {
  auto settings = one_deployment({});
  auto& other = settings.groups.emplace_back();
  other.name = "b";
  other.deployments = {{}, one_slot(), {}};
  settings.groups[0].fallbacks = {{1, 1}};
  fixture f(settings);
  std::vector<listener> fallen(3);
  std::vector<ticket_id> tickets;
  for (auto& each : fallen) {
    tickets.push_back(f.open(each));
    f.settle(tickets.back(), of_kind(outcome_kind::rejected, 400));
  }
  for (std::size_t i = 0; i < fallen.size(); ++i) {
    REQUIRE(fallen[i].grants.size() == 2);
    CHECK(fallen[i].grants[1].group == 1);
    CHECK(fallen[i].grants[1].deployment == 1);
    if (i + 1 < fallen.size())
      CHECK(fallen[i + 1].grants.size() == 1); // one slot
    f.settle(tickets[i], success);
  }
}

TEST_CASE("draining ends what waits and what comes, and lets attempts finish") {
  fixture f(one_deployment(one_slot()));
  listener running, waiting, late;
  const auto ticket = f.open(running);
  f.open(waiting);
  caf::anon_send(f.engine.directory().queues[0], drain_atom_v);
  f.engine.quiet();
  REQUIRE(waiting.end);
  CHECK(waiting.end->code == end_code::draining);
  CHECK_FALSE(running.end);
  f.open(late);
  REQUIRE(late.end);
  CHECK(late.end->code == end_code::draining);
  f.settle(ticket, success);
  CHECK(f.engine.counters(0).waiting == 0);
}

TEST_CASE("a queue decides between two pieces of its line") {
  listener holder, urgent;
  std::deque<listener> others; // go after the engine
  fixture f(one_deployment(one_slot()));
  const auto running = f.open(holder);
  for (int i = 0; i < 9'999; ++i)
    f.open(others.emplace_back(), 5 + i % 3);
  line_copy copy(0, 10'000);
  auto piece = f.engine.piece(0, copy.next());
  CHECK(piece.view.tickets.size() == piece_tickets_max);
  REQUIRE(copy.add(std::move(piece)));
  // Somebody comes and is granted while the line is being read.
  const auto ticket = f.open(urgent, 0);
  f.settle(running, success);
  REQUIRE(urgent.grants.size() == 1);
  std::size_t pieces = 1;
  for (bool more = true; more; ++pieces) {
    piece = f.engine.piece(0, copy.next());
    REQUIRE(piece.view.tickets.size() <= piece_tickets_max);
    more = copy.add(std::move(piece));
  }
  CHECK(pieces == 40);
  CHECK(copy.take().tickets.size() == 9'999);
  f.settle(ticket, success);
}

TEST_CASE("the operator sees, moves and ends those that wait") {
  fixture f(one_deployment(one_slot()));
  listener holder, first, second;
  const auto running = f.open(holder);
  const auto slow = f.open(first, 5);
  const auto fast = f.open(second, 7);
  f.engine.advance(4s);
  auto view = f.engine.view(0, 0, 10);
  REQUIRE(view.tickets.size() == 2);
  CHECK(view.tickets[0].id == slow);
  CHECK(view.tickets[0].why == wait_reason::all_full);
  CHECK(view.tickets[1].why == wait_reason::behind_others);
  CHECK(view.tickets[1].position == 2);
  CHECK(view.oldest_wait == 4s);
  REQUIRE(view.deployments.size() == 1);
  CHECK(view.deployments[0].full);
  CHECK(view.deployments[0].in_flight == 1);

  caf::anon_send(f.engine.directory().queues[0], move_atom_v, move_ticket{fast, 1});
  f.engine.quiet();
  f.engine.book().ask_position(slow);
  f.engine.quiet();
  CHECK(first.position == 2);
  caf::anon_send(f.engine.directory().queues[0], end_atom_v, slow);
  f.engine.quiet();
  REQUIRE(first.end);
  CHECK(first.end->code == end_code::cancelled_by_operator);
  f.settle(running, success);
  CHECK(second.grants.size() == 1);
}

TEST_CASE("five hundred with mixed priorities through one slot, in exact order") {
  fixture f(one_deployment(one_slot()));
  listener holder;
  auto running = f.open(holder, 0);
  std::vector<listener> heard(500);
  std::map<std::pair<std::int32_t, std::size_t>, std::size_t> expected;
  std::vector<ticket_id> tickets;
  for (std::size_t i = 0; i < heard.size(); ++i) {
    const auto priority = static_cast<std::int32_t>(i * 7919 % 11);
    tickets.push_back(f.open(heard[i], priority));
    expected[{priority, i}] = i;
  }
  for (const auto& [rank, i] : expected) {
    f.settle(running, success);
    REQUIRE(heard[i].grants.size() == 1);
    running = tickets[i];
  }
  f.settle(running, success);
  CHECK(f.engine.counters(0).waiting == 0);
  CHECK(f.engine.counters(0).grants == 501);
  CHECK(f.engine.counters(0).inversions == 0);
}
