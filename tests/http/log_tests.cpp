// Lines that go to readers who are quick, slow or gone, and what is told of deployments.
#include "http/access_log.hpp"
#include "http/deployment_watch.hpp"
#include "http/line_writer.hpp"
#include "http/log.hpp"

#include "catch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

using namespace vorrang;
using namespace vorrang::http;
using namespace std::chrono_literals;

namespace {

class pipe_pair {
public:
  pipe_pair() { REQUIRE(::pipe2(ends_, O_CLOEXEC) == 0); }
  ~pipe_pair() {
    close_reader();
    ::close(ends_[1]);
  }
  int writer() const { return ends_[1]; }
  void close_reader() {
    if (ends_[0] >= 0)
      ::close(std::exchange(ends_[0], -1));
  }
  /// Up to the end of a line that holds `last`.
  std::string read_until(const std::string& last) {
    std::string all;
    char bytes[65536];
    while (all.find(last) == std::string::npos || all.back() != '\n') {
      const auto count = ::read(ends_[0], bytes, sizeof bytes);
      REQUIRE(count > 0);
      all.append(bytes, static_cast<std::size_t>(count));
    }
    return all;
  }

private:
  int ends_[2] = {-1, -1};
};

class folder {
public:
  folder() {
    char name[] = "/tmp/vorrang-log-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

std::string content(const std::string& file) {
  std::ostringstream all;
  all << std::ifstream(file).rdbuf();
  return all.str();
}

queue_view view_of(std::vector<std::pair<bool, std::uint64_t>> deployments) {
  queue_view view;
  view.name = "m";
  for (const auto& [cooling, cooldowns] : deployments) {
    auto& made = view.deployments.emplace_back();
    made.id = "d" + std::to_string(view.deployments.size());
    made.cooling = cooling;
    made.cooldowns = cooldowns;
    made.last_failure_status = 500;
    if (cooling)
      made.cooldown_ends_in = 5s;
  }
  return view;
}

std::vector<std::string> told(deployment_watch& watch, queue_view view) {
  std::vector<std::string> lines;
  std::vector<queue_view> views;
  views.push_back(std::move(view));
  for (const auto& each : watch.look(views))
    lines.push_back(each.deployment + ": " + each.text);
  return lines;
}

} // namespace

TEST_CASE("line writer: lines arrive in order, whole") {
  pipe_pair pipe;
  line_writer writer(pipe.writer(), "%l %v");
  constexpr int count = static_cast<int>(line_writer::lines_max); // more could be too quick
  std::thread says([&] {
    for (int i = 0; i < count; ++i)
      writer.write(log_level::warning, "line " + std::to_string(i));
  });
  const auto all = pipe.read_until("line " + std::to_string(count - 1) + "\n");
  says.join();
  std::istringstream lines(all);
  int next = 0;
  for (std::string line; std::getline(lines, line); ++next)
    REQUIRE(line == "warning line " + std::to_string(next));
  CHECK(next == count);
  CHECK(writer.lost() == 0);
  CHECK(writer.drain(5s));
}

TEST_CASE("line writer: who does not read holds nobody up, and the newest lines are kept") {
  pipe_pair pipe;
  line_writer writer(pipe.writer(), "%v");
  constexpr std::size_t lines = 5 * line_writer::lines_max;
  const std::string filler(100, 'x');
  const auto begins = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < lines; ++i)
    writer.write(log_level::info, filler + " " + std::to_string(i) + ".");
  CHECK(std::chrono::steady_clock::now() - begins < 5s); // a pipe that is full would hold for ever
  CHECK(writer.lost() >= 3 * line_writer::lines_max);
  CHECK_FALSE(writer.drain(10ms));

