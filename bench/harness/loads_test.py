"""The benches of waiting requests and of streams tell what was reached, what was missed, and what was NOT measured.

The loads themselves are asked as well where VORRANG_BENCH_PROGRAMS names the folder that they are built in."""
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

sys.dont_write_bytecode = True
here = Path(__file__).resolve().parent
sys.path[0] = str(here.parent)  # not this folder, whose `shared` would hide that of tests/

from harness import crowd, handover, paced, report, schedulers, shared, streams_tables, waiting_tables  # noqa: E402
from harness.processes import free_ports  # noqa: E402

programs = os.environ.get("VORRANG_BENCH_PROGRAMS")
crowd_found = {
    "resident_kb_each": 8.0, "core_share": 0.002, "parked_after_s": 1.0, "line_empty_after_s": 0.3, "clients_took_to_close_s": 0.1,
    "all_freed_after_s": 1.5, "resident_mb_before": 1, "resident_mb_waiting": 2, "resident_mb_after": 3, "let_through_s": 1.0,
    "failed": 0, "in_order": True}  # fmt: skip


def latencies(p50, p99, p999, count=2000):
    return {"p50": p50, "p99": p99, "p999": p999, "count": count, "lost": 0}


def handed_over(p99, waiting_at_the_end=10_000, beyond=0):
    return {"waiting": 10_000, "direct": {"us": latencies(20, 30, 40)},
            "through": {"us": latencies(200, p99, 2000), "waiting_at_the_end": waiting_at_the_end, "beyond": beyond}}  # fmt: skip


def paced_round(within=1.0, p99=100, whole=1000, lost=0, between_us=10.0):
    late = {**latencies(50, p99, 200), "lost": lost}
    return {"events_a_second": 50_000, "late": late, "within": within, "between_us": between_us, "load_us": 8.0, "idle": 0.25,
            "load_late": latencies(1, 2000, 3), "whole": whole}  # fmt: skip


def verdicts(rows):
    return [row[-1] for row in rows if row[-1]]


class NotMeasured(unittest.TestCase):
    def test_a_failure_is_told_with_its_reason_in_every_row_and_at_the_end(self):
        def fail():
            raise RuntimeError("no\n  handshake")

        found = report.tried(fail)
        rows = waiting_tables.rows({"plain": crowd_found, "tls": found, "handover": found}, 15_000)
        told = [row for row in rows if row[1] == "NOT measured: no handshake"]
        self.assertEqual(len(told), 6 + 3)
        self.assertEqual(verdicts(told), ["NOT measured"] * (3 + 2))
        self.assertEqual({len(row) for row in rows}, {4})
        with self.assertRaisesRegex(RuntimeError, "tls .no handshake.$"):
            report.complain({"plain": crowd_found, "tls": found})
        report.complain({"plain": crowd_found})


class Waiting(unittest.TestCase):
    def test_each_aim_has_its_own_limit(self):
        def of(over, kb_max, **changed):
            return verdicts(waiting_tables.crowd_rows({**crowd_found, **changed}, 15_000, over, kb_max))

        self.assertEqual(of("plain", 8), ["reached", "reached", "missed: 1.50 times it"])
        self.assertEqual(of("plain", 8, resident_kb_each=8.8)[0], "missed: 1.10 times it")
        self.assertEqual(of("TLS", 40, resident_kb_each=8.8, core_share=0.02, all_freed_after_s=1),
                         ["reached", "missed: 2.00 times it", "reached"])  # fmt: skip

    def test_every_aim_stands_in_a_row(self):
        rows = waiting_tables.rows({"plain": crowd_found, "tls": crowd_found, "handover": handed_over(300)}, 15_000)
        self.assertEqual([row[2] for row in rows if row[2]],
                         ["≤ 8 KB", "< 1%", "≤ 1 s", "≤ 40 KB", "< 1%", "≤ 1 s", "0; yes", "p99 ≤ 1 ms", "0"])  # fmt: skip

    def test_the_order_must_be_right_and_nobody_fail(self):
        for changed, verdict in (({}, "reached"), ({"failed": 1}, "missed"), ({"in_order": False}, "missed")):
            self.assertEqual(verdicts(waiting_tables.order_rows({**crowd_found, **changed}, 1)), [verdict])

    def test_a_handover_counts_with_a_long_line_only(self):
        def of(**given):
            return verdicts(waiting_tables.handover_rows(handed_over(**given)))

        self.assertEqual(of(p99=1000), ["reached", "reached"])
        self.assertEqual(of(p99=1100, beyond=1), ["missed: 1.10 times it", "missed"])
        self.assertEqual(of(p99=None)[0], "missed")
        self.assertEqual(of(p99=1000, waiting_at_the_end=9_999)[0], "NOT measured: 9,999 waited at the end")

    def test_the_harness_stands_beside_it(self):
        rows = waiting_tables.handover_rows(handed_over(p99=300))
        self.assertEqual(rows[0][1], "0.200 · 0.300 · 2.000 ms of 2,000")
        self.assertEqual(rows[1][1], "0.020 · 0.030 · 0.040 ms of 2,000")

    def test_as_many_wait_as_files_allow(self):
        self.assertEqual(crowd.possible(15_000, 20_000), 14_999)
        self.assertEqual(crowd.possible(15_000, 21_000), 15_000)
        with mock.patch.object(crowd.resource, "getrlimit", lambda _: (1024, 20_000)), \
                mock.patch.object(crowd.resource, "setrlimit", side_effect=lambda _, limits: self.only(limits, 20_000)):  # fmt: skip
            self.assertEqual(crowd.raise_file_limit_for(15_000), 14_999)
            self.assertEqual(crowd.raise_file_limit_for(14_000), 14_000)

    def only(self, limits, hard):
        """As where nobody may raise the hard limit."""
        if limits[1] > hard:
            raise ValueError

    def test_there_are_clients_enough(self):
        options = SimpleNamespace(waiting=15_000)
        self.assertEqual(handover.crowd_of(options) - 1 - handover.warm - handover.handovers, 10_000)
        self.assertEqual(handover.waiting_of(SimpleNamespace(waiting=50)), 50)


