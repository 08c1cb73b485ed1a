// The operator's port, on a real socket, over a desk that is made up.

#include "front_fixture.hpp"

#include "http/admin_pages.hpp"
#include "http/admin_server.hpp"
#include "http/own_names.hpp"

#include <atomic>
#include <httplib.h>
#include <mutex>
#include <thread>

namespace vorrang::http::tests {

namespace {

const std::string models = R"(
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi}
    model_info: {id: one}
  - model_name: "family/*"
    litellm_params: {model: "openai/*", mock_response: hi}
router_settings:
  model_group_alias: {alias: m}
)";

/// Two groups; five tickets wait in the first.
class made_up_desk final : public operator_desk {
public:
  std::vector<std::string> groups() override { return {"m", "family/*"}; }

  std::optional<queue_view> snapshot(const std::string& group, std::uint64_t offset,
                                     std::uint32_t limit, time_point deadline) override {
    deadline_left = deadline - std::chrono::steady_clock::now();
    queue_view view;
    view.name = group;
    if (late)
      return view;
    view.group = group == "m" ? 0 : 1;
    view.at = start;
    view.offset = offset;
    view.waiting = group == "m" ? 5 : 0;
    for (auto place = offset; place < view.waiting && view.tickets.size() < limit; ++place) {
      ticket_report ticket;
      ticket.id = 0xFFFFFFFFFFFFFFF0 + place;
      ticket.priority = -3;
      ticket.position = static_cast<std::uint32_t>(place + 1);
      ticket.waited = 1500ms;
      ticket.why = wait_reason::all_full;
      if (place == 0)
        ticket.deadline = start + 2500ms;
      else
        ticket.instance = "b";
      view.tickets.push_back(ticket);
    }
    deployment_report deployment;
    deployment.id = "one";
    deployment.healthy = false;
    deployment.full = true;
    deployment.in_flight = 2;
    deployment.max_parallel_requests = 2;
    deployment.rpm_used = 7;
    deployment.rpm = 10;
    view.deployments.push_back(deployment);
    return view;
  }

  std::optional<change_result> cancel(const std::string& group, ticket_id ticket,
                                      time_point) override {
    note("cancel " + group + " " + std::to_string(ticket));
    return result;
  }
  std::optional<change_result> move(const std::string& group, ticket_id ticket,
                                    std::int32_t priority, time_point) override {
    note("move " + group + " " + std::to_string(ticket) + " " + std::to_string(priority));
    return result;
  }
  readiness ready() override { return now_ready; }

  std::string last() {
    const std::lock_guard lock(mutex_);
    return std::exchange(last_, {});
  }

  std::atomic<bool> late{false};
  std::atomic<duration> deadline_left{};
  std::optional<change_result> result = change_result::done;
  readiness now_ready;

private:
  void note(std::string text) {
    const std::lock_guard lock(mutex_);
    last_ = std::move(text);
  }
  std::mutex mutex_;
  std::string last_;
};

const httplib::Headers as_json = {{"Content-Type", "application/json"}};

struct admin_port {
  explicit admin_port(const std::string& more = {}, const std::string& at = "127.0.0.1")
      : server(read_settings(models + more), desk, reloading(options())) {
    const auto wrong = server.start();
    INFO(wrong);
    REQUIRE(wrong.empty());
    REQUIRE(server.port() != 0);
    client = std::make_unique<httplib::Client>(at, server.port());
  }

  admin_options reloading(admin_options how) {
    how.reload = [this] {
      return reloads;
    };
    return how;
  }
  static admin_options options() {
    admin_options how;
    how.any_port = true;
    how.version = "1.2.3";
    how.names = {"my-box"};
    how.metrics = [](const std::vector<queue_view>& views) {
      return "groups " + std::to_string(views.size()) + "\n";
    };
    return how;
  }

  int status(const std::string& path, const httplib::Headers& headers = {}) {
    const auto answer = client->Get(path, headers);
    REQUIRE(answer);
    return answer->status;
  }
  json page(const std::string& path) {
    const auto answer = client->Get(path);
    REQUIRE(answer);
    REQUIRE(answer->status == 200);
    CHECK(answer->get_header_value("Content-Type") == "application/json");
    return json::parse(answer->body);
  }
  int patch(const std::string& path, const std::string& body, httplib::Headers headers = {}) {
    const auto answer = client->Patch(path, headers, body, "application/json");
    REQUIRE(answer);
    return answer->status;
  }
  int cancel(const std::string& path, const httplib::Headers& headers = as_json) {
    const auto answer = client->Delete(path, headers);
    REQUIRE(answer);
    return answer->status;
  }

  made_up_desk desk;
  reload_report reloads;
  admin_server server;
  std::unique_ptr<httplib::Client> client;
};

} // namespace

