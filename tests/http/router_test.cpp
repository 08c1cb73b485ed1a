// The router as a program uses it: real threads, real time where nothing waits for it, and an
// upstream on a socket.
#include "sockets.hpp"

#include "config/settings.hpp"
#include "http/router.hpp"
#include "http/router_asio.hpp"

#include "catch.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

using namespace vorrang;
using http::tests::fake_upstream;
using http::tests::plain_socket;

namespace {

model_entry mock_entry() {
  model_entry entry;
  entry.model_name = "gpt-3.5-turbo";
  entry.litellm_params.model = "gpt-3.5-turbo";
  entry.litellm_params.mock_response = "Hello world this is Macintosh!";
  return entry;
}

model_entry real_entry(const fake_upstream& upstream) {
  model_entry entry;
  entry.model_name = "real";
  entry.litellm_params.model = "openai/x";
  entry.litellm_params.api_key = "secret-key";
  entry.litellm_params.api_base = "http://127.0.0.1:" + std::to_string(upstream.port()) + "/v1";
  entry.model_info_json = R"({"id": "east"})";
  return entry;
}

std::unique_ptr<router> make(const router_options& options) {
  auto made = router::make(options);
  for (const auto& each : made.problems)
    UNSCOPED_INFO(each);
  REQUIRE(made.value);
  return std::move(made.value);
}

std::unique_ptr<router> make(model_entry entry) {
  router_options options;
  options.model_list = {std::move(entry)};
  options.timeout = 60;
  return make(options);
}

completion_request ask_for(const std::string& model) {
  completion_request request;
  request.model = model;
  request.messages = {{"user", "Hey!"}};
  return request;
}

std::string with_length(const std::string& body, const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status +
         "\r\ncontent-type: application/json\r\ncontent-length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

const std::string answer_body =
    R"({"id":"1","model":"x","choices":[{"message":{"role":"assistant","content":"hi there"}}]})";

std::string all_of(const std::vector<std::string>& problems) {
  std::string text;
  for (const auto& each : problems)
    text += each + "\n";
  return text;
}

} // namespace

TEST_CASE("one call with rpm 1 answers at once, what comes after it waits for its deadline") {
  auto entry = mock_entry();
  entry.litellm_params.rpm = 1;
  router_options options;
  options.model_list = {entry};
  options.timeout = 0.2;
  options.routing_strategy = "usage-based-routing-v2";
  const auto router = make(options);
  auto first = router->acompletion(ask_for("gpt-3.5-turbo")).get();
  REQUIRE(succeeded(first));
  CHECK(std::get<completion>(first).text() == "Hello world this is Macintosh!");
  auto second = router->acompletion(ask_for("gpt-3.5-turbo")).get();
  REQUIRE_FALSE(succeeded(second));
  CHECK(std::get<completion_error>(second).status == 408);
  CHECK(std::get<completion_error>(second).message == "Request timed out while polling queue");
  CHECK(std::get<completion_error>(second).facts.waited > std::chrono::nanoseconds(0));
  CHECK(std::get<completion_error>(second).facts.attempts == 0);
}

TEST_CASE("a text completion answers its prompt") {
  const auto router = make(mock_entry());
  completion_request request;
  request.model = "gpt-3.5-turbo";
  request.prompt = "Hey!";
  request.priority = 0;
  const auto result = router->atext_completion(request).get();
  REQUIRE(succeeded(result));
  CHECK(std::get<completion>(result).text() == "Hello world this is Macintosh!");
  CHECK(std::get<completion>(result).body.find("text_completion") != std::string::npos);
}

TEST_CASE("a callback hears of the result once, on another thread") {
  // Before the router, whose thread may still be inside set_value() when it is heard.
  std::promise<std::pair<bool, std::thread::id>> told;
  const auto router = make(mock_entry());
  const auto number = router->acompletion(ask_for("gpt-3.5-turbo"), [&](completion_result result) {
    told.set_value({succeeded(result), std::this_thread::get_id()});
  });
  CHECK(number != 0);
  const auto heard = told.get_future().get();
  CHECK(heard.first);
  CHECK(heard.second != std::this_thread::get_id());
}

TEST_CASE("a wrong request is an error value") {
  const auto router = make(mock_entry());
  auto request = ask_for("nobody");
  auto result = router->acompletion(request).get();
  REQUIRE_FALSE(succeeded(result));
  CHECK(std::get<completion_error>(result).status == 400);
  CHECK(std::get<completion_error>(result).message.find("nobody") != std::string::npos);
  request = ask_for("gpt-3.5-turbo");
  request.messages_json = "[";
  CHECK(std::get<completion_error>(router->acompletion(request).get()).status == 400);
  request = ask_for("gpt-3.5-turbo");
  request.more_json = "[]";
  CHECK(std::get<completion_error>(router->acompletion(request).get()).status == 400);
  request = ask_for("gpt-3.5-turbo");
  request.timeout = -1;
  CHECK(std::get<completion_error>(router->acompletion(request).get()).status == 400);
}

TEST_CASE("wrong arguments are problems that name them") {
  router_options options;
  CHECK_FALSE(router::make(options).value);
  CHECK_FALSE(router::make(options).problems.empty());
  options.model_list = {mock_entry()};
  options.routing_strategy = "fastest";
  options.timeout = -1;
  auto made = router::make(options);
  CHECK_FALSE(made.value);
  auto told = all_of(made.problems);
  CHECK(told.find("routing_strategy: expected `simple-shuffle`") != std::string::npos);
  CHECK(told.find("timeout: ") != std::string::npos);

  options.routing_strategy.reset();
  options.timeout.reset();
  options.redis_url = "http://localhost";
  made = router::make(options);
  CHECK_FALSE(made.value);
  CHECK(all_of(made.problems).find("redis_url") != std::string::npos);
  options.redis_url.reset();
  CHECK(router::make(options).value);

  options.config_text = "model_list: []";
  CHECK_FALSE(router::make(options).value);
}

TEST_CASE("a whole configuration, whose keys are for others") {
  router_options options;
  options.config_text = "model_list:\n"
                        "- model_name: m\n"
                        "  litellm_params: {model: openai/x, mock_response: hello}\n"
                        "general_settings: {master_key: sk-1234}\n"
                        "router_settings: {timeout: 5, num_retries: 7}\n";
  const auto router = make(options);
  CHECK(router->settings().router.num_retries == 7);
  const auto result = router->acompletion(ask_for("m")).get();
  REQUIRE(succeeded(result));
  CHECK(std::get<completion>(result).text() == "hello");

  options.config_text = "model_list: [";
  const auto broken = router::make(options);
  CHECK_FALSE(broken.value);
  CHECK(all_of(broken.problems).find("router:1:") != std::string::npos);
}

TEST_CASE("a real call goes out with its own fields and comes back whole") {
  std::mutex mutex;
  std::string seen;
  const fake_upstream upstream([&](plain_socket& socket, int) {
    for (;;) {
      const auto request = socket.message();
      if (request.empty())
        return;
      {
        const std::lock_guard guard(mutex);
        seen = request;
      }
      socket.send(with_length(answer_body));
    }
  });
  const auto router = make(real_entry(upstream));
  for (int i = 0; i < 3; ++i) {
    auto request = ask_for("real");
    request.priority = -5;
    request.timeout = 30;
    request.more_json = R"({"temperature": 0.5})";
    const auto result = router->acompletion(request).get();
    REQUIRE(succeeded(result));
    const auto& answer = std::get<completion>(result);
    CHECK(answer.text() == "hi there");
    CHECK(answer.facts.model_id == "east");
    CHECK(answer.facts.attempts == 1);
    CHECK(answer.body.find("\"real\"") != std::string::npos);
  }
  const std::lock_guard guard(mutex);
  CHECK(seen.find("POST /v1/chat/completions HTTP/1.1") == 0);
  CHECK(seen.find("Bearer secret-key") != std::string::npos);
  CHECK(seen.find("0.5") != std::string::npos);
  CHECK(seen.find("priority") == std::string::npos);
  CHECK(seen.find("timeout") == std::string::npos);
  CHECK(upstream.connections() == 1);
}

TEST_CASE("a real stream comes chunk by chunk, as the upstream sends it") {
  std::promise<void> first_seen;
  auto first = first_seen.get_future().share();
  const fake_upstream upstream([&](plain_socket& socket, int) {
    socket.message();
    socket.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    first.wait(); // the second is sent once the first has arrived
    socket.send("data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: [DONE]\n\n");
  });
  const auto router = make(real_entry(upstream));
  auto request = ask_for("real");
  request.stream = true;
  std::vector<std::string> chunks;
  request.on_chunk = [&](std::string_view chunk) {
    chunks.emplace_back(chunk);
    if (chunks.size() == 1)
      first_seen.set_value();
  };
  const auto result = router->acompletion(request).get();
  REQUIRE(succeeded(result));
  REQUIRE(chunks.size() == 2);
  CHECK(chunks[0].find("\"a\"") != std::string::npos);
  CHECK(chunks[1].find("\"b\"") != std::string::npos);
  CHECK(std::get<completion>(result).facts.model_id == "east");
}

TEST_CASE("a stream that breaks in its midst is an error after its chunks") {
  const fake_upstream upstream([&](plain_socket& socket, int) {
    socket.message();
    socket.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                "transfer-encoding: chunked\r\n\r\n"
                "11\r\ndata: {\"a\":1}\n\n\n\n\r\n");
    socket.reset();
  });
  const auto router = make(real_entry(upstream));
  auto request = ask_for("real");
  request.stream = true;
  std::size_t chunks = 0;
  request.on_chunk = [&](std::string_view) {
    ++chunks;
  };
  const auto result = router->acompletion(request).get();
  // A reset may overtake the chunk; then the call is tried again, and breaks again.
  REQUIRE_FALSE(succeeded(result));
  CHECK(std::get<completion_error>(result).status == 502);
}