  const auto all = pipe.read_until(" " + std::to_string(lines - 1) + ".");
  const auto came = static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n'));
  CHECK(came + writer.lost() == lines);
  CHECK(writer.drain(5s));
}

TEST_CASE("line writer: a reader that is gone is counted, not waited for") {
  pipe_pair pipe;
  ::signal(SIGPIPE, SIG_IGN);
  line_writer writer(pipe.writer(), "%v");
  pipe.close_reader();
  for (int i = 0; i < 10; ++i)
    writer.write(log_level::info, "into the void");
  CHECK(writer.drain(5s));
  CHECK(writer.lost() == 10);
}

TEST_CASE("line writer: a file that is moved away is opened again") {
  const folder place;
  const auto file = place.file("access.log");
  line_writer writer(file, "%v");
  REQUIRE(writer.trouble().empty());
  writer.write(log_level::info, "before");
  REQUIRE(writer.drain(5s));
  std::filesystem::rename(file, file + ".1");
  writer.write(log_level::info, "still before");
  REQUIRE(writer.drain(5s));
  CHECK(writer.reopen().empty());
  writer.write(log_level::info, "after");
  REQUIRE(writer.drain(5s));
  CHECK(content(file + ".1") == "before\nstill before\n");
  CHECK(content(file) == "after\n");

  std::filesystem::rename(file, file + ".2");
  std::filesystem::create_directory(file); // cannot be opened
  CHECK(writer.reopen().find("cannot open") == 0);
  writer.write(log_level::info, "goes on");
  REQUIRE(writer.drain(5s));
  CHECK(content(file + ".2") == "after\ngoes on\n");
}

TEST_CASE("line writer: a FIFO without a reader is opened, and read by who comes later") {
  const folder place;
  const auto fifo = place.file("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  line_writer writer(fifo, "%v");
  REQUIRE(writer.trouble().empty());
  writer.write(log_level::info, "early");
  REQUIRE(writer.drain(5s));
  const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  char bytes[100];
  const auto count = ::read(reader, bytes, sizeof bytes);
  ::close(reader);
  REQUIRE(count == 6);
  CHECK(std::string(bytes, 6) == "early\n");
}

TEST_CASE(
    "line writer: a FIFO that is full holds no reopening up, and the next file gets the rest") {
  const folder place;
  const auto fifo = place.file("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC); // never reads
  REQUIRE(reader >= 0);
  line_writer writer(fifo, "%v");
  const std::string filler(150, 'x');
  constexpr int lines = 1500;
  for (int i = 0; i < lines; ++i)
    writer.write(log_level::info, filler);
  CHECK_FALSE(writer.drain(50ms)); // it waits for the pipe
  CHECK(writer.reopen().empty());  // the same one: nothing changes
  CHECK_FALSE(writer.drain(50ms));

  std::filesystem::rename(fifo, fifo + ".1");
  CHECK(writer.reopen().empty());
  writer.write(log_level::info, "last");
  for (int i = 0; i < 3; ++i) // the first two may see the ends of those that gave up
    REQUIRE(writer.drain(5s));
  ::close(reader);
  CHECK(writer.lost() == 0);
  std::istringstream all(content(fifo));
  std::string line;
  for (int i = 0; std::getline(all, line) && line != "last"; ++i) {
    REQUIRE(line == filler); // whole lines
    REQUIRE(i < lines);
  }
  CHECK(line == "last");
}

TEST_CASE("line writer: after a disk that was full each line is a line again") {
  folder in;
  const auto name = in.file("log");
  ::signal(SIGXFSZ, SIG_IGN);
  line_writer writer(name, "%v");
  writer.write(log_level::info, "first");
  REQUIRE(writer.drain(5s));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto full = before;
  full.rlim_cur = 10;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
  writer.write(log_level::info, "torn off");
  const bool is_torn = writer.drain(5s);
  writer.write(log_level::info, "not at all");
  const bool is_lost = writer.drain(5s);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  REQUIRE(is_torn);
  REQUIRE(is_lost);
  CHECK(content(name) == "first\ntorn");
  CHECK(writer.lost() == 2);
  writer.write(log_level::info, "second");
  writer.write(log_level::info, "third");
  REQUIRE(writer.drain(5s));
  CHECK(content(name) == "first\ntorn\nsecond\nthird\n");
  // One that is new begins with a line of its own.
  full.rlim_cur = 30;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
  writer.write(log_level::info, "torn off as well");
  const bool is_torn_again = writer.drain(5s);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  REQUIRE(is_torn_again);
  std::filesystem::rename(name, name + ".1");
  REQUIRE(writer.reopen().empty());
  writer.write(log_level::info, "fresh");
  REQUIRE(writer.drain(5s));
  CHECK(content(name) == "fresh\n");
}

TEST_CASE("line writer: a file that cannot be opened says why") {
  const line_writer writer("/does/not/exist/access.log", "%v");
  CHECK(writer.trouble() == "cannot open /does/not/exist/access.log: No such file or directory");
}

TEST_CASE("access log: a line as text and as JSON") {
  access_record record;
  record.request_id = "id-1";
  record.client = "127.0.0.1:5000";
  record.method = "POST";
  record.path = "/v1/chat/completions";
  record.status = 200;
  record.model = "a model\n";
  record.group = "g";
  record.deployment = "d";
  record.priority = -3;
  record.waited = 1005ms;
  record.attempts = 2;
  record.reason = "head-of-line";
  record.bytes_in = 10;
  record.bytes_out = 20;
  record.first_byte = 1100ms;
  record.total = 1200ms;
  CHECK(access_line(record, log_format::text) ==
        "request_id=id-1 client=127.0.0.1:5000 method=POST path=/v1/chat/completions status=200 "
        "model=\"a model\\\\x0a\" group=g deployment=d priority=-3 wait_ms=1005 attempts=2 "
        "reason=head-of-line bytes_in=10 bytes_out=20 first_byte_ms=1100 total_ms=1200 error=-");
  const auto json = nlohmann::json::parse("{" + access_line(record, log_format::json) + "}");
  CHECK(json["wait_ms"] == 1005);
  CHECK(json["model"] == "a model\\x0a");
  CHECK(json["error"].is_null());
  CHECK(json.size() == 17);
  record.waited.reset();
  record.priority.reset();
  const auto absent = nlohmann::json::parse("{" + access_line(record, log_format::json) + "}");
  CHECK(absent["wait_ms"].is_null());
  CHECK(absent["priority"].is_null());
}

TEST_CASE("log: of exceptions only the standard library's words are told") {
  CHECK(describe(std::out_of_range("at 5")) == "std::out_of_range: at 5");
  try {
    const auto parsed = nlohmann::json::parse("{\"a secret");
    FAIL("parsed: " << parsed.dump());
  } catch (const std::exception& thrown) {
    CHECK(describe(thrown).find("secret") == std::string::npos);
    CHECK(describe(thrown).find("parse_error") != std::string::npos);
  }
}

TEST_CASE("deployment watch: instances that have different limits") {
  deployment_watch watch;
  using lines = std::vector<std::string>;
  auto view = view_of({{false, 0}});
  CHECK(told(watch, view).empty());
  view.limits_differ = true;
  CHECK(told(watch, view) ==
        lines{": instances have different limits for the group: the lowest hold"});
  CHECK(told(watch, view).empty());
  view.limits_differ = false;
  CHECK(told(watch, view) == lines{": instances have the same limits again"});
}

TEST_CASE("deployment watch: a cooldown's begin and end, and that of a whole group") {
  deployment_watch watch;
  using lines = std::vector<std::string>;
  CHECK(told(watch, view_of({{false, 0}, {false, 0}})).empty());
  CHECK(told(watch, view_of({{true, 1}, {false, 0}})) == lines{"d1: deployment cools down"});
  CHECK(told(watch, view_of({{true, 1}, {false, 0}})).empty());
  CHECK(told(watch, view_of({{true, 1}, {true, 1}})) ==
        lines{"d2: deployment cools down",
              ": every deployment of the group cools down: its requests wait"});
  CHECK(told(watch, view_of({{false, 1}, {true, 1}})) ==
        lines{"d1: deployment is back", ": the group has a deployment again"});
  // One that began and ended between two looks.
  CHECK(told(watch, view_of({{false, 2}, {true, 1}})) ==
        lines{"d1: deployment is back, after a short cooldown"});
  CHECK(told(watch, view_of({{false, 2}, {false, 1}})) == lines{"d2: deployment is back"});
}
