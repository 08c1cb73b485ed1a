"""Random histories of several gateways with one Redis (spec §6), and a checker that knows only the contract.

Two to five real gateways, a redis-server, providers; clients of both hasty and patient kinds. A seed says who
asks when, and which faults come when: a gateway is killed and replaced, frozen and woken, its network torn in one
direction; Redis is killed and comes back with all it had or with nothing, or stalls; providers fail; clients hang
up. Afterwards shared_history.py reads what was recorded. Real processes answer in their own time, so a seed makes
the same plan again, not the same history.

VORRANG_SEED sets the first seed (302), VORRANG_HISTORIES how many (1, of about a minute), VORRANG_HISTORY_S how
long faults come in each (36).
"""

import heapq
import itertools
import json
import os
import random
import selectors
import shutil
import signal
import threading
import time
import unittest
from contextlib import ExitStack
from functools import partial

import client
from gateway import Gateway, wait_until
from history import Call, Look, Request
from provider import Provider, Reply, error
from shared_history import Checker, Fault, History
from wire import Wire

from shared.redis_server import RedisServer

SLOTS = {"d1": 3, "d2": 2}
RPM = {"d3": 15}
TIMEOUT_S = {"m": 20, "r": 6}
RETRIES = 2
PRIORITIES = (-1, 0, 0, 5, 5, 5, 255)
FLOOD = 80
OUTAGE_S_MAX = 18.0  # of Redis
STALL_S = 0.5
LENGTH = 200  # of the first request's body; each next one is longer by a byte

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{d1}", api_key: k, max_parallel_requests: 3}}
    model_info: {{id: d1}}
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{d2}", api_key: k, max_parallel_requests: 2}}
    model_info: {{id: d2}}
  - model_name: r
    litellm_params: {{model: openai/x, api_base: "{d3}", api_key: k, rpm: 15}}
    model_info: {{id: d3}}
router_settings:
  timeout: 20
  num_retries: 2
  cooldown_time: 1
  allowed_fails: 5
  redis_url: "unix://{redis}"
vorrang_settings:
  redis_unavailable: hold
