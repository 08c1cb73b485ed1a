// The door, rule by rule: what is refused, what is let in, at any cut.
#include "catch.hpp"
#include "seed.hpp"

#include "http/head_reader.hpp"
#include "http/head_tokenizer.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <random>
#include <string>
#include <vector>

using namespace vorrang::http;

namespace {

const std::string host = "Host: localhost\r\n";

std::string post(const std::string& fields, const std::string& target = "/v1/chat/completions",
                 const std::string& version = "HTTP/1.1", const std::string& hosts = host) {
  return "POST " + target + " " + version + "\r\n" + hosts + fields + "\r\n";
}

struct outcome {
  read_state state;
  our_error error;
  std::size_t used;
};

outcome read(const std::string& bytes, std::size_t piece = std::string::npos) {
  head_reader reader;
  std::size_t used = 0;
  while (used < bytes.size() && reader.state() == read_state::more) {
    const auto size = std::min(piece, bytes.size() - used);
    const auto taken = reader.feed(std::string_view(bytes).substr(used, size));
    used += taken;
    if (taken < size) {
      break;
    }
  }
  return {reader.state(), reader.error().code, used};
}

request_head let_in(const std::string& bytes) {
  head_reader reader;
  const auto used = reader.feed(bytes);
  INFO(bytes << " → " << reader.error().message);
  REQUIRE(reader.state() == read_state::done);
  REQUIRE(used == bytes.size());
  return reader.take_head();
}

struct refused_head {
  const char* name;
  std::string bytes;
};

/// Beast's reading of a head that we let in: the same parts, or the text says what differs.
std::string compared_with_beast(const std::string& bytes, const request_head& ours) {
  namespace beast = boost::beast;
  beast::http::request_parser<beast::http::empty_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(bytes.size() + 1));
  beast::error_code error;
  std::size_t used = 0;
  while (!error && !parser.is_header_done() && used < bytes.size()) {
    const auto taken =
        parser.put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), error);
    if (taken == 0)
      break;
    used += taken;
  }
  if (error == beast::http::error::bad_value)
    return ""; // it reads what Connection says; to us an unknown word there says nothing
  if (!parser.is_header_done())
    return "refused: " + error.message();
  const auto& theirs = parser.get();
  if (theirs.version() != 10 + ours.version_minor)
    return "version";
  std::size_t index = 0;
  for (std::size_t i = 0; i < ours.fields.size(); ++i) {
    const auto all = theirs.equal_range(std::string(ours.fields[i].name));
    bool is_there = false;
    for (auto at = all.first; at != all.second; ++at)
      is_there |= std::string_view(at->value().data(), at->value().size()) == ours.fields[i].value;
    if (!is_there)
      return "field " + std::string(ours.fields[i].name);
  }
  for (const auto& each : theirs) {
    static_cast<void>(each);
    ++index;
  }
  return index == ours.fields.size() ? "" : "number of fields";
}

