// What `vorrang top` shows, and what keys mean there.
#include "terminal/top_screen.hpp"

#include "terminal/printable.hpp"

#include "catch.hpp"

using namespace vorrang::terminal;

namespace {

json ticket(const std::string& id, int position) {
  return {{"id", id},
          {"priority", position * 10},
          {"position", position},
          {"waited_ms", 1500},
          {"deadline_in_ms", 60000},
          {"attempts", 0},
          {"why", "behind-others"}};
}

json deployment(const std::string& id, bool cooling) {
  return {{"id", id},
          {"healthy", false},
          {"cooling", cooling},
          {"full", !cooling},
          {"in_flight", 1},
          {"max_parallel_requests", 1},
          {"cooldown_ends_in_ms", 3000}};
}

json group(const std::string& model, const std::vector<std::string>& tickets,
           std::int64_t waiting = -1) {
  json made = {
      {"model", model},
      {"waiting", waiting < 0 ? static_cast<std::int64_t>(tickets.size()) : waiting},
      {"oldest_wait_ms", 1500},
      {"tickets", json::array()},
      {"deployments", {deployment(model + "-one", false), deployment(model + "-two", true)}}};
  for (std::size_t i = 0; i < tickets.size(); ++i)
    made["tickets"].push_back(ticket(tickets[i], static_cast<int>(i) + 1));
  return made;
}

top_view view(const std::vector<json>& groups, std::size_t chosen = 0) {
  top_view heard;
  heard.groups = {{"queues", groups}};
  for (auto& each : heard.groups["queues"])
    each["tickets"] = json::array();
  heard.group = groups[chosen];
  heard.clock = "12:00:00";
  return heard;
}

/// The line that holds `text`.
const screen_line* find(const std::vector<screen_line>& lines, const std::string& text) {
  for (const auto& line : lines)
    if (line.text.find(text) != std::string::npos)
      return &line;
  return nullptr;
}

void type(top_screen& screen, const std::string& text) {
  for (const char each : text)
    screen.press(key::character, each);
}

} // namespace

TEST_CASE("top: models, deployments of the chosen one, and its line") {
  top_screen screen("http://127.0.0.1:4001");
  screen.show(view({group("m", {"11", "12"}), group("n", {})}));
  const auto lines = screen.draw(24, 80);
  REQUIRE(lines.size() == 24);
  for (const auto& line : lines)
    CHECK(columns_of(line.text) <= 80);
  CHECK(lines[0].text.find("2 models, 2 waiting  12:00:00") != std::string::npos);
  CHECK(find(lines, "m-one")->how == look::warning);
  CHECK(find(lines, "m-two")->how == look::bad);
  CHECK(find(lines, "  11  ")->how == look::chosen);
  CHECK(find(lines, "  12  ")->how == look::plain);
  CHECK(find(lines, "q quit"));
  CHECK_FALSE(find(lines, "n-one"));
}

TEST_CASE("top: the chosen ticket stays chosen while the line moves on") {
  top_screen screen("u");
  screen.show(view({group("m", {"11", "12", "13"})}));
  CHECK(screen.ticket() == "11");
  type(screen, "j");
  screen.press(key::down);
  CHECK(screen.ticket() == "13");
  screen.show(view({group("m", {"12", "13", "14"})}));
  CHECK(screen.ticket() == "13");
  screen.show(view({group("m", {"14", "15"})}));
  CHECK(screen.ticket() == "15"); // stands where 13 stood
  screen.press(key::home);
  CHECK(screen.ticket() == "14");
  screen.show(view({group("m", {})}));
  CHECK(screen.ticket().empty());
}

TEST_CASE("top: to move asks for the priority, then once more") {
  top_screen screen("u");
  screen.show(view({group("m", {"11", "12"})}));
  type(screen, "b");
  type(screen, "-7x");
  CHECK(find(screen.draw(24, 80), "Priority for ticket 11 (lower goes first): -7_"));
  screen.press(key::erase);
  type(screen, "5");
  screen.press(key::enter);
  CHECK(find(screen.draw(24, 80), "Give ticket 11 priority -5? y/n"));
  type(screen, "x");
  CHECK_FALSE(screen.take_action());
  screen.show(view({group("m", {"12"})})); // what was asked for stays asked for
  type(screen, "y");
  const auto action = screen.take_action();
  REQUIRE(action);
  CHECK((action->model == "m" && action->ticket == "11" && action->priority == -5));
  CHECK_FALSE(screen.take_action());
}

TEST_CASE("top: a number that is none is asked for again") {
  top_screen screen("u");
  screen.show(view({group("m", {"11"})}));
  type(screen, "b99999999999");
  screen.press(key::enter);
  CHECK(find(screen.draw(24, 80), "(lower goes first): _"));
  screen.press(key::escape);
  CHECK(find(screen.draw(24, 80), "q quit"));
  CHECK_FALSE(screen.wants_to_quit());
}

TEST_CASE("top: to cancel asks, and no is no") {
  top_screen screen("u");
  screen.show(view({group("m", {"11"})}));
  type(screen, "c");
  CHECK(find(screen.draw(24, 80), "Cancel ticket 11? Its client gets 503. y/n"));
  type(screen, "n");
  CHECK_FALSE(screen.take_action());
  type(screen, "cy");
  const auto action = screen.take_action();
  REQUIRE(action);
  CHECK((action->ticket == "11" && !action->priority));
  screen.show(view({group("m", {})}));
  type(screen, "c");
  CHECK(find(screen.draw(24, 80), "Nobody waits for m"));
}

