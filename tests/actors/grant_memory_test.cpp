// What a grant asks of the allocator: nothing, once everything has been needed before. An
// executable of its own, since its operator new counts.
#include "actors/deployment.hpp"
#include "actors/request_book.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <cstdlib>
#include <new>

using namespace vorrang;
using namespace vorrang::test;

namespace {

std::size_t pieces = 0;

void* counted(void* made) {
  if (made == nullptr)
    throw std::bad_alloc();
  ++pieces;
  return made;
}

} // namespace

void* operator new(std::size_t size) {
  return counted(std::malloc(size));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++pieces;
  return std::malloc(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(step, (size + step - 1) / step * step));
}
void operator delete(void* piece) noexcept {
  std::free(piece);
}
void operator delete(void* piece, std::size_t) noexcept {
  std::free(piece);
}
void operator delete(void* piece, std::align_val_t) noexcept {
  std::free(piece);
}
void operator delete(void* piece, std::size_t, std::align_val_t) noexcept {
  std::free(piece);
}

namespace {

constexpr int waiting = 8;
constexpr int warm_steps = 70'000; // longer than a window of 60 s
constexpr int steps = 10'000;

struct listener : request_listener {
  std::vector<grant> grants;

  void on_grant(const grant& given) override { grants.push_back(given); }
  void on_waiting_again() override {}
  void on_end(const ending&) override {}
  void on_position(std::uint32_t) override {}
};

/// One group as the actors of a loop run it, in one thread and in virtual time: a book of requests,
/// their queue, its deployment's books. A millisecond passes with each request.
struct stage {
  engine_settings settings;
  group_board board{1};
  group_queue queue;
  deployment books;
  request_book book;
  listener told;
  std::vector<verdict> verdicts;
  std::vector<attempt_result> results;
  time_point now = start;

  explicit stage(engine_settings all)
      : settings(std::move(all)), queue(settings.groups[0], 0, 1, board),
        books(settings.groups[0], settings.groups[0].deployments[0], false),
        book(settings, 1, unsent_grant_max) {
    queue.room_changed(now, 0, books.current(now), {});
  }
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  void open(std::int32_t priority) {
    ask wanted;
    wanted.priority = priority;
    wanted.token_estimate = 10;
    wanted.deadline = now + std::chrono::hours(24);
    book.open(now, std::move(wanted), told);
  }

  /// What the actors do: asks to the queue, its verdicts to the book, takes and settles to the
  /// deployment, and its figures to the queue.
  void exchange() {
    for (auto& each : book.output().offers)
      queue.offer(now, 0, std::move(each.ticket));
    results.clear();
    for (const auto& each : book.output().settles)
      if (auto over = books.settle(now, each.grant, each.result))
        results.push_back(*over);
    book.output().clear();
    queue.room_changed(now, 0, books.current(now), results);
    queue.serve(now);
    verdicts.clear();
    for (auto& each : queue.output().verdicts)
      verdicts.push_back(std::move(each.what));
    for (const auto& each : queue.output().takes)
      books.take_grant(each.what);
    queue.output().clear();
    book.deliver(now, verdicts);
  }

  /// One attempt, and a new request for one that is over.
  void step(int number, const outcome& first_attempt) {
    now += milliseconds(1);
    const auto running = told.grants.front();
    told.grants.clear();
    const outcome result = running.attempt == 1 ? first_attempt : success(20);
    if (result.kind == outcome_kind::success) {
      ++answered;
      open(number % 7);
    }
    book.begin_sending(now, running.ticket);
    book.settle(running.ticket, result);
    exchange();
    // All that wait may be away from the only deployment until their back-off is over.
    while (told.grants.empty()) {
      now = queue.next_event(now);
      exchange();
    }
  }

  int answered = 0;
};

engine_settings one_slot() {
  engine_settings result;
  auto group = plain_group(1);
  group.cooldown_time = {};
  group.deployments[0].max_parallel_requests = 1;
  group.deployments[0].rpm = 1'000'000;
  group.deployments[0].tpm = 1'000'000'000;
  result.groups.push_back(std::move(group));
  return result;
}

double pieces_for_a_request(const outcome& first_attempt) {
  stage all(one_slot());
  for (int i = 0; i < waiting; ++i)
    all.open(i);
  all.exchange();
  REQUIRE(all.told.grants.size() == 1);
  for (int i = 0; i < warm_steps; ++i)
    all.step(i, first_attempt);
  const auto answered_before = all.answered;
  const auto before = pieces;
  for (int i = 0; i < steps; ++i)
    all.step(i, first_attempt);
  const auto after = pieces;
  const int answered = all.answered - answered_before;
  CHECK(answered >= steps / 2);
  CHECK(all.queue.waiting() == waiting - 1);
  return static_cast<double>(after - before) / answered;
}

/// A deque takes a block for every so many entries that have gone through it: 21 grants in the
/// book's list of those that are not sent yet, 128 in the queue's of those not reported yet.
constexpr double blocks_of_deques = 1 / 21.0 + 1 / 128.0 + 0.001;

} // namespace

TEST_CASE("memory: a request that is offered, granted and settled needs none") {
  CHECK(pieces_for_a_request(success(20)) <= blocks_of_deques);
}

TEST_CASE("memory: one that goes back to its place needs a history of its attempts") {
  // The history and its list; and blocks of the windows and of the deployment's list of failures,
  // which move on now that back-offs let time pass.
  CHECK(pieces_for_a_request(failed(500)) <= 2 + 4 * blocks_of_deques);
}
