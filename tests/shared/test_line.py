"""The shared line (actors/shared/line.lua) on a real server, in virtual time: order, limits, leases.

A random history is checked against what spec §2 and §6 say: see History. VORRANG_TEST_SEED and
VORRANG_LINE_HISTORIES set the first seed and the number of histories (60).
"""

import json
import os
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from redis_server import RedisClient, RedisError, RedisServer, SharedLine

SECOND = 1_000_000
WINDOW = 60 * SECOND
LEASE = 15 * SECOND
FIRST_SEED = int(os.environ.get("VORRANG_TEST_SEED", "1"))
HISTORIES = int(os.environ.get("VORRANG_LINE_HISTORIES", "60"))
STEPS = 120


def settings(*deployments, cooldown=5 * SECOND, **more):
    return {"deployments": [{"cooldown": cooldown, **each} for each in deployments], "first_probe": 30_000,
            "strategy": "simple-shuffle", **more}  # fmt: skip


def offer(ticket, priority=255, eligible=(1,), **more):
    return {"op": "offer", "ticket": ticket, "priority": priority, "eligible": eligible and list(eligible), **more}


def settle(grant, kind="success", allowed=3, **more):
    return {"op": "settle", "grant": grant, "kind": kind, "allowed": allowed, **more}


class LineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(RedisServer())

    def setUp(self):
        self.client = RedisClient(self.server.path)
        self.addCleanup(self.client.close)
        self.client.call("FLUSHALL")
        self.now = 4_000_000_000 * SECOND

    def line(self, instance="a", *deployments, **more):
        made = SharedLine(self.client, instance, settings(*(deployments or ({"slots": 1},)), **more))
        made.set_time(self.now)
        return made

    def pass_time(self, line, seconds):
        self.now += round(seconds * SECOND)
        line.set_time(self.now)

    def keep_calling(self, line, seconds):
        """Passes time as an instance that lives does: it never says nothing for long."""
        while seconds > 4:
            self.pass_time(line, 4)
            line.call()
            seconds -= 4
        self.pass_time(line, seconds)


class Order(LineTest):
    def granted(self, said):
        return [each["ticket"] for each in said["grants"]]

    def test_by_priority_then_by_arrival(self):
        line = self.line()
        first = line.call(offer("first"))
        self.assertEqual(self.granted(first), ["first"])
        self.assertEqual(first["grants"][0]["reason"], "healthy-deployment")
        line.call(offer("x", 5), offer("y", 5), offer("z", -3), offer("w", 2_000_000_000))
        grant, order = first["grants"][0]["grant"], []
        while grant:
            said = line.call(settle(grant))
            order += self.granted(said)
            grant = said["grants"][0]["grant"] if said["grants"] else None
        self.assertEqual(order, ["z", "x", "y", "w"])

    def test_a_ticket_that_returns_takes_its_old_place(self):
        line = self.line()
        grant = line.call(offer("a", 5), offer("b", 5))["grants"][0]["grant"]
        said = line.call(settle(grant, "failed", again=True, eligible=[1]))
        self.assertEqual(self.granted(said), ["a"])

    def test_who_may_go_nowhere_holds_up_nobody(self):
        line = self.line("a", {"slots": 1}, {"slots": 1})
        line.call(*[offer(f"none-{n}", 0, []) for n in range(200)])
        self.assertEqual(self.granted(line.call(offer("b", 9, [2]))), ["b"])
        said = line.call({"op": "eligible", "ticket": "none-7", "eligible": [1]})
        self.assertEqual(self.granted(said), ["none-7"])

    def test_room_is_kept_for_the_best(self):
        line = self.line("a", {"tpm": 100})
        line.call(offer("held", 0, tokens=60))
        said = line.call(offer("large", 1, tokens=80), offer("small", 2, tokens=10))
        self.assertEqual(said["grants"], [])
        self.assertEqual(said["next"], self.now + WINDOW)
        self.pass_time(line, 60)
        self.assertEqual(self.granted(line.call()), ["large", "small"])

    def test_moved_and_cancelled(self):
        line = self.line()
        grant = line.call(offer("held"))["grants"][0]["grant"]
        line.call(offer("x", 1), offer("y", 2), offer("z", 3))
        self.assertEqual(line.call({"op": "move", "ticket": "z", "priority": 0})["results"], [True])
        self.assertEqual(line.call({"op": "cancel", "ticket": "x"})["results"], [True])
        self.assertEqual(line.call({"op": "cancel", "ticket": "x"})["results"], [False])
        said = line.call(settle(grant))
        self.assertEqual(self.granted(said), ["z"])
        self.assertEqual(self.granted(line.call(settle(said["grants"][0]["grant"]))), ["y"])

    def test_a_full_line_turns_away_its_last(self):
        line = self.line("a", max_waiting=2)
        line.call(offer("held"))
        line.call(offer("x", 1), offer("y", 2))
        self.assertEqual(line.call(offer("better", 0))["refused"][0]["ticket"], "y")
        self.assertEqual(line.call(offer("worse", 9))["refused"][0]["ticket"], "worse")

    def test_a_page_of_nothing_has_the_count(self):
        line = self.line("a")
        line.call(offer("held"))
        line.call(offer("x"), offer("y"))
        said = line.call({"op": "show", "offset": 0, "limit": 0})["results"][0]
        self.assertEqual(said["total"], 2)
        self.assertFalse(said["tickets"])

    def test_pages_are_parts_of_the_whole(self):
        line = self.line("a")
        line.call(offer("held", -9))
        names = [f"{i:02}" for i in range(40)]
        for number, name in enumerate(names):
            line.call(offer(name, number * 7 % 5, eligible=[] if number % 4 == 0 else [1]))
        whole = sorted(names, key=lambda name: (int(name) * 7 % 5, name))

        def page(offset, limit):
            said = line.call({"op": "show", "offset": offset, "limit": limit})["results"][0]
            self.assertEqual(said["total"], 40)
            return [(each["ticket"], each["rests"]) for each in said["tickets"] or []]

        for limit in (1, 7, 40):
            for offset in (*range(42), 4_294_967_295):
                wanted = [(name, int(name) % 4 == 0) for name in whole[offset : offset + limit]]
                self.assertEqual(page(offset, limit), wanted, f"{limit} from {offset} on")

    def test_who_was_granted_is_not_in_the_line(self):
        line = self.line("a", max_waiting=1)
        grant = line.call(offer("held"))["grants"][0]["grant"]
        line.call(offer("x"))
        line.call(settle(grant))
        self.assertEqual(line.call(offer("y"))["refused"], [])
        self.assertEqual(line.call({"op": "show", "offset": 0, "limit": 9})["results"][0]["total"], 1)


    def test_what_is_said_of_an_earlier_grant_changes_nothing(self):
        line = self.line()
        first = line.call(offer("a"))["grants"][0]["grant"]
        second = line.call(settle(first, "failed", again=True, eligible=[1]))["grants"][0]["grant"]
        said = line.call(settle(first), {"op": "confirm", "grant": first}, {"op": "head", "grant": first}, offer("b"))
        self.assertEqual(said["results"][:3], [False, False, False])
        self.assertEqual(said["grants"], [], "the second grant holds the slot")
        self.assertEqual(self.granted(line.call(settle(second))), ["b"])


