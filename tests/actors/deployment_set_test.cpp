// Sets of deployments, small and beyond one word, against std::set.
#include "actors/deployment_set.hpp"
#include "catch.hpp"

#include <algorithm>
#include <iterator>
#include <random>
#include <set>

using namespace vorrang;

namespace {

using plain_set = std::set<deployment_index>;

plain_set members(const deployment_set& of) {
  plain_set result;
  deployment_index before = 0;
  of.for_each([&](deployment_index i) {
    CHECK((result.empty() || i > before));
    before = i;
    result.insert(i);
  });
  return result;
}

deployment_set of(std::initializer_list<deployment_index> all) {
  deployment_set result;
  for (const auto i : all)
    result.insert(i);
  return result;
}

} // namespace

TEST_CASE("deployment set: all() holds exactly the first ones") {
  for (std::size_t count : {0u, 1u, 63u, 64u, 65u, 128u, 129u}) {
    const auto all = deployment_set::all(count);
    CAPTURE(count);
    CHECK(members(all).size() == count);
    CHECK(all.empty() == (count == 0));
    CHECK_FALSE(all.contains(static_cast<deployment_index>(count)));
  }
}

TEST_CASE("deployment set: sizes do not matter to equality") {
  auto a = of({1, 200});
  a.erase(200);
  CHECK(a == of({1}));
  CHECK(of({1}) == a);
  CHECK_FALSE(a == of({1, 65}));
  CHECK_FALSE(of({1, 65}) == a);
  a.erase(1);
  CHECK(a.empty());
  CHECK(a == deployment_set{});
  a.erase(5000); // never there: nothing happens
  CHECK(a.empty());
}

TEST_CASE("deployment set: the empty set is within every set and meets none") {
  const deployment_set none;
  CHECK(none.within(none));
  CHECK(none.within(of({70})));
  CHECK_FALSE(none.intersects(of({70})));
  CHECK_FALSE(of({70}).within(none));
}

TEST_CASE("deployment set: random sets against std::set") {
  const std::uint32_t seed = 7002;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    const deployment_index limit_a = 1u + static_cast<deployment_index>(random() % 150);
    const deployment_index limit_b = 1u + static_cast<deployment_index>(random() % 150);
    deployment_set a;
    deployment_set b;
    plain_set model_a;
    plain_set model_b;
    for (int i = 0; i < 12; ++i) {
      const auto x = static_cast<deployment_index>(random() % limit_a);
      const auto y = static_cast<deployment_index>(random() % limit_b);
      a.insert(x);
      model_a.insert(x);
      b.insert(y);
      model_b.insert(y);
      const auto z = static_cast<deployment_index>(random() % 150);
      if (i % 3 == 0) {
        a.erase(z);
        model_a.erase(z);
      }
    }
    REQUIRE(members(a) == model_a);
    plain_set both;
    std::set_intersection(model_a.begin(), model_a.end(), model_b.begin(), model_b.end(),
                          std::inserter(both, both.end()));
    plain_set only_a;
    std::set_difference(model_a.begin(), model_a.end(), model_b.begin(), model_b.end(),
                        std::inserter(only_a, only_a.end()));
    auto any = model_a;
    any.insert(model_b.begin(), model_b.end());

    auto meet = a;
    meet &= b;
    auto join = a;
    join |= b;
    auto rest = a;
    rest -= b;
    REQUIRE(members(meet) == both);
    REQUIRE(members(join) == any);
    REQUIRE(members(rest) == only_a);
    REQUIRE(a.intersects(b) == !both.empty());
    REQUIRE(a.within(b) == only_a.empty());
    REQUIRE(meet.within(a));
    REQUIRE(a.within(join));
    REQUIRE((a == b) == (model_a == model_b));
  }
}
