"""Order and limits at full speed: clients and providers in one thread (bench/checked) load the gateway as fast as
they can, and speed_history.py checks what they saw. `./dev bench checked` does the same for longer.

VORRANG_SEED repeats what clients ask and when they hang up; who is quicker is the machine's affair.
"""

import os
import random
import tempfile
import unittest
from pathlib import Path

import speed_load
from gateway import Gateway, free_port

SECONDS = 1.5
DECISIONS_MIN = 100  # of thousands: the order was seen at all


class Speed(unittest.TestCase):
    def load(self, connections, threads, pace="when-full", decisions_min=DECISIONS_MIN):
        program = os.environ.get("VORRANG_CHECKED_LOAD", "")
        if not os.path.exists(program):
            if os.environ.get("CI"):
                self.fail(f"{program or 'bench/checked'} is not built")
            self.skipTest("bench/checked is not built")
        seed = int(os.environ.get("VORRANG_SEED") or random.SystemRandom().randrange(10**9))
        print(f"[VORRANG_SEED={seed}] ", end="", flush=True)
        ports = [free_port() for _ in speed_load.SLOTS]
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record.csv"
            with Gateway(speed_load.config(ports), ["--threads", str(threads)]) as gateway:
                told = speed_load.play(program, gateway.port, gateway.admin_port, ports, SECONDS, connections, seed, record,
                                        pace)  # fmt: skip
                gateway.wait_until_waiting(0)
            checker = speed_load.check(record)
        print(f"[{told['per_second']:,.0f}/s, {checker.counts()}] ", end="", flush=True)
        if checker.broken:
            self.fail(speed_load.story(checker))
        self.assertGreater(checker.decisions, decisions_min)

    def test_64_connections(self):
        self.load(64, 1)

    def test_256_connections_and_two_loops(self):
        self.load(256, 2)

    def test_512_connections_answered_at_once(self):
        self.load(512, 1, "at-once")


if __name__ == "__main__":
    unittest.main()