class Choice(LineTest):
    """Whichever instance asks: the choice is made from what all have done."""

    def pair(self, *deployments, **more):
        return self.line("a", *deployments, **more), self.line("b", *deployments, **more)

    def chosen(self, line, ticket, **more):
        return line.call(offer(ticket, eligible=None, **more))["grants"][0]

    def test_least_busy(self):
        lines = self.pair({"slots": 9}, {"slots": 9}, {"slots": 9}, strategy="least-busy")
        grants = [self.chosen(lines[n % 2], f"t{n}") for n in range(9)]
        counts = [sum(each["deployment"] == name for each in grants) for name in "123"]
        self.assertEqual(counts, [3, 3, 3])
        lines[0].call(settle(grants[0]["grant"]))
        self.assertEqual(self.chosen(lines[1], "next")["deployment"], grants[0]["deployment"])

    def test_usage_based(self):
        a, b = self.pair({"tpm": 1000}, {"tpm": 1000}, strategy="usage-based")
        first = self.chosen(a, "x", tokens=100)
        other = "12".replace(first["deployment"], "")
        self.assertEqual([self.chosen(b, f"y{n}", tokens=30)["deployment"] for n in range(4)], [other] * 4)
        self.assertEqual(self.chosen(a, "z", tokens=1)["deployment"], first["deployment"])

    def test_latency_based(self):
        a, b = self.pair({"slots": 9}, {"slots": 9}, strategy="latency-based")
        for n, (line, took) in enumerate(((a, 9000), (b, 1000))):
            grant = self.chosen(line, f"t{n}")
            line.call(settle(grant["grant"], took=took))
        fast = grant["deployment"]
        self.assertEqual([self.chosen(line, f"u-{line.instance}")["deployment"] for line in (a, b)], [fast] * 2)

    def test_order(self):
        a, b = self.pair({"slots": 1, "order": 2}, {"slots": 2, "order": 1})
        self.assertEqual([self.chosen(line, name)["deployment"] for line, name in ((a, "x"), (b, "y"), (a, "z"))],
                         ["2", "2", "1"])  # fmt: skip

    def test_weight(self):
        lines = self.pair({"weight": 3}, {"weight": 1})
        count = sum(self.chosen(lines[n % 2], f"t{n}")["deployment"] == "1" for n in range(600))
        self.assertTrue(390 <= count <= 510, count)  # 450 on average; five deviations wide


class Limits(LineTest):
    def test_rpm_to_the_microsecond(self):
        line = self.line("a", {"rpm": 2})
        self.assertEqual(len(line.call(offer("x"), offer("y"), offer("z"))["grants"]), 2)
        self.now += WINDOW - 1
        line.set_time(self.now)
        self.assertEqual(line.call()["grants"], [])
        self.now += 1
        line.set_time(self.now)
        self.assertEqual(len(line.call()["grants"]), 1)

    def test_an_unsent_grant_goes_back_whole(self):
        line = self.line("a", {"rpm": 1})
        grant = line.call(offer("x"), offer("y"))["grants"][0]["grant"]
        said = line.call(settle(grant, "not_sent", again=True))
        self.assertEqual([each["ticket"] for each in said["grants"]], ["x"])
        grant = said["grants"][0]["grant"]
        said = line.call(settle(grant, "failed", sent=False))
        self.assertEqual([each["ticket"] for each in said["grants"]], ["y"])

    def test_tokens_are_corrected(self):
        line = self.line("a", {"tpm": 100})
        grant = line.call(offer("x", tokens=90), offer("y", tokens=50))["grants"][0]["grant"]
        self.assertEqual(len(line.call(settle(grant, tokens=50))["grants"]), 1)
        late = line.call(offer("z", tokens=30))
        self.assertEqual(late["grants"], [])

    def test_each_settle_counts_once(self):
        line = self.line("a", {"slots": 2})
        grants = line.call(offer("x"), offer("y"), offer("z"), offer("w"))["grants"]
        said = line.call(settle(grants[0]["grant"]), settle(grants[0]["grant"]), settle(grants[0]["grant"]))
        self.assertEqual((said["results"], len(said["grants"])), ([True, False, False], 1))


