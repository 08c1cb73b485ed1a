#include "catch.hpp"

#include "http/answer_head.hpp"

#include <string>

using namespace vorrang::http;

namespace {

answer_head_reader read(const std::string& bytes, std::size_t piece = std::string::npos,
                        bool to_head = false) {
  answer_head_reader reader(to_head);
  std::size_t used = 0;
  while (used < bytes.size() && reader.state() == read_state::more) {
    const auto size = std::min(piece, bytes.size() - used);
    used += reader.feed(std::string_view(bytes).substr(used, size));
  }
  return reader;
}

answer_head head_of(const std::string& fields, const std::string& line = "HTTP/1.1 200 OK") {
  auto reader = read(line + "\r\n" + fields + "\r\n");
  INFO(reader.fault());
  REQUIRE(reader.state() == read_state::done);
  return reader.take_head();
}

void check_fault(const std::string& bytes, const std::string& words) {
  INFO(bytes);
  for (const std::size_t piece : {std::string::npos, std::size_t{1}, std::size_t{5}}) {
    const auto reader = read(bytes, piece);
    REQUIRE(reader.state() == read_state::failed);
    CHECK(reader.fault().find(words) != std::string::npos);
  }
}

const std::string ok = "HTTP/1.1 200 OK\r\n";

} // namespace

TEST_CASE("an answer's framing") {
  CHECK(head_of("Content-Length: 5\r\n").framing == body_framing::length);
  CHECK(head_of("Content-Length: 5\r\n").content_length == 5);
  CHECK(head_of("Content-Length: 0\r\n").framing == body_framing::none);
  CHECK(head_of("Transfer-Encoding: chunked\r\n").framing == body_framing::chunked);
  CHECK(head_of("").framing == body_framing::until_close);
  CHECK_FALSE(head_of("").keep_alive);
  CHECK(head_of("Content-Length: 5\r\n").keep_alive);
  CHECK_FALSE(head_of("Content-Length: 5\r\nConnection: close\r\n").keep_alive);
  CHECK_FALSE(head_of("Content-Length: 5\r\n", "HTTP/1.0 200 OK").keep_alive);
  CHECK(head_of("Content-Length: 5\r\nConnection: keep-alive\r\n", "HTTP/1.0 200 OK").keep_alive);
  CHECK(head_of("Content-Length: 5\r\n", "HTTP/1.1 204 No Content").framing == body_framing::none);
  CHECK(head_of("", "HTTP/1.1 304 Not Modified").framing == body_framing::none);
  CHECK(read(ok + "Content-Length: 5\r\n\r\n", 1, true).head().framing == body_framing::none);
  CHECK(head_of("Content-Type: text/event-stream; charset=utf-8\r\n").is_event_stream());
  CHECK_FALSE(head_of("Content-Type: application/json\r\n").is_event_stream());
  CHECK(head_of("", "HTTP/1.1 429 Too Many Requests").status == 429);
}

TEST_CASE("interim answers are skipped, at any cut") {
  const std::string bytes =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok +
      "Content-Length: 2\r\nA: b\r\n\r\n";
  const std::string all = bytes + "{}";
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    answer_head_reader reader;
    auto used = reader.feed(std::string_view(all).substr(0, cut));
    used += reader.feed(std::string_view(all).substr(cut));
    REQUIRE(reader.state() == read_state::done);
    REQUIRE(used == bytes.size());
    CHECK(reader.head().status == 200);
    CHECK(reader.head().fields.size() == 2);
    CHECK_FALSE(reader.head().fields.has("link"));
  }
  std::string many;
  for (int i = 0; i < 9; ++i) {
    many += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  check_fault(many, "interim");
}

TEST_CASE("answers that are none") {
  check_fault("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "101");
  check_fault("HTTP/1.1 700 What\r\n\r\n", "700");
  check_fault("SSH-2.0-x\r\n", "not HTTP");
  check_fault("HTTP/2.0 200 OK\r\n\r\n", "malformed");
  check_fault(ok + "Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding");
  check_fault(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding");
  check_fault(ok + "Transfer-Encoding: identity\r\n\r\n", "Transfer-Encoding");
  check_fault(ok + "Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\n", "");
  check_fault(ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", "Content-Length");
  check_fault(ok + "Content-Length: 3, 3\r\n\r\n", "");
  check_fault(ok + "Content-Length: -3\r\n\r\n", "");
  check_fault(ok + "A: b\nC: d\r\n\r\n", "LF alone");
  check_fault(ok + "A: b\r\n c\r\n\r\n", "folded");
  check_fault(ok + "A b\r\n\r\n", "malformed");
}

TEST_CASE("an answer's head is bounded") {
  check_fault(ok + "A: " + std::string(100'000, 'x'), "64 KiB");
  std::string fields = ok;
  for (int i = 0; i < 201; ++i) {
    fields += "A: b\r\n";
  }
  check_fault(fields + "\r\n", "200 fields");
  std::string endless;
  for (int i = 0; i < 10'000; ++i) {
    endless += "Field: " + std::string(500, 'v') + "\r\n";
  }
  answer_head_reader reader;
  CHECK(reader.feed(ok + endless) < endless.size());
  CHECK(reader.state() == read_state::failed);
  CHECK_FALSE(answer_head_reader().has_begun());
}
