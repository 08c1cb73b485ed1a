// A front over a configuration as users write it, and requests as bytes.
#pragma once

#include "config/reader.hpp"
#include "http/body_scanner.hpp"
#include "http/front.hpp"
#include "http/head_reader.hpp"
#include "http/inspected_body.hpp"

#include "catch.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace vorrang::http::tests {

using nlohmann::json;
using namespace std::chrono_literals;

inline const time_point start = time_point(std::chrono::hours(1000));
inline const auto wall = std::chrono::system_clock::from_time_t(1'800'000'000);

inline std::shared_ptr<const config::settings> read_settings(const std::string& text) {
  auto result = config::read_text(text, "config.yaml", config::fixed_environment({}));
  for (const auto& each : result.diagnostics)
    UNSCOPED_INFO(config::to_text(each));
  REQUIRE_FALSE(result.has_errors());
  return std::make_shared<const config::settings>(std::move(result.settings));
}

/// Field lines, each ended by CR LF, are inserted after Host and Content-Length.
struct request {
  std::string method = "POST";
  std::string path = "/v1/chat/completions";
  std::string fields = "Content-Type: application/json\r\n";
  std::string body = R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";
  std::string host = "localhost:4000";
};

inline request get(std::string path, std::string fields = {}) {
  return {"GET", std::move(path), std::move(fields), {}, "localhost:4000"};
}

inline request post(std::string body, std::string fields = {},
                    std::string path = "/v1/chat/completions") {
  return {"POST", std::move(path), "Content-Type: application/json\r\n" + fields, std::move(body),
          "localhost:4000"};
}

inline request_head head_of(const request& asked) {
  std::string text = asked.method + " " + asked.path + " HTTP/1.1\r\nHost: " + asked.host + "\r\n";
  if (!asked.body.empty())
    text += "Content-Length: " + std::to_string(asked.body.size()) + "\r\n";
  text += asked.fields + "\r\n";
  head_reader reader;
  REQUIRE(reader.feed(text) == text.size());
  REQUIRE(reader.state() == read_state::done);
  return reader.take_head();
}

class tested_front {
public:
  explicit tested_front(const std::string& configuration, std::vector<std::string> names = {})
      : rules(read_settings(configuration), facts(std::move(names))) {}

  /// As a connection does it: the head, then the whole.
  std::variant<reply, std::unique_ptr<call>> begin(const request& asked) {
    const auto head = head_of(asked);
    if (auto early = rules.judge_head(head)) {
      judged_by_head = true;
      return std::move(*early);
    }
    judged_by_head = false;
    inspected_body inspected;
    if (!asked.body.empty()) {
      body_scanner scanner(body_scanner::measuring::yes);
      scanner.feed(asked.body);
      inspected = inspect(asked.body, scanner);
    }
    return rules.begin(start, head, asked.body, std::move(inspected), state);
  }

  reply answer(const request& asked) {
    auto result = begin(asked);
    if (!std::holds_alternative<reply>(result))
      FAIL("expected an answer, got a call");
    return std::get<reply>(std::move(result));
  }

  std::unique_ptr<call> begun(const request& asked) {
    auto result = begin(asked);
    if (const auto* refused = std::get_if<reply>(&result))
      FAIL("expected a call, got " << refused->status << " " << refused->body);
    return std::get<std::unique_ptr<call>>(std::move(result));
  }

  static machine_facts facts(std::vector<std::string> names) {
    machine_facts about;
    about.names = std::move(names);
    about.version = "1.2.3";
    about.id_seed = 7;
    about.moment = start;
    about.time_of_day_then = wall;
    return about;
  }

  front rules;
  gateway_state state;
  bool judged_by_head = false;
};

inline json error_of(const reply& answer) {
  const auto body = json::parse(answer.body, nullptr, false);
  REQUIRE(body.is_object());
  REQUIRE(body.contains("error"));
  return body["error"];
}

/// The value of a field, which must not be there twice.
inline std::string field(const reply& answer, std::string_view name) {
  CHECK(std::count_if(answer.fields.begin(), answer.fields.end(), [&](const header_field& each) {
          return equal_ignoring_case(each.name, name);
        }) <= 1);
  return std::string(find_field(answer.fields, name));
}

/// The first grant of a call.
inline grant first_grant(const call& of, deployment_index deployment = 0) {
  grant given;
  given.ticket = 1;
  given.id = 1;
  given.group = of.wanted().group;
  given.deployment = deployment;
  given.at = start;
  given.priority = of.wanted().priority;
  return given;
}

/// Fields as an upstream would send them.
using field_pairs = std::vector<std::pair<std::string, std::string>>;

inline answer_head upstream_head(unsigned status, const field_pairs& fields = {}) {
  answer_head head;
  head.status = status;
  head.fields = make_fields(fields);
  return head;
}

} // namespace vorrang::http::tests