TEST_CASE("top: another model, and back") {
  top_screen screen("u");
  screen.show(view({group("m", {"11"}), group("n", {"21"})}));
  CHECK(screen.model() == "m");
  screen.press(key::next_model);
  CHECK(screen.model() == "n");
  type(screen, "c"); // nothing is known of its line yet
  CHECK_FALSE(find(screen.draw(24, 80), "Cancel"));
  screen.show(view({group("m", {"11"}), group("n", {"21"})}, 1));
  CHECK(screen.ticket() == "21");
  screen.press(key::model_before);
  screen.press(key::model_before);
  CHECK(screen.model() == "n");
  screen.show(view({group("m", {"11"})})); // a reload has removed it
  CHECK(screen.model() == "m");
}

TEST_CASE("top: a look that failed leaves what was there") {
  top_screen screen("u");
  screen.show(view({group("m", {"11"})}));
  top_view none;
  none.trouble = "cannot reach it\033[2J";
  screen.show(none);
  const auto lines = screen.draw(24, 80);
  CHECK(find(lines, "OLD: cannot reach it?[2J")->how == look::bad);
  CHECK(find(lines, "m-one"));
  screen.show(view({group("m", {"11"})}));
  CHECK_FALSE(find(screen.draw(24, 80), "OLD"));
}

TEST_CASE("top: the smallest screen shows the chosen ticket, also under a trouble") {
  top_screen screen("u");
  screen.show(view({group("m", {"11", "12", "13"}), group("n", {})}));
  type(screen, "jj");
  const auto lines = screen.draw(10, 40);
  REQUIRE(find(lines, "  13  "));
  CHECK(find(lines, "  13  ")->how == look::chosen);
  CHECK(find(lines, "m-one"));
  CHECK(find(lines, "more"));
  top_view none;
  none.trouble = "no answer from http://127.0.0.1:4001: it may be busy; try again";
  screen.show(none);
  CHECK(find(screen.draw(10, 40), "  13  "));
}

TEST_CASE("top: a question is shown whole on a narrow screen, and what came of it") {
  top_screen screen("u");
  screen.show(view({group("m", {"562949970198529", "562949970198530"})}));
  type(screen, "c");
  auto lines = screen.draw(10, 40);
  REQUIRE(lines.size() == 10);
  CHECK(lines[8].text == "Cancel ticket 562949970198529? Its");
  CHECK(lines[9].text == "client gets 503. y/n");
  CHECK(find(lines, "  562949970198529  ")->how == look::chosen);
  type(screen, "n");
  screen.tell(
      "cannot reach http://127.0.0.1:4001: is the gateway running, and this its admin port?");
  CHECK(find(screen.draw(10, 40), "port?"));
}

TEST_CASE("top: with a trouble and many deployments the chosen ticket is there in every size") {
  auto made = group("m", {"11", "12", "13", "14", "15", "16", "17", "18"});
  for (int i = 0; i < 40; ++i)
    made["deployments"].push_back(deployment("d" + std::to_string(i), false));
  top_screen screen("u");
  screen.show(view({made, made, made, made, made, made, made, made, made, made}));
  screen.press(key::end);
  top_view none;
  for (int i = 0; i < 40; ++i)
    none.trouble += " again and again";
  screen.show(none);
  for (std::size_t rows = 10; rows < 60; ++rows) {
    INFO(rows);
    const auto lines = screen.draw(rows, 80);
    REQUIRE(find(lines, "  18  "));
    CHECK(find(lines, "  18  ")->how == look::chosen);
    CHECK(find(lines, "OLD"));
  }
  CHECK(find(screen.draw(30, 80), "  and 34 more")); // 8 of 42
}

TEST_CASE(
    "top: what to do about a trouble is not cut off, and nothing is old before the first look") {
  top_screen screen("u");
  top_view none;
  none.trouble = "cannot reach http://127.0.0.1:4001: is the gateway running, and this its admin "
                 "port? Another one is named by --url or VORRANG_ADMIN_URL";
  screen.show(none);
  const auto lines = screen.draw(24, 80);
  CHECK(lines[1].text.rfind("cannot reach http://127.0.0.1:4001: ", 0) == 0);
  CHECK(lines[2].text.find("VORRANG_ADMIN_URL") != std::string::npos);
  CHECK_FALSE(find(lines, "OLD"));
  CHECK(find(screen.draw(24, 40), "VORRANG_ADMIN_URL"));
  screen.show(view({group("m", {"11"})}));
  screen.show(none);
  CHECK(screen.draw(24, 80)[1].text.rfind("OLD: cannot reach", 0) == 0);
}

TEST_CASE("top: every size gets as many lines as it has, and none is too wide") {
  std::vector<std::string> ids;
  for (int i = 0; i < 200; ++i)
    ids.push_back(std::to_string(1000 + i));
  std::vector<json> groups;
  for (int i = 0; i < 30; ++i)
    groups.push_back(group("model-" + std::to_string(i) + std::string(60, 'x'), ids, 5000));
  top_screen screen("http://a-long-name.example:4001");
  screen.show(view(groups));
  screen.press(key::end);
  for (std::size_t rows = 0; rows < 60; rows += 3)
    for (std::size_t columns = 0; columns < 200; columns += 13) {
      const auto lines = screen.draw(rows, columns);
      REQUIRE(lines.size() == rows);
      for (const auto& line : lines)
        REQUIRE(columns_of(line.text) <= columns);
    }
  const auto lines = screen.draw(24, 80);
  CHECK(find(lines, "1199")->how == look::chosen);
  CHECK(find(lines, "more"));
  type(screen, "?");
  CHECK(find(screen.draw(24, 80), "cancel the ticket"));
  screen.press(key::other);
  type(screen, "q");
  CHECK(screen.wants_to_quit());
}