TEST_CASE("a chunk's callback that throws ends the call as cancelled, and nothing else") {
  const auto router = make(mock_entry());
  auto request = ask_for("gpt-3.5-turbo");
  request.stream = true;
  request.on_chunk = [](std::string_view) {
    throw std::runtime_error("enough");
  };
  const auto result = router->acompletion(request).get();
  REQUIRE_FALSE(succeeded(result));
  CHECK(std::get<completion_error>(result).status == 499);
  CHECK(succeeded(router->acompletion(ask_for("gpt-3.5-turbo")).get()));
}

TEST_CASE("errors of an upstream are told with its status and words") {
  const fake_upstream upstream([&](plain_socket& socket, int) {
    while (!socket.message().empty())
      socket.send(with_length(R"({"error":{"message":"bad prompt"}})", "400 Bad Request"));
  });
  const auto router = make(real_entry(upstream));
  const auto result = router->acompletion(ask_for("real")).get();
  REQUIRE_FALSE(succeeded(result));
  CHECK(std::get<completion_error>(result).status == 400);
  CHECK(std::get<completion_error>(result).message == "bad prompt");
  CHECK(std::get<completion_error>(result).facts.attempts == 1);
}

TEST_CASE("an upstream that is not there is a 502 once retries are spent") {
  std::uint16_t port = 0;
  {
    const fake_upstream gone([](plain_socket&, int) {});
    port = gone.port();
  }
  auto entry = mock_entry();
  entry.litellm_params.mock_response.reset();
  entry.litellm_params.api_key = "k";
  entry.litellm_params.api_base = "http://127.0.0.1:" + std::to_string(port);
  router_options options;
  options.model_list = {entry};
  options.num_retries = 0;
  const auto router = make(options);
  const auto result = router->acompletion(ask_for("gpt-3.5-turbo")).get();
  REQUIRE_FALSE(succeeded(result));
  CHECK(std::get<completion_error>(result).status == 502);
}

