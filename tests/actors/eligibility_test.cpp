// Which deployments a request may go to at all: pin, endpoint, tags, prompt length, tpm.
#include "actors/eligibility.hpp"
#include "catch.hpp"
#include "passive.hpp"

#include <algorithm>
#include <random>
#include <set>

using namespace vorrang;
using namespace vorrang::test;

namespace {

struct found {
  std::set<deployment_index> where;
  bool oversize;
};

found look(const group_settings& group, const ask& wanted) {
  found result{{}, true};
  eligible_deployments(group, wanted, result.oversize).for_each([&](deployment_index i) {
    result.where.insert(i);
  });
  return result;
}

using set = std::set<deployment_index>;

ask tagged(std::vector<std::string> tags) {
  ask result;
  result.tags = std::move(tags);
  return result;
}

} // namespace

TEST_CASE("eligibility: all, unless something speaks against it") {
  const auto result = look(plain_group(3), {});
  CHECK(result.where == set{0, 1, 2});
  CHECK_FALSE(result.oversize);
  CHECK(look(plain_group(0), {}).where.empty());
  CHECK_FALSE(look(plain_group(0), {}).oversize);
}

TEST_CASE("eligibility: a pin names the only one") {
  ask wanted;
  wanted.pinned = 1;
  CHECK(look(plain_group(3), wanted).where == set{1});
  wanted.pinned = 3; // not in this group
  CHECK(look(plain_group(3), wanted).where.empty());
}

TEST_CASE("eligibility: a pinned deployment must speak the endpoint") {
  auto group = plain_group(2);
  group.deployments[1].endpoints = static_cast<std::uint8_t>(endpoint::chat);
  ask wanted;
  wanted.pinned = 1;
  wanted.api = endpoint::messages;
  CHECK(look(group, wanted).where.empty());
}

TEST_CASE("eligibility: only deployments that speak the endpoint") {
  auto group = plain_group(3);
  group.deployments[0].endpoints = static_cast<std::uint8_t>(endpoint::chat);
  group.deployments[1].endpoints = 0;
  group.deployments[2].endpoints =
      static_cast<std::uint8_t>(endpoint::chat) | static_cast<std::uint8_t>(endpoint::responses);
  ask wanted;
  CHECK(look(group, wanted).where == set{0, 2});
  wanted.api = endpoint::responses;
  CHECK(look(group, wanted).where == set{2});
  wanted.api = endpoint::messages;
  CHECK(look(group, wanted).where.empty());
}

TEST_CASE("eligibility: tags select those with a common one, else those tagged default") {
  auto group = plain_group(4);
  group.deployments[0].tags = {"paid", "eu"};
  group.deployments[1].tags = {"free"};
  group.deployments[2].tags = {"default"};
  SECTION("off unless asked for") {
    CHECK(look(group, tagged({"paid"})).where == set{0, 1, 2, 3});
  }
  group.tag_filtering = true;
  SECTION("one in common is enough") {
    CHECK(look(group, tagged({"eu", "moon"})).where == set{0});
    CHECK(look(group, tagged({"free", "paid"})).where == set{0, 1});
  }
  SECTION("nobody has it") {
    CHECK(look(group, tagged({"moon"})).where == set{2});
  }
  SECTION("no tags: the default ones") {
    CHECK(look(group, tagged({})).where == set{2});
  }
  SECTION("no default: a tagged request goes nowhere, an untagged one anywhere") {
    group.deployments[2].tags.clear();
    CHECK(look(group, tagged({"moon"})).where.empty());
    CHECK(look(group, tagged({})).where == set{0, 1, 2, 3});
  }
}

TEST_CASE("eligibility: who names a deployment has chosen already, tags or not") {
  auto group = plain_group(2);
  group.tag_filtering = true;
  group.deployments[0].tags = {"paid"};
  group.deployments[1].tags = {"default"};
  auto wanted = tagged({"moon"});
  wanted.pinned = 0;
  CHECK(look(group, wanted).where == set{0});
}

TEST_CASE("eligibility: long prompts pass over small models, with pre-call checks") {
  auto group = plain_group(2);
  group.deployments[0].max_input_tokens = 100;
  ask wanted;
  wanted.prompt_estimate = 101;
  CHECK(look(group, wanted).where == set{0, 1});
  group.pre_call_checks = true;
  CHECK(look(group, wanted).where == set{1});
  wanted.prompt_estimate = 100;
  CHECK(look(group, wanted).where == set{0, 1});
  wanted.prompt_estimate = 0; // unknown
  CHECK(look(group, wanted).where == set{0, 1});
}

