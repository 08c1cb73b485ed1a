"""The checker of records made at full speed notices each kind of mistake, and nothing else: records by hand."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
here = Path(__file__).resolve().parent
sys.path[:0] = [str(here.parent), str(here.parent.parent / "tests/system")]

import speed_load  # noqa: E402
from history import Call, Look, Request, Stay, Waiting  # noqa: E402
from speed_history import Checker, History, at_share, read  # noqa: E402

RETRIES = 2


class Record(unittest.TestCase):
    """d1 has one slot, d2 has an rpm of 2. Unless a case says otherwise, calls take 0.9 s, the next one begins
    0.1 s later, and everybody in line was seen there in between."""

    def setUp(self):
        self.history = History({"d1": 1}, {"d2": 2}, RETRIES)
        # A call that all others wait for; then in order.
        for number, priority, sent, begun in ((0, 5, 0, 0.1), (1, 0, 0.2, 2.1), (2, 5, 0.3, 3.1), (3, 5, 1.3, 4.1)):
            self.add(number, priority, sent, begun)
        self.call(0).ended = self.call(0).closed = 2.0

    def add(self, number, priority, sent, begun, deployment="d1", took=0.9):
        request = Request(number, "m", priority, 0, sent, 120, begun + took + 0.01, 200, deployment, 1,
                          connection=number, wait_s=begun - sent - 0.001, echoed=number)  # fmt: skip
        self.history.requests[number] = request
        self.history.calls.append(Call(number, deployment, begun, begun + took, 200, closed=begun + took))
        return request

    def call(self, number):
        return next(each for each in self.history.calls if each.request == number)

    def move(self, number, begun):
        call, request = self.call(number), self.history.requests[number]
        call.begun, call.ended = begun, begun + 0.9
        call.closed, request.answered = call.ended, call.ended + 0.01
        request.wait_s = begun - request.sent - 0.001

    def swap(self, one, other):
        first, second = self.call(one).begun, self.call(other).begun
        self.move(one, second)
        self.move(other, first)

    def look(self, step=0.1):
        """Somebody looks so often."""
        moment = step / 2
        while moment < 6:
            waiting = [number for number, each in self.history.requests.items()
                       if each.sent < moment < (each.left or 9)
                       and all(call.begun > moment + 0.01 for call in self.history.calls if call.request == number)]  # fmt: skip
            self.history.looks.append(Look(moment, moment + 0.01, waiting))
            moment += step

    def check(self, *rules):
        checker = Checker(self.history)
        self.assertEqual({rule for rule, _ in checker.broken}, set(rules), checker.broken)
        return checker


class Order(Record):
    def test_what_is_right(self):
        self.look()
        self.assertEqual(self.check().decisions, 2)

    def test_nobody_is_known_to_wait(self):
        """Nobody looked, and nobody came later: an inversion cannot be told from one that was on its way."""
        self.swap(1, 2)
        for each in self.history.requests.values():
            each.wait_s = None
        self.assertEqual(self.check().pairs, 0)

    def test_an_inversion(self):
        self.swap(1, 2)
        self.look()
        self.check("order")

    def test_equals_that_change_places(self):
        self.swap(2, 3)
        self.look()
        self.check("order")

    def test_equals_of_which_nobody_knows_who_was_first(self):
        self.history.requests[2].sent = 1.29
        self.swap(2, 3)
        self.look(0.4)
        self.check()

    def test_a_later_one_that_went_shows_that_an_earlier_one_waits(self):
        """Nobody looked; but 4 was written after 1 had its ticket, and was called before 2 was granted."""
        self.swap(1, 2)
        for number in (0, 1, 2, 3):
            self.call(number).connection = 7
        self.add(4, -1, 0.5, 0.6, "d2")
        self.check()  # it went over other connections
        self.call(4).connection = 7
        self.check("order")

    def test_whoever_was_written_before_the_ticket_shows_nothing(self):
        self.swap(1, 2)
        for number in (0, 1, 2, 3):
            self.call(number).connection = 7
        self.add(4, -1, 0.25, 0.6, "d2")
        self.call(4).connection = 7
        self.history.requests[1].wait_s -= 0.1  # its ticket came later than that
        self.check()

    def test_a_grant_that_may_be_older_than_the_wait(self):
        """The slot was free before 1 stood in line: 2 may have been granted then."""
        self.swap(1, 2)
        self.call(0).ended = self.call(0).closed = 0.24
        self.history.looks = [Look(1.0, 1.01, [1]), Look(2.15, 2.16, [1])]
        self.check()
        self.history.looks.append(Look(1.05, 1.06, [1, 2]))
        self.check("order")

    def test_a_refused_one_waits_for_the_others_again(self):
        """1 is refused by d2; d2 is taken anew, and yet 2 goes to d1 before it."""
        self.history.slots["d2"] = 1
        self.swap(1, 2)
        self.history.requests[1].attempts, self.history.requests[1].wait_s = 2, None
        self.history.calls.append(Call(1, "d2", 0.5, 0.6, 429, closed=0.6))
        self.check()
        self.add(5, 9, 0.61, 0.7, "d2", 3)
        self.check("order")

    def test_a_refused_one_does_not_wait_where_it_was_refused(self):
        self.history.slots["d2"] = 1
        self.swap(1, 2)
        self.history.requests[1].attempts, self.history.requests[1].wait_s = 2, None
        self.history.calls.append(Call(1, "d1", 0.01, 0.05, 429, closed=0.05))
        self.check()

    def test_whoever_hung_up_waits_until_then(self):
        self.history.calls.remove(self.call(1))
        request = self.history.requests[1]
        request.status = request.answered = request.wait_s = None
        request.left = 1.9
        self.look()
        self.check()
        request.left, self.history.looks = 3.2, []
        self.look()
        self.check("order")

    def test_the_meter(self):
        self.history.inversions = 1
        self.check("order")

    def test_a_wait_that_cannot_be(self):
        self.look()
        for wait in (1.7, 1.99):
            self.history.requests[1].wait_s = wait
            self.check("wait")


class Limits(Record):
    def test_one_slot_too_many(self):
        self.move(1, 1.95)
        self.check("slots")

    def test_whoever_hung_up_has_no_slot(self):
        self.move(1, 1.95)
        self.history.requests[0].left = 1.9
        self.check()

    def test_one_unit_too_many(self):
        for number, begun in ((4, 0.5), (5, 2.5)):
            self.add(number, 0, begun - 0.1, begun, "d2")
        self.check()
        self.add(6, 0, 59.9, 60.2, "d2")
        self.check("rpm")

    def test_a_unit_that_is_back(self):
        for number, begun in ((4, 0.5), (5, 2.5), (6, 60.51)):
            self.add(number, 0, begun - 0.1, begun, "d2")
        self.history.requests[4].sent = 0.5 - 0.005
        self.history.requests[4].wait_s = 0.005
        self.check()


class Once(Record):
    def test_a_request_that_is_sent_twice(self):
        self.history.calls.append(Call(3, "d1", 5.1, 5.2, 200, closed=5.2))
        self.history.requests[3].attempts = 2
        self.check("once")

    def test_an_answer_that_nobody_gave(self):
        self.history.calls.remove(self.call(3))
        self.check("once")

    def test_the_answer_of_another(self):
        self.history.requests[3].echoed = 2
        self.check("once")

    def test_a_call_for_nobody(self):
        self.history.calls.append(Call(99, "d1", 5.1, 5.2, 200, closed=5.2))
        self.check("once")

    def test_a_request_that_is_lost(self):
        self.history.requests[3].answered = self.history.requests[3].status = None
        self.check("lost")

    def test_an_answer_without_a_reason(self):
        for status in (0, 408, 429, 500, 503):
            self.history.requests[3].status = status
            self.check("answer")

    def test_refusals_that_are_the_answer(self):
        for number, status in ((4, 429), (5, 500)):
            request = self.add(number, 5, 5, 7, "d2", 0.1)
            request.status, request.attempts, request.wait_s, self.history.calls[-1].status = status, 3, None, status
            for begun in (5.1, 5.3):
                self.history.calls.append(Call(number, "d3", begun + number / 100, begun + 0.1, status))
            self.history.rpm = {"d2": 9, "d3": 9}
        self.check()


class Gone(Record):
    def setUp(self):
        super().setUp()
        for number in range(100, 300):  # others, elsewhere, so that the gateway does something
            self.add(number, 5, number / 25, number / 25 + 0.01, "d2", 0.005)
        self.history.rpm["d2"] = 1000
        self.request = self.history.requests[3]
        self.request.status = self.request.answered = self.request.wait_s = None

    def test_called_soon_after(self):
        for left, granted, late in ((4.05, 0, 0), (3.8, 1, 0.1)):  # the slot was free at 3.9
            self.call(2).ended = self.call(2).closed = 3.9
            self.request.left = left
            figures = self.check().figures
            self.assertEqual((figures["called after left"], figures["granted after left"]), (1, granted))
            self.assertAlmostEqual(figures["granted after left, s"], late)

    def test_called_long_after(self):
        self.move(3, 9.1)
        self.add(4, 5, 8.2, 8.2 + 0.01, took=0.7)
        self.request.wait_s, self.request.left = None, 3.05
        self.check("gone")
        self.request.left = 7.5  # too little was done meanwhile
        self.check()

    def test_still_in_line(self):
        self.history.calls.remove(self.call(3))
        self.request.left = 2
        self.history.looks = [Look(2.5, 2.51, [3])]
        self.check()
        self.history.looks.append(Look(9, 9.01, [3]))
        self.check("gone")

    def test_a_call_that_goes_on(self):
        self.request.left = 4.2
        self.check()
        self.call(3).ended = self.call(3).closed = 10
        self.check("gone")


class Figures(Record):
    def test_a_slot_that_is_free_while_one_waits(self):
        self.look()
        self.assertEqual([round(each, 6) for each in self.check().gaps_s], [0.1, 0.1, 0.1])
        self.move(3, 4.6)
        self.assertEqual([round(each, 6) for each in self.check().gaps_s], [0.1, 0.1, 0.6])

    def test_shares(self):
        self.assertEqual([at_share([1, 2, 3], share) for share in (0, 0.5, 0.99, 1)], [1, 2, 2, 3])
        self.assertIsNone(at_share([], 0.5))


class Trees(unittest.TestCase):
    def test_as_by_looking_at_each(self):
        import random

        generator = random.Random(5)
        for _ in range(200):
            stays = []
            for number in range(generator.randint(1, 30)):
                since, length = generator.randint(0, 50), generator.randint(1, 30)
                request = Request(number, "m", generator.randint(0, 3), 0, since - generator.randint(1, 5), 120)
                stays.append(Stay(request, since, since + length, since))
            waiting = Waiting(stays)
            for since in sorted(generator.randint(0, 60) for _ in range(20)):
                until = since + generator.randint(0, 10)
                waiting.pass_time(since)
                count, first, last = waiting.until(until)
                there = [each for each in stays if each.since <= since and each.until >= until]
                self.assertEqual(count, len(there))
                if there:
                    best = min((each.request.priority, each.came_by) for each in there)
                    self.assertEqual((first.request.priority, first.came_by), best)
                    self.assertEqual(last, max((each.request.priority, each.request.sent) for each in there))


class Reading(unittest.TestCase):
    def test_lines(self):
        lines = ["R,0,3,-1,1000000000,-1,1500000000,200,d2,1,250,0\n", "R,1,4,255,1100000000,1200000000,-1,-1,,-1,-1,-1\n",
                 "C,0,d2,9,1250000000,1400000000,200\n", "L,1110000000,1120000000,0,1 0 \n"]  # fmt: skip
        found = read(lines, {"d2": 1}, {}, RETRIES)
        first, second = found.requests[0], found.requests[1]
        self.assertEqual((first.priority, first.sent, first.answered, first.status, first.deployment, first.attempts,
                          first.wait_s, first.echoed, first.left), (-1, 0, 0.5, 200, "d2", 1, 0.25, 0, None))  # fmt: skip
        self.assertEqual((second.sent, second.left, second.answered, second.status, second.deployment),
                         (0.1, 0.2, None, None, None))  # fmt: skip
        self.assertEqual(found.calls, [Call(0, "d2", 0.25, 0.4, 200, 0.0, 9, 0.4)])
        self.assertEqual(found.looks, [Look(0.11, 0.12, [1, 0])])

    def test_what_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record.csv"
            record.write_text("R,0,0,5,1000,-1,9000,200,d1,1,0,7\nC,0,d1,0,2000,3000,200\n")
            checker = speed_load.check(record)
        self.assertEqual([rule for rule, _ in checker.broken], ["once"])
        self.assertIn("the answer of another", speed_load.story(checker))


if __name__ == "__main__":
    unittest.main()