TEST_CASE("a call that is cancelled closes the upstream's connection and frees its slot") {
  std::promise<void> arrived, closed;
  std::promise<completion_result> told;
  const fake_upstream upstream([&](plain_socket& socket, int connection) {
    socket.message();
    if (connection == 1) {
      arrived.set_value();
      socket.until_end();
      closed.set_value();
    } else {
      socket.send(with_length(answer_body));
    }
  });
  auto entry = real_entry(upstream);
  entry.litellm_params.max_parallel_requests = 1;
  const auto router = make(entry);
  const auto number = router->acompletion(
      ask_for("real"), [&](completion_result result) { told.set_value(std::move(result)); });
  arrived.get_future().wait();
  auto next = router->acompletion(ask_for("real"));
  router->cancel(number);
  CHECK(std::get<completion_error>(told.get_future().get()).status == 499);
  closed.get_future().wait();
  CHECK(succeeded(next.get()));
  router->cancel(number); // over: nothing happens
}

TEST_CASE("a router that dies tells everybody who still waits") {
  std::promise<void> arrived;
  const fake_upstream upstream([&](plain_socket& socket, int) {
    socket.message();
    arrived.set_value();
    socket.until_end();
  });
  auto entry = real_entry(upstream);
  entry.litellm_params.max_parallel_requests = 1;
  auto router = make(entry);
  std::vector<std::future<completion_result>> all;
  all.push_back(router->acompletion(ask_for("real"))); // on its way
  arrived.get_future().wait();
  for (int i = 0; i < 10; ++i)
    all.push_back(router->acompletion(ask_for("real"))); // in line
  router.reset();
  for (auto& each : all) {
    const auto result = each.get();
    REQUIRE_FALSE(succeeded(result));
    CHECK(std::get<completion_error>(result).status == 503);
  }
}

