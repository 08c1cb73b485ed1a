#!/usr/bin/env python3
"""Does the comparison bite? And is the documentation's list the list? Run by ./dev lint."""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "system")]

import observe  # noqa: E402
import report  # noqa: E402
from cases import CASES  # noqa: E402
from client import Response  # noqa: E402
from verdict import ABSENT, Difference, Verdict, Wanted, differences  # noqa: E402
from wanted import TOPICS, WANTED  # noqa: E402

WHY = "because"


def answer(body, content_type="application/json", status=200):
    return observe.answer(Response(status, "", "HTTP/1.1", [("Content-Type", content_type)], body, 0.0))


class Observing(unittest.TestCase):
    def test_the_leaves_of_a_body_are_named_by_their_paths(self):
        seen = answer(b'{"id": "a", "choices": [{"text": "x"}, {"text": "y"}], "usage": {}, "model": null}')
        self.assertEqual(seen["body.choices.#.text"], ["x", "y"])
        self.assertEqual((seen["body.id"], seen["body.usage"], seen["body.model"]), ("…", {}, None))

    def test_an_error_tells_whether_the_provider_is_heard(self):
        seen = answer(b'{"error": {"message": "upstream says no", "code": "400"}}', status=400)
        self.assertEqual((seen["error.tells-upstream"], seen["error.code"]), (True, "400"))

    def test_a_stream_is_joined(self):
        event = 'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n'
        body = (event % "a" + ": ping\n\n" + event % "b").encode()
        seen = answer(body, "text/event-stream; charset=utf-8")
        self.assertEqual((seen["stream.text"], seen["stream.events"], seen["stream.done"]), ("ab", 2, False))
        self.assertTrue(answer(body + b"data: [DONE]\n\n", "text/event-stream")["stream.done"])


class Differing(unittest.TestCase):
    def test_absent_and_null_differ_and_so_do_a_number_and_its_text(self):
        found = differences("c", "r", {"body.a": None, "body.b": 1}, {"body.b": "1", "body.c": 0})
        self.assertEqual({each.field: (each.ours, each.theirs) for each in found}, {
            "body.a": (None, ABSENT), "body.b": (1, "1"), "body.c": (ABSENT, 0)})

    def test_a_second_is_no_difference(self):
        self.assertEqual(differences("c", "r", {"seconds": 1}, {"seconds": 2}), [])
        self.assertEqual(len(differences("c", "r", {"seconds": 3}, {"seconds": 1})), 1)

    def test_bodies_are_not_compared_where_one_side_succeeds_and_the_other_fails(self):
        ours = {"status": 200, "body.id": "…", "upstream.attempts": 1, "upstream.0.path": "/v1"}
        theirs = {"status": 400, "error.code": "400", "upstream.attempts": 0}
        self.assertEqual([each.field for each in differences("c", "r", ours, theirs)], ["status", "upstream.attempts"])

    def test_what_both_have_sent_is_compared_whatever_the_status(self):
        ours = {"status": 200, "upstream.attempts": 2, "upstream.0.path": "/a", "upstream.1.path": "/b"}
        theirs = {"status": 400, "upstream.attempts": 1, "upstream.0.path": "/c"}
        fields = [each.field for each in differences("c", "r", ours, theirs)]
        self.assertEqual(fields, ["status", "upstream.attempts", "upstream.0.path"])


class Judging(unittest.TestCase):
    def judged(self, entries, *found):
        verdict = Verdict(entries)
        verdict.judge(found)
        return verdict

    def test_what_no_entry_covers_is_unwanted(self):
        entry = Wanted("status", WHY, "", config="a", request="x*", ours="401", theirs="400")
        good = Difference("a", "xy", "status", 401, 400)
        others = [
            Difference("b", "xy", "status", 401, 400),
            Difference("a", "yx", "status", 401, 400),
            Difference("a", "xy", "content-type", 401, 400),
            Difference("a", "xy", "status", 403, 400),
            Difference("a", "xy", "status", 401, 404),
        ]
        self.assertEqual(self.judged([entry], good, *others).unwanted, others)

    def test_brackets_are_no_pattern(self):
        entry = Wanted("all.status", WHY, "", ours="[200]")
        found = [Difference("a", "x", "all.status", [200], 1), Difference("a", "x", "all.status", 2, 1)]
        self.assertEqual(self.judged([entry], *found).unwanted, found[1:])

    def test_an_entry_that_covers_nothing_is_idle_also_behind_one_that_has_it_all(self):
        first, second = Wanted("status", WHY, ""), Wanted("status", WHY, "", config="a")
        verdict = self.judged([first, second], Difference("a", "x", "status", 1, 2))
        self.assertEqual(verdict.idle_entries(["a"], ["a"]), [second])

    def test_an_entry_about_files_that_were_not_run_is_not_idle(self):
        of_all, of_b, of_none = Wanted("x", WHY, ""), Wanted("x", WHY, "", config=("b", "c")), Wanted("x", WHY, "", config="d")
        verdict = self.judged([of_all, of_b, of_none])
        self.assertEqual(verdict.idle_entries(["a", "b"], ["a", "b", "c"]), [of_none])
        self.assertEqual(verdict.idle_entries(["b", "c"], ["a", "b", "c"]), [of_b, of_none])
        self.assertEqual(verdict.idle_entries(["a", "b", "c"], ["a", "b", "c"]), [of_all, of_b, of_none])


class Listing(unittest.TestCase):
    def test_every_entry_has_a_sentence_and_a_source(self):
        for entry in WANTED:
            self.assertRegex(entry.why, r"^\S.*\.`?$", entry)
            self.assertTrue(entry.source, entry)

    def test_there_are_twenty_files_and_each_has_requests_of_different_names(self):
        self.assertEqual(len(CASES), 20)
        self.assertEqual(sorted(CASES), sorted(path.stem for path in (HERE / "configs").glob("*.yaml")))
        for name, make in CASES.items():
            names = [request.name for request in make()]
            self.assertEqual(len(names), len(set(names)), name)

    def test_the_documentation_holds_the_list(self):
        text = report.PAGE.read_text(encoding="utf-8")
        self.assertEqual(report.page_with(text, TOPICS), text, "python3 tests/compare/run.py --write-docs")


if __name__ == "__main__":
    unittest.main()
