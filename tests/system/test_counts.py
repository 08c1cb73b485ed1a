"""What a request costs in calls, memory, messages and wake-ups: counts, which are the same on every
machine where times are not. count_cases.py says how they are taken, and `./dev bench counts` shows them.

A change that makes a request cost more fails here. If it has to, the ceiling is raised in the same
change, which says why; if it costs less, the ceiling goes down with it.
"""

import unittest

from count_cases import CASES, SHOWN, a_request

# A call to the kernel, a message or a wake-up more is a change of the program: these are exact. What
# libraries do in memory may differ a little from one release of theirs to the next.
CEILINGS = {
    # name: a request, one that waits, an event of a stream, 1000 wait for 2 s
    "system_calls": (10, 10, 4, 26),  # two sockets read and written, two looks for nothing, the loop's polls
    "reads": (4, 4, 2, 0),  # what came, and a look whether more has come; from client and provider
    "writes": (2, 2, 1, 1),  # request and answer, each whole; an event; the one 408
    "polls": (4, 4, 1, 9),  # two waits, and a look at the sockets before what was put off until later
    "switches": (2, 2, 1, 12),  # once for the client, once for the provider; of others, who looks each second
    "messages": (5, 5, 0, 8),  # offer, verdict, take, settle, room; an event is none of an actor's business
    "allocations": (30, 30, 3, 50),
    "bytes": (8900, 8900, 500, 40_000),
    "copies": (97, 97, 12, 90),
    "bytes_copied": (2300, 2300, 500, 36_000),
    "locks": (10, 10, 2, 45),
    "clocks": (16, 16, 1, 30),
}

# How much more a request may cost with an access log; the other thread's part of it is counted as well.
LOGGED = {
    "system_calls": 4,  # the address; a wake-up and a write and a wait of the other thread
    "reads": 0,
    "writes": 1,
    "polls": 0,
    "switches": 1,
    "messages": 0,
    "allocations": 6,
    "bytes": 1600,
    "locks": 4,
    "clocks": 7,
}


class Counts(unittest.TestCase):
    def compare(self, case):
        measured = CASES[case]()
        column = list(CASES).index(case)
        shown = (f"{name} {measured[key]:.6g}" for name, key in SHOWN.items())
        print(f"[{', '.join(shown)}] ", end="", flush=True)
        for name, row in CEILINGS.items():
            with self.subTest(name):
                # Less than a half is of the clock, or of a container that grows now and then.
                self.assertLessEqual(int(measured[name] + 0.5), row[column], f"{name} of {case}")

    def test_a_request(self):
        self.compare("a request")

    def test_a_request_that_is_logged(self):
        """What the access log adds: a look at the client's address, a line for another thread, and what
        that thread does with it."""
        measured = a_request(["--access-log", "/dev/null"])
        shown = (f"{name} {measured[key]:.6g}" for name, key in SHOWN.items())
        print(f"[{', '.join(shown)}] ", end="", flush=True)
        for name, more in LOGGED.items():
            with self.subTest(name):
                self.assertLessEqual(int(measured[name] + 0.5), CEILINGS[name][0] + more, name)

    def test_a_request_that_waits(self):
        self.compare("a request that waits")

    def test_an_event_of_a_stream(self):
        self.compare("an event of a stream")

    def test_a_thousand_that_wait(self):
        self.compare("1000 wait for 2 s")


if __name__ == "__main__":
    unittest.main()