class Health(LineTest):
    def test_a_rate_limit_keeps_everybody_away_then_one_then_two(self):
        line = self.line("a", {"slots": 10})
        grant = line.call(offer("x"))["grants"][0]["grant"]
        line.call(settle(grant, "rate_limited", retry_after=3 * SECOND, again=True, eligible=[]))
        said = line.call(*[offer(f"t{n}") for n in range(5)])
        self.assertEqual((said["grants"], said["next"]), ([], self.now + 3 * SECOND))
        self.pass_time(line, 3)
        first = line.call()["grants"]
        self.assertEqual(len(first), 1)
        self.assertEqual(len(line.call(settle(first[0]["grant"]))["grants"]), 2)

    def test_a_probe(self):
        line = self.line("a", {"slots": 10})
        grant = line.call(offer("x"))["grants"][0]["grant"]
        line.call(settle(grant, "failed", allowed=0), offer("y"), offer("z"))
        self.pass_time(line, 0.03)
        said = line.call()
        self.assertEqual([(each["ticket"], each["reason"]) for each in said["grants"]], [("y", "head-of-line")])
        self.assertEqual(line.call()["grants"], [], "one at a time")
        said = line.call({"op": "head", "grant": said["grants"][0]["grant"]})
        self.assertEqual([each["ticket"] for each in said["grants"]], ["z"])

    def test_more_than_allowed(self):
        line = self.line("a", {"slots": 10})
        for number in range(3):
            grant = line.call(offer(f"x{number}"))["grants"][0]["grant"]
            line.call(settle(grant, "failed", allowed=2))
        self.assertEqual(line.call(offer("y"))["grants"], [])


