// The moving half on real sockets: a gateway in this process, with an engine that grants when it is
// told to, and upstreams that do as they are told.
#include "fake_gate.hpp"
#include "sockets.hpp"

#include "config/reader.hpp"

#include "catch.hpp"

#include <future>

using namespace vorrang;
using namespace vorrang::http;
using namespace vorrang::http::tests;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t wire_bytes_max = 32 * 1024; // wire::bytes_max, whose header is heavy

const std::string answer_body = R"({"id":"1","object":"chat.completion","model":"x","choices":[]})";

std::string with_length(const std::string& body, const std::string& fields = {}) {
  return "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + fields +
         "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Answers every request of a connection in the same way.
fake_upstream::server answers(std::string answer) {
  return [answer](plain_socket& socket, int) {
    while (socket.message().size() > 4)
      socket.send(answer);
  };
}

std::string post(const std::string& body, const std::string& fields = {}) {
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\ncontent-type: "
         "application/json\r\n" +
         fields + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string ask_of(const std::string& model, const std::string& more = {}) {
  return R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}])" + more + "}";
}

struct running {
  explicit running(std::uint16_t upstream_port = 9, const std::string& more_settings = {},
                   loop_times times = {}, std::uint64_t connections_max = 0) {
    const std::string base = "http://127.0.0.1:" + std::to_string(upstream_port) + "/v1";
    const std::string text = "model_list:\n"
                             "- model_name: real\n"
                             "  litellm_params: {model: openai/x, api_key: k, api_base: '" +
                             base +
                             "'}\n"
                             "- model_name: hasty\n"
                             "  litellm_params: {model: openai/x, api_key: k, timeout: 0.05, "
                             "api_base: '" +
                             base +
                             "/'}\n"
                             "- model_name: mock\n"
                             "  litellm_params: {model: openai/x, mock_response: hello}\n"
                             "- model_name: slow-mock\n"
                             "  litellm_params: {model: openai/x, mock_response: hello, "
                             "mock_delay: 3600}\n" +
                             more_settings;
    auto read = config::read_text(text, "config.yaml", config::fixed_environment({}));
    for (const auto& each : read.diagnostics)
      UNSCOPED_INFO(config::to_text(each));
    REQUIRE_FALSE(read.has_errors());
    gateway_options options;
    options.port = 0;
    options.threads = 2;
    options.times = times;
    options.connections_max = connections_max;
    serves = std::make_unique<gateway>(
        std::make_shared<const config::settings>(std::move(read.settings)), options,
        fake_engine(book));
    REQUIRE(serves->start() == "");
  }
  plain_socket client(int receive_buffer = 0) {
    return plain_socket::connected(serves->port(), receive_buffer);
  }
  bool waits_for(std::uint64_t gate_book::*counter, std::uint64_t value) {
    return book->wait([&] { return (*book).*counter >= value; });
  }
  outcome only_outcome() {
    REQUIRE(book->wait([&] { return !book->outcomes.empty(); }));
    const std::lock_guard guard(book->mutex);
    REQUIRE(book->outcomes.size() == 1);
    return book->outcomes.front();
  }
  void hold() {
    const std::lock_guard guard(book->mutex);
    book->grants_at_once = false;
  }

  std::shared_ptr<gate_book> book = std::make_shared<gate_book>();
  std::unique_ptr<gateway> serves;
};

bool starts_with(const std::string& text, const std::string& begin) {
  return text.rfind(begin, 0) == 0;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

} // namespace