TEST_CASE("eligibility: an estimate above a whole tpm goes where it fits") {
  auto group = plain_group(3);
  group.deployments[0].tpm = 100;
  group.deployments[1].tpm = 1000;
  group.deployments[2].tpm = 500;
  ask wanted;
  wanted.token_estimate = 100;
  CHECK(look(group, wanted).where == set{0, 1, 2});
  wanted.token_estimate = 101;
  CHECK(look(group, wanted).where == set{1, 2});
  CHECK_FALSE(look(group, wanted).oversize);
  wanted.token_estimate = 1001;
  CHECK(look(group, wanted).where == set{1}); // fits nowhere: the largest, when it is empty
  CHECK(look(group, wanted).oversize);
  group.deployments[0].tpm.reset();
  CHECK(look(group, wanted).where == set{0});
  CHECK_FALSE(look(group, wanted).oversize);
}

TEST_CASE("eligibility: the largest is looked for among those the rest allows") {
  auto group = plain_group(3);
  group.deployments[0].tpm = 1000;
  group.deployments[0].endpoints = static_cast<std::uint8_t>(endpoint::chat);
  group.deployments[1].tpm = 100;
  group.deployments[2].tpm = 200;
  ask wanted;
  wanted.api = endpoint::responses;
  wanted.token_estimate = 500;
  CHECK(look(group, wanted).where == set{2});
  CHECK(look(group, wanted).oversize);
}

TEST_CASE("eligibility: random groups against the rules, one deployment at a time") {
  const std::uint32_t seed = 7009;
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::vector<std::string> words{"a", "b", "default"};
  const auto has = [](const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  for (int round = 0; round < 5000; ++round) {
    auto group = plain_group(1 + random() % 6);
    group.tag_filtering = random() % 2;
    group.pre_call_checks = random() % 2;
    for (auto& d : group.deployments) {
      for (const auto& word : words)
        if (random() % 3 == 0)
          d.tags.push_back(word);
      d.endpoints = random() % 3 ? 0xff : 2;
      if (random() % 2)
        d.tpm = random() % 100;
      if (random() % 2)
        d.max_input_tokens = random() % 100;
    }
    ask wanted;
    for (const auto& word : {"a", "b"})
      if (random() % 2)
        wanted.tags.push_back(word);
    wanted.prompt_estimate = static_cast<std::uint32_t>(random() % 100);
    wanted.token_estimate = static_cast<std::uint32_t>(random() % 120);
    if (random() % 4 == 0)
      wanted.pinned = static_cast<deployment_index>(random() % group.deployments.size());

    set model;
    const auto count = static_cast<deployment_index>(group.deployments.size());
    const auto allowed = [&](deployment_index i) {
      return (wanted.pinned == no_index || wanted.pinned == i) &&
             (group.deployments[i].endpoints & 1);
    };
    bool common = false;
    bool defaults = false;
    const auto shares = [&](deployment_index i) {
      return std::any_of(wanted.tags.begin(), wanted.tags.end(), [&](const std::string& tag) {
        return has(group.deployments[i].tags, tag);
      });
    };
    for (deployment_index i = 0; i < count; ++i) {
      common |= allowed(i) && shares(i);
      defaults |= has(group.deployments[i].tags, "default"); // in the whole group
    }
    for (deployment_index i = 0; i < count; ++i) {
      if (!allowed(i))
        continue;
      const auto& d = group.deployments[i];
      if (group.tag_filtering && wanted.pinned == no_index) {
        if (common && !shares(i))
          continue;
        if (!common && (defaults || !wanted.tags.empty()) && !has(d.tags, "default"))
          continue;
      }
      if (group.pre_call_checks && d.max_input_tokens &&
          *d.max_input_tokens < wanted.prompt_estimate)
        continue;
      model.insert(i);
    }
    set fitting;
    std::uint64_t largest = 0;
    for (const auto i : model) {
      const auto& tpm = group.deployments[i].tpm;
      if (!tpm || *tpm >= wanted.token_estimate)
        fitting.insert(i);
      else
        largest = std::max(largest, *tpm);
    }
    const auto result = look(group, wanted);
    REQUIRE(result.oversize == (fitting.empty() && !model.empty()));
    if (!result.oversize) {
      REQUIRE(result.where == fitting);
    } else {
      REQUIRE(result.where.size() == 1);
      REQUIRE(model.count(*result.where.begin()) == 1);
      REQUIRE(group.deployments[*result.where.begin()].tpm == largest);
    }
  }
}
