// Actors on the loops: real threads, real time. Waits are for conditions, through futures.
//
// Each actor is spawned with an argument: without one CAF 0.17.6 binds a null reference.
#include "http/caf_scheduler.hpp"

#include "catch.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <thread>

using namespace vorrang::http;
using std::chrono::milliseconds;
using std::chrono::seconds;

using promise_ptr = std::shared_ptr<std::promise<int>>;
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(promise_ptr)

namespace {

struct fixture {
  explicit fixture(std::size_t loops) : pool(loops) {
    use_loops(config, pool);
    system = std::make_unique<caf::actor_system>(config);
  }
  loop_pool pool;
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
};

caf::behavior counter(caf::event_based_actor* self, int end, promise_ptr done) {
  return {[=](int value, const caf::actor& other) {
    if (value == end) {
      done->set_value(value);
      self->quit();
      self->send_exit(other, caf::exit_reason::user_shutdown);
      return;
    }
    self->send(other, value + 1, caf::actor_cast<caf::actor>(self));
  }};
}

int wait_for(const promise_ptr& done) {
  auto future = done->get_future();
  REQUIRE(future.wait_for(seconds(60)) == std::future_status::ready);
  return future.get();
}

} // namespace

TEST_CASE("actors answer each other across the loops") {
  fixture all(3);
  std::vector<promise_ptr> pairs;
  for (int pair = 0; pair < 20; ++pair) {
    auto done = std::make_shared<std::promise<int>>();
    pairs.push_back(done);
    const auto ping = all.system->spawn(counter, 5000, done);
    const auto pong = all.system->spawn(counter, 5000, done);
    caf::anon_send(ping, 0, pong);
  }
  for (const auto& each : pairs)
    REQUIRE(wait_for(each) == 5000);
}

TEST_CASE("actors run on the loops and nowhere else, and a message from a loop stays there") {
  fixture all(2);
  const auto asked = all.system->spawn(
      [&all](caf::event_based_actor*, int) -> caf::behavior {
        return {[&all](int loop_index, const promise_ptr& done) {
          if (!all.pool.is_inside())
            done->set_value(-1);
          else
            done->set_value(static_cast<int>(loop::current()->index()) == loop_index ? 1 : 0);
        }};
      },
      0);
  // An actor that is still at work elsewhere takes the message where it is: until it is idle.
  int stayed = 0;
  for (int round = 0; stayed == 0 && round < 1000; ++round) {
    auto done = std::make_shared<std::promise<int>>();
    all.pool.at(1).post([asked, done] { caf::anon_send(asked, 1, done); });
    stayed = wait_for(done);
  }
  REQUIRE(stayed == 1);
  caf::anon_send_exit(asked, caf::exit_reason::user_shutdown);
}

TEST_CASE("delayed messages come in the order of their times, and not before them") {
  fixture all(2);
  auto done = std::make_shared<std::promise<int>>();
  const auto begin = std::chrono::steady_clock::now();
  auto early = std::make_shared<std::atomic<int>>(0);
  auto got = std::make_shared<std::vector<int>>();
  const auto receiver = all.system->spawn(
      [=](caf::event_based_actor* self, int) -> caf::behavior {
        self->delayed_send(self, milliseconds(40), 40);
        self->delayed_send(self, milliseconds(10), 10);
        self->delayed_send(self, milliseconds(20), 20);
        self->delayed_send(self, milliseconds(0), 0);
        return {[=](int due) {
          if (std::chrono::steady_clock::now() - begin < milliseconds(due))
            ++*early;
          got->push_back(due);
          if (got->size() == 4) {
            self->quit();
            done->set_value(*early);
          }
        }};
      },
      0);
  REQUIRE(wait_for(done) == 0);
  REQUIRE(*got == std::vector<int>{0, 10, 20, 40});
}

TEST_CASE("a receive timeout and a request timeout fire") {
  fixture all(1);
  auto timeout = std::make_shared<std::promise<int>>();
  all.system->spawn(
      [=](caf::event_based_actor* self, int) -> caf::behavior {
        return {[](int) {}, caf::after(milliseconds(5)) >>
                                [=] {
                                  timeout->set_value(5);
                                  self->quit();
                                }};
      },
      0);
  REQUIRE(wait_for(timeout) == 5);

  auto unanswered = std::make_shared<std::promise<int>>();
  const auto silent = all.system->spawn(
      [](caf::event_based_actor* self, int) -> caf::behavior {
        return {[self](int) {
          auto kept = std::make_shared<caf::response_promise>(self->make_response_promise());
          self->attach_functor([kept] {});
        }};
      },
      0);
  all.system->spawn(
      [=](caf::event_based_actor* self, int) {
        self->request(silent, milliseconds(5), 1)
            .then([=] { unanswered->set_value(0); },
                  [=](const caf::error& error) {
                    unanswered->set_value(error == caf::sec::request_timeout ? 1 : 2);
                  });
      },
      0);
  REQUIRE(wait_for(unanswered) == 1);
  caf::anon_send_exit(silent, caf::exit_reason::user_shutdown);
}

TEST_CASE("messages from foreign threads all arrive") {
  fixture all(2);
  constexpr int threads = 4;
  constexpr int each = 5000;
  auto done = std::make_shared<std::promise<int>>();
  auto sum = std::make_shared<int>(0);
  const auto receiver = all.system->spawn(
      [=](caf::event_based_actor* self, int) -> caf::behavior {
        return {[=](int value) {
          *sum += value;
          if (*sum == threads * each) {
            done->set_value(*sum);
            self->quit();
          }
        }};
      },
      0);
  std::vector<std::thread> senders;
  for (int thread = 0; thread < threads; ++thread) {
    senders.emplace_back([receiver] {
      for (int count = 0; count < each; ++count)
        caf::anon_send(receiver, 1);
    });
  }
  for (auto& sender : senders)
    sender.join();
  REQUIRE(wait_for(done) == threads * each);
}