TEST_CASE("a request goes to the upstream and its answer comes back, on a connection kept open") {
  std::mutex mutex;
  std::string seen;
  fake_upstream upstream([&](plain_socket& socket, int) {
    for (;;) {
      const std::string request = socket.message();
      if (request.empty())
        return;
      {
        const std::lock_guard guard(mutex);
        seen = request;
      }
      socket.send(with_length(answer_body));
    }
  });
  running all(upstream.port());
  // Each client may come to another loop, and each loop has connections of its own.
  auto client = all.client();
  for (int round = 0; round < 5; ++round) {
    REQUIRE(client.send(post(ask_of("real", R"(,"priority":3,"zzz":[1, 2])"))));
    const std::string answer = client.message();
    INFO(answer);
    REQUIRE(starts_with(answer, "HTTP/1.1 200 "));
    REQUIRE(answer.find(R"("model":"real")") != std::string::npos);
  }
  REQUIRE(upstream.connections() == 1);
  const std::lock_guard guard(mutex);
  INFO(seen);
  REQUIRE(starts_with(seen, "POST /v1/chat/completions HTTP/1.1\r\n"));
  REQUIRE(seen.find(R"("model":"x")") != std::string::npos);
  REQUIRE(seen.find("priority") == std::string::npos);
  REQUIRE(seen.find(R"("zzz":[1, 2])") != std::string::npos);
  REQUIRE(all.book->asks.front().priority == 3);
  REQUIRE(all.book->heads == 5);
}

TEST_CASE("a request whose kept connection dies before an answer goes out once more") {
  std::atomic<int> requests = 0;
  fake_upstream upstream([&](plain_socket& socket, int) {
    // One answer for each connection; the next request is read and met with a close.
    if (socket.message().empty())
      return;
    ++requests;
    socket.send(with_length(answer_body));
    socket.message();
    ++requests;
  });
  running all(upstream.port());
  auto client = all.client();
  for (int round = 0; round < 4; ++round) {
    REQUIRE(client.send(post(ask_of("real"))));
    REQUIRE(starts_with(client.message(), "HTTP/1.1 200 "));
  }
  REQUIRE(upstream.connections() == 4);
  REQUIRE(all.book->outcomes.size() == 4);
}

TEST_CASE("a fresh connection that dies is a failure, told apart by what was written") {
  fake_upstream upstream([](plain_socket& socket, int) { socket.message(); });
  running all(upstream.port());
  auto client = all.client();
  REQUIRE(client.send(post(ask_of("real"))));
  REQUIRE(starts_with(client.message(), "HTTP/1.1 502 "));
  const outcome came = all.only_outcome();
  REQUIRE(came.kind == outcome_kind::failed);
  REQUIRE(came.sent);
  REQUIRE(upstream.connections() == 1);
}

TEST_CASE("an upstream that cannot be reached was sent nothing") {
  std::uint16_t free_port = 0;
  {
    fake_upstream gone([](plain_socket&, int) {});
    free_port = gone.port();
  }
  running all(free_port);
  auto client = all.client();
  REQUIRE(client.send(post(ask_of("real"))));
  REQUIRE(starts_with(client.message(), "HTTP/1.1 502 "));
  REQUIRE_FALSE(all.only_outcome().sent);
}

TEST_CASE("an answer that is cut off at any byte is an error, and never a part of an answer") {
  const std::string answer =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
      "Content-Type: application/json\r\n\r\n1f\r\n" +
      answer_body.substr(0, 31) + "\r\n" + "1f\r\n" + answer_body.substr(31, 31) + "\r\n0\r\n\r\n";
  REQUIRE(answer_body.size() == 62);
  std::atomic<std::size_t> cut = 0;
  fake_upstream upstream([&](plain_socket& socket, int) {
    if (socket.message().size() > 4)
      socket.send(answer.substr(0, cut));
  });
  running all(upstream.port());
  for (cut = 0; cut <= answer.size(); ++cut) {
    auto client = all.client();
    REQUIRE(client.send(post(ask_of("real"))));
    const std::string came = client.message();
    INFO(cut << ": " << came);
    REQUIRE(starts_with(came, cut == answer.size() ? "HTTP/1.1 200 " : "HTTP/1.1 502 "));
  }
}

TEST_CASE("an upstream that answers no HTTP is a bad upstream") {
  const auto nonsense = GENERATE(as<std::string>{}, "SSH-2.0-OpenSSH\r\n\r\n", "\r\n\r\n\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc");
  fake_upstream upstream(answers(nonsense));
  running all(upstream.port());
  auto client = all.client();
  REQUIRE(client.send(post(ask_of("real"))));
  REQUIRE(starts_with(client.message(), "HTTP/1.1 502 "));
}