TEST_CASE("many threads call, none is forgotten") {
  router_options options;
  options.model_list = {mock_entry()};
  options.model_list[0].litellm_params.max_parallel_requests = 3;
  options.threads = 2;
  const auto router = make(options);
  std::atomic<int> answered = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      std::vector<std::future<completion_result>> mine;
      for (int i = 0; i < 100; ++i) {
        auto request = ask_for("gpt-3.5-turbo");
        request.priority = i % 7;
        mine.push_back(router->acompletion(request));
      }
      for (auto& each : mine)
        answered += succeeded(each.get()) ? 1 : 0;
    });
  for (auto& each : callers)
    each.join();
  CHECK(answered == 400);
}

namespace {

router_options limited(std::uint32_t slots) {
  router_options options;
  options.model_list = {mock_entry()};
  options.model_list[0].litellm_params.max_parallel_requests = slots;
  options.timeout = 60;
  return options;
}

std::uint16_t status_of(const completion_result& result) {
  return succeeded(result) ? std::get<completion>(result).status
                           : std::get<completion_error>(result).status;
}

} // namespace

TEST_CASE("reload: calls that wait go on by the new limits, in order") {
  const auto router = make(limited(0)); // takes nothing: every call waits
  std::mutex mutex;
  std::vector<int> order;
  std::vector<std::promise<completion_result>> told(4);
  const int priorities[] = {7, 0, 9, 3};
  for (int i = 0; i < 4; ++i) {
    auto request = ask_for("gpt-3.5-turbo");
    request.priority = priorities[i];
    router->acompletion(request, [&, i](completion_result result) {
      {
        const std::lock_guard guard(mutex);
        order.push_back(priorities[i]);
      }
      told[static_cast<std::size_t>(i)].set_value(std::move(result));
    });
  }
  const auto report = router->reload(limited(1));
  CHECK(report.problems.empty());
  CHECK(report.warnings.empty());
  for (auto& each : told)
    CHECK(succeeded(each.get_future().get()));
  CHECK(order == std::vector<int>{0, 3, 7, 9});
}

