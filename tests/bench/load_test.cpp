// What the loads of the benches count and read, by hand.
#include "bench/load/latencies.hpp"
#include "bench/load/processor_time.hpp"
#include "bench/load/readers.hpp"
#include "catch.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace vorrang::bench;

namespace {

latencies one_to(int last) {
  latencies made;
  for (int i = last; i > 0; --i)
    made.add(i);
  return made;
}

/// Feeds a text in pieces of so many bytes.
template <class Feed>
void in_pieces(std::string_view text, std::size_t size, const Feed& feed) {
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size())))
    feed(text.substr(0, size));
}

const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
const std::string done = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

} // namespace

TEST_CASE("latencies: the nearest rank") {
  auto hundred = one_to(100);
  CHECK(hundred.at(0) == 1.0);
  CHECK(hundred.at(0.5) == 50.0);
  CHECK(hundred.at(0.501) == 51.0);
  CHECK(hundred.at(0.99) == 99.0);
  CHECK(hundred.at(0.999) == 100.0);
  CHECK(hundred.at(1) == 100.0);
  CHECK(one_to(1000).at(0.999) == 999.0);
  CHECK(latencies().at(0.5) == std::nullopt);
}

TEST_CASE("latencies: what is added after a look counts as well") {
  auto some = one_to(3);
  CHECK(some.at(1) == 3.0);
  some.add(0.5);
  CHECK(some.at(0) == 0.5);
}

TEST_CASE("latencies: what never came is later than all") {
  auto some = one_to(98);
  some.add_lost(2);
  CHECK(some.count() == 100);
  CHECK(some.at(0.98) == 98.0);
  CHECK(some.at(0.99) == std::nullopt);
  CHECK(some.share_within(1000) == Approx(0.98));
  const auto made = some.json();
  CHECK(made["p50"] == 50.0);
  CHECK(made["p99"].is_null());
  CHECK(made["lost"] == 2);
}

TEST_CASE("latencies: within a time is with it") {
  auto ten = one_to(10);
  CHECK(ten.share_within(5) == Approx(0.5));
  CHECK(ten.share_within(0.9) == 0);
  CHECK(latencies().share_within(5) == 0);
}

TEST_CASE("latencies: a curve ends where less than one is left") {
  const auto curve = one_to(1000).json()["curve"];
  REQUIRE(curve.size() == 31);
  CHECK(curve[0] == nlohmann::ordered_json::array({0.0, 1.0}));
  CHECK(curve[10][0].get<double>() == Approx(0.9));
  CHECK(curve[10][1] == 900.0);
  CHECK(curve[30][1] == 999.0);
  CHECK(latencies().json()["curve"].empty());
}

TEST_CASE("processor: idle is what neither worked nor was taken") {
  const auto from = read_ticks("cpu  100 0 50 800 50 0 0 0 0 0");
  CHECK(from.all == 1000);
  CHECK(from.idle == 850);
  const auto to = read_ticks("cpu  150 10 60 900 60 5 5 10 99 99");
  CHECK(to.all == 1200);
  CHECK(idle_share(from, to) == Approx(110 / 200.0));
  CHECK(idle_share(from, from) == 1);
}

TEST_CASE("pace: streams in turns, evenly") {
  pace plan;
  plan.streams = 4;
  plan.events_a_second = 50;
  CHECK(plan.due_ns(0) == 0);
  CHECK(plan.due_ns(1) == 5'000'000);
  CHECK(plan.due_ns(4) == 20'000'000);
  CHECK(plan.stream_of(0) == plan.stream_of(4));
  CHECK(plan.stream_of(3) == 3);
  CHECK(plan.events_before(0) == 0);
  CHECK(plan.events_before(1) == 1);
  CHECK(plan.events_before(5'000'000) == 1);
  CHECK(plan.events_before(5'000'001) == 2);
  CHECK(plan.events_before(1'000'000'000) == 200);
}

TEST_CASE("stamps: read as they were written, also by another name of the model") {
  stamped_event event;
  const stamps written{0x123456789abcdef0, 42};
  std::string text(event.with(written));
  stamps found;
  CHECK(find_stamps(text, found));
  CHECK(found == written);
  text.replace(text.find("\"up\""), 4, "\"another\"");
  CHECK(find_stamps(text, found));
  CHECK(found == written);
  CHECK_FALSE(find_stamps(text.substr(0, text.find('@') + 30), found));
  CHECK_FALSE(find_stamps("data: {}", found));
}

TEST_CASE("stream: every event once, however it is cut") {
  stamped_event event;
  std::string text = head;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    stamps at;
    at.due_ns = i;
    at.written_ns = 10 * i;
    text += event.with(at);
  }
  // A proxy may cut chunks where it likes.
  const auto chunk = std::string(event.with({4, 40}));
  const auto data = chunk.substr(chunk.find('\n') + 1, chunk.size() - chunk.find('\n') - 3);
  text += "32\r\n" + data.substr(0, 50) + "\r\n7;x=y\r\n" + data.substr(50, 7) + "\r\n";
  std::ostringstream rest;
  rest << std::hex << data.size() - 57 << "\r\n" << data.substr(57) << "\r\n";
  text += rest.str() + "f\r\n: still there\n\n\r\n" + done;
  for (const std::size_t size : {1, 2, 3, 7, 50, 10'000}) {
    CAPTURE(size);
    stream_reader reader;
    std::vector<stamps> found;
    CHECK_FALSE(reader.has_begun());
    in_pieces(text, size, [&](std::string_view piece) { reader.feed(piece, found); });
    CHECK(found == std::vector<stamps>{{1, 10}, {2, 20}, {3, 30}, {4, 40}});
    CHECK(reader.is_whole());
  }
}

TEST_CASE("stream: one that breaks off is not whole, and an error is told") {
  std::vector<stamps> found;
  stream_reader reader;
  reader.feed(head + done.substr(0, done.size() - 5), found);
  CHECK(reader.has_begun());
  CHECK_FALSE(reader.is_whole());
  CHECK_THROWS_AS(stream_reader().feed("HTTP/1.1 429 Busy\r\n\r\n", found), std::runtime_error);
  CHECK_THROWS_AS(stream_reader().feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", found),
                  std::runtime_error);
}

TEST_CASE("messages: ends are found, however they are cut") {
  const std::string text = "POST / HTTP/1.1\r\nContent-length:5\r\n\r\n12345"
                           "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                           "POST / HTTP/1.1\r\nCONTENT-LENGTH: 2\r\n\r\n{}";
  for (const std::size_t size : {1, 2, 5, 41, 43, 10'000}) {
    CAPTURE(size);
    message_reader reader;
    std::size_t whole = 0;
    in_pieces(text, size, [&](std::string_view piece) { whole += reader.feed(piece); });
    CHECK(whole == 3);
    CHECK_FALSE(reader.is_within());
  }
  message_reader reader;
  CHECK(reader.feed(text.substr(0, 40)) == 0);
  CHECK(reader.is_within());
  CHECK_THROWS_AS(message_reader().feed("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
                  std::runtime_error);
}
