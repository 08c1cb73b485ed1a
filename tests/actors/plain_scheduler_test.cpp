// The plain scheduler: the rule to the letter, and a random history against a plain list.
#include "actors/plain_scheduler.hpp"
#include "catch.hpp"

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

using namespace vorrang;

namespace {

using error = scheduler_error;

void add(plain_scheduler& to, std::int32_t priority, const std::string& id,
         const std::string& model = "m") {
  REQUIRE(to.add_request({priority, id, model}) == error::none);
}

} // namespace

TEST_CASE("plain scheduler: with nothing healthy only the head goes, and leaves by it") {
  plain_scheduler line;
  add(line, 255, "late");
  add(line, 0, "first");
  CHECK_FALSE(line.poll("late", "m", 0));
  CHECK(line.poll("late", "m", 0).error == error::none);
  CHECK(line.size("m") == 2);
  CHECK(line.poll("first", "m", 0));
  CHECK(line.size("m") == 1);
  CHECK(line.poll("late", "m", 0));
  CHECK(line.size("m") == 0);
}

TEST_CASE("plain scheduler: with any deployment healthy everybody goes, and stays until removed") {
  plain_scheduler line;
  add(line, 0, "head");
  add(line, 9, "tail");
  CHECK(line.poll("tail", "m", 1));
  CHECK(line.poll("tail", "m", 3));
  CHECK(line.poll("head", "m", 1));
  CHECK(line.size("m") == 2);
  // The entry that stayed still blocks the one behind it.
  CHECK_FALSE(line.poll("tail", "m", 0));
  CHECK(line.remove("head", "m") == error::none);
  CHECK(line.poll("tail", "m", 0));
}

TEST_CASE("plain scheduler: equal priorities go first come, first served, whatever their ids") {
  plain_scheduler line;
  for (const auto* id : {"z", "a", "m", "b"})
    add(line, 7, id);
  for (const auto* id : {"z", "a", "m", "b"}) {
    CHECK(line.peek(id, "m", 0));
    CHECK(line.poll(id, "m", 0));
  }
}

TEST_CASE("plain scheduler: a request that comes again stands behind its equals") {
  plain_scheduler line;
  add(line, 7, "a");
  add(line, 7, "b");
  REQUIRE(line.remove("a", "m") == error::none);
  add(line, 7, "a");
  CHECK_FALSE(line.peek("a", "m", 0));
  CHECK(line.peek("b", "m", 0));
}

TEST_CASE("plain scheduler: any 32-bit priority sorts as an integer") {
  plain_scheduler line;
  add(line, std::numeric_limits<std::int32_t>::max(), "last");
  add(line, 2000, "fourth");
  add(line, 0, "third");
  add(line, -1, "second");
  add(line, std::numeric_limits<std::int32_t>::min(), "first");
  for (const auto* id : {"first", "second", "third", "fourth", "last"})
    CHECK(line.poll(id, "m", 0));
}

TEST_CASE("plain scheduler: peek says what poll would and takes nothing") {
  plain_scheduler line;
  add(line, 0, "head");
  add(line, 1, "next");
  for (int i = 0; i < 3; ++i) {
    CHECK(line.peek("head", "m", 0));
    CHECK_FALSE(line.peek("next", "m", 0));
    CHECK(line.peek("next", "m", 1));
  }
  CHECK(line.size("m") == 2);
  CHECK(line.peek("none", "m", 1).error == error::unknown_request);
  CHECK(line.peek("head", "other", 1).error == error::empty_queue);
}

TEST_CASE("plain scheduler: each model group has a queue of its own") {
  plain_scheduler line;
  add(line, 5, "a", "one");
  add(line, 0, "b", "two");
  add(line, 1, "a", "two"); // the same id elsewhere is another entry
  CHECK(line.poll("a", "one", 0));
  CHECK_FALSE(line.poll("a", "two", 0));
  CHECK(line.poll("b", "two", 0));
}

TEST_CASE("plain scheduler: an id added twice is an error and changes nothing") {
  plain_scheduler line;
  add(line, 5, "a");
  add(line, 6, "b");
  CHECK(line.add_request({9, "a", "m"}) == error::duplicate_request);
  CHECK(line.add_request({0, "b", "m"}) == error::duplicate_request);
  CHECK(line.size("m") == 2);
  CHECK(line.peek("a", "m", 0));
  // Granted while something was healthy, it still stands there.
  CHECK(line.poll("a", "m", 1));
  CHECK(line.add_request({5, "a", "m"}) == error::duplicate_request);
  // Popped or removed, it may come again.
  CHECK(line.poll("a", "m", 0));
  CHECK(line.add_request({5, "a", "m"}) == error::none);
}