class Streams(unittest.TestCase):
    def results(self, **changed):
        """name → streams → rounds; `changed` are other rounds of Vorrang's at 1000."""
        made = {name: {"500": {"rounds": [paced_round(whole=500)]}, "1000": {"rounds": [paced_round()] * 3}} for name in paced.names}
        if changed:
            made["vorrang"]["1000"]["rounds"] = [paced_round(), paced_round(**changed), paced_round(**changed)]
        return made

    def test_the_aim_is_that_of_the_most_streams_and_the_median_round(self):
        self.assertEqual(verdicts(streams_tables.paced_rows(self.results())), ["reached"])
        rows = streams_tables.paced_rows(self.results(within=0.5))
        self.assertEqual(verdicts(rows), ["missed: 0.51 of it"])
        self.assertEqual([row[1] for row in rows[2:]], ["1,000 streams", "1,000 streams", "500 streams"])

    def test_who_was_never_in_time_and_who_was_not_measured_are_told_apart(self):
        results = self.results()
        for count in ("500", "1000"):
            results["nginx"][count] = {"rounds": [paced_round(within=0.1)]}
            results["vorrang"][count] = {"rounds": [], "not_measured": "no"}
        rows = streams_tables.paced_rows(results)
        self.assertEqual([row[1] for row in rows],
                         ["NOT measured: no"] * 2 + ["1,000 streams", "none of these", "NOT measured"])  # fmt: skip

    def test_a_row_for_each(self):
        rows = streams_tables.paced_table(self.results(lost=7, p99=None, whole=999))
        self.assertEqual([row[:2] for row in rows], [[count, name] for count in ("500", "1,000") for name in paced.names])
        self.assertEqual(rows[5], ["1,000", "vorrang", "50,000", "0.05", "never", "0.20", "100.00%", "10.0", "8.0", "2.00", "25%",
                                   "14; 2", 3])  # fmt: skip
        self.assertEqual(rows[3][7], "–")
        self.assertEqual({len(row) for row in rows}, {len(streams_tables.paced_head)})

    def test_a_row_that_is_none_is_as_wide(self):
        results = {"vorrang": {"500": {"rounds": [], "not_measured": "why"}}}
        rows = streams_tables.paced_table(results)
        self.assertEqual(rows[0][:3], ["500", "vorrang", "NOT measured: why"])
        self.assertEqual(len(rows[0]), len(streams_tables.paced_head))

    def test_memory_over_tls_is_what_is_more(self):
        each = {"resident_kb_each": 20.0, "running": 5, "all_freed_after_s": 0.1, "no_call_runs_after_s": 2.0,
                "clients_took_to_close_s": 0, "whole": 5, "failed": 0}  # fmt: skip
        rows = streams_tables.crowd_rows({"plain": each, "tls": {**each, "resident_kb_each": 70.0, "failed": 1}}, 5)
        self.assertEqual(verdicts(rows), ["reached", "missed: 1.25 times it", "reached", "missed: 2.00 times it", "reached",
                                          "reached", "missed: 2.00 times it", "missed"])  # fmt: skip
        rows = streams_tables.crowd_rows({"plain": each, "tls": {"not_measured": "no"}}, 5)
        self.assertEqual(verdicts(rows).count("NOT measured"), 1 + 3)


