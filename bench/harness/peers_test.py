"""The bench beside other gateways counts right, and tells them what it says it does."""
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

sys.dont_write_bytecode = True
here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent))

from harness import peers, peers_contention, peers_load, peers_setups, peers_tables, proxies  # noqa: E402
from harness.peers_contention import Record, inversions, most_at_once, outcome  # noqa: E402
from harness.processes import free_ports, server  # noqa: E402
from provider import Provider  # noqa: E402

options = SimpleNamespace(gateway=Path("/bin/vorrang"), threads=1, rounds=3, seconds=1)


def record(priority, sent_at, started_at=None, status=200, took=0.5):
    answered_at = None if status is None else (sent_at if started_at is None else started_at) + took
    return Record(0, priority, sent_at, started_at, status, answered_at)


class Inversions(unittest.TestCase):
    def test_urgent_first_is_right(self):
        self.assertEqual(inversions([record(1, 0.0, 1.0), record(2, 0.0, 2.0)]), (0, 1))

    def test_urgent_later_is_wrong(self):
        self.assertEqual(inversions([record(2, 0.0, 1.0), record(1, 0.0, 2.0)]), (1, 1))

    def test_who_came_after_the_begin_did_not_wait(self):
        self.assertEqual(inversions([record(2, 0.0, 1.0), record(1, 1.5, 2.0)]), (0, 0))

    def test_who_was_on_the_way_did_not_wait(self):
        sent_at = 1.0 - peers_contention.on_the_way_seconds / 2
        self.assertEqual(inversions([record(2, 0.0, 1.0), record(1, sent_at, 2.0)]), (0, 0))

    def test_equal_priorities_are_no_pair(self):
        self.assertEqual(inversions([record(1, 0.5, 1.0), record(1, 0.0, 2.0)]), (0, 0))

    def test_who_never_began_is_in_no_pair(self):
        self.assertEqual(inversions([record(2, 0.0, 1.0), record(1, 0.0, None, 429)]), (0, 0))

    def test_who_began_and_was_thrown_out_is(self):
        self.assertEqual(inversions([record(2, 0.0, 1.0, 503), record(1, 0.0, 2.0)]), (1, 1))

    def test_a_reversed_line_is_wrong_in_every_pair(self):
        self.assertEqual(inversions([record(4 - number, 0.0, 1.0 + number) for number in range(4)]), (6, 6))

    def test_the_order_of_the_list_does_not_matter(self):
        self.assertEqual(inversions([record(1, 0.0, 3.0), record(3, 0.0, 1.0), record(2, 0.0, 2.0)]), (3, 3))


class AtOnce(unittest.TestCase):
    def test_one_after_the_other(self):
        self.assertEqual(most_at_once([(0, 1), (1, 2), (2.5, 3)]), 1)

    def test_overlapping_and_nested(self):
        self.assertEqual(most_at_once([(0, 10), (1, 2), (1.5, 4), (3, 5)]), 3)

    def test_none(self):
        self.assertEqual(most_at_once([]), 0)


class Outcome(unittest.TestCase):
    def setUp(self):
        self.found = outcome([record(1, 0.0, 1.0), record(1, 0.0, 2.0), record(4, 0.0, None, 429),
                              record(4, 0.0, None, None), record(4, 0.0, 0.5, 503)], [(0, 1), (1, 2)])  # fmt: skip

    def test_everybody_is_counted_once(self):
        self.assertEqual((self.found["answered"], self.found["refused"]), (2, {"429": 1, "no answer": 1, "503": 1}))
        self.assertEqual(self.found["requests"], 2 + sum(self.found["refused"].values()))

    def test_by_priority(self):
        self.assertEqual(self.found["answered_of"], {1: [2, 2], 2: [0, 0], 3: [0, 0], 4: [0, 3]})

    def test_only_the_answered_have_waited(self):
        self.assertEqual(self.found["wait_p50_ms"], {1: 2000.0, 2: None, 3: None, 4: None})
        self.assertEqual(self.found["wait_p99_ms"][1], 2500.0)

    def test_the_same_seed_draws_the_same(self):
        self.assertEqual(peers_contention.drawn(0), peers_contention.drawn(0))
        self.assertNotEqual(peers_contention.drawn(0), peers_contention.drawn(1))
        self.assertEqual(set(peers_contention.drawn(0)), set(peers_setups.priorities))


def run_of(rate, p50, requests=100, **more):
    return {"requests": requests, "errors": 0, "per_second": rate, "p50_us": p50, "p99_us": 2 * p50, **more}


