// The operator's port, on a real socket, over a desk that is made up.

#include "front_fixture.hpp"

#include "http/admin_pages.hpp"
#include "http/admin_server.hpp"
#include "http/live_feed.hpp"
#include "http/own_names.hpp"

#include <atomic>
#include <httplib.h>
#include <mutex>
#include <random>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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
    ++looks;
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
      ticket.arrival = 100 - place;
      ticket.waited = 1500ms;
      ticket.why = wait_reason::all_full;
      ticket.waits_for = static_cast<std::uint8_t>(missing::rpm);
      ticket.ready_in = 12'400ms;
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

  std::atomic<int> looks{0};
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
  for (const auto* wrong :
       {"offset=-1", "offset=x", "offset=4294967296", "limit=1001", "limit=1x", "limit="}) {
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

TEST_CASE("a page of another site cannot have upstreams probed", "[admin]") {
  admin_port port;
  for (const char* site : {"cross-site", "same-site"})
    CHECK(port.status("/health?probe=true", {{"Sec-Fetch-Site", site}}) == 403);
  for (const char* site : {"none", "same-origin"})
    CHECK(port.status("/health?probe=true", {{"Sec-Fetch-Site", site}}) != 403);
  CHECK(port.status("/health", {{"Sec-Fetch-Site", "cross-site"}}) == 200);
}

namespace {

/// All that the port answers to these pieces, of which each further one is sent when it has said
/// something.
std::string answers_to(std::uint16_t port, const std::vector<std::string>& pieces) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  std::string all;
  char buffer[4096];
  const auto hear = [&] {
    const auto size = ::recv(socket, buffer, sizeof buffer, 0);
    all.append(buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return size > 0;
  };
  for (const auto& piece : pieces) {
    ::send(socket, piece.data(), piece.size(), MSG_NOSIGNAL); // it may have been closed
    if (&piece != &pieces.back())
      hear();
  }
  while (hear()) {
  }
  ::close(socket);
  return all;
}

std::size_t count_of(std::string_view what, std::string_view all) {
  std::size_t count = 0;
  for (auto at = all.find(what); at != all.npos; at = all.find(what, at + 1))
    ++count;
  return count;
}

} // namespace

TEST_CASE("what is left of a refused request is no request", "[admin]") {
  admin_port port;
  const auto own = "127.0.0.1:" + std::to_string(port.server.port());
  const std::string smuggled =
      "DELETE /queue/m/1 HTTP/1.1\r\nHost: " + own + "\r\nContent-Type: application/json\r\n\r\n";
  // What a page of another site may send without being asked for leave.
  const std::string head = "POST /queue HTTP/1.1\r\nHost: " + own +
                           "\r\nOrigin: http://evil.example\r\nContent-Type: text/plain\r\n"
                           "Content-Length: " +
                           std::to_string(smuggled.size()) + "\r\n\r\n";
  for (const auto& pieces : {std::vector{head, smuggled}, std::vector{head + smuggled}}) {
    const auto answers = answers_to(port.server.port(), pieces);
    CHECK(answers.find("HTTP/1.1 403 ") == 0);
    CHECK(count_of("HTTP/1.1 ", answers) == 1);
    CHECK(port.desk.last().empty());
  }
}

TEST_CASE("a body is bounded, and not waited for where there is none", "[admin]") {
  admin_port port;
  const std::string head = "PATCH /queue/m/1 HTTP/1.1\r\nHost: localhost\r\n"
                           "Content-Type: application/json\r\n";
  const auto status_of = [&](const std::string& rest) {
    const auto answer = answers_to(port.server.port(), {head + rest});
    REQUIRE(answer.size() > 12);
    return answer.substr(9, 3);
  };
  const auto began = std::chrono::steady_clock::now();
  CHECK(status_of("\r\n") == "400");
  CHECK(std::chrono::steady_clock::now() - began < 4s); // its client leaves the connection open
  CHECK(status_of("Transfer-Encoding: chunked\r\n\r\nf\r\n{\"priority\": 7}\r\n0\r\n\r\n") ==
        "200");
  CHECK(port.desk.last() == "move m 1 7");
  CHECK(status_of("Transfer-Encoding: chunked\r\n\r\n10001\r\n" + std::string(0x10001, ' ')) ==
        "413");
  CHECK(status_of("Content-Length: 65537\r\n\r\n" + std::string(65'537, ' ')) == "413");
  CHECK(port.desk.last().empty());
}

TEST_CASE("a method that a path does not take is told from a path that is not there", "[admin]") {
  admin_port port;
  const auto get = port.client->Get("/reload");
  REQUIRE(get);
  CHECK(get->status == 405);
  CHECK(get->get_header_value("Allow") == "POST");
  CHECK(json::parse(get->body)["error"]["message"] == "This path takes POST, not GET");
  for (const auto* path : {"/", "/page.js", "/queue", "/events", "/metrics", "/health"})
    CHECK(port.cancel(path) == 405);
  const auto post = port.client->Post("/queue/m/1", "{}", "application/json");
  REQUIRE(post);
  CHECK(post->status == 405);
  CHECK(post->get_header_value("Allow") == "GET, HEAD, PATCH, DELETE");
  CHECK(answers_to(port.server.port(), {"POST /queue HTTP/1.1\r\nHost: localhost\r\n"
                                        "Content-Type: application/json\r\n\r\n"})
            .find("HTTP/1.1 405 ") == 0);
  CHECK(port.cancel("/nonsense") == 404);
  CHECK(port.desk.last().empty());
}

TEST_CASE("no answer is told in pieces", "[admin]") {
  admin_port port;
  const auto whole = port.client->Get("/chart.js");
  REQUIRE(whole);
  std::string pieces = "bytes=0-99";
  for (int i = 0; i < 200; ++i)
    pieces += ",0-99";
  for (const auto& range : {std::string("bytes=0-9"), pieces}) {
    const auto answer = port.client->Get("/chart.js", {{"Range", range}});
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == whole->body);
  }
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

namespace {

/// The first `count` events of the stream at `path`, and the answer they came in.
struct heard {
  int status = 0;
  std::string type;
  std::vector<json> states;
};
heard listen(std::uint16_t port, const std::string& path, std::size_t count,
             const httplib::Headers& headers = {}) {
  heard result;
  std::string text;
  httplib::Client client("127.0.0.1", port);
  client.Get(
      path, headers,
      [&](const httplib::Response& answer) {
        result.status = answer.status;
        result.type = answer.get_header_value("Content-Type");
        return true;
      },
      [&](const char* data, std::size_t size) {
        text.append(data, size);
        for (auto end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n")) {
          const std::string begin = "event: state\ndata: ";
          if (text.compare(0, begin.size(), begin) == 0)
            result.states.push_back(json::parse(text.substr(begin.size(), end - begin.size())));
          text.erase(0, end + 2);
        }
        return result.states.size() < count;
      });
  return result;
}

} // namespace

TEST_CASE("the live page's files, and what its browser may do with them", "[admin]") {
  admin_port port;
  for (const auto& [path, type] : {std::pair("/", "text/html; charset=utf-8"),
                                   std::pair("/page.css", "text/css; charset=utf-8"),
                                   std::pair("/page.js", "text/javascript; charset=utf-8"),
                                   std::pair("/parts.js", "text/javascript; charset=utf-8"),
                                   std::pair("/chart.js", "text/javascript; charset=utf-8"),
                                   std::pair("/icon.svg", "image/svg+xml")}) {
    INFO(path);
    const auto answer = port.client->Get(path);
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->get_header_value("Content-Type") == type);
    CHECK_FALSE(answer->body.empty());
    const auto policy = answer->get_header_value("Content-Security-Policy");
    CHECK(policy.find("default-src 'none'") == 0);
    CHECK(policy.find("unsafe") == std::string::npos);
    CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
    CHECK(answer->get_header_value("X-Content-Type-Options") == "nosniff");
    // No other host is named where something would be loaded from it.
    if (std::string(path) != "/chart.js" && std::string(path) != "/icon.svg") {
      CHECK(answer->body.find("http://") == std::string::npos);
      CHECK(answer->body.find("https://") == std::string::npos);
      CHECK(answer->body.find("innerHTML") == std::string::npos);
    }
  }
  CHECK(port.status("/", {{"Host", "evil.example"}}) == 403);
  CHECK(port.status("/pageXcss") == 404);
}

TEST_CASE("the stream of the live page", "[admin]") {
  admin_port port;
  const auto told = listen(port.server.port(), "/events?model=m", 2);
  CHECK(told.status == 200);
  CHECK(told.type == "text/event-stream");
  REQUIRE(told.states.size() == 2);
  const auto& state = told.states[0];
  CHECK(state["version"] == "1.2.3");
  CHECK(state["draining"] == false);
  REQUIRE(state["queues"].size() == 2);
  CHECK(state["queues"][0]["model"] == "m");
  CHECK(state["queues"][0]["waiting"] == 5);
  CHECK(state["queues"][0]["in_flight"] == 2);
  CHECK(state["queues"][0]["blocked"] == "waits for rpm: next unit in 12.4 s");
  CHECK(state["queues"][1]["blocked"].is_null());
  const auto& line = state["line"];
  CHECK(line["model"] == "m");
  REQUIRE(line["lanes"].size() == 1);
  CHECK(line["lanes"][0]["priority"] == -3);
  CHECK(line["lanes"][0]["count"] == 5);
  CHECK(line["lanes"][0]["first_position"] == 1);
  REQUIRE(line["lanes"][0]["tickets"].size() == 5);
  // Their arrivals fall: each was passed by all before it.
  CHECK(line["lanes"][0]["tickets"][0]["overtook"] == 4);
  CHECK(line["lanes"][0]["tickets"][0]["overtaken"] == 0);
  CHECK(line["lanes"][0]["tickets"][4]["overtaken"] == 4);
  CHECK(line["deployments"][0]["reason"] == "slots: 2 of 2 used");
  CHECK(listen(port.server.port(), "/events", 1).states.at(0)["line"].is_null());
  CHECK(
      listen(port.server.port(), "/events?model=%22%3Cunknown", 1).states.at(0)["line"].is_null());
}

TEST_CASE("a queue that is late is named to the live page's viewers", "[admin]") {
  admin_port port;
  port.desk.now_ready = {true, false};
  port.desk.late = true;
  const auto told = listen(port.server.port(), "/events?model=m", 1);
  CHECK(told.states.at(0)["late"] == json({"m", "family/*"}));
  CHECK(told.states.at(0)["queues"].empty());
  CHECK(told.states[0]["draining"] == true);
  CHECK(told.states[0]["redis_reachable"] == false);
}

TEST_CASE("pages of other sites may not hold streams", "[admin]") {
  admin_port port;
  CHECK(listen(port.server.port(), "/events", 1, {{"Sec-Fetch-Site", "cross-site"}}).status == 403);
  CHECK(listen(port.server.port(), "/events", 1, {{"Sec-Fetch-Site", "same-site"}}).status == 403);
  CHECK(listen(port.server.port(), "/events", 1, {{"Sec-Fetch-Site", "same-origin"}}).status ==
        200);
  CHECK(listen(port.server.port(), "/events", 1, {{"Host", "evil.example"}}).status == 403);
}

TEST_CASE("off loopback the page comes without the key, and its stream does not", "[admin]") {
  admin_port port("vorrang_settings: {admin_host: 0.0.0.0}\n"
                  "general_settings: {master_key: sk-master}\n");
  CHECK(port.status("/") == 200);
  CHECK(port.status("/page.js") == 200);
  CHECK(listen(port.server.port(), "/events?model=m", 1).status == 401);
  CHECK(listen(port.server.port(), "/events?model=m", 1, {{"Authorization", "Bearer sk-master"}})
            .states.size() == 1);
}

TEST_CASE("viewers are few, and the port serves others meanwhile", "[admin]") {
  admin_port port;
  live_feed feed([](const std::set<std::string>&) { return std::map<std::string, std::string>(); });
  std::vector<std::unique_ptr<live_feed::viewer>> all; // gone before the feed
  for (std::size_t i = 0; i < live_feed::viewers_max; ++i)
    REQUIRE(all.emplace_back(feed.join("m")));
  CHECK_FALSE(feed.join("m"));
  all.pop_back();
  CHECK(feed.join("m"));
  feed.end();
  CHECK_FALSE(feed.join("m"));

  std::atomic<std::size_t> listening{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> viewers;
  for (std::size_t i = 0; i < live_feed::viewers_max; ++i)
    viewers.emplace_back([&] {
      httplib::Client client("127.0.0.1", port.server.port());
      bool has_come = false;
      client.Get("/events?model=m", [&](const char*, std::size_t) {
        if (!std::exchange(has_come, true))
          ++listening;
        return !over.load();
      });
    });
  while (listening < live_feed::viewers_max)
    std::this_thread::yield();
  const auto refused = port.client->Get("/events?model=m");
  REQUIRE(refused);
  CHECK(refused->status == 503);
  CHECK(refused->get_header_value("Retry-After") == "5");
  CHECK(json::parse(refused->body)["error"]["message"].get<std::string>().find("8 viewers") !=
        std::string::npos);
  CHECK(port.status("/queue/m") == 200);
  SECTION("the stop ends all streams") {
    port.server.stop();
  }
  over = true;
  for (auto& each : viewers)
    each.join();
}

TEST_CASE("one look serves all viewers, and nobody looks for nobody", "[admin]") {
  std::mutex mutex;
  std::vector<std::set<std::string>> asked;
  live_feed feed([&](const std::set<std::string>& models) {
    const std::lock_guard guard(mutex);
    asked.push_back(models);
    std::map<std::string, std::string> texts;
    for (const auto& each : models)
      texts[each] = each + " " + std::to_string(asked.size());
    return texts;
  });
  CHECK(feed.looks_count() == 0);
  {
    const auto a = feed.join("a");
    const auto b = feed.join("b");
    const auto also_a = feed.join("a");
    CHECK(a->next().substr(0, 2) == "a ");
    const auto heard_by_b = b->next();
    CHECK(heard_by_b.substr(0, 2) == "b ");
    feed.hurry();
    const auto next = a->next();
    CHECK(also_a->next() == next);
    CHECK(feed.viewers_count() == 3);
  }
  CHECK(feed.viewers_count() == 0);
  const auto looks = feed.looks_count();
  {
    const std::lock_guard guard(mutex);
    CHECK(asked.size() == looks);
    CHECK(asked.back() == std::set<std::string>{"a", "b"});
  }
  feed.end();
  CHECK(feed.looks_count() == looks);
}

TEST_CASE("who overtook whom, against counting", "[admin]") {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<ticket_report> line(random() % 40);
    for (std::size_t i = 0; i < line.size(); ++i)
      line[i].arrival = i;
    std::shuffle(line.begin(), line.end(), random);
    const auto found = find_overtaking(line);
    REQUIRE(found.size() == line.size());
    for (std::size_t i = 0; i < line.size(); ++i) {
      std::uint32_t overtook = 0;
      std::uint32_t overtaken = 0;
      for (std::size_t j = 0; j < line.size(); ++j) {
        overtook += j > i && line[j].arrival < line[i].arrival ? 1 : 0;
        overtaken += j < i && line[j].arrival > line[i].arrival ? 1 : 0;
      }
      REQUIRE(found[i].overtook == overtook);
      REQUIRE(found[i].overtaken == overtaken);
    }
  }
}

TEST_CASE("lanes, and what they leave out", "[admin]") {
  queue_view view;
  view.name = "m";
  view.at = start;
  for (int i = 0; i < 300; ++i) {
    auto& ticket = view.tickets.emplace_back();
    ticket.priority = i / 10;
    ticket.arrival = static_cast<std::uint64_t>(i);
    ticket.position = static_cast<std::uint32_t>(i + 1);
    ticket.waited = std::chrono::seconds(300 - i);
  }
  view.waiting = 1000;
  const std::vector<queue_view> views = {view};
  live_facts facts;
  facts.views = &views;
  facts.wall = wall;
  const auto line = json::parse(live_text(facts, "m", {}))["line"];
  REQUIRE(line["lanes"].size() == live_lanes_max);
  CHECK(line["in_lanes"] == 10 * live_lanes_max);
  CHECK(line["waiting"] == 1000);
  CHECK(line["lanes"][3]["first_position"] == 31);
  CHECK(line["lanes"][3]["oldest_wait_ms"] == 270'000);

  auto long_view = views;
  for (auto& each : long_view[0].tickets)
    each.priority = 1;
  facts.views = &long_view;
  const auto one = json::parse(live_text(facts, "m", {}))["line"]["lanes"];
  REQUIRE(one.size() == 1);
  CHECK(one[0]["count"] == 300);
  CHECK(one[0]["tickets"].size() == live_lane_tickets_max);
}

TEST_CASE("reasons in words", "[admin]") {
  ticket_report ticket;
  ticket.position = 2;
  CHECK(reason_in_words(ticket) == "waits behind 1 other");
  ticket.position = 13;
  CHECK(reason_in_words(ticket) == "waits behind 12 others");
  ticket.why = wait_reason::all_full;
  CHECK(reason_in_words(ticket) == "waits for room at a deployment");
  ticket.waits_for = static_cast<std::uint8_t>(missing::slot);
  CHECK(reason_in_words(ticket) == "waits for a free slot");
  ticket.waits_for |= static_cast<std::uint8_t>(missing::tpm);
  ticket.ready_in = 101'600ms;
  CHECK(reason_in_words(ticket) == "waits for a free slot or tpm: next unit in 102 s");
  ticket.why = wait_reason::all_cooling;
  CHECK(reason_in_words(ticket) == "all its deployments cool down: the first is back in 102 s");
  ticket.why = wait_reason::backing_off;
  CHECK(reason_in_words(ticket) == "backs off after a failed attempt: again in 102 s");
  ticket.why = wait_reason::held;
  CHECK(reason_in_words(ticket) == "nothing is granted while Redis is away");

  deployment_report deployment;
  CHECK(reason_in_words(deployment).empty());
  deployment.full = true;
  CHECK(reason_in_words(deployment) == "re-opens after a cooldown: takes a few at a time");
  deployment.rpm = 10;
  deployment.rpm_used = 10;
  deployment.window_returns_in = 12'400ms;
  CHECK(reason_in_words(deployment) == "rpm: 10 of 10 used, next unit in 12.4 s");
  deployment.max_parallel_requests = 3;
  deployment.in_flight = 3;
  CHECK(reason_in_words(deployment) ==
        "slots: 3 of 3 used; rpm: 10 of 10 used, next unit in 12.4 s");
  deployment.cooling = true;
  CHECK(reason_in_words(deployment) == "cools down after a failure without an answer");
  deployment.last_failure_status = 429;
  deployment.cooldown_ends_in = 3'210ms;
  CHECK(reason_in_words(deployment) == "cools down after 429: 3.2 s left");
  deployment.retired = true;
  CHECK(reason_in_words(deployment) == "removed by a reload: finishes its calls");
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