TEST_CASE("a reload says what came of it", "[admin]") {
  admin_port port;
  const auto asked = [&](const httplib::Headers& headers = {}) {
    auto answer = port.client->Post("/reload", headers, "{}", "application/json");
    REQUIRE(answer);
    return answer;
  };
  port.reloads.warnings = {"one"};
  auto answer = asked();
  CHECK(answer->status == 200);
  CHECK(json::parse(answer->body) == json({{"status", "ok"}, {"warnings", {"one"}}}));
  CHECK(port.client->Post("/reload", "", "application/json")->status == 200);
  port.reloads.errors = {"config.yaml:3:1: wrong", "config.yaml:4:1: too"};
  answer = asked();
  CHECK(answer->status == 400);
  const auto refused = json::parse(answer->body);
  CHECK(refused["errors"].size() == 2);
  CHECK(refused["error"]["type"] == "invalid_request_error");
  CHECK(refused["error"]["message"].get<std::string>().find("config.yaml:4:1: too") !=
        std::string::npos);
  port.reloads = {};
  port.reloads.is_late = true;
  CHECK(asked()->status == 503);
  CHECK(asked({{"Origin", "http://elsewhere"}})->status == 403);
  CHECK(port.client->Post("/reload", "{}", "text/plain")->status == 403);
  CHECK(port.status("/reload") == 404);
}

TEST_CASE("the queue of a model, ticket by ticket", "[admin]") {
  admin_port port;
  const auto page = port.page("/queue/m");
  CHECK(page["model"] == "m");
  CHECK(page["waiting"] == 5);
  CHECK(page["next_offset"].is_null());
  REQUIRE(page["tickets"].size() == 5);
  const auto& first = page["tickets"][0];
  CHECK(first["id"] == "18446744073709551600");
  CHECK(first["priority"] == -3);
  CHECK(first["position"] == 1);
  CHECK(first["waited_ms"] == 1500);
  CHECK(first["deadline_in_ms"] == 2500);
  CHECK(first["deadline"].is_string());
  CHECK(first["instance"].is_null());
  CHECK(first["why"] == "all-full");
  CHECK(page["tickets"][1]["deadline"].is_null());
  CHECK(page["tickets"][1]["instance"] == "b");
  const auto& deployment = page["deployments"][0];
  CHECK(deployment["id"] == "one");
  CHECK(deployment["healthy"] == false);
  CHECK(deployment["full"] == true);
  CHECK(deployment["cooling"] == false);
  CHECK(deployment["in_flight"] == 2);
  CHECK(deployment["max_parallel_requests"] == 2);
  CHECK(deployment["rpm"]["used"] == 7);
  CHECK(deployment["rpm"]["limit"] == 10);
  CHECK(deployment["tpm"]["limit"].is_null());
  CHECK(deployment["cooldown_ends_in_ms"].is_null());
  CHECK(port.desk.deadline_left.load() > 0s);
  CHECK(port.desk.deadline_left.load() <= 2s);
}

TEST_CASE("the time of day of a deadline", "[admin]") {
  queue_view view;
  view.at = start;
  ticket_report ticket;
  ticket.deadline = start + 30'125ms;
  view.tickets.push_back(ticket);
  const auto page = json::parse(queue_page(view, wall));
  CHECK(page["tickets"][0]["deadline"] == "2027-01-15T08:00:30.125Z");
}

TEST_CASE("queues are paged", "[admin]") {
  admin_port port;
  auto page = port.page("/queue/m?offset=1&limit=2");
  CHECK(page["offset"] == 1);
  CHECK(page["next_offset"] == 3);
  CHECK(page["waiting"] == 5);
  REQUIRE(page["tickets"].size() == 2);
  CHECK(page["tickets"][0]["position"] == 2);
  page = port.page("/queue/m?offset=3&limit=2");
  CHECK(page["next_offset"].is_null());
  for (const auto* wrong : {"offset=-1", "offset=x", "limit=1001", "limit=1x", "limit="}) {
    INFO(wrong);
    CHECK(port.status("/queue/m?" + std::string(wrong)) == 400);
    CHECK(port.status("/queue?" + std::string(wrong)) == 400);
  }
}

TEST_CASE("all queues, aliases, patterns and unknown names", "[admin]") {
  admin_port port;
  const auto page = port.page("/queue");
  REQUIRE(page["queues"].size() == 2);
  CHECK(page["queues"][1]["model"] == "family/*");
  CHECK(port.page("/queue/alias")["model"] == "m");
  CHECK(port.page("/queue/one")["model"] == "m");
  CHECK(port.page("/queue/family/*")["model"] == "family/*");
  CHECK(port.page("/queue/family%2Fsome")["model"] == "family/*");
  CHECK(port.status("/queue/unknown") == 404);
  CHECK(port.status("/nonsense") == 404);
  // Long paths must not exhaust the stack of whoever matches them.
  CHECK(port.status("/queue/" + std::string(7000, 'x')) == 404);
}