TEST_CASE("reload: a window is kept, and a group that is gone is unknown to who waits there") {
  auto options = limited(5);
  options.model_list[0].litellm_params.rpm = 3;
  options.timeout = 0.3;
  const auto router = make(options);
  for (int i = 0; i < 2; ++i)
    CHECK(succeeded(router->acompletion(ask_for("gpt-3.5-turbo")).get()));
  options.model_list[0].litellm_params.rpm = 2;
  CHECK(router->reload(options).problems.empty());
  CHECK(status_of(router->acompletion(ask_for("gpt-3.5-turbo")).get()) == 408);
  options.model_list[0].litellm_params.rpm = 3;
  CHECK(router->reload(options).problems.empty());
  CHECK(succeeded(router->acompletion(ask_for("gpt-3.5-turbo")).get()));

  options.timeout = 60;
  CHECK(router->reload(options).problems.empty());
  auto waits = router->acompletion(ask_for("gpt-3.5-turbo")); // all three are used
  options.model_list[0].model_name = "another";
  CHECK(router->reload(options).problems.empty());
  const auto over = waits.get();
  CHECK(status_of(over) == 400);
  CHECK(std::get<completion_error>(over).message ==
        "Invalid model name passed in model=gpt-3.5-turbo. There are: another");
  CHECK(status_of(router->acompletion(ask_for("gpt-3.5-turbo")).get()) == 400);
  CHECK(succeeded(router->acompletion(ask_for("another")).get()));
}

TEST_CASE("reload: a call that runs is finished where it began, the next goes to the new address") {
  std::promise<void> arrived, may_answer;
  auto go = may_answer.get_future().share();
  const fake_upstream old_one([&](plain_socket& socket, int) {
    socket.message();
    arrived.set_value();
    go.wait();
    socket.send(with_length(answer_body));
  });
  const fake_upstream new_one([&](plain_socket& socket, int) {
    while (!socket.message().empty())
      socket.send(with_length(answer_body));
  });
  router_options options;
  options.model_list = {real_entry(old_one)};
  options.timeout = 60;
  const auto router = make(options);
  auto runs = router->acompletion(ask_for("real"));
  arrived.get_future().wait();
  options.model_list = {real_entry(new_one)};
  options.model_list[0].model_info_json = R"({"id": "west"})";
  CHECK(router->reload(options).problems.empty());
  const auto after = router->acompletion(ask_for("real")).get();
  REQUIRE(succeeded(after));
  CHECK(std::get<completion>(after).facts.model_id == "west");
  may_answer.set_value();
  const auto result = runs.get();
  REQUIRE(succeeded(result));
  CHECK(std::get<completion>(result).facts.model_id == "east");
  CHECK(old_one.connections() == 1);
}

TEST_CASE("reload: a call that waits may go to a deployment that was not there when it came") {
  auto options = limited(0);
  options.model_list[0].model_info_json = R"({"id": "full"})";
  const auto router = make(options);
  auto waits = router->acompletion(ask_for("gpt-3.5-turbo"));
  options.model_list.push_back(mock_entry());
  options.model_list[1].model_info_json = R"({"id": "late"})";
  CHECK(router->reload(options).problems.empty());
  const auto result = waits.get();
  REQUIRE(succeeded(result));
  CHECK(std::get<completion>(result).facts.model_id == "late");
}

