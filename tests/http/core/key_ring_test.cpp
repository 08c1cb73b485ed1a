#include "catch.hpp"

#include "http/key_ring.hpp"

#include <string>
#include <vector>

using namespace vorrang;
using namespace vorrang::http;

namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

config::gateway_settings with_keys() {
  config::gateway_settings out;
  out.master_key = config::secret("sk-master");
  config::client_key batch;
  batch.key = config::secret("sk-batch");
  batch.name = "batch";
  batch.default_priority = 500;
  batch.best_priority = 100;
  config::client_key narrow;
  narrow.key = config::secret("sk-narrow");
  narrow.name = "narrow";
  narrow.models = {"m"};
  out.keys = {batch, narrow};
  return out;
}

} // namespace

TEST_CASE("who is let in") {
  const auto settings = with_keys();
  const key_ring ring(settings);
  CHECK(ring.has_keys());
  const auto check = [&](const pairs& fields) {
    return ring.check(make_fields(fields));
  };
  CHECK(check({}).error.code == our_error::no_key);
  for (const char* wrong : {"", "sk-wrong", "sk-maste", "sk-master2", "SK-MASTER", "sk-mastes"}) {
    CHECK(check({{"Authorization", "Bearer " + std::string(wrong)}}).error.code ==
          our_error::wrong_key);
    CHECK(check({{"x-api-key", wrong}}).error.code == our_error::wrong_key);
  }
  for (const char* odd : {"Bearer", "Basic sk-master", "sk-master", "Bearersk-master"}) {
    CHECK(check({{"authorization", odd}}).error.code == our_error::wrong_key);
  }
  for (const char* scheme : {"Bearer ", "bearer ", "BEARER  "}) {
    const auto got = check({{"Authorization", std::string(scheme) + "sk-master"}});
    CHECK_FALSE(got.error);
    CHECK(got.key == nullptr);
    CHECK(got.name == "master key");
  }
  const auto batch = check({{"api-key", "sk-batch"}});
  CHECK(batch.name == "batch");
  REQUIRE(batch.key != nullptr);
  CHECK(batch.may_use("anything"));
  const auto narrow = check({{"X-Goog-Api-Key", "sk-narrow"}});
  CHECK(narrow.may_use("m"));
  CHECK_FALSE(narrow.may_use("other"));
}

TEST_CASE("the first key header present decides") {
  const auto settings = with_keys();
  const key_ring ring(settings);
  const std::vector<std::string> order = {"x-litellm-api-key", "Authorization",
                                          "api-key",           "x-api-key",
                                          "x-goog-api-key",    "Ocp-Apim-Subscription-Key"};
  const auto value = [](const std::string& name, const std::string& key) {
    return name == "Authorization" ? "Bearer " + key : key;
  };
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    for (const bool right_first : {true, false}) {
      // In the other order on the wire, so that position does not help.
      const auto fields =
          make_fields({{order[i + 1], value(order[i + 1], right_first ? "no" : "sk-master")},
                       {order[i], value(order[i], right_first ? "sk-master" : "no")}});
      INFO(order[i]);
      CHECK(static_cast<bool>(ring.check(fields).error) != right_first);
    }
  }
  CHECK_FALSE(ring.check(make_fields({{"ocp-apim-subscription-key", "sk-master"}})).error);
  CHECK_FALSE(ring.check(make_fields({{"x-litellm-api-key", "Bearer sk-master"}})).error);
}

TEST_CASE("an empty key opens nothing") {
  config::gateway_settings settings;
  settings.master_key = config::secret("");
  settings.keys.emplace_back();
  const key_ring ring(settings);
  CHECK(ring.check(make_fields({{"x-api-key", ""}})).error.code == our_error::wrong_key);
  CHECK(ring.check(make_fields({{"authorization", "Bearer "}})).error.code == our_error::wrong_key);
}

TEST_CASE("without keys everybody is let in") {
  const config::gateway_settings settings;
  const key_ring ring(settings);
  CHECK_FALSE(ring.has_keys());
  CHECK_FALSE(ring.check(make_fields({{"x-api-key", "x"}})).error);
  CHECK(ring.check(make_fields({})).may_use("x"));
}

TEST_CASE("priorities of keys") {
  const auto settings = with_keys();
  const visitor master;
  visitor batch;
  batch.key = &settings.keys[0];
  visitor narrow;
  narrow.key = &settings.keys[1];
  const std::optional<std::int32_t> none;
  CHECK(master.priority(none, 40, none) == 40);
  CHECK(master.priority(-5, 40, none) == -5);
  CHECK(master.priority(-11, 40, -10) == -10);
  CHECK(narrow.priority(none, 40, none) == 40);
  CHECK(narrow.priority(3, 40, none) == 3);
  CHECK(batch.priority(none, 40, none) == 500);
  CHECK(batch.priority(0, 40, none) == 100);
  CHECK(batch.priority(99, 40, none) == 100);
  CHECK(batch.priority(101, 40, none) == 101);
  CHECK(batch.priority(0, 40, 200) == 200);
}

TEST_CASE("comparison") {
  CHECK(equal_in_constant_time("", ""));
  CHECK(equal_in_constant_time("abc", "abc"));
  for (const auto& [a, b] :
       std::vector<std::pair<std::string, std::string>>{{"abc", "abd"},
                                                        {"abc", "xbc"},
                                                        {"abc", "ab"},
                                                        {"ab", "abc"},
                                                        {"", "a"},
                                                        {"a", ""},
                                                        {"abab", "ab"},
                                                        {std::string("\0", 1), ""}}) {
    CHECK_FALSE(equal_in_constant_time(a, b));
  }
}

TEST_CASE("without keys a web page is kept out") {
  const std::vector<std::string> own = {"workstation", "192.168.1.5", "fe80::1"};
  const auto check = [&](const pairs& fields) {
    return check_without_keys(make_fields(fields), own).code;
  };
  for (const char* host : {"localhost", "LocalHost", "localhost:4000", "localhost.", "127.0.0.1",
                           "127.8.9.1:80", "0.0.0.0", "0.0.0.0:4000", "[::]", "[::1]:4000",
                           "Workstation:4000", "192.168.1.5:4000", "[fe80::1]:4000"}) {
    INFO(host);
    CHECK(check({{"Host", host}}) == our_error::none);
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4000",
                           "203.0.113.9", "127.0.0.256", "127.0.0", "127.0.0.1.1", "1127.0.0.1",
                           "128.0.0.1", "", "xlocalhost", "workstation2", "[::2]"}) {
    INFO(host);
    CHECK(check({{"Host", host}}) == our_error::foreign_host);
  }
  for (const char* origin : {"https://evil.example", "null", "http://localhost:3000", ""}) {
    CHECK(check({{"Host", "localhost"}, {"Origin", origin}}) == our_error::foreign_origin);
  }
  for (const char* site : {"cross-site", "same-site", ""}) { // an image has no Origin
    CHECK(check({{"Host", "localhost"}, {"Sec-Fetch-Site", site}}) == our_error::foreign_origin);
  }
  for (const char* site : {"none", "same-origin"}) {
    CHECK(check({{"Host", "localhost"}, {"Sec-Fetch-Site", site}}) == our_error::none);
  }
  CHECK(check({}) == our_error::none);
  CHECK(host_without_port("[::1]:80") == "::1");
  CHECK(host_without_port("a:80") == "a");
  CHECK(host_without_port("[::1") == "[::1");
}