TEST_CASE("a busy actor leaves room for the handlers of its loop") {
  fixture all(1);
  auto done = std::make_shared<std::promise<int>>();
  auto stop = std::make_shared<std::atomic<bool>>(false);
  const auto busy = all.system->spawn(
      [=](caf::event_based_actor* self, int) -> caf::behavior {
        self->send(self, 1);
        return {[=](int) {
          if (*stop) {
            done->set_value(1);
            self->quit();
            return;
          }
          self->send(self, 1);
        }};
      },
      0);
  std::promise<void> handled;
  all.pool.at(0).post([&] { handled.set_value(); });
  REQUIRE(handled.get_future().wait_for(seconds(60)) == std::future_status::ready);
  *stop = true;
  REQUIRE(wait_for(done) == 1);
}

TEST_CASE("the system ends with timers pending, messages unread and a detached actor") {
  std::weak_ptr<int> life;
  {
    fixture all(2);
    auto token = std::make_shared<int>(0);
    life = token;
    const auto parked = all.system->spawn(
        [token](caf::event_based_actor* self, int) -> caf::behavior {
          self->delayed_send(self, std::chrono::hours(1), 1);
          return {[token](int) {
          }};
        },
        0);
    const auto apart = all.system->spawn<caf::detached>(
        [token, parked](caf::event_based_actor* self, int) -> caf::behavior {
          self->delayed_send(parked, std::chrono::hours(1), 2);
          self->set_exit_handler([self, parked](const caf::exit_msg&) {
            self->delayed_send(parked, std::chrono::hours(1), 3);
            self->quit();
          });
          return {[token](int) {
          }};
        },
        0);
    token.reset();
    for (int count = 0; count < 1000; ++count)
      caf::anon_send(parked, count);
    caf::anon_send_exit(parked, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(apart, caf::exit_reason::user_shutdown);
  }
  REQUIRE(life.expired());
}

TEST_CASE("the system can end while an actor lives that nobody counts") {
  std::weak_ptr<int> life;
  {
    fixture all(2);
    auto token = std::make_shared<int>(0);
    life = token;
    all.system->spawn<caf::hidden>(
        [token](caf::event_based_actor* self, int) -> caf::behavior {
          self->send(self, 1);
          return {[token, self](int value) {
            self->send(self, value);
          }};
        },
        0);
  }
  // The scheduler cleans up what is queued when the loops have ended.
  REQUIRE(life.expired());
}

TEST_CASE("timed calls, patience and calls soon share a loop") {
  loop_times times;
  times.patience.fill(milliseconds(5));
  times.tick = milliseconds(1);
  loop_pool pool(1, times);
  std::promise<void> soon;
  std::promise<void> patient;
  std::promise<void> rung;
  const auto fulfil = [](void* promise) {
    static_cast<std::promise<void>*>(promise)->set_value();
  };
  waiting_call call(&soon, fulfil);
  waiting_call wait(&patient, fulfil);
  timed_call bell(&rung, fulfil);
  loop& one = pool.at(0);
  one.post([&] {
    one.watch(wait, patience::body);
    one.run_at(bell, std::chrono::steady_clock::now() + milliseconds(3));
    one.run_soon(call);
    one.run_soon(call);
  });
  pool.start();
  REQUIRE(soon.get_future().wait_for(seconds(60)) == std::future_status::ready);
  REQUIRE(patient.get_future().wait_for(seconds(60)) == std::future_status::ready);
  REQUIRE(rung.get_future().wait_for(seconds(60)) == std::future_status::ready);
  pool.stop();
}

TEST_CASE("patience does not count the time in which the loop stood still") {
  loop_times times;
  times.patience.fill(milliseconds(50));
  times.tick = milliseconds(1);
  loop_pool pool(1, times);
  loop& one = pool.at(0);
  std::promise<void> over;
  std::promise<bool> looked;
  bool is_over = false;
  const auto note = [](void* flag) {
    *static_cast<bool*>(flag) = true;
  };
  waiting_call early(&over,
                     [](void* promise) { static_cast<std::promise<void>*>(promise)->set_value(); });
  waiting_call late(&is_over, note);
  // So many turns that the tick, which is due since long, has been in one of them.
  std::function<void(int)> turn = [&](int left) {
    if (left == 0)
      return looked.set_value(is_over);
    one.post([&, left] { turn(left - 1); });
  };
  one.post([&] {
    one.watch(early, patience::body);
    const auto stands_still_until = std::chrono::steady_clock::now() + milliseconds(200);
    while (std::chrono::steady_clock::now() < stands_still_until) {
    }
    one.watch(late, patience::body);
    turn(10);
  });
  pool.start();
  CHECK_FALSE(looked.get_future().get());
  REQUIRE(over.get_future().wait_for(seconds(60)) == std::future_status::ready);
  pool.stop();
}

TEST_CASE("a handler that throws ends neither the loop nor the process") {
  loop_pool pool(1);
  pool.start();
  std::promise<void> after;
  pool.at(0).post([] { throw std::runtime_error("thrown on purpose by a test"); });
  pool.at(0).post([&] { after.set_value(); });
  REQUIRE(after.get_future().wait_for(seconds(60)) == std::future_status::ready);
}