TEST_CASE("reload: what is wrong changes nothing and says why") {
  const auto router = make(limited(2));
  auto wrong = limited(0);
  wrong.routing_strategy = "fastest";
  const auto report = router->reload(wrong);
  CHECK(all_of(report.problems).find("routing_strategy: expected `simple-shuffle`") !=
        std::string::npos);
  CHECK(router->settings().deployments[0].max_parallel_requests == 2);
  CHECK(succeeded(router->acompletion(ask_for("gpt-3.5-turbo")).get()));
  router_options file;
  file.config_file = "/nowhere/config.yaml";
  CHECK(all_of(router->reload(file).problems).find("/nowhere/config.yaml") != std::string::npos);
  // What cannot change is said.
  router_options whole;
  whole.config_text = "model_list:\n"
                      "- model_name: gpt-3.5-turbo\n"
                      "  litellm_params: {model: openai/x, mock_response: hello}\n"
                      "general_settings: {master_key: sk-1234}\n"
                      "vorrang_settings: {max_queue_bytes: 5}\n";
  const auto told = router->reload(whole);
  CHECK(told.problems.empty());
  CHECK(all_of(told.warnings).find("vorrang_settings.max_queue_bytes cannot be changed") !=
        std::string::npos);
  CHECK(succeeded(router->acompletion(ask_for("gpt-3.5-turbo")).get()));

  std::promise<router_reload> inside;
  router->acompletion(ask_for("gpt-3.5-turbo"), [&](const completion_result&) {
    inside.set_value(router->reload(limited(1)));
  });
  CHECK(all_of(inside.get_future().get().problems).find("callback") != std::string::npos);
}

TEST_CASE("reload: threads call and reload at once, and nobody is lost") {
  auto options = limited(3);
  options.threads = 2;
  const auto router = make(options);
  std::atomic<bool> ended = false;
  std::atomic<int> answered = 0, lost = 0, refused = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      while (!ended)
        ++(succeeded(router->acompletion(ask_for("gpt-3.5-turbo")).get()) ? answered : lost);
    });
  std::vector<std::thread> reloaders;
  for (int reloader = 0; reloader < 2; ++reloader)
    reloaders.emplace_back([&, reloader] {
      for (int i = 0; i < 25; ++i) {
        auto fresh = limited(1 + static_cast<std::uint32_t>(i) % 3);
        auto other = mock_entry();
        other.model_name = "other-" + std::to_string((reloader + i) % 4);
        fresh.model_list.push_back(other);
        refused += router->reload(fresh).problems.empty() ? 0 : 1;
        const int goal = answered + 2;
        while (answered < goal && lost == 0)
          std::this_thread::yield();
      }
    });
  for (auto& each : reloaders)
    each.join();
  ended = true;
  for (auto& each : callers)
    each.join();
  CHECK(lost == 0);
  CHECK(refused == 0);
  CHECK(answered >= 100);
}

TEST_CASE("an Asio coroutine awaits a call on its own executor") {
  const auto router = make(mock_entry());
  boost::asio::io_context context;
  int answered = 0;
  const auto story = [&]() -> boost::asio::awaitable<void> {
    auto request = ask_for("gpt-3.5-turbo");
    auto result = co_await acompletion(*router, request, boost::asio::use_awaitable);
    answered += succeeded(result) ? 1 : 0;
    request.prompt = "Hey!";
    result = co_await atext_completion(*router, request, boost::asio::use_awaitable);
    answered += succeeded(result) ? 1 : 0;
  };
  boost::asio::co_spawn(context, story, boost::asio::detached);
  context.run();
  CHECK(answered == 2);
}

TEST_CASE("a cancelled Asio operation cancels its call") {
  auto entry = mock_entry();
  entry.litellm_params.rpm = 0; // takes nothing: every call waits
  const auto router = make(entry);
  boost::asio::io_context context;
  boost::asio::cancellation_signal signal;
  std::uint16_t status = 0;
  auto handler = [&](completion_result result) {
    status = std::get<completion_error>(result).status;
  };
  acompletion(*router, ask_for("gpt-3.5-turbo"),
              boost::asio::bind_cancellation_slot(signal.slot(),
                                                  boost::asio::bind_executor(context, handler)));
  boost::asio::post(context, [&] { signal.emit(boost::asio::cancellation_type::terminal); });
  context.run();
  CHECK(status == 499);
}
