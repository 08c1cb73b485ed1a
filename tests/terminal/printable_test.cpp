// Text of others, made fit for a terminal.
#include "terminal/printable.hpp"
#include "terminal/text_table.hpp"

#include "catch.hpp"

#include <clocale>

using namespace vorrang::terminal;

namespace {

/// In this locale, and then in the one of before.
class in_locale {
public:
  explicit in_locale(const char* name) : before_(std::setlocale(LC_CTYPE, nullptr)) {
    REQUIRE(std::setlocale(LC_CTYPE, name) != nullptr);
  }
  ~in_locale() { std::setlocale(LC_CTYPE, before_.c_str()); }
  in_locale(const in_locale&) = delete;
  in_locale& operator=(const in_locale&) = delete;

private:
  std::string before_;
};

} // namespace

TEST_CASE("printable: what a terminal would obey is gone") {
  const in_locale utf8("C.UTF-8");
  CHECK(printable("gpt-4o") == "gpt-4o");
  CHECK(printable("a\033[2Jb\a\r\nc\x7F") == "a?[2Jb???c?");
  CHECK(printable(std::string_view("a\0b", 3)) == "a?b");
  CHECK(printable("x\xC2\x9By") == "x?y"); // CSI as one character of C1
  CHECK(printable("\x9B") == "?");         // … and as the byte alone
}

TEST_CASE("printable: what cannot be seen, or is read backwards, shows") {
  const in_locale utf8("C.UTF-8");
  CHECK(printable("a\u202Eb") == "a?b");
  CHECK(printable("a\u200Bb\uFEFF") == "a?b?");
  CHECK(printable("a\u2028b") == "a?b");
}

TEST_CASE("printable: letters stay, broken UTF-8 does not") {
  const in_locale utf8("C.UTF-8");
  CHECK(printable("über 東京") == "über 東京");
  CHECK(printable("\xC3") == "?");
  CHECK(printable("\xC0\xAF") == "??");           // overlong
  CHECK(printable("\xED\xA0\x80") == "???");      // half of a pair
  CHECK(printable("\xF4\x90\x80\x80") == "????"); // beyond Unicode
  const in_locale ascii("C");
  CHECK(printable("über") == "?ber");
}

TEST_CASE("printable: columns are counted as a terminal has them") {
  const in_locale utf8("C.UTF-8");
  CHECK(columns_of("東京") == 4);
  CHECK(columns_of("e\u0301") == 1);
  CHECK(cut_to("abcdef", 6) == "abcdef");
  CHECK(cut_to("abcdef", 4) == "abc…");
  CHECK(cut_to("東京", 3) == "東…");
  CHECK(cut_to("東京", 2) == "…");
  CHECK(cut_to("abc", 0).empty());
  CHECK(fit_to("東京", 6) == "東京  ");
  const in_locale ascii("C");
  CHECK(cut_to("abcdef", 4) == "abc~");
}

TEST_CASE("table: columns stand below each other, whatever is in the cells") {
  const in_locale utf8("C.UTF-8");
  using side = text_table::side;
  text_table table({{"ID", side::right}, {"NAME", side::left}, {"WHY", side::left}});
  table.add({"7", "東京", "x"});
  table.add({"1234", "a\nb"});
  CHECK(table.text(false) == "  ID  NAME  WHY\n"
                             "   7  東京  x\n"
                             "1234  a?b\n");
  CHECK(table.text(true).rfind("\033[1m  ID  NAME  WHY\033[0m\n", 0) == 0);
}

TEST_CASE("durations: in the largest units that tell something") {
  CHECK(duration_text(-5) == "0 ms");
  CHECK(duration_text(999) == "999 ms");
  CHECK(duration_text(12'449) == "12.4 s");
  CHECK(duration_text(59'999) == "59.9 s");
  CHECK(duration_text(125'000) == "2 min 5 s");
  CHECK(duration_text(3'780'000) == "1 h 3 min");
}

TEST_CASE(
    "printable lines: lines stay, in any locale, and nothing else that is obeyed or not seen") {
  CHECK(printable_lines("a\nb … é\n") == "a\nb … é\n");
  CHECK(printable_lines("a\u202Eb\u2028c\u009Bd\u200Be") == "a?b?c?d?e");
  CHECK(printable_lines("\033[2J\t\r\x7F\xFF") == "?[2J????");
}