class Tables(unittest.TestCase):
    speed = {"no proxy": {"load": {count: [run_of(100, 1000), run_of(100, 2000)] for count in peers_load.connections}},
             "one": {"load": {count: [run_of(10, 4000, cpu_us=7), run_of(30, 4000, cpu_us=9)]
                              for count in peers_load.connections}, "memory_mb": {"idle": 8.4, "after": 1234.5}}}  # fmt: skip

    def test_speed(self):
        head, rows = peers_tables.speed_table(self.speed, {})
        self.assertEqual(rows[1], ["one", *["20 ± 10"] * 3, "8 ± 1", "8", "1,234", 0])
        self.assertEqual({len(row) for row in rows}, {len(head)})

    def test_later_than_in_the_same_round(self):
        self.assertEqual(peers_tables.later_ms(self.speed, "one", 64, "p50_us"), [3.0, 2.0])
        self.assertEqual(peers_tables.latency_table(self.speed, {})[1][1][:3], ["one", "2.50 ± 0.50", "5.00 ± 1.00"])

    def test_a_run_without_an_answer_has_no_latency(self):
        silent = {**self.speed, "one": {"load": {count: [run_of(0, 0, requests=0)] for count in peers_load.connections}}}
        self.assertEqual(peers_tables.latency_table(silent, {})[1][1], ["one", *["–"] * 6])

    def test_without_a_base_nobody_is_later(self):
        self.assertEqual(peers_tables.latency_table({"one": self.speed["one"]}, {})[1], [])

    def test_who_is_missing_has_the_reason(self):
        for table in (peers_tables.speed_table, peers_tables.latency_table, peers_tables.stream_table, peers_tables.slot_table):
            head, rows = table({}, {"two": "not installed:\n  no   network"})
            self.assertEqual(rows, [["two", "not installed: no network", *[""] * (len(head) - 2)]])

    def test_streams(self):
        same = {"events_per_second": 1000.0, "streams": 36}
        rounds = [{"first_p50_ms": 1.0, "first_p99_ms": 2.0, "whole": 35, **same},
                  {"first_p50_ms": 3.0, "first_p99_ms": None, "whole": 36, **same}]  # fmt: skip
        rows = peers_tables.stream_table({"one": rounds}, {})[1]
        self.assertEqual(rows, [["one", "2.00 ± 1.00", "2.00 ± 0.00", "1,000 ± 0", "71 of 72"]])

    def test_slot(self):
        rounds = [outcome([record(4, 0.0, 1.0), record(1, 0.0, 2.0), record(1, 0.0, None, 429)], [(0, 2), (1, 3)])]
        head, rows = peers_tables.slot_table({"one": {"one_slot": "a word", "rounds": rounds}}, {})
        self.assertEqual(rows, [["one", "a word", "2 ± 0", "50% – – 100%", "1 ± 0 (429: 1)", "2 ± 0", "1 ± 0", "100.0%",
                                 "2,500 ± 0", "1,500 ± 0"]])  # fmt: skip
        self.assertEqual(len(rows[0]), len(head))


class Configurations(unittest.TestCase):
    def made(self, peer, slots):
        """All that `command` says and writes."""
        with tempfile.TemporaryDirectory() as name, mock.patch.object(proxies, "tool", lambda tool: tool):
            command = peer.command(Path(name), 7001, 7002, slots)
            return " ".join(map(str, command)) + "".join(each.read_text() for each in Path(name).iterdir())

    def test_limits_are_there_for_one_slot_only(self):
        for kind, limit in ((peers_setups.Nginx, "limit_conn slots 1;"), (peers_setups.HAProxy, ":7002 maxconn 1\n"),
                            (peers_setups.HAProxy, "set-priority-class req.body,json_query('$.priority','int')"),
                            (peers_setups.LiteLLM, "max_parallel_requests: 1\n"),
                            (peers_setups.Vorrang, "max_parallel_requests: 1\n")):  # fmt: skip
            peer = kind(options)
            peer._program = "program"
            with self.subTest(limit):
                self.assertIn(limit, self.made(peer, 1))
                self.assertNotIn(limit.rstrip(";\n"), self.made(peer, None))
                for port in ("7001", "127.0.0.1:7002"):
                    self.assertIn(port, self.made(peer, None))

    def test_smg_is_asked_for_its_scheduler_and_reserves_nothing(self):
        peer = peers_setups.Smg(options)
        peer._program = "program"
        text = self.made(peer, 1)
        self.assertIn("--priority-scheduler-enabled", text)
        self.assertIn("--worker-urls http://127.0.0.1:7002", text)
        self.assertEqual(text.count("reserved_floor: 0"), 4)
        self.assertEqual(text.count("can_preempt: true"), 2)
        without = peer.variants()[1]
        self.assertNotEqual(without.name, peer.name)
        self.assertEqual(self.made(without, 1).count("can_preempt: false"), 4)

    def test_smg_hears_of_the_slots(self):
        self.assertEqual(peers_setups.about_the_model("/server_info?x=1", 1)["max_running_requests"], 1)
        self.assertIn('"max_running_requests": 4096', peers_setups.upstream_text(7002))
        self.assertIsNone(peers_setups.about_the_model("/version", 1))

    def test_every_priority_has_a_class_of_its_own(self):
        peer = peers_setups.Smg(options)
        classes = [peer.headers(7002, priority)["x-smg-priority"] for priority in peers_setups.priorities]
        self.assertEqual(classes, ["system", "interactive", "default", "bulk"])
        self.assertEqual(peer.headers(7002), {})

    def test_portkey_is_told_where_to_by_each_request(self):
        headers = peers_setups.Portkey(options).headers(7002)
        self.assertEqual(headers["x-portkey-custom-host"], "http://127.0.0.1:7002/v1")
        self.assertIn('wrk.headers["x-portkey-custom-host"] = "http://127.0.0.1:7002/v1"\n', peers_load.script(headers))

    def test_a_request_says_how_long_it_is(self):
        head, _, body = peers_contention.request("ü", 3, {"x-a": "b"}).decode().partition("\r\n\r\n")
        self.assertIn(f"Content-Length: {len(body.encode())}\r\nx-a: b", head)
        self.assertIn('"priority": 3', body)