class Instances(LineTest):
    def listener(self, instance):
        heard = RedisClient(self.server.path)
        self.addCleanup(heard.close)
        heard.call("SUBSCRIBE", f"vorrang:{{m}}:line:to:{instance}")
        return lambda: json.loads(heard.receive()[2])

    def test_a_grant_for_another_is_an_offer(self):
        a, b = self.line("a"), self.line("b")
        grant = a.call(offer("x"))["grants"][0]["grant"]
        b.call(offer("y"))
        hears = self.listener("b")
        self.assertEqual(a.call(settle(grant))["grants"], [])
        name, told = hears()
        self.assertEqual((name, told["ticket"]), ("offer", "y"))
        self.assertEqual(a.call({"op": "confirm", "grant": told["grant"]})["results"], [False], "not its own")
        self.assertEqual(b.call({"op": "confirm", "grant": told["grant"]})["results"], [True])
        self.pass_time(b, 2)
        self.assertEqual(b.call(settle(told["grant"]))["results"], [True])

    def test_an_offer_whose_note_was_lost_is_in_the_next_reply(self):
        a, b = self.line("a"), self.line("b")
        grant = a.call(offer("x"))["grants"][0]["grant"]
        b.call(offer("y"))
        a.call(settle(grant))
        said = b.call()
        self.assertEqual([each["ticket"] for each in said["grants"]], ["y"])
        self.pass_time(b, 2)
        self.assertEqual(b.call()["grants"], [], "once")
        self.assertEqual(b.call(settle(said["grants"][0]["grant"]))["results"], [True])

    def test_an_offer_that_nobody_confirms_goes_to_the_next(self):
        a, b = self.line("a", {"rpm": 2, "slots": 1}), self.line("b", {"rpm": 2, "slots": 1})
        grant = a.call(offer("x"))["grants"][0]["grant"]
        b.call(offer("y", 0))
        a.call(offer("z", 9))
        told = a.call(settle(grant))
        self.assertEqual(told["grants"], [])
        self.pass_time(a, 1)
        self.assertEqual([each["ticket"] for each in a.call()["grants"]], ["z"], "b is suspect, and its unit came back")
        grant = a.call()["grants"]
        # It is heard of again: its ticket stands where it stood.
        self.assertEqual(b.call()["grants"], [])

    def test_one_offer_of_two_is_confirmed(self):
        a, b, c = (self.line(name, {"slots": 2}) for name in "abc")
        grants = [each["grant"] for each in a.call(offer("w"), offer("x"))["grants"]]
        b.call(offer("y", 0))
        c.call(offer("z", 0))
        a.call(offer("last", 9))
        a.call(*map(settle, grants))
        self.assertEqual([each["ticket"] for each in b.call()["grants"]], ["y"])
        self.pass_time(a, 1)
        self.assertEqual([each["ticket"] for each in a.call()["grants"]], ["last"], "c has not confirmed")

    def test_who_is_gone_gives_everything_back(self):
        a, b = self.line("a", {"slots": 2}), self.line("b", {"slots": 2})
        b.call(offer("x"), offer("y"), offer("left"))
        a.call(offer("z", 300))
        self.keep_calling(a, 6)
        self.assertEqual(a.call()["grants"], [])
        self.keep_calling(a, 9)
        self.assertEqual([each["ticket"] for each in a.call()["grants"]], ["z"])
        for name in ("tickets", "grants"):
            self.assertEqual(self.client.call("SCARD", f"vorrang:{{m}}:line:{name}:b"), 0)

    def test_who_says_that_it_leaves_gives_everything_back_at_once(self):
        a, b = self.line("a"), self.line("b")
        b.call(offer("x"), offer("y"))
        self.assertEqual(a.call(offer("z", 300))["grants"], [])
        b.call({"op": "leave"}, ready=False)
        self.assertEqual(self.client.call("KEYS", "*:b"), [])
        said = a.call()
        self.assertEqual([each["ticket"] for each in said["grants"]], ["z"])
        self.assertEqual(said["members"], 1)

    def test_who_leaves_takes_along_what_came_in_the_same_call(self):
        a, b = self.line("a"), self.line("b")
        grant = a.call(offer("held"))["grants"][0]["grant"]
        b.call(offer("b1"))
        a.call(settle(grant), offer("x", 0), {"op": "leave"}, ready=False)
        self.assertEqual([each["ticket"] for each in b.call()["grants"]], ["b1"])
        self.assertEqual(self.client.call("ZCARD", "vorrang:{m}:line:waiting"), 0)
        self.assertEqual(self.client.call("KEYS", "*:a"), [])

    def test_who_leaves_with_more_than_one_call_ends_is_granted_nothing(self):
        a, b = self.line("a", {"slots": 2}), self.line("b", {"slots": 2})
        a.call(*[offer(f"{n}") for n in range(250)])
        b.call(offer("b1"))
        said = a.call({"op": "leave"}, ready=False)
        self.assertEqual(said["grants"], [])
        for _ in range(10):
            self.pass_time(b, 0.5)
            granted = [each["ticket"] for each in b.call()["grants"]]
            if granted:
                break
        self.assertEqual(granted, ["b1"])

    def test_who_wakes_in_the_middle_of_its_burial_is_told(self):
        a, b = self.line("a"), self.line("b")
        a.call(*[offer(f"{n}") for n in range(250)])
        self.keep_calling(b, 15.1)
        b.call()
        self.assertTrue(a.call(ready=False)["forgotten"])
        self.assertFalse(a.call(ready=False).get("forgotten"))

    def test_of_who_is_gone_nothing_stays_however_much_it_was(self):
        a, b = self.line("a"), self.line("b")
        b.call(*[offer(f"{n}") for n in range(800)])
        self.keep_calling(a, 15)
        for _ in range(20):
            a.call()
        self.assertEqual(self.client.call("KEYS", "*:b"), [])
        self.assertEqual(self.client.call("ZCARD", "vorrang:{m}:line:waiting"), 0)
        self.assertEqual(len(a.call(offer("z"))["grants"]), 1)

    def test_a_call_whose_reply_was_lost_may_be_made_again(self):
        line = self.line("a", {"slots": 2, "rpm": 9})
        line.call()
        calls = [[offer("x"), offer("y"), offer("z")]]
        for _ in range(2):
            line.call(*calls[-1], lost=True)
        again = line.call(*calls[-1], {"op": "mine"}, all_rooms=True)
        self.assertEqual(again["grants"], [], "they are granted, and held")
        self.assertCountEqual([each["ticket"] for each in again["results"][3]], ["x", "y"])
        room = again["rooms"][0]
        self.assertEqual((room["n"], room["requests"]), (2, 2), "once each")
        self.assertEqual(self.client.call("ZCARD", "vorrang:{m}:line:waiting"), 1)
        # What is said of them afterwards counts once, too.
        ends = [settle(each["grant"], ticket=each["ticket"]) for each in again["results"][3]]
        line.call(*ends, lost=True)
        said = line.call(*ends, {"op": "mine"})
        self.assertEqual(said["results"][:2], [False, False])
        self.assertEqual([each["ticket"] for each in said["results"][2]], ["z"])
        self.assertEqual(line.call(all_rooms=True)["rooms"][0]["n"], 1)

    def test_the_lower_of_two_limits(self):
        a, b = self.line("a", {"slots": 3}), self.line("b", {"slots": 1})
        b.call()
        said = a.call(offer("x"), offer("y"))
        self.assertEqual([each["ticket"] for each in said["grants"]], ["x"])
        self.assertTrue(said["mismatch"])

    def test_the_same_limits_told_otherwise(self):
        a = self.line("a", {"id": "d1", "slots": 3}, {"id": "d2"})
        b = self.line("b", {"id": "d2"}, {"id": "gone", "retired": True}, {"id": "d1", "slots": 3}, {"id": "d3", "rpm": 1})
        b.call()
        self.assertNotIn("mismatch", a.call())
        self.assertNotIn("mismatch", b.call())
        b.change(settings({"id": "d2"}, {"id": "d1"}))
        self.assertTrue(b.call()["mismatch"])
        self.assertTrue(a.call()["mismatch"])
        a.change(settings({"id": "d1"}, {"id": "d2"}))
        self.assertNotIn("mismatch", a.call())

    def test_settings_that_change(self):
        """A reload: one deployment is gone, one is new; what was used and what runs stay."""
        a, b = self.line("a", {"id": "d1", "slots": 1}), self.line("b", {"id": "d1", "slots": 2})
        b.call()
        runs = a.call(offer("runs", eligible=None), offer("waits", eligible=None))["grants"]
        self.assertEqual([each["ticket"] for each in runs], ["runs"])
        a.change(settings({"id": "d1", "retired": True}, {"id": "d2", "slots": 1}))
        said = a.call()
        self.assertEqual([(each["ticket"], each["deployment"]) for each in said["grants"]], [("waits", "d2")])
        # The other's limit is its own now; what runs there counts.
        said = b.call(offer("x", eligible=None), offer("y", eligible=None))
        self.assertEqual([(each["ticket"], each["deployment"]) for each in said["grants"]], [("x", "d1")])
        a.call(settle(runs[0]["grant"]), offer("z", eligible=[2]))
        self.assertEqual([each["n"] for each in a.call(all_rooms=True)["rooms"] if each["id"] == "d2"], [1])
        # It comes back as it was.
        a.change(settings({"id": "d1", "slots": 1}, {"id": "d2", "slots": 1}))
        a.call(offer("late", eligible=[1]))
        rooms = {each["id"]: each for each in a.call(all_rooms=True)["rooms"]}
        self.assertEqual(rooms["d1"]["n"], 2)  # x, and y, which was offered to b
        self.assertEqual(self.client.call("HLEN", "vorrang:{m}:line:settings"), 2)  # nobody's are forgotten
        # One that nobody has takes nothing, whoever still names it.
        for line in (a, b):
            line.change(settings({"id": "d1", "retired": True}, {"id": "d2", "slots": 5}))
            line.call()
        said = a.call(offer("names it", eligible=[1]), offer("does not", eligible=None))
        self.assertEqual([(each["ticket"], each["deployment"]) for each in said["grants"]], [("does not", "d2")])

    def test_a_limit_that_is_new_counts_what_went_before(self):
        a, b = self.line("a", {"id": "d1"}), self.line("b", {"id": "d1"})
        for number in range(4):  # over some seconds, by both
            self.assertEqual(len((a, b)[number % 2].call(offer(f"t{number}", tokens=10))["grants"]), 1)
            self.pass_time(a, 1.7)
        a.change(settings({"id": "d1", "rpm": 6}))
        said = a.call(*[offer(f"u{number}") for number in range(3)])
        self.assertEqual([each["ticket"] for each in said["grants"]], ["u0", "u1"])
        self.assertEqual(b.call(offer("v"))["grants"], [], "the lowest limit of those there are")
        self.assertEqual([(each["requests"], each["tokens"]) for each in a.call(all_rooms=True)["rooms"]], [(6, 40)])
        # What went before comes back up to a second late, never early.
        self.keep_calling(a, 60 - 4 * 1.7 - 0.001)
        self.assertEqual(a.call()["grants"], [])
        self.pass_time(a, 1.001)
        self.assertEqual([each["ticket"] for each in a.call()["grants"]], ["u2"])

    def test_a_limit_that_comes_back_counts_what_went_on_meanwhile(self):
        line = self.line("a", {"rpm": 3})
        self.assertEqual(len(line.call(offer("x"), offer("y"))["grants"]), 2)
        for number in range(3):  # within one second, more than once
            line.change(settings({}))
            line.call(offer(f"t{number}"))
            line.change(settings({"rpm": 3 + number}))
            self.assertEqual(line.call(offer(f"w{number}"))["grants"], [], number)
        line.change(settings({"tpm": 100}))
        self.assertEqual(line.call(all_rooms=True)["rooms"][0]["requests"], 8)  # all of them

    def test_tokens_that_come_out_after_a_limit_went_count_when_it_returns(self):
        line = self.line("a", {"tpm": 100})
        grant = line.call(offer("x", tokens=10))["grants"][0]["grant"]
        line.change(settings({}))
        line.call(settle(grant, tokens=60))
        other = line.call(offer("y", tokens=5))["grants"][0]["grant"]
        line.call(settle(other, tokens=35))
        line.change(settings({"tpm": 100}))
        self.assertEqual(line.call(all_rooms=True)["rooms"][0]["tokens"], 95)
        self.assertEqual(line.call(offer("z", tokens=6))["grants"], [])
        self.assertEqual(len(line.call(offer("a", 0, tokens=5))["grants"]), 1)

    def test_an_older_copy_is_another_line(self):
        line = self.line()
        line.call(offer("x"))
        epoch = line.known["epoch"]
        line.known["seq"] += 1  # a reply that this copy has not given
        self.pass_time(line, 0.001)
        said = line.call(ready=False)
        self.assertNotEqual(said["epoch"], epoch)
        self.assertTrue(said["opening"])
        self.assertEqual(self.client.call("HKEYS", "vorrang:{m}:line:grants:a"), [""])

    def test_of_a_line_whose_state_is_lost_nothing_counts(self):
        """Somebody deleted the one key, or a server that is full has let go of it."""
        a, b = self.line("a", {"id": "d1", "rpm": 2}), self.line("b", {"id": "d1", "rpm": 2})
        a.call(offer("x"), offer("y"), offer("waits", 0), offer("rests", eligible=[]))
        b.call(offer("other", -1), {"op": "show", "offset": 0, "limit": 9})
        self.client.call("DEL", a.base)
        a.set_time(self.now)
        self.assertTrue(a.call(ready=False)["opening"])
        self.pass_time(a, 5)
        said = a.call({"op": "show", "offset": 0, "limit": 9})
        self.assertEqual(said["results"][0]["total"], 0)
        self.assertEqual(len(a.call(offer("p"), offer("q"))["grants"]), 2)
        self.keep_calling(a, 58)  # the entries of the lost line would leave by now
        self.assertEqual(a.call(offer("s"))["grants"], [], "its window is not there twice, nor below zero")
        self.pass_time(a, 2)
        self.assertEqual(len(a.call(offer("t"))["grants"]), 2)

    def copy_of_line(self):
        """All of its keys, to be put back."""
        raw = RedisClient(self.server.path, raw=True)
        self.addCleanup(raw.close)
        keys = [key.decode() for key in raw.call("KEYS", "vorrang:{m}:*")]
        copy = {key: raw.call("DUMP", key) for key in keys}

        def put_back():
            self.client.call("DEL", *self.client.call("KEYS", "vorrang:{m}:*"))
            for key, value in copy.items():
                raw.call("RESTORE", key, 0, value)

        return put_back

    def test_what_is_remembered_gives_way_to_an_older_copy(self):
        line = self.line("a", {"slots": 2})
        line.call(offer("x"))
        put_back = self.copy_of_line()
        line.call(offer("y"))
        put_back()
        self.pass_time(line, 0.001)
        self.assertTrue(line.call(ready=False)["opening"], "the copy has not given the last reply")

    def test_what_is_remembered_gives_way_to_what_another_server_wrote(self):
        line = self.line("a", {"slots": 3})
        line.call(offer("x"))
        number = self.client.call("HKEYS", line.base)
        self.assertIn("1", number)
        raw = RedisClient(self.server.path, raw=True)
        self.addCleanup(raw.close)
        one_in_flight = raw.call("HGET", line.base, "1")
        line.call(offer("y"))
        self.client.call("HSET", line.base, "1", one_in_flight)
        self.client.call("EVAL", """
            local state = {cmsgpack.unpack(redis.call("HGET", KEYS[1], "state"))}
            state[2] = state[2] + 1 -- the number of the last grant
            redis.call("HSET", KEYS[1], "state", cmsgpack.pack(unpack(state)))""",
                         1, line.base)  # fmt: skip
        self.assertEqual(line.call(offer("z"))["rooms"][0]["n"], 2, "counted from what stands in Redis")

    def test_a_call_that_fails_leaves_nothing_behind(self):
        line = self.line("a", {"slots": 3})
        seq = line.call(offer("x"))["seq"]
        for _ in range(2):
            with self.assertRaises(RedisError):
                line.call({"op": "no such"})
        said = line.call(offer("y"))
        self.assertEqual((said["seq"], said.get("forgotten")), (seq + 1, None))
        self.assertEqual(said["rooms"][0]["n"], 2)

    def test_a_server_that_was_away_gives_nobodys_slots_away(self):
        a, b = self.line("a", {"slots": 1}), self.line("b", {"slots": 1})
        grant = a.call(offer("x"))["grants"][0]["grant"]
        b.call(offer("y"))
        self.pass_time(b, 20)
        hears = self.listener("a")
        said = b.call()
        self.assertTrue(said["opening"])
        self.assertEqual(said["grants"], [])
        self.assertEqual(hears(), ["look"], "who is there is asked")
        self.assertNotIn("opening", a.call(), "all have been heard")
        self.assertEqual(b.call()["grants"], [], "its call runs")
        self.assertEqual(a.call(settle(grant))["results"], [True])
        self.assertEqual([each["ticket"] for each in b.call()["grants"]], ["y"])

    def test_a_server_that_was_away_waits_for_nobody_longer_than_for_a_lease(self):
        a, b = self.line("a", {"slots": 1}), self.line("b", {"slots": 1})
        a.call(offer("x"))
        b.call(offer("y"))
        self.pass_time(b, 20)
        b.call()
        self.keep_calling(b, 5)
        self.assertNotIn("opening", b.call())
        self.keep_calling(b, 9.9)
        self.assertEqual(b.call()["grants"], [])
        self.pass_time(b, 0.1)
        self.assertEqual([each["ticket"] for each in b.call()["grants"]], ["y"])

    def test_a_ticket_announced_again_takes_its_old_place(self):
        line = self.line()
        line.call(offer("held"))
        place = line.call(offer("x", 5))["results"][0]
        self.client.call("FLUSHALL")
        self.pass_time(line, 0.001)
        line.call(offer("held", 0), offer("newer", 5))
        self.assertEqual(line.call(offer("x", 5, arrival=place))["results"], [place])
        waiting = self.client.call("ZRANGE", "vorrang:{m}:line:waiting", 0, -1)
        self.assertEqual([each.split("/")[1] for each in waiting], ["x", "newer"])

    def test_nothing_is_left_for_ever(self):
        a, b = self.line("a", {"rpm": 5, "slots": 1}), self.line("b", {"rpm": 5, "slots": 1})
        a.call()
        grant = a.call(offer("x"))["grants"][0]["grant"]
        b.call(offer("y"), offer("z"), offer("none", eligible=[]))
        a.call(settle(grant))
        names = {name.removeprefix("vorrang:{m}:line").split(":b")[0] for name in self.client.call("KEYS", "*")}
        self.assertLessEqual({"", ":waiting", ":resting", ":offers", ":settings", ":tickets", ":grants", ":window:1"}, names)
        for name in self.client.call("KEYS", "*"):
            self.assertGreater(self.client.call("TTL", name), 0, name)
            self.assertTrue(name.startswith("vorrang:{m}:line"), name)