TEST_CASE("an upstream that is silent for longer than an attempt may take") {
  std::promise<void> closed;
  fake_upstream upstream([&](plain_socket& socket, int) {
    socket.message();
    socket.until_end();
    closed.set_value();
  });
  running all(upstream.port());
  auto client = all.client();
  REQUIRE(client.send(post(ask_of("hasty"))));
  REQUIRE(starts_with(client.message(), "HTTP/1.1 504 "));
  REQUIRE(all.only_outcome().timed_out);
  REQUIRE(closed.get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready);
}

TEST_CASE("a grant that is too old is not used") {
  fake_upstream upstream(answers(with_length(answer_body)));
  running all(upstream.port());
  all.book->may_send = false;
  auto client = all.client();
  REQUIRE(client.send(post(ask_of("real"))));
  client.message();
  REQUIRE(all.only_outcome().kind == outcome_kind::not_sent);
}

TEST_CASE("a stream passes through event by event") {
  std::promise<void> first_seen;
  auto seen = first_seen.get_future();
  fake_upstream upstream([&](plain_socket& socket, int) {
    socket.message();
    socket.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                "Transfer-Encoding: chunked\r\n\r\n");
    const std::string first = "data: {\"model\":\"x\",\"choices\":[{\"delta\":"
                              "{\"content\":\"one\"}}]}\n\n";
    const std::string last = "data: [DONE]\n\n";
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", first.size());
    socket.send(size + first + "\r\n");
    seen.wait(); // the client has the first event before the second is sent
    std::snprintf(size, sizeof size, "%zx\r\n", last.size());
    socket.send(size + last + "\r\n0\r\n\r\n");
    socket.until_end();
  });
  running all(upstream.port());
  auto client = all.client();
  REQUIRE(client.send(post(ask_of("real", R"(,"stream":true)"))));
  const std::string begin = client.until("\"one\"");
  INFO(begin);
  REQUIRE(begin.find("one") != std::string::npos);
  first_seen.set_value();
  const std::string end = client.until("0\r\n\r\n");
  REQUIRE(end.find("data: [DONE]") != std::string::npos);
  REQUIRE(all.only_outcome().kind == outcome_kind::success);
  // The connection can be used again.
  REQUIRE(client.send(post(ask_of("mock"))));
  REQUIRE(starts_with(client.message(), "HTTP/1.1 200 "));
}

TEST_CASE("a stream that breaks ends with an error event, and is not tried again") {
  fake_upstream upstream([&](plain_socket& socket, int) {
    socket.message();
    socket.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                "Transfer-Encoding: chunked\r\n\r\n12\r\ndata: {\"a\":\"one\"}\n\r\n1\r\n\n\r\n");
  });
  running all(upstream.port());
  auto client = all.client();
  REQUIRE(client.send(post(ask_of("real", R"(,"stream":true)"))));
  const std::string whole = client.until("0\r\n\r\n");
  INFO(whole);
  REQUIRE(count_of(whole, "one") == 1);
  REQUIRE(whole.find("\"error\"") != std::string::npos);
  REQUIRE(upstream.connections() == 1);
  REQUIRE(all.only_outcome().sent);
}