class Turns(unittest.TestCase):
    def test_another_one_is_first_each_time(self):
        seen = []
        peers.in_turns(2, ["a", "b", "c"], lambda name, turn: seen.append((turn, name)), {})
        self.assertEqual(seen, [(0, "a"), (0, "b"), (0, "c"), (1, "b"), (1, "c"), (1, "a")])

    def test_one_that_fails_is_left_out_and_the_others_go_on(self):
        seen, failed = [], {}

        def measure(name, turn):
            if name == "b":
                raise TimeoutError
            seen.append((turn, name))

        with mock.patch("sys.stderr"):
            peers.in_turns(2, ["a", "b"], measure, failed)
        self.assertEqual((seen, failed), ([(0, "a"), (1, "a")], {"b": "failed: TimeoutError"}))

    def test_one_that_cannot_be_installed_or_started_is_told(self):
        class Absent(peers_setups.Peer):
            name, start_seconds = "absent", 0.5

            def install(self):
                raise RuntimeError("no network")

            def command(self, *_arguments):
                return ["false"]

        with mock.patch.object(peers, "all_peers", lambda _options: [Absent(options)]), mock.patch("sys.stderr"):
            self.assertEqual(peers.install(options), ([], {}, {"absent": "not installed: no network"}))
            with tempfile.TemporaryDirectory() as name:
                with peers.started([Absent(options)], Path(name), lambda _peer: 1) as (running, failed):
                    self.assertEqual(running, {})
                    self.assertIn("not started: false does not serve port", failed["absent"])


class Measured(unittest.TestCase):
    """The measuring itself, with nobody between it and its upstream."""

    def test_a_process_and_its_children(self):
        with subprocess.Popen(["sh", "-c", "sleep 30 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as shell:
            try:
                child = int(shell.stdout.readline())
                self.assertEqual(peers_load.family(shell.pid), {shell.pid, child})
                self.assertGreater(peers_load.resident_mb(shell.pid), 0)
            finally:
                for pid in (child, shell.pid):
                    os.kill(pid, 9)

    def test_a_stream_is_read_to_its_end(self):
        (port,) = free_ports(1)
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, str(here / "peers_upstream.py"), str(port)]
            with server(command, [port], Path(name) / "log.txt"):
                first, lines = asyncio.run(peers_load.read_stream(port, {}, 300))
        self.assertEqual(lines, 301)  # with [DONE]
        self.assertGreater(first, 0)

    def burst(self, answer):
        peer = SimpleNamespace(name="none", headers=lambda _port, _priority: {})
        with contextlib.ExitStack() as stack:
            for name, value in (("requests", 12), ("early", 6), ("quiet_seconds", 0.2), ("answer_seconds_max", 1)):
                stack.enter_context(mock.patch.object(peers_contention, name, value))
            provider = stack.enter_context(Provider(answer))
            return peers_contention.burst(peer, provider.port, provider, 0)

    def test_without_a_gateway_nobody_waits(self):
        found = self.burst(peers_contention.answer)
        self.assertEqual((found["answered"], found["refused"], found["calls"], found["holder_status"]), (12, {}, 13, 200))
        self.assertGreater(found["at_once"], 1)
        self.assertTrue(all(each["started_at"] is not None for each in found["records"]))

    def test_who_gets_no_answer_or_half_of_one_is_told_apart(self):
        ends = {"0": "close", "1": "half-close", "2": "reset", "3": "hang", "4": "head-hang"}

        def answer(call):
            reply = peers_contention.answer(call)
            reply.then = ends.get(call.prompt, "answer")
            return reply

        found = self.burst(answer)
        self.assertEqual((found["answered"], found["refused"]), (7, {"closed": 3, "no answer": 2}))


if __name__ == "__main__":
    unittest.main()