class History:
    """Instances that do something at random, and what they know of the line by the contract alone.

    Each step is one call. The grants in it are replayed on the model in their order: each must go to
    the best ticket that is heard of and eligible for its deployment, within every limit; and when the
    call is over, nobody may wait for whom there is room that is not kept for a better one."""

    def __init__(self, test, seed):
        self.test = test
        self.random = random.Random(seed)
        limits = ("slots", "rpm", "tpm")
        self.deployments = [
            {name: self.random.choice((1, 2, 5)) * (40 if name == "tpm" else 1)
             for name in limits if self.random.random() < 0.6} or {"slots": 2}
            for _ in range(self.random.randint(1, 3))
        ]  # fmt: skip
        self.instances = [test.line(f"s{seed}-{n}", *self.deployments, cooldown=0) for n in range(self.random.randint(1, 4))]
        self.listeners = [test.listener(each.instance) for each in self.instances]
        self.seen = {}
        self.waiting = {}  # ticket: (priority, arrival, eligible, tokens, owner)
        self.held = {}  # grant: (ticket, deployment, tokens, owner)
        self.used = [[] for _ in self.deployments]  # [at, tokens, grant]
        self.granted = 0
        self.called = test.now
        self.opening = None  # after a silence of all: (until when, for how many, who is ready)

    def room(self, number, tokens):
        limits, now = self.deployments[number - 1], self.test.now
        recent = [entry for entry in self.used[number - 1] if entry[0] + WINDOW > now]
        in_flight = sum(1 for held in self.held.values() if held[1] == number)
        return (in_flight < limits.get("slots", 1 << 30) and len(recent) < limits.get("rpm", 1 << 30)
                and sum(entry[1] for entry in recent) + tokens <= limits.get("tpm", 1 << 30))  # fmt: skip

    def better(self, ticket, number):
        """Those before a ticket that are eligible for a deployment and whose owner is heard of."""
        own = self.waiting[ticket][:2]
        return [other for other, (priority, arrival, eligible, _, owner) in self.waiting.items()
                if (priority, arrival) < own and number in eligible and self.seen[owner] + 5 * SECOND > self.test.now]

    def take(self, told, owner):
        ticket, number = told["ticket"], int(told["deployment"])
        self.test.assertIn(ticket, self.waiting, "granted, and not waiting")
        priority, arrival, eligible, tokens, whose = self.waiting[ticket]
        self.test.assertEqual(whose, owner)
        self.test.assertIn(number, eligible)
        self.test.assertEqual(self.better(ticket, number), [], f"{ticket} went before a better one")
        self.test.assertTrue(self.room(number, tokens), f"over a limit of {number}")
        del self.waiting[ticket]
        self.held[told["grant"]] = (ticket, number, tokens, owner)
        self.used[number - 1].append([int(told["at"]), tokens, told["grant"]])
        self.granted += 1

    def check_nobody_is_forgotten(self):
        for ticket, (_, _, eligible, tokens, owner) in self.waiting.items():
            if self.seen[owner] + 5 * SECOND <= self.test.now:
                continue
            for number in eligible:
                if self.room(number, tokens) and not self.better(ticket, number):
                    self.test.fail(f"{ticket} waits, and {number} has room")

    def before_call(self, line):
        """For what changes with a call of this instance."""

    def step(self):
        who = self.random.randrange(len(self.instances))
        line = self.instances[who]
        self.before_call(line)
        if self.random.random() < 0.5:
            self.test.pass_time(line, self.random.choice((0.001, 0.2, 1.5, 9)) * self.random.random())
        if self.test.now - self.called > 5 * SECOND and set(self.seen) - {line.instance}:
            self.opening = (self.test.now + 5 * SECOND, len(self.seen), set())
            self.seen = dict.fromkeys(self.seen, self.test.now)
        self.called = self.seen[line.instance] = self.test.now
        self.bury()
        operations, then = [], []
        for _ in range(self.random.randint(0, 4)):
            kind = self.random.choice(("offer", "offer", "settle", "settle", "cancel", "eligible", "move"))
            getattr(self, kind)(line.instance, operations, then)
        repeats = operations and self.random.random() < 0.1
        said = line.call(*operations, *(operations[-1:] if repeats else []))
        for note, result in zip(then, said["results"]):
            note(result)
        # All grants of one call, the others' too, in the order in which they were made.
        grants = [(told, line.instance) for told in said["grants"]]
        grants += self.offers()
        if self.opening:
            until, count, ready = self.opening
            ready.add(line.instance)
            self.opening = None if self.test.now >= until or len(ready & set(self.seen)) >= count else self.opening
        if self.opening:
            self.test.assertEqual(grants, [], "granted before all were heard")
            return
        for told, owner in sorted(grants, key=lambda each: int(each[0]["grant"].rpartition(".")[2])):
            self.take(told, owner)
        self.check_nobody_is_forgotten()
        offered = {told["grant"] for told, owner in grants if owner != line.instance}
        for told, owner in grants:
            if told["grant"] in offered:
                offered.discard(told["grant"])
                other = next(each for each in self.instances if each.instance == owner)
                self.seen[owner] = self.test.now
                confirmed = other.call({"op": "confirm", "grant": told["grant"]})
                self.test.assertEqual(confirmed["results"], [True])
                # Its other offers are in the reply, and in force with it; a confirmation frees nothing.
                others = {each["grant"] for each in confirmed["grants"]}
                self.test.assertLessEqual(others, offered, "a confirmation frees nothing")
                offered -= others

    def bury(self):
        """Who was not heard of for 15 s has neither tickets nor slots; what it used stays used."""
        for instance in [each for each, seen in self.seen.items() if seen + LEASE <= self.test.now]:
            del self.seen[instance]
            self.waiting = {ticket: waits for ticket, waits in self.waiting.items() if waits[4] != instance}
            self.held = {grant: held for grant, held in self.held.items() if held[3] != instance}

    def offers(self):
        """What the others have been told: a note to each, sent last, says that there is no more."""
        heard = []
        for other, hears in zip(self.instances, self.listeners):
            self.test.client.call("PUBLISH", f"{other.base}:to:{other.instance}", '["end"]')
            while (note := hears())[0] != "end":
                if note[0] == "offer":
                    heard.append((note[1], other.instance))
        return heard

    def offer(self, owner, operations, then):
        ticket = f"t{self.granted}-{len(self.waiting)}-{self.random.randrange(1 << 40)}"
        priority = self.random.choice((-5, 0, 0, 7, 255))
        eligible = [n + 1 for n in range(len(self.deployments)) if self.random.random() < 0.7]
        tokens = self.random.choice((1, 10, 40))
        operations.append(offer(ticket, priority, eligible, tokens=tokens))

        def note(arrival):
            self.waiting[ticket] = (priority, arrival, eligible, tokens, owner)

        then.append(note)

    def settle(self, owner, operations, then):
        own = [grant for grant, held in self.held.items() if held[3] == owner]
        if not own:
            return
        grant = self.random.choice(own)
        ticket, number, tokens, _ = self.held.pop(grant)
        used = self.random.choice((None, tokens, max(tokens - 5, 0)))
        kind = self.random.choice(("success", "cancelled", "not_sent"))
        operations.append(settle(grant, kind, tokens=used))

        def note(result):
            self.test.assertTrue(result)
            for entry in self.used[number - 1]:
                if entry[2] == grant and kind == "not_sent":
                    self.used[number - 1].remove(entry)
                    break
                if entry[2] == grant and used is not None:
                    entry[1] = used

        then.append(note)

    def cancel(self, owner, operations, then):
        own = [ticket for ticket, waits in self.waiting.items() if waits[4] == owner]
        if own:
            ticket = self.random.choice(own)
            del self.waiting[ticket]
            operations.append({"op": "cancel", "ticket": ticket})
            then.append(self.test.assertTrue)

    def eligible(self, owner, operations, then):
        own = [ticket for ticket, waits in self.waiting.items() if waits[4] == owner]
        if own:
            ticket = self.random.choice(own)
            eligible = [n + 1 for n in range(len(self.deployments)) if self.random.random() < 0.6]
            priority, arrival, _, tokens, _ = self.waiting[ticket]
            self.waiting[ticket] = (priority, arrival, eligible, tokens, owner)
            operations.append({"op": "eligible", "ticket": ticket, "eligible": eligible})
            then.append(self.test.assertTrue)

    def move(self, owner, operations, then):
        own = [ticket for ticket, waits in self.waiting.items() if waits[4] == owner]
        if own:
            ticket = self.random.choice(own)
            _, arrival, eligible, tokens, _ = self.waiting[ticket]
            priority = self.random.choice((-9, 3, 400))
            self.waiting[ticket] = (priority, arrival, eligible, tokens, owner)
            operations.append({"op": "move", "ticket": ticket, "priority": priority})
            then.append(self.test.assertTrue)


