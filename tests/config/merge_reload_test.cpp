// What a reload makes of the settings in force and those read anew.
#include "config/merge_reload.hpp"
#include "read.hpp"

#include "catch.hpp"

using namespace vorrang::config;
using namespace vorrang::config::test;

namespace {

std::string mocked(std::string_view group, std::string_view more = {}, std::string_view key = "k") {
  return "  - model_name: " + std::string(group) +
         "\n    litellm_params:\n      model: openai/m\n      mock_response: hi\n      api_key: " +
         std::string(key) + "\n" + std::string(more);
}

settings settings_of(std::string_view text) {
  const auto result = read(text);
  INFO(join(errors(result)));
  REQUIRE_FALSE(result.has_errors());
  return result.settings;
}

settings models(std::initializer_list<std::string> list, std::string_view rest = {}) {
  std::string text = "model_list:\n";
  for (const auto& each : list)
    text += each;
  return settings_of(text + std::string(rest));
}

settings merged(const settings& before, settings fresh) {
  auto result = merge_reload(before, std::move(fresh));
  INFO(join(result.errors));
  REQUIRE(result.errors.empty());
  return std::move(result.settings);
}

} // namespace

TEST_CASE("reload: the same file again changes nothing") {
  const auto all = models({mocked("a"), mocked("b"), mocked("a", {}, "other")});
  const auto result = merge_reload(all, all);
  CHECK(result.errors.empty());
  CHECK(result.warnings.empty());
  CHECK(result.groups.added + result.groups.changed + result.groups.removed == 0);
  CHECK(result.deployments.added + result.deployments.changed + result.deployments.removed == 0);
  REQUIRE(result.settings.deployments.size() == 3);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(result.settings.deployments[i].id == all.deployments[i].id);
  CHECK(result.settings.groups[0].deployments == all.groups[0].deployments);
}

TEST_CASE("reload: another order and other limits are the same deployments at their places") {
  const auto before =
      models({mocked("a", "      rpm: 5\n", "one"), mocked("a", {}, "two"), mocked("b")});
  const auto result =
      merge_reload(before, models({mocked("b"), mocked("a", {}, "two"),
                                   mocked("a", "      rpm: 3\n      weight: 2\n", "one")}));
  REQUIRE(result.settings.groups.size() == 2);
  CHECK(result.settings.groups[0].name == "a");
  CHECK(result.settings.groups[0].deployments == before.groups[0].deployments);
  CHECK(result.settings.deployments[0].id == before.deployments[0].id);
  CHECK(result.settings.deployments[0].rpm == 3u);
  CHECK(result.deployments.changed == 1);
  CHECK(result.deployments.added + result.deployments.removed == 0);
  CHECK(result.groups.added + result.groups.changed + result.groups.removed == 0);
}

TEST_CASE("reload: what is gone keeps its place and loses its name, and gets it back") {
  const auto before = models({mocked("a"), mocked("b"), mocked("c")});
  auto gone = merged(before, models({mocked("a"), mocked("c")}));
  REQUIRE(gone.groups.size() == 3);
  CHECK(gone.groups[1].retired);
  CHECK(gone.deployments[1].retired);
  CHECK_FALSE(resolve(gone, "b"));
  CHECK_FALSE(resolve(gone, before.deployments[1].id));
  REQUIRE(resolve(gone, "c"));
  CHECK(resolve(gone, "c")->group == 2);

  const auto result = merge_reload(gone, models({mocked("d"), mocked("b")}));
  REQUIRE(result.settings.groups.size() == 4);
  CHECK(result.settings.groups[3].name == "d");
  CHECK_FALSE(result.settings.groups[1].retired);
  CHECK_FALSE(result.settings.deployments[1].retired);
  REQUIRE(resolve(result.settings, "b"));
  CHECK(resolve(result.settings, "b")->group == 1);
  CHECK(result.groups.added == 2);
  CHECK(result.groups.removed == 2);
}