"""


class LastingRedis(RedisServer):
    """Loses nothing when it is killed: what is answered has been handed to the kernel."""

    def __init__(self):
        super().__init__("--appendonly", "yes", "--appendfsync", "no")

    def forget(self):
        shutil.rmtree(os.path.join(self._folder.name, "appendonlydir"), ignore_errors=True)

    def left_over(self):
        """Tickets and grants that stand in the lines."""
        counts = {}
        for name in self.call("KEYS", "vorrang:*:line:*"):
            what = name.partition(":line:")[2].partition(":")[0]
            if what in ("waiting", "resting", "offers"):
                counts[name] = self.call("ZCARD", name)
            elif what in ("tickets", "grants"):
                counts[name] = self.call("HLEN", name) - self.call("HEXISTS", name, "")  # "" is no ticket
        return {name: count for name, count in counts.items() if count}


class Place:
    """Where an instance runs: one after the other, each on the same configuration, with a network of its own."""

    def __init__(self, wire, config):
        self.wire = wire
        self.config = config
        self.gateway = None  # None while there is none
        self.instance = None  # number of the process, among all there have been
        self.hurt = False


class Play:
    """One history, from its seed: plays it, and leaves `history`."""

    def __init__(self, seed, length_s):
        self.random = random.Random(seed)
        self.length_s = length_s
        self.history = History(SLOTS, RPM, RETRIES)
        self.events = []  # (time, number, what to do)
        self.numbers = itertools.count()
        self.instances = itertools.count()
        self.open = {}  # connection → request
        self.selector = selectors.DefaultSelector()
        self.is_over = False
        self.is_flood = False

    def at(self, moment, action, *arguments):
        heapq.heappush(self.events, (moment, next(self.numbers), partial(action, *arguments)))

    def play(self):
        with ExitStack() as self.stack:
            self.providers = {name: self.stack.enter_context(Provider()) for name in (*SLOTS, *RPM)}
            for name, provider in self.providers.items():
                provider.answer = partial(self.reply, random.Random(self.random.random()), name)
            self.redis = self.stack.enter_context(LastingRedis())
            self.places = [self.new_place() for _ in range(self.random.randint(2, 5))]
            for place in self.places:
                self.start(place)
            for place in self.places:
                wait_until(partial(self.is_shared, place), what="the queue is not shared")
            looker = threading.Thread(target=self.look, daemon=True)
            looker.start()
            try:
                self.begun = time.monotonic()
                self.plan()
                self.run(lambda: not self.events)
                wait_until(lambda: all(self.is_shared(place) for place in self.places), what="a gateway is not back")
                self.flood()
                self.run(lambda: not self.open or time.monotonic() > self.history.flood_at + max(TIMEOUT_S.values()) + 5)
                end = time.monotonic() + 5
                while (left := self.redis.left_over()) and time.monotonic() < end:
                    time.sleep(0.05)
                self.history.left_over = left
            finally:
                self.is_over = True
                looker.join()
                self.selector.close()
            for connection in self.open:
                connection.close()
            self.read_providers()
        return self.history

    # What is there ----------------------------------------------------------------------------

    def new_place(self):
        wire = self.stack.enter_context(Wire(self.redis.path))
        bases = {name: provider.base for name, provider in self.providers.items()}
        return Place(wire, CONFIG.format(redis=wire.path, **bases))

    def start(self, place):
        gateway = Gateway(place.config)
        self.stack.enter_context(gateway)
        place.gateway, place.instance, place.hurt = gateway, next(self.instances), False

    @staticmethod
    def is_shared(place):
        return place.gateway is not None and place.gateway.admin_get("/health/readiness").json["queue"] == "shared"

    def reply(self, generator, name, call):
        roll, delay = generator.random(), generator.uniform(0.05, 0.35)
        if self.is_flood or name in RPM:
            return Reply(delay_s=0.2)
        if roll < 0.03:
            return Reply(429, error(), {"Retry-After": "1"}, delay_s=delay)
        if roll < 0.06:
            return Reply(500, error(), delay_s=delay)
        return Reply(delay_s=generator.uniform(8, 18) if roll < 0.075 else delay)

    def read_providers(self):
        for name, provider in self.providers.items():
            for call in provider.calls:
                retry_after = float(dict(call.reply.headers).get("Retry-After", 0))
                status = call.reply.status if call.finished_at is not None else 0
                # The gateway may have read the answer, and asked another provider, before this one's thread has
                # noted that it is written.
                ended = call.last_write_at if status else call.closed_at or time.monotonic()
                self.history.calls.append(
                    Call(int(call.prompt.split()[0]), name, call.arrived_at, ended, status, retry_after)
                )

    # The plan ---------------------------------------------------------------------------------

    def plan(self):
        faults_over = self.plan_faults()
        moment = 0.0
        while moment < faults_over:
            count = self.random.choice((1, 1, 2, 3, 15))
            for _ in range(count):
                self.at(self.begun + moment + self.random.uniform(0, 0.1), self.send)
            moment += self.random.uniform(0.5, 1.5) * count / 12
        moment = 0.0
        while moment < faults_over - TIMEOUT_S["r"]:
            self.at(self.begun + moment, self.send, "r")
            moment += self.random.uniform(0.2, 0.8)
        self.at(self.begun + faults_over, lambda: None)

    def plan_faults(self):
        """When nothing of any is left to be noticed."""
        free_from, over, moment = {}, 0.0, 2.0
        kinds = ["killed", "frozen", "frozen", "torn", "torn", "stalled", "paused", "restarted", "emptied"]
        while moment < self.length_s:
            kind = self.random.choice(kinds)
            place = self.random.choice(self.places) if kind in ("killed", "frozen", "torn") else None
            length = self.random.choice((self.random.uniform(0.2, 2), self.random.uniform(2, 8), self.random.uniform(15, 18)))
            if place is None:
                length = min(length, OUTAGE_S_MAX)
            if free_from.get(place, 0) < moment and moment + length < self.length_s:
                fault = Fault("stalled" if kind == "paused" else kind, None, 0.0)
                self.at(self.begun + moment, getattr(self, f"begin_{kind}"), fault, place, length)
                self.at(self.begun + moment + length, getattr(self, f"end_{kind}"), fault, place)
                free_from[place] = moment + length + 1
                last = Fault(fault.kind, None, moment, moment + length)
                over = max(over, last.over + 0.5)
            moment += self.random.uniform(0.3, 7)
        return over

    def begin(self, fault, place=None):
        fault.begun = time.monotonic()
        if place is not None:
            fault.instance, place.hurt = place.instance, True
        self.history.faults.append(fault)

    @staticmethod
    def end(fault, place=None):
        fault.ended = time.monotonic()
        if place is not None:
            place.hurt = False

    def begin_killed(self, fault, place, _length):
        self.begin(fault, place)
        gateway, place.gateway = place.gateway, None
        gateway.terminate(signal.SIGKILL)
        gateway.wait()

    def end_killed(self, _fault, place):
        threading.Thread(target=self.start, args=(place,), daemon=True).start()

    def begin_frozen(self, fault, place, _length):
        self.begin(fault, place)
        place.gateway.process.send_signal(signal.SIGSTOP)

    def end_frozen(self, fault, place):
        place.gateway.process.send_signal(signal.SIGCONT)
        self.end(fault, place)

    def begin_torn(self, fault, place, _length):
        self.begin(fault, place)
        setattr(place.wire, self.random.choice(("holds_to_server", "holds_to_client")), True)

    def end_torn(self, fault, place):
        place.wire.holds_to_server = place.wire.holds_to_client = False
        place.wire.cut()
        self.end(fault, place)

    def begin_stalled(self, fault, _place, _length):
        self.begin(fault)
        self.redis.signal(signal.SIGSTOP)

    def end_stalled(self, fault, _place):
        self.redis.signal(signal.SIGCONT)
        self.end(fault)

    def begin_paused(self, fault, _place, length):
        self.begin(fault)
        self.redis.call("CLIENT", "PAUSE", int(length * 1000), "ALL")

    def end_paused(self, fault, _place):
        self.redis.call("PING")
        self.end(fault)

    def begin_restarted(self, fault, _place, _length):
        self.begin(fault)
        self.redis.kill()

    def end_restarted(self, fault, _place):
        self.redis.start()
        self.end(fault)

    begin_emptied = begin_restarted

    def end_emptied(self, fault, place):
        self.redis.forget()
        self.end_restarted(fault, place)

    # Clients ----------------------------------------------------------------------------------

    def run(self, is_done):
        awake = time.monotonic()
        while not is_done():
            now = time.monotonic()
            if now - awake > STALL_S:  # the machine stood still, and everybody with it
                self.history.faults += [Fault("frozen", place.instance, awake, now)
                                        for place in self.places if place.gateway is not None]  # fmt: skip
            awake = now
            while self.events and self.events[0][0] <= now:
                heapq.heappop(self.events)[2]()
            wait = self.events[0][0] - time.monotonic() if self.events else 0.05
            for key, _ in self.selector.select(min(max(wait, 0), 0.05)):
                self.read(key.fileobj, key.data)

    def send(self, group="m", may_leave=True):
        places = [place for place in self.places if place.gateway is not None]
        if not places:
            return
        place, number = self.random.choice(places), len(self.history.requests)
        request = Request(number, group, self.random.choice(PRIORITIES), place.instance, time.monotonic(), TIMEOUT_S[group])
        self.history.requests[number] = request
        connection = place.gateway.connect()
        # A length of its own, by which it is known in the line.
        body = client.chat_body(f"{number} ", group, priority=request.priority, timeout=TIMEOUT_S[group])
        body["messages"][0]["content"] += "x" * (LENGTH + number - len(json.dumps(body)))
        connection.chat(body)
        self.open[connection] = request
        self.selector.register(connection.socket, selectors.EVENT_READ, connection)
        if may_leave and self.random.random() < 0.06:
            self.at(time.monotonic() + self.random.choice((0.02, 0.3, 3)), self.leave, connection)

    def leave(self, connection):
        if connection in self.open:
            self.open[connection].left = time.monotonic()
            self.finish(connection)

    def finish(self, connection):
        self.selector.unregister(connection.socket)
        connection.close()
        return self.open.pop(connection)

    def read(self, _socket, connection):
        connection.receive_more()
        response = connection.take_response()
        if response is None and not connection.eof:
            return
        request = self.finish(connection)
        killed = [each for each in self.history.faults if each.kind == "killed" and each.instance == request.instance]
        if response is None and killed:
            request.lost = killed[0].begun
            return
        request.answered = time.monotonic()
        request.status = response.status if response else 0
        if request.status == 200:
            request.deployment = response.header("x-litellm-model-id")
            request.attempts = int(response.header("x-vorrang-attempts"))

    def flood(self):
        """More than all slots hold, in a random order of priorities."""
        self.is_flood = True
        self.history.flood_at = time.monotonic()
        for _ in range(FLOOD):
            self.send(may_leave=False)

    # The line, as the operator sees it --------------------------------------------------------

    def look(self):
        numbers = {}  # id of a ticket → request
        while not self.is_over:
            for place in self.places:
                gateway = place.gateway
                if gateway is None or place.hurt:
                    continue
                asked = time.monotonic()
                try:
                    answer = client.call(gateway.admin_port, "GET", "/queue/m?limit=1000", timeout_s=3)
                except (OSError, AssertionError):
                    continue  # it is being killed
                told = time.monotonic()
                if answer.status != 200:
                    continue
                page = answer.json
                # Its length is told by its own instance alone.
                for ticket in page["tickets"]:
                    if ticket["bytes"]:
                        numbers[ticket["id"]] = ticket["bytes"] - LENGTH
                waiting = [numbers[each["id"]] for each in page["tickets"]
                           if each["id"] in numbers and each["why"] != "backing-off"]  # fmt: skip
                self.history.looks.append(Look(asked, told, waiting))
                self.history.inversions = max(self.history.inversions, page["inversions"])
                time.sleep(0.01)
            time.sleep(0.01)


class Bites(unittest.TestCase):
    """The checker, with records made by hand: each has one thing wrong, and the first has nothing."""

    def setUp(self):
        self.history = History({"d1": 1}, {"d3": 2}, RETRIES, left_over={})
        # A call that all others wait for; then in order.
        for number, priority, sent, begun in ((0, 5, 0, 0.1), (1, 0, 0.2, 2.1), (2, 5, 0.3, 3.1), (3, 5, 1.3, 4.1)):
            self.add(number, priority, sent, begun, begun + 0.9)
        for step in range(1, 46):
            moment = step / 10 + 0.02
            waiting = [number for number, each in self.history.requests.items()
                       if each.sent < moment < self.call(number).begun]  # fmt: skip
            self.history.looks.append(Look(moment, moment + 0.01, waiting))
        self.history.flood_at = 0

    def add(self, number, priority, sent, begun, ended, deployment="d1", group="m", instance=0):
        request = Request(number, group, priority, instance, sent, 20, ended + 0.01, 200, deployment, 1)
        self.history.requests[number] = request
        self.history.calls.append(Call(number, deployment, begun, ended, 200))
        return request

    def call(self, number):
        return next(each for each in self.history.calls if each.request == number)

    def check(self, *rules):
        self.assertEqual({rule for rule, _ in Checker(self.history).broken}, set(rules), Checker(self.history).broken)

    def swap(self, one, other):
        """Two calls change their times; what was seen is as it then was."""
        first, second = self.call(one), self.call(other)
        first.begun, first.ended, second.begun, second.ended = second.begun, second.ended, first.begun, first.ended
        for number in (one, other):
            self.history.requests[number].answered = self.call(number).ended + 0.01
        for look in self.history.looks:
            look.waiting = [number for number, each in self.history.requests.items()
                            if each.sent < look.asked < self.call(number).begun]  # fmt: skip

    def test_what_is_right(self):
        self.check()
        self.assertEqual(Checker(self.history).decisions, 2)

    def test_an_inversion(self):
        self.swap(1, 2)
        self.check("order")

    def test_equals_that_change_places(self):
        self.swap(2, 3)
        self.check("order")

    def test_an_inversion_in_a_fault_is_none(self):
        self.swap(1, 2)
        self.history.faults.append(Fault("frozen", 0, 1, 1.5))
        self.check()

    def test_a_back_off_is_no_inversion(self):
        self.swap(1, 2)
        self.history.requests[1].attempts = 2
        self.history.calls.append(Call(1, "d1", 1.2, 1.3, 429, retry_after_s=1.0))
        self.check()

    def test_one_slot_too_many(self):
        self.call(1).begun = 0.95
        self.history.looks = []
        self.check("slots")

    def test_an_overrun(self):
        """Allowed when the lease of one that is frozen is over, not before, and not when it is back."""
        self.add(8, 0, 5, 5.5, 48, instance=1)
        self.history.faults.append(Fault("frozen", 1, 6, 30))
        other = self.add(9, 0, 15, 21.5, 22)
        self.check()
        for begun in (15.5, 40):
            self.call(9).begun, self.call(9).ended, other.answered = begun, begun + 1, begun + 1
            other.sent = begun - 1
            self.check("slots")

    def test_one_unit_too_many(self):
        for number in (8, 9, 10):
            self.add(number, 0, number, number + 0.1, number + 0.2, "d3", "r", instance=number)
        self.check("rpm")
        self.history.faults += [Fault("killed", 8, 8.5), Fault("emptied", None, 8.6, 8.7)]
        self.check()

    def test_a_request_that_is_sent_twice(self):
        self.history.calls.append(Call(3, "d1", 5.1, 5.2, 200))
        self.history.requests[3].attempts = 2
        self.check("once")

    def test_an_answer_that_nobody_gave(self):
        self.history.calls.remove(self.call(3))
        self.check("once")

    def test_a_request_that_is_lost(self):
        self.add(9, 0, 5, 6, 7).answered = None
        self.check("lost")
        self.history.requests[9].lost = 8
        self.check()

    def test_an_answer_without_a_reason(self):
        for status in (0, 408, 429, 500):
            self.history.requests[3].status = status
            self.check("answer")

    def test_a_slot_that_is_lost(self):
        self.history.slots["d1"] = 2
        self.check("leak")

    def test_a_ticket_that_is_left_over(self):
        self.history.left_over = {"vorrang:{m}:line:waiting": 1}
        self.check("leak")


class RandomInstances(unittest.TestCase):
    def test_histories(self):
        seed = int(os.environ.get("VORRANG_SEED") or 302)
        length_s = float(os.environ.get("VORRANG_HISTORY_S") or 36)
        for number in range(int(os.environ.get("VORRANG_HISTORIES") or 1)):
            with self.subTest(seed=seed + number):
                print(f"[VORRANG_SEED={seed + number}] ", end="", flush=True)
                play = Play(seed + number, length_s)
                history = play.play()
                checker = Checker(history)
                print(f"[{len(play.places)} places, {summary(history, checker)}] ", end="", flush=True)
                if checker.broken:
                    self.fail(story(history, checker, play.begun))
                self.assertGreater(checker.decisions, 20, "hardly anything waited when it was looked at")


def summary(history, checker):
    statuses = {}
    for each in history.requests.values():
        what = "left" if each.left is not None else "lost" if each.lost is not None else each.status
        statuses[what] = statuses.get(what, 0) + 1
    faults = [each.kind for each in history.faults]
    return f"{statuses}, {len(history.calls)} calls, {checker.decisions} decisions in {len(history.looks)} looks, {faults}"


def story(history, checker, begun):
    """What was broken, the faults, and what happened in the seconds around; times from the beginning."""
    lines = [f"{len(checker.broken)} times a rule is broken; times are in seconds, {begun:.3f} is the beginning"]
    lines += [f"{rule}: {what}" for rule, what in checker.broken[:20]]
    return "\n".join([*lines, "faults:", *map(str, sorted(history.faults, key=lambda each: each.begun))])


if __name__ == "__main__":
    unittest.main()
