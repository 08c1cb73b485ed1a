// Reloads of a gateway with the real engine, while clients ask on real sockets.
#include "sockets.hpp"

#include "config/reader.hpp"
#include "http/actors_engine.hpp"

#include "catch.hpp"

#include <atomic>
#include <thread>

using namespace vorrang;
using namespace vorrang::http;
using namespace vorrang::http::tests;

namespace {

config::read_result read(int slots, const std::string& more = {}) {
  return config::read_text("model_list:\n"
                           "- model_name: m\n"
                           "  litellm_params: {model: openai/x, mock_response: hello, "
                           "max_parallel_requests: " +
                               std::to_string(slots) + "}\n" + more,
                           "config.yaml", config::fixed_environment({}));
}

std::string ask_of(const std::string& model) {
  const std::string body =
      R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}]})";
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\ncontent-type: "
         "application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string other(int number) {
  return "- model_name: other" + std::to_string(number) +
         "\n  litellm_params: {model: openai/x, mock_response: hello}\n";
}

struct running {
  running() {
    gateway_options options;
    options.port = 0;
    options.threads = 2;
    options.any_admin_port = true;
    serves = std::make_unique<gateway>(std::make_shared<const config::settings>(read(2).settings),
                                       options, actors_engine());
    REQUIRE(serves->start() == "");
  }
  std::unique_ptr<gateway> serves;
};

int status_of(plain_socket& client, const std::string& model) {
  if (!client.send(ask_of(model)))
    return 0;
  const std::string answer = client.message();
  return answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
}

} // namespace

TEST_CASE("reload: under load no request fails and no connection is lost") {
  running all;
  std::atomic<bool> ended{false};
  std::atomic<int> answered{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i)
    clients.emplace_back([&] {
      auto socket = plain_socket::connected(all.serves->port());
      while (!ended)
        ++(status_of(socket, "m") == 200 ? answered : wrong);
    });
  for (int i = 0; i < 60; ++i) {
    const auto report = all.serves->reload(read(1 + i % 3, other(i % 4) + other(4 + i % 3)));
    CHECK(report.is_done());
    const int goal = answered + 3;
    while (answered < goal && wrong == 0)
      std::this_thread::yield();
  }
  ended = true;
  for (auto& each : clients)
    each.join();
  CHECK(wrong == 0);
  CHECK(answered > 150);
}

TEST_CASE("reload: errors change nothing, and after the end there is none") {
  running all;
  auto client = plain_socket::connected(all.serves->port());
  CHECK(status_of(client, "other1") == 400);
  auto bad = read(1, other(1) + "router_settings: {cooldown_time: soon}\n");
  REQUIRE(bad.has_errors());
  const auto report = all.serves->reload(std::move(bad));
  REQUIRE(report.errors.size() == 1);
  CHECK(report.errors[0].rfind("config.yaml:6:19: ", 0) == 0);
  CHECK(status_of(client, "other1") == 400);
  CHECK(all.serves->reload(read(1, other(1))).is_done());
  CHECK(status_of(client, "other1") == 200);
  client.close();
  all.serves->drain();
  all.serves->wait();
  CHECK(all.serves->reload(read(1)).is_late);
}
