"""Cases of check_rules.py: each rule finds what it is for, and leaves alone what is right."""
import unittest

import check_rules


def rules(path: str, text: str) -> list[str]:
    return [rule for _, rule, _ in check_rules.check(path, text)]


def faults(statement: str) -> int:
    body = "awaitable<void> f(int a) {\n  " + statement + "\n}\n"
    return rules("http/f.cpp", body).count("co_await")


class TestNames(unittest.TestCase):
    def test_a_semicolon_is_two_names(self):
        self.assertEqual(rules("tests/x_test.cpp", 'TEST_CASE("a; b") {}\n'), ["test-name"])
        self.assertEqual(rules("tests/x_test.cpp", 'TEST_CASE(\n    "a "\n    "b; c") {}\n'), ["test-name"])
        self.assertEqual(rules("tests/x_test.cpp", 'TEST_CASE("a, b") { SECTION("c; d") {} }\n'), [])


class CoAwait(unittest.TestCase):
    def test_wrong(self):
        for statement in [
            "co_await f({a, b});",
            "co_await f(point{1, 2});",
            "co_await f(point{.x = 1});",
            "co_await f(std::array<int, 2>{1, 2});",
            "auto n = co_await g(std::vector<int>{1});",
            "co_await co_spawn(ex, [cap]() -> awaitable<void> { co_return; }, use_awaitable);",
            "co_await async_initiate<T>([sp](auto h) { h(); }, token);",
            "auto n = b ? co_await x() : y;",
            "auto n = b ? y : co_await x();",
            "if (co_await f({a})) { g(); }",
            "return g(point{1}, co_await f());",
            "co_return co_await f({a});",
            "co_await f(\n      {a,\n       b});",
            "const auto n = h(co_await x(), {1, 2});",
            "while (co_await f(point{1})) {\n g();\n }",
            "auto l = [&]() -> awaitable<void> { co_await f({a}); };",
        ]:
            with self.subTest(statement):
                self.assertEqual(faults(statement), 1)

    def test_right(self):
        for statement in [
            "co_await f(std::move(object));",
            "auto object = point{1, 2};\n  co_await f(std::move(object));",
            "point object{1, 2};\n  co_await f(object);",
            "if (co_await f()) { point p{1, 2}; g(p); }",
            "if (co_await f(a)) {\n g();\n } else {\n h({1});\n }",
            "while (!co_await f()) { auto p = point{1}; }",
            "for (auto x : v) { co_await f(x); }",
            "switch (co_await f()) { case 1: g({1}); break; }",
            "auto [error, count] = co_await async_read(socket, buffer(data), token);",
            "co_await f([&](auto h) { h(point{1}); });",
            "co_await f([](auto h) { return point{1}; });",
            "co_await a() && co_await b();",
            "g({1}); co_await f(); h({2});",
            "auto l = [sp]() -> awaitable<void> { co_await f(); };",
            "co_spawn(ex, [sp]() -> awaitable<void> { co_await f(); }, handler{1});",
            "// co_await f({a});",
            'log("b ? co_await {1} : 2"); co_await f("?:{");',
            "try { co_await f(); } catch (...) { g({1}); }",
            "co_await sockets[i].async_wait(x[j]);",
            "const int n = b ? 1 : 2;\n  co_await f(n);",
            "case_a:\n  co_await f();",
            "if (a) co_await f(); else co_await g();",
        ]:
            with self.subTest(statement):
                self.assertEqual(faults(statement), 0)


class Includes(unittest.TestCase):
    def test_rooms(self):
        self.assertEqual(rules("config/a.hpp", '#include "actors/types.hpp"\n'),
                         ["upward-include"])
        self.assertEqual(rules("actors/a.hpp", '#include "http/x.hpp"\n'), ["upward-include"])
        self.assertEqual(rules("http/a.hpp", '#include "bench/x.hpp"\n'), ["upward-include"])
        self.assertEqual(rules("http/a.hpp", '#include "tests/x.hpp"\n'), ["upward-include"])
        self.assertEqual(rules("actors/a.hpp", '#include "config/settings.hpp"\n'), [])
        self.assertEqual(rules("tests/http/a.cpp", '#include "http/x.hpp"\n'), [])

    def test_passive(self):
        self.assertEqual(rules("actors/waiting_line.hpp", "#include <caf/actor.hpp>\n"),
                         ["passive-include"])
        self.assertEqual(rules("config/settings.hpp", "#include <caf/actor.hpp>\n"),
                         ["passive-include"])
        for shell in ["actors/queue_actor.cpp", "actors/messages.hpp", "actors/caf/compat.hpp"]:
            self.assertEqual(rules(shell, "#include <caf/actor.hpp>\n"), [])


class Sleeps(unittest.TestCase):
    def test_sleep(self):
        self.assertEqual(rules("tests/a.cpp", "std::this_thread::sleep_for(1ms);\n"), ["sleep"])
        self.assertEqual(rules("actors/a.cpp", "::usleep(3);\n"), ["sleep"])
        self.assertEqual(rules("tests/a.cpp", "// sleep_for(1ms)\nauto asleep = 1;\n"), [])


class Sizes(unittest.TestCase):
    def test_warns(self):
        self.assertEqual(rules("http/a.hpp", "\n" * 301), ["size"])
        self.assertEqual(rules("http/a.hpp", "\n" * 299), [])


if __name__ == "__main__":
    unittest.main()