class ReloadHistory(History):
    """The same, while each instance changes its limits now and then: the lowest of those that live hold, for all that
    the last minute took. Where a limit comes, what went before it may be counted a second longer."""

    def __init__(self, test, seed):
        super().__init__(test, seed)
        self.told = {each.instance: self.deployments for each in self.instances}
        self.taken = [[] for _ in self.deployments]  # [at, tokens], of all grants

    def limits_of(self, number):
        told = [self.told[instance][number - 1] for instance in self.seen]
        return {name: min(each[name] for each in told if name in each)
                for name in ("slots", "rpm", "tpm") if any(name in each for each in told)}  # fmt: skip

    def room(self, number, tokens, used=None, window=WINDOW):
        limits, now = self.limits_of(number), self.test.now
        recent = [entry for entry in used or self.used[number - 1] if entry[0] + window > now]
        in_flight = sum(1 for held in self.held.values() if held[1] == number)
        return (in_flight < limits.get("slots", 1 << 30) and len(recent) < limits.get("rpm", 1 << 30)
                and sum(entry[1] for entry in recent) + tokens <= limits.get("tpm", 1 << 30))  # fmt: skip

    def take(self, told, owner):
        tokens = self.waiting[told["ticket"]][3] if told["ticket"] in self.waiting else 0
        super().take(told, owner)
        self.taken[int(told["deployment"]) - 1].append([int(told["at"]), tokens])

    def check_nobody_is_forgotten(self):
        for ticket, (_, _, eligible, tokens, owner) in self.waiting.items():
            if self.seen[owner] + 5 * SECOND <= self.test.now:
                continue
            for number in eligible:
                surely = self.room(number, tokens, self.taken[number - 1], WINDOW + SECOND)
                # One that is too large for a limit waits for all of it.
                too_large = tokens > self.limits_of(number).get("tpm", 1 << 30)
                if surely and not too_large and not self.better(ticket, number):
                    self.test.fail(f"{ticket} waits, and {number} has room")

    def before_call(self, line):
        if self.random.random() < 0.2:
            self.told[line.instance] = [
                {name: self.random.choice((1, 2, 5)) * (40 if name == "tpm" else 1)
                 for name in ("slots", "rpm", "tpm") if self.random.random() < 0.4}
                for _ in self.deployments
            ]  # fmt: skip
            line.change(settings(*self.told[line.instance], cooldown=0))


class Histories(Instances):
    def test_random_reloads(self):
        granted = 0
        for seed in range(FIRST_SEED, FIRST_SEED + max(HISTORIES // 2, 1)):
            with self.subTest(seed=seed):
                self.client.call("FLUSHALL")
                history = ReloadHistory(self, seed)
                for _ in range(STEPS):
                    history.step()
                granted += history.granted
        self.assertGreater(granted, HISTORIES * 10, "the histories are too tame")

    def test_random_histories(self):
        granted = 0
        for seed in range(FIRST_SEED, FIRST_SEED + HISTORIES):
            with self.subTest(seed=seed):
                self.client.call("FLUSHALL")
                history = History(self, seed)
                for _ in range(STEPS):
                    history.step()
                granted += history.granted
        self.assertGreater(granted, HISTORIES * 20, "the histories are too tame")


if __name__ == "__main__":
    unittest.main()