TEST_CASE("reload: twins are matched in order, given ids within their group") {
  const auto before = models({mocked("a"), mocked("a"), mocked("a")});
  const auto fewer = merged(before, models({mocked("a"), mocked("a")}));
  CHECK_FALSE(fewer.deployments[0].retired);
  CHECK_FALSE(fewer.deployments[1].retired);
  CHECK(fewer.deployments[2].retired);

  const std::string id = "    model_info:\n      id: mine\n";
  const auto named = models({mocked("a", id), mocked("b")});
  const auto moved = merged(named, models({mocked("a"), mocked("b", id)}));
  REQUIRE(moved.deployments.size() == 4);
  CHECK(moved.deployments[0].retired); // the one in a
  REQUIRE(resolve(moved, "mine"));
  CHECK(resolve(moved, "mine")->group == 1);
  CHECK(moved.deployments[*resolve(moved, "mine")->deployment].group == 1);
  // Another key and model under the same id is the same one.
  const auto changed = merged(named, models({mocked("a", id, "new key"), mocked("b")}));
  CHECK(changed.deployments.size() == 2);
  CHECK(changed.deployments[0].api_key.reveal() == "new key");
}

TEST_CASE("reload: aliases, fallbacks and pins lead to the places of before") {
  const auto before = models({mocked("a"), mocked("b"), mocked("c")});
  const auto after = merged(before, models({mocked("c"), mocked("new"), mocked("a")},
                                           "router_settings:\n"
                                           "  model_group_alias: {other: c}\n"
                                           "  fallbacks: [{a: [c, new]}]\n"));
  REQUIRE(resolve(after, "other"));
  CHECK(resolve(after, "other")->group == 2);
  REQUIRE(after.groups[0].fallbacks.size() == 2);
  CHECK(after.groups[0].fallbacks[0].group == 2);
  CHECK(after.groups[0].fallbacks[1].group == 3);
  const auto pin = resolve(after, after.deployments[3].id);
  REQUIRE(pin);
  CHECK(pin->group == 3);
  CHECK(pin->deployment == 3u);
}

TEST_CASE("reload: what needs a restart stays, and is named") {
  const auto before = models({mocked("a")}, "vorrang_settings:\n  admin_port: 4001\n");
  const auto result = merge_reload(before, models({mocked("a")}, "vorrang_settings:\n"
                                                                 "  admin_port: 5001\n"
                                                                 "  max_queue_bytes: 1000000\n"
                                                                 "  max_queue_size: 7\n"
                                                                 "router_settings:\n"
                                                                 "  redis_host: somewhere\n"));
  CHECK(result.errors.empty());
  CHECK(has_line(result.warnings, "vorrang_settings.admin_port cannot be changed"));
  CHECK(has_line(result.warnings, "vorrang_settings.max_queue_bytes cannot be changed"));
  CHECK(has_line(result.warnings, "router_settings.redis_*"));
  CHECK(result.warnings.size() == 3);
  CHECK(result.settings.gateway.admin_port == 4001);
  CHECK_FALSE(result.settings.router.redis);
  CHECK(result.settings.gateway.max_queue_size == 7);
}

TEST_CASE("reload: keys may change, but the last one does not go") {
  const std::string key = "general_settings:\n  master_key: sk-1234\n";
  const auto before = models({mocked("a")}, key);
  CHECK(merge_reload(before, models({mocked("a")}, "general_settings:\n  master_key: sk-2\n"))
            .errors.empty());
  const auto open = merge_reload(before, models({mocked("a")}));
  REQUIRE(open.errors.size() == 1);
  CHECK(has_line(open.errors, "general_settings.master_key", {"without a restart"}));
  // The first one holds, but the port stays where it is.
  const auto first = merge_reload(models({mocked("a")}), models({mocked("a")}, key));
  CHECK(first.errors.empty());
  CHECK(first.settings.gateway.master_key);
  REQUIRE(first.warnings.size() == 1);
  CHECK(has_line(first.warnings, "general_settings.master_key", {"until a restart"}));
}

TEST_CASE("reload: a group that can no longer be served says why, and keeps its place") {
  const auto before = models({mocked("a"), mocked("b")});
  const auto after = merged(before, models({mocked("a"), "  - model_name: b\n"
                                                         "    litellm_params:\n"
                                                         "      model: bedrock/x\n"}));
  REQUIRE(after.groups.size() == 2);
  CHECK_FALSE(after.groups[1].retired);
  CHECK(after.groups[1].unservable);
  CHECK(after.deployments[1].retired);
  REQUIRE(after.left_out.size() == 1);
  CHECK(after.left_out[0].group == 1);
}