class Turns(unittest.TestCase):
    options = SimpleNamespace(streams=16, rounds=7, threads=1)

    def test_another_one_is_first_each_time(self):
        self.assertEqual(paced.steps(2000), [250, 500, 1000, 2000])
        self.assertEqual(paced.steps(2), [1, 2])
        order = paced.turns([1, 2], 2)
        self.assertEqual([name for count, name in order if count == 1],
                         ["no proxy", "nginx", "vorrang", "nginx", "vorrang", "no proxy"])  # fmt: skip
        self.assertEqual([count for count, _ in order], [1] * 3 + [2] * 3 + [1] * 3 + [2] * 3)

    def measure(self, run_one, seconds=100):
        targets = {"no proxy": (1, []), "nginx": {"not_measured": "not installed"}, "vorrang": (2, [])}
        with mock.patch.object(paced, "start_all", lambda *_: (1, targets)), mock.patch.object(paced, "run_one", run_one):
            return paced.measure(self.options, None, seconds)

    def test_one_that_fails_is_left_out_and_the_others_go_on(self):
        def run_one(_options, _upstream, target, count):
            if target[0] == 2 and count == 16:
                raise RuntimeError("broken")
            return paced_round()

        results = self.measure(run_one)
        self.assertEqual([len(each["rounds"]) for each in results["no proxy"].values()], [paced.rounds_max] * 4)
        self.assertEqual([each.get("not_measured") for each in results["vorrang"].values()], [None] * 3 + ["broken"])
        self.assertEqual({each["not_measured"] for each in results["nginx"].values()}, {"not installed"})

    def test_time_is_bounded(self):
        results = self.measure(lambda *_: paced_round(), seconds=-1)
        self.assertEqual({each["not_measured"] for each in results["vorrang"].values()}, {"its turn had not come after -1 s"})


@unittest.skipUnless(programs, "the loads are not built")
class Loads(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = Path(folder.name) / "log"
        for name, value in (("handovers", 20), ("warm", 2), ("hold_ms", 0)):
            patch = mock.patch.object(handover, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        self.options = SimpleNamespace(handover_bench=Path(programs) / "vorrang_bench_handover",
                                       paced_bench=Path(programs) / "vorrang_bench_paced")  # fmt: skip

    def test_handovers_with_nobody_in_between(self):
        found = handover.without_gateway(self.options, self.log.parent)
        self.assertEqual((found["us"]["count"], found["us"]["lost"], found["beyond"]), (20, 0, 0))
        self.assertLess(0, found["us"]["p50"])

    def test_who_sends_two_requests_to_one_slot_is_told(self):
        (port,) = free_ports(1)
        with mock.patch.multiple(handover, handovers=1, warm=0, hold_ms=200), \
                handover.upstream(self.options.handover_bench, port, self.log) as process:  # fmt: skip
            peers = crowd.clients(port, [crowd.request()] * 2)
            process.stdin.write(b"\n")
            process.stdin.flush()
            self.assertTrue(peers[0].recv(4096).startswith(b"HTTP/1.1 200 "))
            peers[0].sendall(crowd.request())
            self.assertGreaterEqual(json.loads(process.stdout.readline())["beyond"], 1)
            for each in peers:
                each.close()

    def test_paced_streams_with_nobody_in_between(self):
        with mock.patch.object(paced, "warm_seconds", 0.1), mock.patch.object(paced, "seconds", 0.2):
            (port,) = free_ports(1)
            found = paced.run_one(self.options, port, (port, [os.getpid()]), 10)
        self.assertEqual((found["late"]["count"], found["whole"]), (100, 10))
        self.assertTrue(0 <= found["within"] <= 1 and found["between_us"] is not None)
        row = streams_tables.paced_row("vorrang", "10", {"rounds": [found]})
        self.assertEqual(len(row), len(streams_tables.paced_head))

    def test_grants_of_several_instances(self):
        """Both benches that read what an instance of the shared queue tells."""
        with mock.patch.object(shared, "seconds", 1):
            found = shared.load(Path(programs) / "vorrang_bench_shared", None, 2, 1, 1, 5)
        self.assertTrue(0 < found["p50_ms"] <= found["p99_ms"] and 0 < found["grants"] <= 400, found)
        told = [{"grants": 100, "quantiles": [1000, 1000, 3000]}, {"grants": 300, "quantiles": [2000, 2000, 5000]}]
        self.assertEqual([schedulers.reached(told, share) for share in (0.1, 0.5, 0.99)], [1, 2, 5])
        told = [{"grants": 100, "p50": 1000, "p99": 3000}, {"grants": 300, "p50": 2000, "p99": 2500}]
        self.assertEqual([schedulers.reached(told, share) for share in (0.5, 0.99)], [2, 3])

    def test_a_gateway_that_is_not_there_is_told(self):
        port, nobody = free_ports(2)
        with self.assertRaisesRegex(RuntimeError, "ended with 1: connect"):
            paced.run_one(self.options, port, (nobody, []), 3)


if __name__ == "__main__":
    unittest.main()
