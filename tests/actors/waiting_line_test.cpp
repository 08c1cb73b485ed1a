// The line of a group: order, places, lanes; and a random history against a plain list.
#include "actors/waiting_line.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <algorithm>
#include <limits>
#include <random>

using namespace vorrang;
using namespace vorrang::test;

namespace {

using slot_index = waiting_line::slot_index;

const deployment_set everywhere = deployment_set::all(3);

deployment_set only(deployment_index i) {
  deployment_set result;
  result.insert(i);
  return result;
}

std::vector<slot_index> whole(const waiting_line& line) {
  std::vector<slot_index> slots;
  line.for_each([&](slot_index slot) { slots.push_back(slot); });
  std::sort(slots.begin(), slots.end(),
            [&](slot_index a, slot_index b) { return line.rank_of(a) < line.rank_of(b); });
  return slots;
}

/// The best ticket for a deployment, as the queue finds it: by the heads of the lanes.
slot_index best_for(const waiting_line& line, deployment_index which) {
  auto best = waiting_line::no_slot;
  for (waiting_line::lane_index lane = 0; lane < line.lanes(); ++lane)
    if (!line.lane_empty(lane) && line.lane_eligible(lane).contains(which) &&
        (best == waiting_line::no_slot || line.lane_head(lane) < line.rank_of(best)))
      best = line.lane_head(lane).slot;
  return best;
}

} // namespace

TEST_CASE("line: priority first, then arrival, of any 32-bit integer") {
  waiting_line line;
  const auto b = line.add(5, never, everywhere);
  const auto c = line.add(5, never, everywhere);
  const auto last = line.add(std::numeric_limits<std::int32_t>::max(), never, everywhere);
  const auto first = line.add(std::numeric_limits<std::int32_t>::min(), never, everywhere);
  const auto a = line.add(-1, never, everywhere);
  const auto d = line.add(5, never, everywhere);
  CHECK(whole(line) == std::vector<slot_index>{first, a, b, c, d, last});
  CHECK(line.position(first) == 1);
  CHECK(line.position(d) == 5);
  CHECK(line.position(last) == 6);
}

TEST_CASE("line: one that was away comes back to its original place") {
  waiting_line line;
  const auto a = line.add(5, never, everywhere);
  const auto b = line.add(5, never, everywhere);
  line.leave(a);
  CHECK_FALSE(line.waiting(a));
  CHECK(line.size() == 1);
  const auto c = line.add(5, never, everywhere);
  line.rejoin(a, everywhere, true);
  CHECK(whole(line) == std::vector<slot_index>{a, b, c});
  line.leave(b);
  line.rejoin(b, only(1), true);
  CHECK(whole(line) == std::vector<slot_index>{a, b, c});
}

TEST_CASE("line: moving keeps the arrival number, also of one that is away") {
  waiting_line line;
  const auto a = line.add(5, never, everywhere);
  const auto b = line.add(5, never, everywhere);
  const auto c = line.add(5, never, everywhere);
  line.move(c, 4);
  CHECK(whole(line) == std::vector<slot_index>{c, a, b});
  line.move(a, 4); // older than c
  CHECK(whole(line) == std::vector<slot_index>{a, c, b});
  line.leave(b);
  line.move(b, 0);
  CHECK(whole(line) == std::vector<slot_index>{a, c});
  line.rejoin(b, everywhere, true);
  CHECK(whole(line) == std::vector<slot_index>{b, a, c});
}

TEST_CASE("line: tickets for other deployments do not stand before one another") {
  waiting_line line;
  const auto zero = line.add(0, never, only(0));
  const auto one = line.add(9, never, only(1));
  const auto any = line.add(5, never, everywhere);
  CHECK(best_for(line, 0) == zero);
  CHECK(best_for(line, 1) == any);
  line.leave(any);
  CHECK(best_for(line, 1) == one);
  CHECK(best_for(line, 2) == waiting_line::no_slot);
  line.change_eligible(zero, only(2));
  CHECK(best_for(line, 0) == waiting_line::no_slot);
  CHECK(best_for(line, 2) == zero);
  line.change_eligible(zero, deployment_set{}); // in back-off everywhere: waits for nothing
  CHECK(line.position(zero) == 1);
  CHECK(best_for(line, 2) == waiting_line::no_slot);
}

TEST_CASE("line: deadlines of those who wait, the earliest first") {
  waiting_line line;
  CHECK(line.next_deadline() == never);
  line.add(0, never, everywhere);
  CHECK(line.next_deadline() == never);
  const auto late = line.add(0, after(seconds(9)), everywhere);
  const auto soon = line.add(9, after(seconds(3)), only(1));
  CHECK(line.next_deadline() == after(seconds(3)));
  CHECK(line.first_to_expire() == soon);
  line.leave(soon); // away on an attempt: its owner watches the deadline
  CHECK(line.next_deadline() == after(seconds(9)));
  line.rejoin(soon, everywhere, true);
  CHECK(line.first_to_expire() == soon);
  line.remove(soon);
  CHECK(line.first_to_expire() == late);
}