TEST_CASE("a client that hangs up while it waits loses its ticket") {
  running all;
  all.hold();
  std::uint64_t gone = 0;
  SECTION("by a FIN") {
    auto client = all.client();
    client.send(post(ask_of("mock")));
    REQUIRE(all.waits_for(&gate_book::opened, ++gone));
    client.end_output();
    REQUIRE(all.waits_for(&gate_book::cancelled, gone));
  }
  SECTION("by a RST") {
    auto client = all.client();
    client.send(post(ask_of("mock")));
    REQUIRE(all.waits_for(&gate_book::opened, ++gone));
    client.reset();
    REQUIRE(all.waits_for(&gate_book::cancelled, gone));
  }
  SECTION("with further requests behind it, more than the buffer holds") {
    auto client = all.client();
    std::string many;
    for (int count = 0; count < 50; ++count)
      many += post(ask_of("mock"));
    client.send(many);
    REQUIRE(all.waits_for(&gate_book::opened, ++gone));
    client.end_output();
    REQUIRE(all.waits_for(&gate_book::cancelled, gone));
  }
  SECTION("with more behind it than the buffer may hold") {
    // Not more than the kernel takes, or the FIN would not leave the client.
    auto client = all.client();
    client.send(post(ask_of("mock")));
    REQUIRE(all.waits_for(&gate_book::opened, ++gone));
    client.send(std::string(wire_bytes_max + 8'000, 'x'));
    client.end_output();
    REQUIRE(all.waits_for(&gate_book::cancelled, gone));
  }
  SECTION("by a RST with more behind it than the kernel takes") {
    auto client = all.client();
    client.send(post(ask_of("mock")) + std::string(200'000, 'x'));
    REQUIRE(all.waits_for(&gate_book::opened, ++gone));
    client.reset();
    REQUIRE(all.waits_for(&gate_book::cancelled, gone));
  }
  REQUIRE(all.book->granted == 0);
}

TEST_CASE("a client that hangs up during the call frees its slot, and the call is closed") {
  std::promise<void> asked;
  std::promise<void> closed;
  fake_upstream upstream([&](plain_socket& socket, int) {
    socket.message();
    asked.set_value();
    socket.until_end();
    closed.set_value();
  });
  running all(upstream.port());
  auto client = all.client();
  client.send(post(ask_of("real")));
  REQUIRE(asked.get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  client.close();
  REQUIRE(all.waits_for(&gate_book::cancelled, 1));
  REQUIRE(closed.get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  REQUIRE(all.book->outcomes.empty());
}

TEST_CASE("a client that hangs up during a mock's delay frees its slot") {
  running all;
  auto client = all.client();
  client.send(post(ask_of("slow-mock")));
  REQUIRE(all.waits_for(&gate_book::granted, 1));
  client.close();
  REQUIRE(all.waits_for(&gate_book::cancelled, 1));
}

TEST_CASE("pipelined requests are answered in their order, HTTP/1.0 is answered and closed") {
  running all;
  auto client = all.client();
  client.send(post(ask_of("mock")) + "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" +
              post(ask_of("unknown")) + "GET /v1/models HTTP/1.0\r\n\r\n");
  REQUIRE(client.message().find("chat.completion") != std::string::npos);
  REQUIRE(client.message().find("\"list\"") != std::string::npos);
  REQUIRE(starts_with(client.message(), "HTTP/1.1 400 "));
  REQUIRE(client.message().find("\"list\"") != std::string::npos);
  REQUIRE(client.until_end().empty());
}

TEST_CASE("a stream that waits gets comments, and its facts before the first event") {
  running all(9, "vorrang_settings: {stream_keepalive: 0.1}\n");
  all.hold();
  auto client = all.client();
  client.send(post(ask_of("mock", R"(,"stream":true)")));
  std::string early = client.until(": waiting position=3");
  REQUIRE(starts_with(early, "HTTP/1.1 200 "));
  REQUIRE(client.until(": waiting position=3").size() < 100);
  all.book->grant_all();
  const std::string rest = client.until("0\r\n\r\n");
  INFO(rest);
  REQUIRE(rest.find(": granted-by=") < rest.find("data: "));
  REQUIRE(rest.find("data: [DONE]") != std::string::npos);
  REQUIRE(rest.find("HTTP/1.1") == std::string::npos);
}

TEST_CASE("bodies that would go over the gateway's bytes are refused") {
  running all(9, "vorrang_settings: {max_queue_bytes: 1000}\n");
  all.hold();
  auto first = all.client();
  first.send(post(ask_of("mock", R"(,"x":")" + std::string(700, 'x') + "\"")));
  REQUIRE(all.waits_for(&gate_book::opened, 1));
  auto second = all.client();
  second.send(post(ask_of("mock", R"(,"x":")" + std::string(700, 'x') + "\"")));
  REQUIRE(starts_with(second.message(), "HTTP/1.1 429 "));
  // They come back with the first answer.
  all.book->grant_all();
  REQUIRE(starts_with(first.message(), "HTTP/1.1 200 "));
  auto third = all.client();
  third.send(post(ask_of("mock", R"(,"x":")" + std::string(700, 'x') + "\"")));
  REQUIRE(all.waits_for(&gate_book::opened, 2));
  all.book->grant_all();
  REQUIRE(starts_with(third.message(), "HTTP/1.1 200 "));
}

TEST_CASE("patience ends: half a head, half a body, an idle connection, a client that reads not") {
  loop_times times;
  times.patience.fill(milliseconds(40));
  times.tick = milliseconds(5);
  const std::string large(32 << 20, 'x');
  fake_upstream upstream(answers(with_length("{\"x\":\"" + large + "\"}")));
  running all(upstream.port(), {}, times);
  SECTION("half a head") {
    auto client = all.client();
    client.send("GET / HTTP/1.1\r\nHos");
    REQUIRE(starts_with(client.until_end(), "HTTP/1.1 408 "));
  }
  SECTION("silence") {
    auto client = all.client();
    REQUIRE(client.until_end().empty());
  }
  SECTION("half a body") {
    auto client = all.client();
    const std::string whole = post(ask_of("mock"));
    client.send(whole.substr(0, whole.size() - 1));
    REQUIRE(starts_with(client.until_end(), "HTTP/1.1 408 "));
  }
  SECTION("idle after a request") {
    auto client = all.client();
    client.send(post(ask_of("mock")));
    REQUIRE(starts_with(client.message(), "HTTP/1.1 200 "));
    REQUIRE(client.until_end().empty());
  }
  SECTION("an answer that is not read") {
    auto client = all.client(4096);
    client.send(post(ask_of("real")));
    REQUIRE(all.book->wait([&] { return !all.book->outcomes.empty(); }));
    // The gateway has closed when writing to it fails; it reads nothing while it writes.
    while (client.send("x")) {
    }
    REQUIRE(client.until_end().size() < large.size());
  }
}

TEST_CASE("one connection too many gets 503 and is closed, and there is room again afterwards") {
  running all(9, {}, {}, 2);
  auto first = all.client();
  auto second = all.client();
  first.send(post(ask_of("mock")));
  second.send(post(ask_of("mock")));
  REQUIRE(starts_with(first.message(), "HTTP/1.1 200 "));
  REQUIRE(starts_with(second.message(), "HTTP/1.1 200 "));
  auto third = all.client();
  third.send(post(ask_of("mock")));
  const std::string refused = third.until_end();
  REQUIRE(starts_with(refused, "HTTP/1.1 503 "));
  REQUIRE(refused.find("etry-") != std::string::npos);
  first.close();
  // The close is seen soon, at no certain time.
  for (bool let_in = false; !let_in;) {
    auto next = all.client();
    next.send(post(ask_of("mock")));
    let_in = starts_with(next.message(), "HTTP/1.1 200 ");
  }
}

TEST_CASE("a port that is taken is named") {
  running all;
  gateway_options options;
  options.port = all.serves->port();
  auto read = config::read_text("model_list:\n- model_name: m\n  litellm_params: {model: openai/x, "
                                "mock_response: x}\n",
                                "config.yaml", config::fixed_environment({}));
  gateway other(std::make_shared<const config::settings>(std::move(read.settings)), options,
                fake_engine(std::make_shared<gate_book>()));
  const std::string trouble = other.start();
  REQUIRE(trouble.find("127.0.0.1:" + std::to_string(options.port)) != std::string::npos);
  REQUIRE(trouble.find("taken") != std::string::npos);
}

TEST_CASE("draining lets requests go on, closes idle connections, then tells those who wait") {
  running all(9, "vorrang_settings: {drain_timeout: 20}\n");
  auto idle = all.client();
  idle.send(post(ask_of("mock")));
  REQUIRE(starts_with(idle.message(), "HTTP/1.1 200 "));
  all.hold();
  auto answered = all.client();
  answered.send(post(ask_of("mock")));
  REQUIRE(all.waits_for(&gate_book::opened, 2));
  all.serves->drain();
  std::string rest;
  std::string answer;
  std::thread clients([&] { // wait() belongs to the thread of start()
    rest = idle.until_end();
    all.book->grant_all();
    answer = answered.until_end();
  });
  all.serves->wait();
  clients.join();
  REQUIRE(rest.empty());
  REQUIRE(starts_with(answer, "HTTP/1.1 200 "));
  REQUIRE(answer.find("Connection: close") != std::string::npos);
}

TEST_CASE("who still waits when the drain's time is over gets 503") {
  running all(9, "vorrang_settings: {drain_timeout: 0.05, stream_keepalive: 0.1}\n");
  all.hold();
  auto waits = all.client();
  waits.send(post(ask_of("mock")));
  auto streams = all.client();
  streams.send(post(ask_of("mock", R"(,"stream":true)")));
  streams.until(": waiting");
  REQUIRE(all.waits_for(&gate_book::opened, 2));
  all.serves->drain();
  all.serves->wait();
  REQUIRE(starts_with(waits.until_end(), "HTTP/1.1 503 "));
  REQUIRE(streams.until_end().find("\"error\"") != std::string::npos);
  REQUIRE(all.book->cancelled == 2);
}

TEST_CASE("a stream that still runs when the drain's time is over ends with an error") {
  fake_upstream upstream([](plain_socket& socket, int) {
    socket.message();
    socket.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {}\n\n");
    socket.until_end();
  });
  running all(upstream.port(), "vorrang_settings: {drain_timeout: 0.05}\n");
  auto client = all.client();
  client.send(post(ask_of("real", R"(,"stream":true)")));
  client.until("data: {}");
  all.serves->drain();
  all.serves->wait();
  const std::string rest = client.until_end();
  INFO(rest);
  REQUIRE(rest.find("\"code\":\"503\"") != std::string::npos);
  REQUIRE(rest.find("\r\n0\r\n\r\n") != std::string::npos);
}

TEST_CASE("an end at any moment is clean: parked, relaying, streaming, half read") {
  fake_upstream upstream([](plain_socket& socket, int number) {
    const std::string request = socket.message();
    if (number % 2 == 0)
      socket.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {}\n\n");
    socket.until_end();
  });
  for (int round = 0; round < 8; ++round) {
    running all(upstream.port());
    std::vector<plain_socket> clients;
    for (int count = 0; count < 10; ++count) {
      auto& client = clients.emplace_back(all.client());
      client.send(post(ask_of("real", count % 2 == 0 ? R"(,"stream":true)" : "")));
      clients.emplace_back(all.client()).send(post(ask_of("slow-mock")));
      clients.emplace_back(all.client()).send("POST /v1/chat/comp");
      const std::string whole = post(ask_of("mock"));
      clients.emplace_back(all.client()).send(whole.substr(0, whole.size() - 5));
    }
    if (round % 2 == 0)
      REQUIRE(all.waits_for(&gate_book::granted, 20));
    all.hold();
    clients.emplace_back(all.client()).send(post(ask_of("mock")));
    all.serves->end_now();
    all.serves->wait();
  }
}

TEST_CASE("many clients on all loops, with answers, hang-ups and errors at once") {
  fake_upstream upstream(answers(with_length(answer_body)));
  running all(upstream.port());
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 25; ++round) {
        auto client = plain_socket::connected(all.serves->port());
        switch ((thread + round) % 4) {
        case 0:
          client.send(post(ask_of("real")));
          good += starts_with(client.message(), "HTTP/1.1 200 ");
          break;
        case 1:
          client.send(post(ask_of("mock", R"(,"stream":true)")));
          good += client.until("data: [DONE]").find("hel") != std::string::npos;
          break;
        case 2:
          client.send(post(ask_of("real")));
          break; // and gone
        default:
          client.send("nonsense\r\n\r\n");
          good += starts_with(client.until_end(), "HTTP/1.1 400 ");
          break;
        }
      }
    });
  }
  for (auto& each : threads)
    each.join();
  REQUIRE(good == 75);
}