const std::vector<refused_head>& refused_heads() {
  static const std::vector<refused_head> all = {
      // Beast takes each of these as a body of no bytes, so that the body is the next request.
      {"identity", post("Transfer-Encoding: identity\r\n")},
      {"xchunked", post("Transfer-Encoding: xchunked\r\n")},
      {"gzip", post("Transfer-Encoding: gzip\r\n")},
      {"empty coding", post("Transfer-Encoding:\r\n")},
      {"quoted coding", post("Transfer-Encoding: \"chunked\"\r\n")},
      {"chunked, identity", post("Transfer-Encoding: chunked, identity\r\n")},
      {"chunked, chunked", post("Transfer-Encoding: chunked, chunked\r\n")},
      {"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n")},
      {"two codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {"coding then identity",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")},
      {"coding with a vertical tab", post("Transfer-Encoding: \x0b"
                                          "chunked\r\n")},
      {"coding, then length", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n")},
      {"length, then coding", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")},
      {"unknown coding with length", post("Transfer-Encoding: x\r\nContent-Length: 4\r\n")},
      {"coding on 1.0", post("Transfer-Encoding: chunked\r\n", "/", "HTTP/1.0")},
      {"folded with a space", post("X-A: one\r\n two\r\n")},
      {"folded with a tab", post("X-A: one\r\n\ttwo\r\n")},
      {"folded first field", "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n"},
      {"folded into blanks", post("X-A: one\r\n \r\n")},
      {"no host", post("", "/", "HTTP/1.1", "")},
      {"empty host", post("", "/", "HTTP/1.1", "Host:\r\n")},
      {"two hosts", post("", "/", "HTTP/1.1", host + "Host: other\r\n")},
      {"two equal hosts", post("", "/", "HTTP/1.1", host + host)},
      {"two hosts on 1.0", post("", "/", "HTTP/1.0", host + host)},
      {"host with a path", post("", "/", "HTTP/1.1", "Host: a/b\r\n")},
      {"host with a user", post("", "/", "HTTP/1.1", "Host: a@b\r\n")},
      {"host with a blank", post("", "/", "HTTP/1.1", "Host: a b\r\n")},
      {"3, 3", post("Content-Length: 3, 3\r\n")},
      {"two equal lengths", post("Content-Length: 3\r\nContent-Length: 3\r\n")},
      {"two lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n")},
      {"+3", post("Content-Length: +3\r\n")},
      {"-3", post("Content-Length: -3\r\n")},
      {"0x3", post("Content-Length: 0x3\r\n")},
      {"empty length", post("Content-Length:\r\n")},
      {"length with a blank", post("Content-Length: 5 7\r\n")},
      {"length over 64 bits", post("Content-Length: 99999999999999999999999\r\n")},
      {"length of 2^64 + 3", post("Content-Length: 18446744073709551619\r\n")},
      {"absolute target elsewhere", post("", "http://example.com/v1/models")},
      {"https target", post("", "https://localhost/v1/models")},
      {"authority target", "CONNECT localhost:443 HTTP/1.1\r\n" + host + "\r\n"},
      {"authority target with GET", "GET localhost:80 HTTP/1.1\r\n" + host + "\r\n"},
      {"star with GET", "GET * HTTP/1.1\r\n" + host + "\r\n"},
      {"high bytes in the target", post("", "/v1/\xc3\xa4")},
      {"control character in the target", post("", "/v1/\x01x")},
      {"delete in the target", post("", "/v1/\x7fx")},
      {"fragment in the target", post("", "/v1/models#x")},
      {"percent alone", post("", "/v1/%")},
      {"percent and one digit", post("", "/v1/%4")},
      {"percent and no digits", post("", "/v1/%zz")},
      {"encoded NUL", post("", "/v1/%00")},
      {"encoded line feed", post("", "/v1/%0a")},
      {"encoded bad UTF-8", post("", "/v1/%ff")},
      {"bare LF between fields", "GET / HTTP/1.1\nHost: localhost\r\n\r\n"},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n"},
      {"bare LFs at the end", "GET / HTTP/1.1\r\nHost: localhost\n\n\r\n\r\n"},
      {"bare CR in a value", post("X-A: b\rX-B: c\r\n")},
      {"bare CR in the request line", "GET /\r HTTP/1.1\r\n" + host + "\r\n"},
      {"CR CR LF", post("X-A: b\r\r\n")},
      {"NUL in a value", post(std::string("X-A: b\0c\r\n", 10))},
      {"escape in a value", post("X-A: b\x1b[0m\r\n")},
      {"delete in a value", post("X-A: b\x7f\r\n")},
      {"blank before the colon", post("Content-Length : 3\r\n")},
      {"tab before the colon", post("Transfer-Encoding\t: chunked\r\n")},
      {"no colon", post("nonsense\r\n")},
      {"no name", post(": value\r\n")},
      {"control character in a name", post("X\x01"
                                           "A: b\r\n")},
      {"high byte in a name", post("X\xc3\xa4: b\r\n")},
      {"no version", "GET /\r\n" + host + "\r\n"},
      {"version 2.0", post("", "/", "HTTP/2.0")},
      {"version 1.2", post("", "/", "HTTP/1.2")},
      {"version 0.9", post("", "/", "HTTP/0.9")},
      {"lower-case version", post("", "/", "http/1.1")},
      {"two blanks", "GET  / HTTP/1.1\r\n" + host + "\r\n"},
      {"blank at the end of the line", "GET / HTTP/1.1 \r\n" + host + "\r\n"},
      {"leading blank", " GET / HTTP/1.1\r\n" + host + "\r\n"},
      {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 13)},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"many blank lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n"},
  };
  return all;
}

} // namespace

