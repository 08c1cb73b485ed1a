// The heap under the line: order, positions, and a random history against a sorted list.
#include "actors/indexed_heap.hpp"
#include "catch.hpp"

#include <algorithm>
#include <map>
#include <random>

using namespace vorrang;

namespace {

struct item {
  int key;
  std::uint32_t slot;
};
struct less_key {
  bool operator()(const item& a, const item& b) const { return a.key < b.key; }
};
struct note_place {
  std::map<std::uint32_t, std::uint32_t>* places;
  void operator()(std::uint32_t slot, std::uint32_t index) const { (*places)[slot] = index; }
};
using heap = indexed_heap<item, less_key, note_place>;

} // namespace

TEST_CASE("indexed heap: entries leave in order") {
  std::map<std::uint32_t, std::uint32_t> places;
  heap all{note_place{&places}};
  std::uint32_t slot = 0;
  for (int key : {5, 3, 9, 1, 7, 8, 2, 6, 4, 0})
    all.push({key, slot++});
  for (int key = 0; key < 10; ++key) {
    REQUIRE(all.size() == static_cast<std::size_t>(10 - key));
    CHECK(all.top().key == key);
    const auto leaving = all.top().slot;
    all.pop();
    CHECK(places[leaving] == heap::npos);
  }
  CHECK(all.empty());
}

TEST_CASE("indexed heap: clear tells everybody that they are out") {
  std::map<std::uint32_t, std::uint32_t> places;
  heap all{note_place{&places}};
  for (std::uint32_t slot = 0; slot < 6; ++slot)
    all.push({static_cast<int>(slot), slot});
  all.clear();
  CHECK(all.empty());
  CHECK(places.size() == 6);
  for (const auto& [slot, index] : places)
    CHECK(index == heap::npos);
}

TEST_CASE("indexed heap: random history against a list") {
  const std::uint32_t seed = 7001;
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::map<std::uint32_t, std::uint32_t> places;
  std::map<std::uint32_t, int> model; // slot to key
  heap all{note_place{&places}};
  std::uint32_t next_slot = 0;
  for (int step = 0; step < 100000; ++step) {
    const auto key = static_cast<int>(random() % 1000);
    const auto action = random() % 8;
    if (action < 4 && model.size() < 300) {
      all.push({key, next_slot});
      model[next_slot++] = key;
    } else if (!model.empty()) {
      auto chosen = model.begin();
      std::advance(chosen, static_cast<long>(random() % std::min<std::size_t>(model.size(), 40)));
      if (action < 6) {
        all.update(places.at(chosen->first), {key, chosen->first});
        chosen->second = key;
      } else if (action == 6) {
        all.erase(places.at(chosen->first));
        REQUIRE(places.at(chosen->first) == heap::npos);
        model.erase(chosen);
      } else {
        const auto top = all.top().slot;
        all.pop();
        REQUIRE(places.at(top) == heap::npos);
        model.erase(top);
      }
    }
    REQUIRE(all.size() == model.size());
    if (model.empty())
      continue;
    const auto least =
        std::min_element(model.begin(), model.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    REQUIRE(all.top().key == least->second);
    if (step % 101 == 0)
      for (const auto& [slot, own] : model) {
        const auto index = places.at(slot);
        REQUIRE(index < all.size());
        REQUIRE(all.entries()[index].slot == slot);
        REQUIRE(all.entries()[index].key == own);
      }
  }
}
