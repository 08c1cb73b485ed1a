// Traces of one's own: what is read, and what is said of a bad row.
#include "bench/policy/trace_csv.hpp"
#include "catch.hpp"

#include <sstream>

using namespace vorrang;
using namespace vorrang::bench;

namespace {

csv_trace read(const std::string& text) {
  std::istringstream file(text);
  return read_trace(file, "t.csv");
}
std::string error_of(const std::string& row) {
  return read("arrival_s,priority,service_s,deadline_s\n" + row + "\n").error;
}

} // namespace

TEST_CASE("trace: columns in any order, rows too") {
  const auto found = read("\xEF\xBB\xBFpriority, arrival_s,tokens,service_s,deadline_s\r\n"
                          "# a comment\r\n"
                          "\r\n"
                          "-3, 2.5, 700, 1e-3, 30\r\n"
                          "10,0.25,,4,\r\n");
  CHECK(found.error == "");
  REQUIRE(found.requests.size() == 2);
  const auto& first = found.requests[0];
  CHECK(first.arrival == std::chrono::milliseconds(250));
  CHECK(first.priority == 10);
  CHECK(first.service == std::chrono::seconds(4));
  CHECK(first.deadline == std::nullopt);
  CHECK(first.tokens == 0);
  const auto& second = found.requests[1];
  CHECK(second.arrival == std::chrono::milliseconds(2500));
  CHECK(second.priority == -3);
  CHECK(second.service == std::chrono::milliseconds(1));
  CHECK(second.deadline == std::chrono::seconds(30));
  CHECK(second.tokens == 700);
}

TEST_CASE("trace: rows of one instant stay in their order") {
  const auto found = read("arrival_s,priority,service_s,deadline_s\n1,1,1,\n0,2,1,\n1,3,1,\n");
  REQUIRE(found.requests.size() == 3);
  CHECK(found.requests[0].priority == 2);
  CHECK(found.requests[1].priority == 1);
  CHECK(found.requests[2].priority == 3);
}

TEST_CASE("trace: errors name file, line, column and what is wrong") {
  CHECK(error_of("1,2,3,4\n1,2,3") == "t.csv:3: 3 fields; the header has 4");
  CHECK(error_of("x,2,3,4") == "t.csv:2: arrival_s: 'x' is no number");
  CHECK(error_of("-1,2,3,4") == "t.csv:2: arrival_s: '-1' is not ≥ 0");
  CHECK(error_of("nan,2,3,4") == "t.csv:2: arrival_s: 'nan' is not ≥ 0");
  CHECK(error_of("inf,2,3,4") == "t.csv:2: arrival_s: 'inf' is not below 1e8");
  CHECK(error_of("1,2.5,3,4") == "t.csv:2: priority: '2.5' is no 32-bit integer");
  CHECK(error_of("1,2147483648,3,4") == "t.csv:2: priority: '2147483648' is no 32-bit integer");
  CHECK(error_of("1,2,0,4") == "t.csv:2: service_s: '0' is not > 0");
  CHECK(error_of("1,2,,4") == "t.csv:2: service_s: '' is no number");
  CHECK(error_of("1,2,3 s,4") == "t.csv:2: service_s: '3 s' is no number");
  CHECK(error_of("1,2,3,-4") == "t.csv:2: deadline_s: '-4' is not > 0");
  CHECK(error_of("\n# one\n1,2,3,0") == "t.csv:4: deadline_s: '0' is not > 0");
  CHECK(error_of("") == "t.csv:2: no request after the header");
  CHECK(read("").error == "t.csv:0: no header");
  CHECK(read("arrival_s,priority,service_s\n").error == "t.csv:1: column 'deadline_s' is missing");
  CHECK(read("arrival_s,arrival_s\n").error == "t.csv:1: column 'arrival_s' stands there twice");
  CHECK(read("when\n").error == "t.csv:1: unknown column 'when'; known: arrival_s, priority, "
                                "service_s, deadline_s, tokens");
  CHECK(read("arrival_s,priority,service_s,deadline_s,tokens\n1,2,3,4,-5\n").error ==
        "t.csv:2: tokens: '-5' is no whole number");
  CHECK(error_of("1,2,3,x").size() > 0);
  CHECK(read("arrival_s,priority,service_s,deadline_s\n1,2,3,4\n1,2,3,x\n").requests.empty());
}