TEST_CASE("the door refuses what could be read in two ways") {
  for (const auto& each : refused_heads()) {
    INFO(each.name);
    const auto whole = read(each.bytes);
    CHECK(whole.state == read_state::failed);
    CHECK(whole.error == our_error::bad_head);
    // The same at any cut.
    for (const std::size_t piece : {1, 2, 3, 7}) {
      const auto cut = read(each.bytes, piece);
      CHECK(cut.state == read_state::failed);
      CHECK(cut.error == our_error::bad_head);
    }
  }
}

TEST_CASE("rules that Beast happens to share are ours all the same") {
  using pairs = std::vector<std::pair<std::string, std::string>>;
  const auto fault = [](const pairs& fields, unsigned version_minor = 1) {
    return read_lengths(make_fields(fields), version_minor).fault != nullptr;
  };
  CHECK(fault({{"Transfer-Encoding", "chunked"}, {"Content-Length", "3"}}));
  CHECK(fault({{"Content-Length", "3"}, {"Transfer-Encoding", "chunked"}}));
  CHECK(fault({{"Content-Length", "3"}, {"Content-Length", "3"}}));
  CHECK(fault({{"Content-Length", "3, 3"}}));
  CHECK(fault({{"Content-Length", "+3"}}));
  CHECK(fault({{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}));
  CHECK(fault({{"Transfer-Encoding", "chunked"}}, 0));
  CHECK_FALSE(fault({{"Transfer-Encoding", "chunked"}}));

  const auto words = [](const std::string& bytes) {
    head_reader reader;
    reader.feed(bytes);
    return reader.error().message;
  };
  CHECK(words(post("X-A: one\r\n two\r\n")).find("folded") != std::string::npos);
  CHECK(words(post("X-A: b\rX-B: c\r\n")).find("CR inside") != std::string::npos);
  CHECK(words("GET / HTTP/1.1\nHost: x\r\n\r\n").find("LF alone") != std::string::npos);
}

TEST_CASE("a TLS hello without line ends is refused by its first byte") {
  CHECK(read("\x16\x03\x01").state == read_state::failed);
  CHECK(read("{").state == read_state::failed);
}

TEST_CASE("a good head is the same at any cut, and the rest stays") {
  const std::string head =
      "POST /v1/chat/completions?api-version=1 HTTP/1.1\r\nHost: localhost:4000\r\n"
      "Content-Length: 12\r\nX-One: a\r\nx-one:  b\t \r\nX-Empty:\r\n\r\n";
  const std::string rest = "{\"model\":1}\nGET / HTTP/1.1\r\n";
  for (std::size_t cut = 0; cut <= head.size(); ++cut) {
    head_reader reader;
    const auto all = head + rest;
    auto used = reader.feed(std::string_view(all).substr(0, cut));
    REQUIRE(used == cut);
    used += reader.feed(std::string_view(all).substr(cut));
    REQUIRE(reader.state() == read_state::done);
    REQUIRE(used == head.size());
    REQUIRE(reader.feed(rest) == 0);
    const auto& got = reader.head();
    CHECK(got.method == http_method::post);
    CHECK(got.path == "/v1/chat/completions");
    CHECK(got.query == "api-version=1");
    CHECK(got.version_minor == 1);
    CHECK(got.keep_alive);
    CHECK_FALSE(got.expects_continue);
    CHECK(got.framing == body_framing::length);
    CHECK(got.content_length == 12);
    CHECK(got.fields.size() == 5);
    CHECK(got.fields.count("X-ONE") == 2);
    CHECK(got.fields.value_or("x-ONE", "") == "a");
    CHECK(got.fields[3].value == "b");
    CHECK(got.fields.find("x-empty") == std::string_view());
    CHECK_FALSE(got.fields.has("x-on"));
  }
}

TEST_CASE("pipelined heads are read one after the other") {
  const std::string bytes =
      "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: y\r\nA: b\r\n\r\n"
      "GET /c HTTP/1.0\r\n\r\n";
  head_reader reader;
  std::string_view left = bytes;
  for (const char* path : {"/a", "/b", "/c"}) {
    CHECK_FALSE(reader.has_begun());
    left.remove_prefix(reader.feed(left));
    REQUIRE(reader.state() == read_state::done);
    CHECK(reader.head().path == path);
    CHECK(reader.head().query.empty());
    CHECK(reader.has_begun());
    reader.reset();
  }
  CHECK(left.empty());
}

TEST_CASE("a moved head keeps its fields") {
  auto moved = let_in("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  auto again = std::move(moved);
  CHECK(again.fields.value_or("host", "") == "x");
}

TEST_CASE("limits of a head") {
  const auto of_size = [](std::size_t size) {
    const std::string begin = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
    return begin + std::string(size - begin.size() - 4, 'v') + "\r\n\r\n";
  };
  CHECK(read(of_size(head_reader::head_bytes_max)).state == read_state::done);
  CHECK(read(of_size(head_reader::head_bytes_max + 1)).error == our_error::head_too_large);
  // It is refused as soon as it is known, not at its end, and never kept.
  head_reader reader;
  const auto used = reader.feed("GET /" + std::string(1'000'000, 'a'));
  CHECK(reader.error().code == our_error::head_too_large);
  CHECK(used > 0);
  CHECK(reader.size() == head_reader::head_bytes_max + 1);

  const auto with_fields = [](std::size_t count) {
    std::string out = "GET / HTTP/1.1\r\nHost: x\r\n";
    for (std::size_t i = 1; i < count; ++i) {
      out += "A: b\r\n";
    }
    return out + "\r\n";
  };
  CHECK(read(with_fields(100)).state == read_state::done);
  CHECK(read(with_fields(101)).error == our_error::too_many_fields);
  CHECK(read(with_fields(101), 1).error == our_error::too_many_fields);
}

TEST_CASE("what a head says of its body and its connection") {
  CHECK(let_in(post("")).framing == body_framing::none);
  CHECK(let_in(post("Content-Length: 0\r\n")).framing == body_framing::none);
  CHECK(let_in(post("Content-Length: 007\r\n")).content_length == 7);
  CHECK(let_in(post("Transfer-Encoding: chunked\r\n")).framing == body_framing::chunked);
  CHECK(let_in(post("transfer-encoding: Chunked \r\n")).framing == body_framing::chunked);

  CHECK(let_in(post("")).keep_alive);
  CHECK_FALSE(let_in(post("Connection: close\r\n")).keep_alive);
  CHECK_FALSE(let_in(post("Connection: x, CLOSE\r\n")).keep_alive);
  CHECK_FALSE(let_in(post("Connection: x\r\nConnection: close\r\n")).keep_alive);
  CHECK(let_in(post("Connection: closed\r\n")).keep_alive);
  CHECK_FALSE(let_in(post("Connection: keep-alive\r\n", "/", "HTTP/1.0")).keep_alive);

  const std::string expect = "Expect: 100-Continue\r\n";
  CHECK(let_in(post(expect + "Content-Length: 3\r\n")).expects_continue);
  CHECK_FALSE(let_in(post(expect)).expects_continue);
  CHECK_FALSE(let_in(post(expect + "Content-Length: 3\r\n", "/", "HTTP/1.0")).expects_continue);

  CHECK(let_in(post("Content-Encoding: gzip\r\n")).has_content_coding);
  CHECK(let_in(post("Content-Encoding: identity, gzip\r\n")).has_content_coding);
  CHECK_FALSE(let_in(post("Content-Encoding: Identity\r\n")).has_content_coding);
  CHECK_FALSE(let_in(post("")).has_content_coding);

  CHECK(let_in("BREW / HTTP/1.1\r\nHost: x\r\n\r\n").method == http_method::other);
  CHECK(let_in("get / HTTP/1.1\r\nHost: x\r\n\r\n").method == http_method::other);
  CHECK(let_in("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n").method == http_method::delete_);
  CHECK(let_in("GET / HTTP/1.0\r\n\r\n").version_minor == 0);
  CHECK(let_in("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").path == "/");
}

TEST_CASE("targets") {
  const auto path = [](const std::string& target) {
    return let_in(post("", target)).path;
  };
  CHECK(path("/v1/models/a%2Fb%20c") == "/v1/models/a/b c");
  CHECK(path("/%e4%b8%96") == "/\xe4\xb8\x96");
  CHECK(path("/a?b=%zz") == "/a");
  CHECK(path("http://localhost/v1/models?x") == "/v1/models");
  CHECK(path("HTTP://LOCALHOST") == "/");
  CHECK(let_in("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").path == "*");
  CHECK(let_in(post("", "/a?b?c")).query == "b?c");
  CHECK(query_value("a=1&api-version=2024%2D02&b", "api-version") == "2024-02");
  CHECK(query_value("xa=1&a", "a").empty());
  CHECK(query_value("probe=true", "probe") == "true");
}

TEST_CASE("noise never does harm") {
  const auto seed = vorrang::test::seed();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::vector<std::string> good = {
      post("Content-Length: 12\r\nX-One: a\r\n"), post("Transfer-Encoding: chunked\r\n"),
      "GET /v1/models?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"};
  const char interesting_bytes[] = "\r\n\t :,;/%\0\x7f\xff\x01GA0";
  const std::string interesting(interesting_bytes, sizeof interesting_bytes - 1);
  int let_in_count = 0;
  for (int round = 0; round < 60'000; ++round) {
    auto bytes = good[random() % good.size()];
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      const auto at = random() % bytes.size();
      switch (random() % 3) {
      case 0:
        bytes[at] = interesting[random() % interesting.size()];
        break;
      case 1:
        bytes.erase(at, 1 + random() % 5);
        break;
      default:
        bytes.insert(at, 1, interesting[random() % interesting.size()]);
        break;
      }
    }
    const auto whole = read(bytes);
    const auto cut = read(bytes, 1 + random() % 9);
    REQUIRE(whole.state == cut.state);
    REQUIRE(whole.error == cut.error);
    if (whole.state == read_state::done) {
      ++let_in_count;
      REQUIRE(whole.used == cut.used);
      const auto begin_of_head = bytes.find_first_not_of("\r\n");
      CAPTURE(bytes);
      REQUIRE(compared_with_beast(bytes.substr(begin_of_head, whole.used - begin_of_head),
                                  let_in(bytes.substr(0, whole.used))) == "");
      // What was let in has one reading: every LF is part of a CR LF and no line is folded.
      const auto head = bytes.substr(0, whole.used);
      const auto begin = head.find_first_not_of("\r\n");
      for (auto i = begin; i < head.size(); ++i) {
        REQUIRE((head[i] != '\n' || head[i - 1] == '\r'));
        REQUIRE((head[i] != '\r' || head[i + 1] == '\n'));
        REQUIRE(head[i] != '\0');
        REQUIRE((head[i] != '\n' || i + 1 == head.size() ||
                 (head[i + 1] != ' ' && head[i + 1] != '\t')));
      }
    }
  }
  CHECK(let_in_count > 1000);
}
