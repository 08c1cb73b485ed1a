#include "catch.hpp"
#include "seed.hpp"

#include "http/body_framer.hpp"

#include <random>
#include <string>

using namespace vorrang::http;

namespace {

struct decoded {
  read_state state;
  our_error error;
  std::string body;
  std::string rest;
};

decoded decode(body_framer framer, std::string_view input,
               std::size_t piece_max = std::string::npos) {
  decoded out;
  while (!input.empty() && framer.state() == read_state::more) {
    const auto piece = framer.next(input.substr(0, std::min(piece_max, input.size())));
    out.body += piece.data;
    REQUIRE((piece.consumed > 0 || framer.state() != read_state::more));
    input.remove_prefix(piece.consumed);
  }
  out.state = framer.state();
  out.error = framer.error();
  out.rest = input;
  CHECK(framer.size() == out.body.size());
  return out;
}

decoded chunks(std::string_view input, std::uint64_t limit = body_framer::no_limit,
               std::size_t piece = std::string::npos) {
  return decode(body_framer(body_framing::chunked, 0, limit), input, piece);
}

void check_bad(const std::string& input) {
  INFO(input.substr(0, 100));
  for (const std::size_t piece : {std::string::npos, std::size_t{1}, std::size_t{3}}) {
    const auto got = chunks(input, body_framer::no_limit, piece);
    CHECK(got.state == read_state::failed);
    CHECK(got.error == our_error::bad_body_framing);
  }
}

} // namespace

TEST_CASE("a body by its length") {
  const auto got = decode(body_framer(body_framing::length, 5, 10), "helloGET /");
  CHECK(got.state == read_state::done);
  CHECK(got.body == "hello");
  CHECK(got.rest == "GET /");
  CHECK(decode(body_framer(body_framing::length, 5, 10), "helloGET /", 1).body == "hello");
  CHECK(body_framer(body_framing::length, 5, 5).state() == read_state::more);
  CHECK(body_framer(body_framing::length, 6, 5).error() == our_error::body_too_large);
  CHECK(body_framer(body_framing::length, 0, 5).state() == read_state::done);
  CHECK(body_framer(body_framing::none, 0, 5).state() == read_state::done);
  CHECK(body_framer().state() == read_state::done);
  CHECK(body_framer(body_framing::length, 5, 5).bytes_left() == 5);
  CHECK(body_framer(body_framing::chunked, 0, 5).bytes_left() == 0);
}

TEST_CASE("a body that is cut off, and one that ends with its connection") {
  body_framer by_length(body_framing::length, 5, 10);
  by_length.next("hel");
  by_length.finish();
  CHECK(by_length.state() == read_state::failed);
  body_framer by_chunks(body_framing::chunked, 0, 10);
  by_chunks.next("3\r\nhel");
  by_chunks.finish();
  CHECK(by_chunks.state() == read_state::failed);
  body_framer by_end(body_framing::until_close, 0, 10);
  CHECK(by_end.next("hello").data == "hello");
  CHECK(by_end.state() == read_state::more);
  by_end.finish();
  CHECK(by_end.state() == read_state::done);
  CHECK(decode(body_framer(body_framing::until_close, 0, 10), "hello world").error ==
        our_error::body_too_large);
}

TEST_CASE("chunks, at any cut") {
  const std::string input =
      "3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0e \r\n\r\n..........\r\n\r\n0\r\nX-T: v\r\n"
      "Y: z\r\n\r\nrest";
  for (std::size_t piece = 1; piece <= input.size(); ++piece) {
    const auto got = chunks(input, 27, piece);
    REQUIRE(got.state == read_state::done);
    CHECK(got.body == "abc0123456789\r\n..........\r\n");
    CHECK(got.rest == "rest");
  }
  CHECK(chunks("0\r\n\r\nrest").rest == "rest");
}

TEST_CASE("chunks that are none") {
  for (const char* input :
       {"zz\r\nabc\r\n0\r\n\r\n", "-3\r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n", " 3\r\nabc\r\n", "3\r\nabcdef\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabc\r\r\n", "\r\n3\r\nabc", ";x\r\n",
        "3;a\nb\r\nabc\r\n", "0\r\nX: a\n\r\n", "0\r\n\r\r\n", "FFFFFFFFFFFFFFFF\r\nabc",
        "FFFFFFFFFFFFFFFFF\r\nabc", "0000000000000000000003\r\nabc\r\n"}) {
    check_bad(input);
  }
  check_bad(std::string("3;\0\r\nabc", 9));
}

TEST_CASE("chunks are bounded") {
  CHECK(chunks("5\r\nhello\r\n0\r\n\r\n", 5).state == read_state::done);
  CHECK(chunks("6\r\nhello!\r\n0\r\n\r\n", 5).error == our_error::body_too_large);
  CHECK(chunks("3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n", 5).error == our_error::body_too_large);
  CHECK(chunks("7FFFFFFFFFFFFFF\r\nabc", 5).error == our_error::body_too_large);
  check_bad("1;" + std::string(20'000, 'e') + "\r\nx\r\n0\r\n\r\n");
  std::string small_ones;
  for (int i = 0; i < 20; ++i) {
    small_ones += "1;" + std::string(1000, 'e') + "\r\nx\r\n";
  }
  check_bad(small_ones);
  check_bad("1" + std::string(17'000, ' ') + "\r\nx\r\n");
  check_bad("0\r\nX-T: " + std::string(100'000, 't') + "\r\n\r\n");
  std::string trailers = "0\r\n";
  for (int i = 0; i < 20'000; ++i) {
    trailers += "a\r\n";
  }
  check_bad(trailers);
}

TEST_CASE("random bodies in random chunks and pieces") {
  const auto seed = vorrang::test::seed();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    std::string body, input;
    for (auto count = random() % 8; count > 0; --count) {
      std::string data(1 + random() % 50, '\0');
      for (auto& byte : data) {
        byte = "ab\r\n0;"[random() % 6];
      }
      char size[16];
      std::snprintf(size, sizeof size, random() % 2 != 0 ? "%zx" : "0%zX", data.size());
      input += size;
      input += (random() % 3 == 0 ? ";e=1" : "") + std::string("\r\n") + data + "\r\n";
      body += data;
    }
    input += "0\r\n" + std::string(random() % 3 == 0 ? "T: v\r\n" : "") + "\r\n";
    const auto got = chunks(input + "next", body.size(), 1 + random() % 40);
    REQUIRE(got.state == read_state::done);
    REQUIRE(got.body == body);
    REQUIRE(got.rest == "next");
  }
}