TEST_CASE("plain scheduler: unknown ids and empty queues are error values") {
  plain_scheduler line;
  CHECK(line.poll("a", "m", 0).error == error::empty_queue);
  CHECK(line.poll("a", "m", 2).error == error::empty_queue);
  CHECK(line.remove("a", "m") == error::empty_queue);
  add(line, 0, "b");
  CHECK(line.poll("a", "m", 0).error == error::unknown_request);
  const auto answer = line.poll("a", "m", 2);
  CHECK(answer.error == error::unknown_request);
  CHECK_FALSE(answer);
  CHECK(line.remove("a", "m") == error::unknown_request);
  CHECK(line.remove_request("b", "m") == error::none);
  CHECK(line.remove_request("b", "m") == error::empty_queue);
  CHECK(line.poll("b", "m", 1).error == error::empty_queue);
}

TEST_CASE("plain scheduler: names have a length, and a refused one leaves no queue behind") {
  plain_scheduler line;
  const std::string longest(scheduler_text_max, 'x');
  CHECK(line.add_request({0, longest + "x", "m"}) == error::bad_name);
  CHECK(line.add_request({0, "a", longest + "x"}) == error::bad_name);
  CHECK(line.add_request({0, "", "m"}) == error::bad_name);
  CHECK(line.add_request({0, "a", ""}) == error::bad_name);
  CHECK(line.size("m") == 0);
  CHECK(line.add_request({0, longest, longest}) == error::none);
  CHECK(line.poll(longest, longest, 0));
}

TEST_CASE("plain scheduler: the number of queues is bounded, and emptied ones make room") {
  plain_scheduler line;
  for (std::size_t i = 0; i < scheduler_queues_max; ++i)
    REQUIRE(line.add_request({0, "a", std::to_string(i)}) == error::none);
  CHECK(line.add_request({0, "a", "one more"}) == error::queue_full);
  CHECK(line.add_request({0, "b", "7"}) == error::none);
  CHECK(line.poll("a", "8", 0));
  CHECK(line.add_request({0, "a", "one more"}) == error::none);
}

TEST_CASE("plain scheduler: every error has a sentence of its own") {
  std::vector<std::string_view> said;
  for (int i = 0; i <= 5; ++i)
    said.push_back(to_string(static_cast<error>(i)));
  std::sort(said.begin(), said.end());
  CHECK(std::adjacent_find(said.begin(), said.end()) == said.end());
}

TEST_CASE("plain scheduler: random history against a plain list") {
  const std::uint32_t seed = 20240611;
  CAPTURE(seed);
  std::mt19937 random(seed);
  struct entry {
    std::int32_t priority;
    std::string id;
  };
  std::vector<entry> model; // in order of arrival
  plain_scheduler line;
  const auto head = [&] {
    return std::min_element(model.begin(), model.end(),
                            [](const entry& a, const entry& b) { return a.priority < b.priority; });
  };
  for (int step = 0; step < 50000; ++step) {
    const auto id = std::to_string(random() % 60);
    const auto found =
        std::find_if(model.begin(), model.end(), [&](const entry& e) { return e.id == id; });
    const auto missing = model.empty() ? error::empty_queue : error::unknown_request;
    switch (random() % 4) {
    case 0: {
      const auto priority = static_cast<std::int32_t>(random() % 7) - 3;
      const auto expected = found == model.end() ? error::none : error::duplicate_request;
      REQUIRE(line.add_request({priority, id, "m"}) == expected);
      if (expected == error::none)
        model.push_back({priority, id});
      break;
    }
    case 1: {
      REQUIRE(line.remove(id, "m") == (found == model.end() ? missing : error::none));
      if (found != model.end())
        model.erase(found);
      break;
    }
    default: {
      const std::size_t healthy = random() % 4 == 0 ? 1 : 0;
      const auto answer = line.poll(id, "m", healthy);
      if (found == model.end()) {
        REQUIRE(answer.error == missing);
        REQUIRE_FALSE(answer);
        break;
      }
      const bool is_head = head()->id == id;
      REQUIRE(answer.error == error::none);
      REQUIRE(answer.granted == (healthy > 0 || is_head));
      if (is_head && healthy == 0)
        model.erase(found);
    }
    }
    REQUIRE(line.size("m") == model.size());
  }
}