TEST_CASE("a queue that does not answer is a 503", "[admin]") {
  admin_port port;
  port.desk.late = true;
  CHECK(port.status("/queue") == 503);
  CHECK(port.status("/queue/m") == 503);
  port.desk.result.reset();
  CHECK(port.cancel("/queue/m/1") == 503);
  CHECK(port.status("/health") == 200);
}

TEST_CASE("metrics are text, of the groups that answer in time", "[admin]") {
  admin_port port;
  auto answer = port.client->Get("/metrics");
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->body == "groups 2\n");
  CHECK(answer->get_header_value("Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
  port.desk.late = true;
  answer = port.client->Get("/metrics");
  REQUIRE(answer);
  CHECK(answer->body == "groups 0\n");
  CHECK(port.status("/metrics", {{"Host", "evil.example"}}) == 403);
}

TEST_CASE("health and readiness", "[admin]") {
  admin_port port;
  CHECK(port.page("/health/liveliness") == "I'm alive!");
  CHECK(port.page("/health/liveness") == "I'm alive!");
  CHECK(port.page("/health/readiness")["vorrang_version"] == "1.2.3");
  CHECK(port.page("/health")["healthy_endpoints"][0]["state"] == "full");
  port.desk.now_ready.draining = true;
  CHECK(port.status("/health/readiness") == 503);
}

TEST_CASE("an operator moves and cancels", "[admin]") {
  admin_port port;
  CHECK(port.patch("/queue/m/18446744073709551600", R"({"priority": -7})") == 200);
  CHECK(port.desk.last() == "move m 18446744073709551600 -7");
  CHECK(port.patch("/queue/family/some/12", R"({"priority": 2147483647})") == 200);
  CHECK(port.desk.last() == "move family/* 12 2147483647");
  CHECK(port.cancel("/queue/alias/13") == 200);
  CHECK(port.desk.last() == "cancel m 13");
  for (const auto* wrong :
       {"", "{", "[]", "{}", R"({"priority":1.0})", R"({"priority":true})", R"({"priority":"1"})",
        R"({"priority":2147483648})", R"({"priority":null})"}) {
    INFO(wrong);
    CHECK(port.patch("/queue/m/1", wrong) == 400);
  }
  for (const auto* path : {"/queue/m", "/queue/m/x", "/queue/m/-1", "/queue/unknown/1",
                           "/queue/m/99999999999999999999999"}) {
    INFO(path);
    CHECK(port.cancel(path) == 404);
    CHECK(port.patch(path, R"({"priority":1})") == 404);
  }
  CHECK(port.desk.last().empty());
  port.desk.result = change_result::unknown_ticket;
  CHECK(port.cancel("/queue/m/1") == 404);
  port.desk.result = change_result::not_waiting;
  CHECK(port.cancel("/queue/m/1") == 409);
}

TEST_CASE("pages of other sites neither read nor change", "[admin]") {
  admin_port port;
  const auto own = "127.0.0.1:" + std::to_string(port.server.port());
  CHECK(port.status("/queue", {{"Host", "localhost:1"}}) == 200);
  CHECK(port.status("/queue", {{"Host", "my-box"}}) == 200);
  CHECK(port.status("/queue", {{"Host", own}, {"Origin", "http://" + own}}) == 200);
  // DNS rebinding: our address under a name of theirs.
  CHECK(port.status("/queue", {{"Host", "evil.example"}}) == 403);
  CHECK(port.status("/queue", {{"Host", own}, {"Origin", "http://evil.example"}}) == 403);
  CHECK(port.status("/health/liveliness", {{"Host", "evil.example"}}) == 200);

  const auto cancel = [&](httplib::Headers headers) {
    headers.emplace("Content-Type", "application/json");
    return port.cancel("/queue/m/1", headers);
  };
  CHECK(cancel({{"Host", own}}) == 200);
  CHECK(cancel({{"Host", own}, {"Origin", "http://" + own}}) == 200);
  port.desk.last();
  CHECK(cancel({{"Host", "evil.example"}}) == 403);
  CHECK(cancel({{"Host", "evil.example"}, {"Origin", "http://evil.example"}}) == 403);
  CHECK(cancel({{"Host", own}, {"Origin", "http://evil.example"}}) == 403);
  CHECK(cancel({{"Host", own}, {"Origin", "http://127.0.0.1:1"}}) == 403);
  CHECK(cancel({{"Host", own}, {"Origin", "null"}}) == 403);
  CHECK(port.cancel("/queue/m/1", {}) == 403);
  CHECK(port.cancel("/queue/m/1", {{"Content-Type", "text/plain"}}) == 403);
  const auto plain =
      port.client->Patch("/queue/m/1", httplib::Headers{}, R"({"priority":1})", "text/plain");
  REQUIRE(plain);
  CHECK(plain->status == 403);
  CHECK(port.desk.last().empty());
}

TEST_CASE("off loopback the master key is asked for", "[admin]") {
  made_up_desk desk;
  const std::string anywhere = "vorrang_settings: {admin_host: 0.0.0.0}\n";
  auto keyless = *read_settings(models); // a file that says so is refused
  keyless.gateway.admin_host = "0.0.0.0";
  admin_server without(std::make_shared<const config::settings>(keyless), desk,
                       admin_port::options());
  CHECK(without.start().find("master_key") != std::string::npos);
  CHECK(without.port() == 0);

  admin_port port(anywhere + "general_settings: {master_key: sk-master}\n");
  const httplib::Headers key = {{"Authorization", "Bearer sk-master"}};
  CHECK(port.status("/queue") == 401);
  CHECK(port.status("/health") == 401);
  CHECK(port.status("/metrics") == 401);
  CHECK(port.status("/metrics", {{"Authorization", "Bearer sk-master"}}) == 200);
  CHECK(port.status("/queue", {{"Authorization", "Bearer sk-maste"}}) == 401);
  CHECK(port.status("/queue", {{"x-api-key", "sk-master"}}) == 200);
  CHECK(port.status("/queue", key) == 200);
  CHECK(port.status("/health/readiness") == 200);
  CHECK(port.cancel("/queue/m/1") == 401);
  CHECK(port.desk.last().empty());
  // With the key a change wants its own Host all the same.
  httplib::Headers change = as_json;
  change.emplace("Authorization", "Bearer sk-master");
  CHECK(port.cancel("/queue/m/1", change) == 200);
  change.emplace("Host", "evil.example");
  CHECK(port.cancel("/queue/m/1", change) == 403);
}

TEST_CASE("the port can be off, taken, and closed again", "[admin]") {
  made_up_desk desk;
  admin_server off(read_settings(models + "vorrang_settings: {admin_port: 0}\n"), desk, {});
  CHECK(off.start().empty());
  CHECK(off.port() == 0);

  admin_port first;
  const auto taken = first.server.port();
  admin_server second(
      read_settings(models + "vorrang_settings: {admin_port: " + std::to_string(taken) + "}\n"),
      desk, {});
  const auto why = second.start();
  CHECK(why.find(std::to_string(taken)) != std::string::npos);
  CHECK(second.port() == 0);

  first.server.stop();
  CHECK(first.server.port() == 0);
  CHECK_FALSE(first.client->Get("/queue"));
  // Stopped at once, without a request: nothing hangs.
  for (int i = 0; i < 20; ++i)
    admin_port brief;
}

TEST_CASE("several operators at once", "[admin]") {
  admin_port port;
  std::atomic<int> good{0};
  std::vector<std::thread> operators;
  for (int i = 0; i < 6; ++i)
    operators.emplace_back([&] {
      httplib::Client client("127.0.0.1", port.server.port());
      for (int n = 0; n < 20; ++n)
        if (const auto answer = client.Get("/queue/m"); answer && answer->status == 200)
          ++good;
    });
  for (auto& each : operators)
    each.join();
  CHECK(good == 120);
}

TEST_CASE("which names are this machine's", "[admin]") {
  const own_names names({"My-Box", "192.0.2.7", "2001:DB8::1"});
  for (const auto* own : {"localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.9.9.9:80",
                          "[::1]:80", "0.0.0.0", "[::]", "my-box:4001", "MY-BOX", "192.0.2.7",
                          "[2001:db8:0::1]:80", "[::ffff:127.0.0.1]"}) {
    INFO(own);
    CHECK(names.holds(own));
  }
  for (const auto* foreign :
       {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.8",
        "localhost:x", "localhost:123456", "[::1", "[::1]x", "::1", "my-box@evil.example", "my box",
        "[2001:db8::2]"}) {
    INFO(foreign);
    CHECK_FALSE(names.holds(foreign));
  }
  CHECK(names.is_own_origin("http://my-box:4001", "My-Box:4001"));
  CHECK_FALSE(names.is_own_origin("http://my-box:4002", "my-box:4001"));
  CHECK_FALSE(names.is_own_origin("http://my-box:4001.evil", "my-box:4001"));
  CHECK_FALSE(names.is_own_origin("ftp://my-box:4001", "my-box:4001"));
  CHECK_FALSE(names.is_own_origin("http://evil.example", "evil.example"));
  CHECK(is_loopback("127.0.0.1"));
  CHECK(is_loopback("::1"));
  CHECK(is_loopback("[::1]"));
  CHECK_FALSE(is_loopback("0.0.0.0"));
  CHECK_FALSE(is_loopback("::"));
  CHECK_FALSE(is_loopback("192.0.2.7"));
}

} // namespace vorrang::http::tests