TEST_CASE("line: the worst without an attempt") {
  waiting_line line;
  CHECK(line.worst_unattempted() == waiting_line::no_slot);
  const auto a = line.add(1, never, everywhere);
  const auto b = line.add(9, never, everywhere);
  const auto c = line.add(9, never, only(1));
  CHECK(line.worst_unattempted() == c); // the later of equals
  line.leave(c);
  CHECK(line.worst_unattempted() == b);
  line.rejoin(c, everywhere, true);
  CHECK(line.worst_unattempted() == b);
  line.leave(b);
  line.rejoin(b, everywhere, false); // nothing was sent: no attempt
  CHECK(line.worst_unattempted() == b);
  line.move(b, 0);
  CHECK(line.worst_unattempted() == a);
  line.remove(a);
  line.remove(b);
  CHECK(line.worst_unattempted() == waiting_line::no_slot);
}

TEST_CASE("line: a slot used again is a new ticket") {
  waiting_line line;
  const auto old = line.add(0, after(seconds(1)), only(0));
  line.leave(old);
  line.rejoin(old, only(0), true);
  line.remove(old);
  const auto fresh = line.add(7, never, only(1));
  CHECK(fresh == old);
  CHECK(line.priority(fresh) == 7);
  CHECK(line.next_deadline() == never);
  CHECK(line.worst_unattempted() == fresh);
  CHECK(best_for(line, 0) == waiting_line::no_slot);
  CHECK(best_for(line, 1) == fresh);
}

TEST_CASE("line: random history against a plain list") {
  const std::uint32_t seed = 7005;
  CAPTURE(seed);
  std::mt19937 random(seed);
  struct ticket {
    std::int32_t priority;
    std::uint64_t arrival;
    slot_index slot;
    time_point deadline;
    deployment_set eligible;
    bool waits = true;
    bool attempted = false;
  };
  std::vector<ticket> model; // in order of arrival
  const auto better = [](const ticket* a, const ticket* b) {
    return a->priority != b->priority ? a->priority < b->priority : a->arrival < b->arrival;
  };
  const auto random_set = [&] {
    deployment_set result;
    const auto bits = random() % 3 == 0 ? 15u : random() % 16;
    for (deployment_index i = 0; i < 4; ++i)
      if ((bits >> i) & 1)
        result.insert(i);
    return result;
  };
  waiting_line line;
  std::uint64_t arrivals = 0;
  for (int step = 0; step < 100000; ++step) {
    const auto priority = static_cast<std::int32_t>(random() % 9) - 4;
    const auto action = random() % 16;
    // The line swells and shrinks, so that the memory of the worst comes and goes.
    const std::size_t swell = (step / 500) % 2 ? 20 : 150;
    if (action < 5 && model.size() < swell) {
      ticket fresh{priority, arrivals++, 0, never, random_set()};
      if (random() % 3)
        fresh.deadline = after(milliseconds(random() % 100000));
      fresh.slot = line.add(priority, fresh.deadline, fresh.eligible);
      model.push_back(fresh);
    } else if (!model.empty()) {
      auto& chosen = model[random() % model.size()];
      if (action < 8 && chosen.waits) {
        line.leave(chosen.slot);
        chosen.waits = false;
      } else if (action < 10 && !chosen.waits) {
        chosen.attempted = random() % 4 != 0;
        chosen.eligible = random_set();
        line.rejoin(chosen.slot, chosen.eligible, chosen.attempted);
        chosen.waits = true;
      } else if (action < 12) {
        line.move(chosen.slot, priority);
        chosen.priority = priority;
      } else if (action == 12 && chosen.waits) {
        chosen.eligible = random_set();
        line.change_eligible(chosen.slot, chosen.eligible);
      } else if (action >= 13 || model.size() > swell) {
        line.remove(chosen.slot);
        model.erase(model.begin() + (&chosen - model.data()));
      }
    }

    std::vector<const ticket*> waiting;
    for (const auto& t : model)
      if (t.waits)
        waiting.push_back(&t);
    REQUIRE(line.size() == waiting.size());
    auto earliest = never;
    for (const auto* t : waiting)
      earliest = std::min(earliest, t->deadline);
    REQUIRE(line.next_deadline() == earliest);
    if (earliest != never)
      REQUIRE(line.deadline(line.first_to_expire()) == earliest);
    for (deployment_index i = 0; i < 4; ++i) {
      const ticket* best = nullptr;
      for (const auto* t : waiting)
        if (t->eligible.contains(i) && (!best || better(t, best)))
          best = t;
      REQUIRE(best_for(line, i) == (best ? best->slot : waiting_line::no_slot));
    }
    if (random() % 4 == 0) {
      const ticket* worst = nullptr;
      for (const auto* t : waiting)
        if (!t->attempted && (!worst || better(worst, t)))
          worst = t;
      REQUIRE(line.worst_unattempted() == (worst ? worst->slot : waiting_line::no_slot));
    }
    if (step % 16 == 0) {
      std::sort(waiting.begin(), waiting.end(), better);
      std::vector<slot_index> slots;
      for (const auto* t : waiting)
        slots.push_back(t->slot);
      REQUIRE(whole(line) == slots);
      if (!waiting.empty()) {
        const auto i = random() % waiting.size();
        REQUIRE(line.position(waiting[i]->slot) == i + 1);
        REQUIRE(line.eligible(waiting[i]->slot) == waiting[i]->eligible);
      }
    }
  }
}
