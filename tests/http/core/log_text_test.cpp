// What a line of the log is made of, and how often it may be said.
#include "http/json_string.hpp"
#include "http/log_bounds.hpp"
#include "http/log_text.hpp"

#include "catch.hpp"

#include <nlohmann/json.hpp>
#include <random>

#include "seed.hpp"

using namespace vorrang;
using namespace vorrang::http;
using namespace std::chrono_literals;

namespace {

std::string harmless(std::string_view text) {
  std::string out;
  append_harmless(out, text);
  return out;
}

std::string field(log_format format, const log_field& of) {
  std::string out;
  append_field(out, format, of);
  return out;
}

} // namespace

TEST_CASE("log text: what a terminal would act on is written as it is spelt") {
  CHECK(harmless("plain, grün, 漢字") == "plain, grün, 漢字");
  CHECK(harmless("a\nb\r\tc") == "a\\x0ab\\x0d\\x09c");
  CHECK(harmless("\x1b[31mred") == "\\x1b[31mred");
  CHECK(harmless(std::string_view("\0\x7f", 2)) == "\\x00\\x7f");
  CHECK(harmless("\xC2\x9B"
                 "31m") == "\\u{009b}31m"); // CSI as one character
  CHECK(harmless("\xE2\x80\xA8") == "\\u{2028}");
  CHECK(harmless("\xE2\x80\xAE") == "\\u{202e}");
  CHECK(harmless("\xD8\x9C") == "\\u{061c}");
  CHECK(harmless("\xFF\xC3") == "\\xff\\xc3");
}

TEST_CASE("log text: a field as text") {
  CHECK(field(log_format::text, {"model", "gpt-4o"}) == "model=gpt-4o");
  CHECK(field(log_format::text, {"status", 200}) == "status=200");
  CHECK(field(log_format::text, {"priority", -7}) == "priority=-7");
  CHECK(field(log_format::text, {"model", ""}) == "model=-");
  CHECK(field(log_format::text, {"model", "-"}) == "model=\"-\"");
  CHECK(field(log_format::text, {"model", "a b=\"c\""}) == "model=\"a b=\\\"c\\\"\"");
  CHECK(field(log_format::text, {"path", "/x\nstatus=200"}) == "path=\"/x\\\\x0astatus=200\"");
}

TEST_CASE("log text: a field as JSON") {
  CHECK(field(log_format::json, {"model", "gpt-4o"}) == "\"model\":\"gpt-4o\"");
  CHECK(field(log_format::json, {"status", 200}) == "\"status\":200");
  CHECK(field(log_format::json, {"model", ""}) == "\"model\":null");
  CHECK(field(log_format::json, {"model", "a\"b\n"}) == "\"model\":\"a\\\"b\\\\x0a\"");
}

TEST_CASE("log text: long values are cut, between characters") {
  const std::string value = std::string(log_value_bytes_max - 1, 'x') + "ü" + std::string(500, 'y');
  CHECK(field(log_format::text, {"model", value}) ==
        "model=" + std::string(log_value_bytes_max - 1, 'x') + "...");
  const std::string fits(log_value_bytes_max, 'x');
  CHECK(field(log_format::text, {"model", fits}) == "model=" + fits);
}

TEST_CASE("log text: whatever comes, it is one line, and JSON stays JSON") {
  std::mt19937_64 random(test::seed());
  for (int round = 0; round < 2000; ++round) {
    std::string value;
    for (auto left = random() % 40; left > 0; --left)
      value += static_cast<char>(random());
    const auto text = field(log_format::text, {"v", value});
    CHECK(is_utf8(text));
    CHECK(std::none_of(text.begin(), text.end(),
                       [](char each) { return static_cast<unsigned char>(each) < 0x20; }));
    const auto json =
        nlohmann::json::parse("{" + field(log_format::json, {"v", value}) + "}", nullptr, false);
    CHECK(json.is_object());
  }
}

TEST_CASE("log bounds: one line of a cause and subject in a period, and a count of the rest") {
  log_bounds bounds;
  const time_point start(1h);
  const auto take = [&](std::string_view subject, duration after) {
    return bounds.take(log_cause::upstream_failed, subject, "cannot connect", start + after);
  };
  CHECK(take("a:1", 0s) == 0);
  CHECK_FALSE(take("a:1", 0s));
  CHECK_FALSE(take("a:1", log_bounds::period - 1ns));
  CHECK(take("a:1", log_bounds::period) == 2);
  CHECK_FALSE(take("a:1", log_bounds::period + 1s));
  // Another place, another cause.
  CHECK(take("b:2", 1s) == 0);
  CHECK(bounds.take(log_cause::name_lookup, "a:1", "cannot resolve", start) == 0);
}

TEST_CASE("log bounds: what was left out last is told once its period is over") {
  log_bounds bounds;
  const time_point start(1h);
  bounds.take(log_cause::upstream_failed, "a:1", "cannot connect", start, log_level::error);
  for (int i = 0; i < 37; ++i)
    bounds.take(log_cause::upstream_failed, "a:1", "cannot connect", start + 1s);
  CHECK(bounds.due(start + log_bounds::period - 1ns).empty());
  const auto told = bounds.due(start + log_bounds::period);
  REQUIRE(told.size() == 1);
  CHECK(told[0].text == "cannot connect");
  CHECK(told[0].left_out == 37);
  CHECK(told[0].level == log_level::error);
  CHECK(bounds.due(start + log_bounds::period).empty());
  // It is silent for a period more, and forgotten then.
  CHECK_FALSE(bounds.take(log_cause::upstream_failed, "a:1", "cannot connect",
                          start + 2 * log_bounds::period - 1ns));
  CHECK(bounds.due(start + 2 * log_bounds::period).size() == 1);
  CHECK(bounds.due(start + 3 * log_bounds::period).empty());
  CHECK(bounds.take(log_cause::upstream_failed, "a:1", "x", start + 3 * log_bounds::period) == 0);
}

TEST_CASE("log bounds: in a day of one failure each millisecond there is a line each 10 s") {
  log_bounds bounds;
  const time_point start(1h);
  std::uint64_t lines = 0, counted = 0;
  for (std::uint64_t ms = 0; ms < 100'000; ++ms) {
    const auto now = start + std::chrono::milliseconds(ms);
    if (const auto left_out = bounds.take(log_cause::upstream_failed, "a:1", "x", now)) {
      ++lines;
      counted += *left_out + 1;
    }
    if (ms % 1000 == 999)
      for (const auto& each : bounds.due(now)) {
        ++lines;
        counted += each.left_out;
      }
  }
  CHECK(lines == 10);
  CHECK(counted == 90'001); // the rest is due at the end of its period
  for (const auto& each : bounds.due(start + 1h))
    counted += each.left_out;
  CHECK(counted == 100'000);
}

TEST_CASE("log bounds: subjects that come and come share a place") {
  log_bounds bounds;
  const time_point start(1h);
  std::size_t lines = 0;
  for (int i = 0; i < 10'000; ++i)
    lines += bounds.take(log_cause::name_lookup, std::to_string(i), "x", start).has_value();
  CHECK(lines == log_bounds::subjects_max + 1);
}
