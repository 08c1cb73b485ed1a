"""Several gateways with one Redis (spec §6): one order, one set of limits, and every way to lose a part of it.

Real processes: gateways, redis-server, a provider that records what came and how much ran at once."""

import contextlib
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from email.utils import parsedate_to_datetime

import client
from failing_socket import library_path, runtimes
from gateway import Gateway, free_port, wait_until
from provider import Provider, Reply
from provider.certificates import Authority
from wire import Wire

from shared.redis_server import RedisClient, RedisSentinel, RedisServer

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/upstream-model
      api_base: {base}
      api_key: sk-upstream
      {limits}
    model_info: {{id: d1}}
router_settings:
  timeout: 60
  num_retries: 0
  redis_url: "unix://{redis}"
vorrang_settings:
  {settings}
"""

LINE = "vorrang:{m}:line"


class Instances(unittest.TestCase):
    limits = "max_parallel_requests: 1"

    def setUp(self):
        self.redis = self.enterContext(RedisServer("--dbfilename", "dump.rdb"))
        self.provider = self.enterContext(Provider())

    def gateway(self, redis=None, limits=None, settings="strict: false", environment=None):
        text = CONFIG.format(base=self.provider.base, redis=redis or self.redis.path,
                             limits=limits or self.limits, settings=settings)  # fmt: skip
        gateway = Gateway(text, environment=environment)
        self.enterContext(gateway)
        self.wait_until_shared(gateway)
        return gateway

    def mode(self, gateway):
        return gateway.admin_get("/health/readiness").json["queue"]

    def wait_until_shared(self, gateway, mode="shared"):
        wait_until(lambda: self.mode(gateway) == mode, what=f"the queue is not {mode}")

    def in_line(self):
        """Tickets that wait in Redis."""
        return self.redis.call("ZCARD", f"{LINE}:waiting") + self.redis.call("ZCARD", f"{LINE}:resting")

    def wait_until_in_line(self, count):
        wait_until(lambda: self.in_line() == count, what=lambda: f"{self.in_line()} wait in Redis, not {count}")

    def block(self, gateway):
        """A call that holds the only slot until the provider lets go."""
        self.provider.script = [Reply(hold=True)]
        connection = gateway.send_chat("blocker")
        self.provider.wait_for_calls(1)
        return connection

    def block_next(self, gateway):
        count = len(self.provider.calls)
        self.provider.script = [Reply(hold=True)]
        connection = gateway.send_chat("blocker")
        self.provider.wait_for_calls(count + 1)
        return connection

    def send_in_turns(self, gateways, priorities):
        """One after the other, each in line before the next is sent, from gateway to gateway."""
        already, connections = self.in_line(), []
        for number, priority in enumerate(priorities):
            gateway = gateways[number % len(gateways)]
            connections.append(gateway.send_chat(f"request {number}", priority=priority))
            self.wait_until_in_line(already + len(connections))
        return connections

    def check_order(self, priorities, responses, arrived):
        self.assertEqual([each.status for each in responses], [200] * len(priorities))
        wanted = sorted(range(len(priorities)), key=lambda number: (priorities[number], number))
        self.assertEqual(arrived, [f"request {number}" for number in wanted])
        self.assertEqual(self.provider.running_max, 1)

    def arrived(self):
        return [call.prompt for call in self.provider.calls if call.prompt != "blocker"]


class Together(Instances):
    def test_one_order_over_three(self):
        gateways = [self.gateway() for _ in range(3)]
        self.provider.answer = Reply(delay_s=0.005)
        blocker = self.block(gateways[0])
        generator = random.Random(7)
        priorities = [generator.choice((-3, 0, 5, 255)) for _ in range(150)]
        connections = self.send_in_turns(gateways, priorities)
        for gateway in gateways:
            seen = gateway.queue("m?limit=1000").tickets  # more than one piece
            self.assertEqual([each["priority"] for each in seen], sorted(priorities))
            self.assertEqual([each["position"] for each in seen], list(range(1, 151)))
            self.assertEqual(len({each["id"] for each in seen}), 150)
            page = gateway.queue("m?offset=115&limit=30").tickets
            self.assertEqual([each["id"] for each in page], [each["id"] for each in seen[115:145]])
            figures = gateway.queue("m?limit=0")
            self.assertEqual((figures.waiting_count, figures.tickets), (150, []))
            self.assertGreater(figures.document["oldest_wait_ms"], 0)
        self.provider.release()
        self.assertEqual(blocker.read_response().status, 200)
        self.check_order(priorities, client.gather(connections, 60), self.arrived())
        self.wait_until_in_line(0)

    def test_limits_are_counted_together(self):
        gateways = [self.gateway(limits="rpm: 5") for _ in range(3)]
        connections = [gateways[n % 3].send_chat(f"request {n}", timeout=2) for n in range(12)]
        statuses = sorted(each.status for each in client.gather(connections, 20))
        self.assertEqual(statuses, [200] * 5 + [408] * 7)
        self.assertEqual(len(self.provider.calls), 5)

    def test_a_cooldown_is_everybodys(self):
        first, second = self.gateway(), self.gateway()
        self.provider.script = [Reply(429, headers={"Retry-After": "2"})]
        begun = time.monotonic()
        answers = client.gather([first.send_chat("first", priority=0)], 20)
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(second.chat("second").status, 200)
        self.assertGreaterEqual(self.provider.calls[1].arrived_at - begun, 2)

    def test_the_lower_of_two_limits_holds(self):
        many, few = self.gateway(limits="max_parallel_requests: 5"), self.gateway(limits="max_parallel_requests: 2")
        self.provider.answer = Reply(delay_s=0.1)
        connections = [gateway.send_chat(f"{n}") for n in range(6) for gateway in (many, few)]
        self.assertEqual({each.status for each in client.gather(connections, 20)}, {200})
        self.assertEqual(self.provider.running_max, 2)

    def test_a_full_line_is_full_for_all(self):
        gateways = [self.gateway(settings="max_queue_size: 2") for _ in range(2)]
        blocker = self.block(gateways[0])
        waiting = self.send_in_turns(gateways, [5, 9])
        refused = gateways[0].chat("worse", priority=10)
        self.assertEqual(refused.status, 429)
        self.assertIsNotNone(refused.header("retry-after"))
        better = gateways[0].send_chat("better", priority=1)
        self.assertEqual(waiting[1].read_response().status, 429, "displaced, by another gateway's")
        self.provider.release()
        self.assertEqual({each.status for each in client.gather([blocker, waiting[0], better], 20)}, {200})

    def test_a_client_that_hangs_up_leaves_the_line(self):
        first, second = self.gateway(), self.gateway()
        blocker = self.block(first)
        gone, stays = self.send_in_turns([first, second], [1, 2])
        gone.close()
        self.wait_until_in_line(1)
        self.provider.release()
        self.assertEqual({each.status for each in client.gather([blocker, stays], 20)}, {200})

    def test_the_operator_sees_all_of_it_from_anywhere(self):
        first, second = self.gateway(), self.gateway()
        blocker = self.block(first)
        waiting = self.send_in_turns([first, second, second], [7, 3, 9])
        seen = first.queue().tickets
        self.assertEqual([(each["position"], each["priority"]) for each in seen], [(1, 3), (2, 7), (3, 9)])
        self.assertEqual(len({each["instance"] for each in seen}), 2)
        self.assertEqual(seen[0]["instance"], seen[2]["instance"])
        self.assertEqual([each["id"] for each in second.queue().tickets], [each["id"] for each in seen])
        moved = client.call(first.admin_port, "PATCH", f"/queue/m/{seen[2]['id']}", {"priority": 1})
        self.assertEqual(moved.status, 200)
        json = {"Content-Type": "application/json"}
        ended = client.call(first.admin_port, "DELETE", f"/queue/m/{seen[0]['id']}", headers=json)
        self.assertEqual(ended.status, 200)
        self.assertNotEqual(waiting[1].read_response().status, 200)
        self.assertEqual([each["priority"] for each in second.queue().tickets], [1, 7])
        gone = client.call(first.admin_port, "DELETE", f"/queue/m/{seen[0]['id']}", headers=json)
        self.assertEqual(gone.status, 404)
        self.provider.release()
        self.assertEqual({each.status for each in client.gather([blocker, waiting[0], waiting[2]], 20)}, {200})
        self.assertEqual(self.arrived(), ["request 2", "request 0"])

    def test_clocks_an_hour_apart(self):
        library = " ".join([*runtimes(), library_path()])
        clocks = [self.gateway(environment={"LD_PRELOAD": library, "VORRANG_CLOCK_OFFSET_S": offset})
                  for offset in ("-3600", "0", "3600")]  # fmt: skip
        dates = [parsedate_to_datetime(each.chat("hello").header("date")) for each in clocks]
        self.assertAlmostEqual((dates[2] - dates[0]).total_seconds(), 7200, delta=60)
        blocker = self.block_next(clocks[0])
        priorities = [5, 5, 5, 0, 0, 0, 9, 9, 9]
        connections = self.send_in_turns(clocks, priorities)
        self.provider.release()
        self.assertEqual(blocker.read_response(20).status, 200)
        self.check_order(priorities, client.gather(connections, 20), self.arrived()[3:])

    def test_two_layouts_do_not_share(self):
        gateway = self.gateway()
        self.assertEqual(gateway.chat("one").status, 200)
        self.redis.call("HSET", LINE, "layout", "0")
        wait_until(lambda: "LAYOUT 0 is in Redis" in gateway.output, what="nobody says so")
        self.assertEqual(gateway.chat("two").status, 200, "it goes on by itself")

    def test_nothing_stays_for_ever(self):
        gateway = self.gateway()
        blocker = self.block(gateway)
        waiting = self.send_in_turns([gateway], [1])
        for name in self.redis.call("KEYS", "*"):
            self.assertGreater(self.redis.call("TTL", name), 0, name)
        self.provider.release()
        client.gather([blocker, *waiting], 20)


class LostInstances(Instances):
    def test_one_that_stops_leaves_at_once(self):
        first, second = self.gateway(), self.gateway()
        blocker = self.block(first)
        waiting = self.send_in_turns([second], [1])
        first.terminate(signal.SIGTERM)
        self.provider.release()
        client.gather([blocker, *waiting], 20)
        self.assertEqual(first.wait(), 0)
        self.assertEqual(len(self.redis.call("KEYS", f"{LINE}:tickets:*")), 1, "the second's")
        self.assertEqual(len(self.redis.call("KEYS", f"{LINE}:grants:*")), 1)
        self.assertEqual(second.chat("more").status, 200)

    def test_killed_while_its_tickets_wait(self):
        first, second = self.gateway(), self.gateway()
        blocker = self.block(second)
        lost = self.send_in_turns([first], [0, 0])
        kept = self.send_in_turns([second], [5])
        first.terminate(signal.SIGKILL)
        first.wait()
        self.provider.release()
        self.assertEqual(blocker.read_response().status, 200)
        self.assertEqual(kept[0].read_response(20).status, 200)
        self.wait_until_in_line(0)
        self.assertEqual(self.arrived(), ["request 0"])
        self.assertEqual(len(lost), 2)

    def test_killed_while_its_grant_runs(self):
        first, second = self.gateway(), self.gateway()
        blocker = self.block(first)
        waits = self.send_in_turns([second], [5])[0]
        first.terminate(signal.SIGKILL)
        first.wait()
        begun = time.monotonic()
        self.assertEqual(waits.read_response(30).status, 200)
        self.assertGreater(time.monotonic() - begun, 12, "its lease was not over")
        blocker.close()
        self.provider.release()

    def test_frozen_past_its_lease_and_woken(self):
        """Its running call finishes, as an overrun; its waiting ticket comes back to its place."""
        first, second = self.gateway(), self.gateway()
        blocker = self.block(first)
        mine = first.send_chat("mine", priority=3)
        self.wait_until_in_line(1)
        first.process.send_signal(signal.SIGSTOP)
        try:
            self.provider.script = [Reply(hold=True)]
            other = second.send_chat("other", priority=9)
            self.provider.wait_for_calls(2, 30)  # the slot was given away
            last = second.send_chat("last", priority=9)
            self.wait_until_in_line(1)
        finally:
            first.process.send_signal(signal.SIGCONT)
        self.wait_until_in_line(2)
        self.assertEqual(len(self.provider.calls), 2, "nothing was sent on an expired grant")
        self.provider.release()
        answers = client.gather([blocker, mine, other, last], 30)
        self.assertEqual([each.status for each in answers], [200] * 4)
        self.assertEqual([call.prompt for call in self.provider.calls], ["blocker", "other", "mine", "last"])
        self.assertEqual(self.provider.running_max, 2, "the overrun, and no more")

    def test_an_offer_that_nobody_takes_goes_to_the_next(self):
        first, second = self.gateway(), self.gateway()
        blocker = self.block(second)
        mine = first.send_chat("mine", priority=0)
        self.wait_until_in_line(1)
        other = second.send_chat("other", priority=9)
        self.wait_until_in_line(2)
        first.process.send_signal(signal.SIGSTOP)
        try:
            self.provider.release()
            # If it was just calling, the offer is in a reply that it cannot read: its lease ends that.
            self.assertEqual(other.read_response(30).status, 200)
        finally:
            first.process.send_signal(signal.SIGCONT)
        self.assertEqual([each.status for each in client.gather([blocker, mine], 20)], [200] * 2)
        self.assertEqual(self.provider.running_max, 1)


class LostRedis(Instances):
    settings = "redis_unavailable: hold"

    def pair(self, **more):
        return [self.gateway(settings=self.settings, **more) for _ in range(2)]

    def finish(self, gateways, blocker, connections, priorities):
        self.provider.release()
        self.assertEqual(blocker.read_response(30).status, 200)
        self.check_order(priorities, client.gather(connections, 30), self.arrived())
        self.wait_until_in_line(0)
        self.provider.wait_until(lambda: self.provider.running == 0)
        # No slot has leaked: the next goes at once.
        self.assertEqual({each.chat("after").status for each in gateways}, {200})

    def test_restarted_empty(self):
        gateways = self.pair()
        blocker = self.block(gateways[0])
        priorities = [5, 0, 5, 9, 0]
        connections = self.send_in_turns(gateways, priorities)
        self.redis.kill()
        self.redis.forget()
        self.redis.start()
        self.wait_until_in_line(5)
        self.finish(gateways, blocker, connections, priorities)

    def test_functions_and_scripts_flushed(self):
        gateways = self.pair()
        blocker = self.block(gateways[0])
        priorities = [5, 0, 9]
        connections = self.send_in_turns(gateways, priorities)
        self.redis.call("FUNCTION", "FLUSH")
        self.redis.call("SCRIPT", "FLUSH")
        self.finish(gateways, blocker, connections, priorities)

    def test_restarted_with_old_data(self):
        gateways = self.pair()
        old = gateways[0].chat("before")
        self.assertEqual(old.status, 200)
        blocker = self.block_next(gateways[0])
        first = self.send_in_turns(gateways, [7, 7])
        self.redis.call("SAVE")
        first[0].close()
        self.wait_until_in_line(1)
        priorities = [5, 0, 5, 9]
        connections = self.send_in_turns(gateways, priorities)
        self.redis.kill()
        self.redis.start()
        self.wait_until_in_line(5)
        self.provider.release()
        self.assertEqual(blocker.read_response(30).status, 200)
        answers = client.gather(connections + first[1:], 30)
        self.assertEqual([each.status for each in answers], [200] * 5)
        self.assertEqual(self.provider.running_max, 1)
        arrived = [call.prompt for call in self.provider.calls]
        self.assertEqual(arrived[2:], ["request 1", "request 0", "request 2", "request 1", "request 3"])

    def lose_and_return(self, lose, give_back):
        gateways = self.pair()
        blocker = self.block(gateways[0])
        priorities = [5, 0, 5, 9, 0]
        connections = self.send_in_turns(gateways, priorities)
        lose()
        for each in gateways:
            self.wait_until_shared(each, "held")
        late = [each.send_chat(f"late {n}", priority=20 + n) for n, each in enumerate(gateways)]
        give_back()
        for each in gateways:
            self.wait_until_shared(each)
        self.wait_until_in_line(7)
        self.provider.release()
        self.assertEqual(blocker.read_response(30).status, 200)
        answers = client.gather(connections + late, 30)
        self.assertEqual([each.status for each in answers], [200] * 7)
        self.assertEqual(self.arrived(), ["request 1", "request 4", "request 0", "request 2", "request 3",
                                          "late 0", "late 1"])  # fmt: skip
        self.assertEqual(self.provider.running_max, 1)
        self.wait_until_in_line(0)

    def test_read_only(self):
        self.lose_and_return(
            lambda: self.redis.call("REPLICAOF", "127.0.0.1", "1"), lambda: self.redis.call("REPLICAOF", "NO", "ONE")
        )

    def test_out_of_memory(self):
        self.lose_and_return(
            lambda: self.redis.call("CONFIG", "SET", "maxmemory", "1"),
            lambda: self.redis.call("CONFIG", "SET", "maxmemory", "0"),
        )

    def test_stalled(self):
        self.lose_and_return(lambda: self.redis.signal(signal.SIGSTOP), lambda: self.redis.signal(signal.SIGCONT))

    def test_killed_for_a_while(self):
        self.lose_and_return(self.redis.kill, self.redis.start)

    def test_the_network_drops_one_direction(self):
        for direction in ("holds_to_server", "holds_to_client"):
            with self.subTest(direction), Wire(self.redis.path) as wire:
                first, second = self.gateway(wire.path, settings=self.settings), self.gateway(settings=self.settings)
                already = len(self.provider.calls)
                blocker = self.block_next(second)
                waits = self.send_in_turns([first], [3])
                setattr(wire, direction, True)
                self.wait_until_shared(first, "held")
                other = second.send_chat("other", priority=9)
                self.provider.release()
                answers = client.gather([blocker, other], 20)
                self.assertEqual([each.status for each in answers], [200] * 2)
                setattr(wire, direction, False)
                wire.cut()
                self.wait_until_shared(first)
                self.assertEqual(waits[0].read_response(20).status, 200)
                arrived = [call.prompt for call in self.provider.calls[already:]]
                self.assertEqual(arrived, ["blocker", "other", "request 0"])
                self.assertEqual(self.provider.running_max, 1)

    def test_a_failover_to_a_replica_that_misses_the_last_writes(self):
        with RedisServer() as replica, Wire(self.redis.path) as wire:
            gateways = [self.gateway(wire.path, settings=self.settings) for _ in range(2)]
            blocker = self.block(gateways[0])
            first = self.send_in_turns(gateways, [7, 7, 7])
            copy(self.redis, replica)
            # What the replica misses: one leaves, two come, and the blocker's slot goes to another.
            first[1].close()
            self.wait_until_in_line(2)
            late = self.send_in_turns(gateways, [5, 0])
            self.provider.script = [Reply(hold=True)]
            self.provider.release()
            self.assertEqual(blocker.read_response(20).status, 200)
            self.provider.wait_for_calls(2)
            self.redis.kill()
            self.redis = replica
            wire.lead_to(replica.path)
            self.wait_until_in_line(3)
            self.provider.release()
            answers = client.gather([first[0], first[2], *late], 30)
            self.assertEqual([each.status for each in answers], [200] * 4)
            self.assertEqual(self.arrived(), ["request 1", "request 0", "request 0", "request 2"])
            self.assertEqual(self.provider.running_max, 1)
            self.wait_until_in_line(0)


def copy(server, into):
    """All keys as they are now."""
    for name in server.call("KEYS", "*"):
        source = RedisClient(server.path, raw=True)
        dump = source.call("DUMP", name)
        source.close()
        into.call("RESTORE", name, server.call("PTTL", name), dump)


class LocalMode(Instances):
    def test_each_goes_on_with_its_share(self):
        """3 over two: one has 2, the other 1."""
        limits = "max_parallel_requests: 3"
        gateways = [self.gateway(limits=limits) for _ in range(2)]
        for each in gateways:  # they have seen each other
            self.assertEqual(each.chat("hello").status, 200)
        wait_until(lambda: self.members() == 2, what="they do not see each other")
        time.sleep(5)  # an idle group looks each 4 s
        self.redis.kill()
        for each in gateways:
            self.wait_until_shared(each, "local")
        self.provider.answer = Reply(hold=True)
        already = len(self.provider.calls)
        connections = [each.send_chat(f"{n}") for each in gateways for n in range(4)]
        self.provider.wait_for_calls(already + 3)
        time.sleep(0.3)
        self.assertEqual(len(self.provider.calls), already + 3)
        self.assertEqual(self.provider.running_max, 3)
        self.provider.answer = Reply()
        self.provider.release()
        self.assertEqual({each.status for each in client.gather(connections, 20)}, {200})
        self.redis.start()
        for each in gateways:
            self.wait_until_shared(each)
            self.assertEqual(each.chat("again").status, 200)
        for each in gateways:
            self.assertIn("goes on by itself, with part", each.output)
            self.assertIn("is shared again", each.output)

    def members(self):
        """How many instances the line knows: each has a hash of its own for what it said of its settings."""
        return len(self.redis.call("PUBSUB", "CHANNELS", f"{LINE}:to:*"))

    def test_calls_that_began_alone_are_announced(self):
        limits = "max_parallel_requests: 1"
        first = self.gateway(limits=limits)
        self.redis.kill()
        self.wait_until_shared(first, "local")
        blocker = self.block(first)
        waits = first.send_chat("waits", priority=1)
        first.wait_until_waiting(1)
        self.redis.start()
        second = self.gateway(limits=limits)
        self.wait_until_in_line(1)
        other = second.send_chat("other", priority=0)
        self.wait_until_in_line(2)
        self.assertEqual(len(self.provider.calls), 1, "the running call holds the only slot")
        self.provider.release()
        answers = client.gather([blocker, waits, other], 20)
        self.assertEqual([each.status for each in answers], [200] * 3)
        self.assertEqual(self.arrived(), ["other", "waits"])
        self.assertEqual(self.provider.running_max, 1)

    def test_what_was_used_alone_counts_afterwards(self):
        first = self.gateway(limits="rpm: 2")
        self.redis.kill()
        self.wait_until_shared(first, "local")
        self.assertEqual(first.chat("one").status, 200)
        self.redis.start()
        self.wait_until_shared(first)
        second = self.gateway(limits="rpm: 2")
        self.assertEqual(second.chat("two").status, 200)
        self.assertEqual(second.chat("three", timeout=1).status, 408)

    def test_a_gateway_that_has_never_seen_redis(self):
        self.redis.kill()
        gateway = Gateway(CONFIG.format(base=self.provider.base, redis=self.redis.path, limits=self.limits,
                                        settings="strict: false"))  # fmt: skip
        with gateway:
            self.wait_until_shared(gateway, "local")
            self.assertEqual(gateway.chat("hello").status, 200)


class Topologies(unittest.TestCase):
    """More than one server."""

    def test_a_cluster_of_three(self):
        """Groups live where their slots are; one that moves is followed."""
        with contextlib.ExitStack() as running:
            servers, addresses = self.cluster(running)
            ports = [int(each.rpartition(":")[2]) for each in addresses]
            provider = running.enter_context(Provider(Reply(delay_s=0.02)))
            names = [f"m{number}" for number in range(8)]
            gateways = [running.enter_context(Gateway(self.config(provider, names, addresses))) for _ in range(2)]
            for each in gateways:
                wait_until(lambda: each.admin_get("/health/readiness").json["queue"] == "shared")
            connections = [gateway.send_chat(f"{name}", name) for name in names for gateway in gateways for _ in range(3)]
            self.assertEqual({each.status for each in client.gather(connections, 30)}, {200})
            used = [len([key for key in server.call("KEYS", "*") if key.endswith(":line")]) for server in servers]
            self.assertEqual(sum(used), len(names))
            self.assertGreaterEqual(sum(1 for each in used if each > 0), 2, f"all in one: {used}")
            # One group's slot moves to another server, with what is in it.
            name = next(name for name in names if servers[0].call("EXISTS", f"vorrang:{{{name}}}:line"))
            slot = servers[0].call("CLUSTER", "KEYSLOT", f"vorrang:{{{name}}}:line")
            ids = [server.call("CLUSTER", "MYID") for server in servers]
            servers[1].call("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
            servers[0].call("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
            while keys := servers[0].call("CLUSTER", "GETKEYSINSLOT", slot, 100):
                servers[0].call("MIGRATE", "127.0.0.1", ports[1], "", 0, 5000, "KEYS", *keys)
            for server in servers:
                server.call("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
            for gateway in gateways:
                self.assertEqual(gateway.chat("after", name).status, 200)
            self.assertEqual(servers[1].call("EXISTS", f"vorrang:{{{name}}}:line"), 1)

    def test_a_cluster_that_lost_a_master(self):
        """Its groups go on by themselves, the others share as before; when it is back, all share."""
        with contextlib.ExitStack() as running:
            servers, addresses = self.cluster(running, "--cluster-require-full-coverage", "no",
                                              "--cluster-node-timeout", "1000")  # fmt: skip
            provider = running.enter_context(Provider(Reply(delay_s=0.02)))
            names = [f"m{number}" for number in range(8)]
            gateways = [running.enter_context(Gateway(self.config(provider, names, addresses))) for _ in range(2)]
            for each in gateways:
                wait_until(lambda: each.admin_get("/health/readiness").json["queue"] == "shared")
            for name in names:
                self.assertEqual(gateways[0].chat("before", name).status, 200)
            homes = {name: next(server for server in servers if any(f"{{{name}}}:line" in key for key in server.call("KEYS", "*")))
                     for name in names}  # fmt: skip
            lost = homes[names[0]]
            self.assertNotEqual({id(home) for home in homes.values()}, {id(lost)}, "all in one")
            lost.kill()
            for each in gateways:
                wait_until(lambda: each.admin_get("/health/readiness").json["queue"] == "local", what=lambda: each.output)
                connections = [each.send_chat("without", name) for name in names]
                self.assertEqual({each.status for each in client.gather(connections, 30)}, {200})
            kept = next(name for name in names if homes[name] is not lost)
            self.assertEqual(homes[kept].call("EXISTS", f"vorrang:{{{kept}}}:line"), 1)
            self.assertNotIn(f"queue of {kept} is not shared", gateways[0].output + gateways[1].output)
            lost.start()
            for each in gateways:
                wait_until(lambda: each.admin_get("/health/readiness").json["queue"] == "shared", timeout_s=30,
                           what=lambda: each.output)  # fmt: skip
            self.assertEqual(gateways[1].chat("after", names[0]).status, 200)
            self.assertEqual(lost.call("EXISTS", f"vorrang:{{{names[0]}}}:line"), 1)

    def cluster(self, running, *more):
        """Three masters, and their addresses."""
        ports = [free_port() for _ in range(3)]
        servers = [running.enter_context(RedisServer("--port", str(port), "--cluster-enabled", "yes", "--cluster-port",
                                                     str(free_port()), *more)) for port in ports]  # fmt: skip
        addresses = [f"127.0.0.1:{port}" for port in ports]
        subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        for server in servers:
            wait_until(lambda: "cluster_state:ok" in server.call("CLUSTER", "INFO"), what="the cluster is not up")
        return servers, addresses

    def config(self, provider, names, addresses):
        """A group of two slots for each name: one for each of two gateways that are alone."""
        model = """
  - model_name: {name}
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, max_parallel_requests: 2}}
    model_info: {{id: {name}-1}}"""
        return "model_list:" + "".join(model.format(name=name, base=provider.base) for name in names) + (
            f'\nrouter_settings:\n  redis_url: "redis://{addresses[0]}"\n')  # fmt: skip

    def test_sentinels_say_who_is_master(self):
        ports = [free_port() for _ in range(3)]
        with contextlib.ExitStack() as running:
            master = running.enter_context(RedisServer("--port", str(ports[0])))
            replica = running.enter_context(RedisServer("--port", str(ports[1]), "--replicaof", "127.0.0.1", str(ports[0])))
            wait_until(lambda: "master_link_status:up" in replica.call("INFO", "replication"))
            running.enter_context(RedisSentinel(ports[2], "queue", ports[0]))
            provider = running.enter_context(Provider())
            text = CONFIG.format(base=provider.base, redis="X", limits="rpm: 100", settings="redis_unavailable: hold")
            text = text.replace('redis_url: "unix://X"', f"sentinel_nodes: [[127.0.0.1, {ports[2]}]]\n  service_name: queue")
            gateway = running.enter_context(Gateway(text))
            wait_until(lambda: gateway.admin_get("/health/readiness").json["queue"] == "shared", what=lambda: gateway.output)
            self.assertEqual(gateway.chat("hello").status, 200)
            # It has to know its replica before it can promote it.
            wait_until(lambda: sentinel_knows_replica(ports[2]), what="the sentinel sees no replica")
            master.kill()
            self.assertEqual(gateway.chat("during", timeout=40, timeout_s=45).status, 200)
            self.assertEqual(replica.call("EXISTS", LINE), 1)
            self.assertIn("role:master", replica.call("INFO", "replication"))


def sentinel_knows_replica(port):
    told = subprocess.run(["redis-cli", "-p", str(port), "SENTINEL", "REPLICAS", "queue"], capture_output=True, text=True,
                          timeout=10)  # fmt: skip
    return "slave" in told.stdout


class Doors(unittest.TestCase):
    """How Redis may be reached."""

    def check(self, url, config="", environment=None):
        with Provider() as provider:
            text = CONFIG.format(base=provider.base, redis="X", limits="rpm: 100", settings="strict: false")
            text = text.replace('redis_url: "unix://X"', url)
            with Gateway(text, environment=environment) as gateway:
                wait_until(lambda: gateway.admin_get("/health/readiness").json["queue"] == "shared",
                           what=lambda: gateway.output)  # fmt: skip
                self.assertEqual(gateway.chat("hello").status, 200)

    def test_tcp_with_password_and_database(self):
        port = free_port()
        with RedisServer("--port", str(port), "--requirepass", "s:e@c") as server:
            self.check(f'redis_url: "redis://:s%3Ae%40c@127.0.0.1:{port}/3"')
            client_of_3 = RedisClient(server.path)
            client_of_3.call("AUTH", "s:e@c")
            client_of_3.call("SELECT", 3)
            self.assertIn(LINE, client_of_3.call("KEYS", "*"))
            client_of_3.close()

    def test_host_and_user(self):
        port = free_port()
        with RedisServer("--port", str(port), "--user", *"vorrang on >pw ~vorrang:* &vorrang:* +@all".split()):
            self.check(f"redis_host: localhost\n  redis_port: {port}\n  redis_username: vorrang\n  redis_password: pw")

    def calls_of(self, server, command):
        """How often the server has run it, and how often it failed."""
        counted = dict(line.split(":", 1) for line in server.call("INFO", "commandstats").split("\r\n") if ":" in line)
        figures = dict(each.split("=") for each in counted.get(f"cmdstat_{command}", "calls=0,failed_calls=0").split(","))
        return int(figures["calls"]), int(figures["failed_calls"])

    def test_a_user_who_may_have_no_functions(self):
        """The line runs as a script then, as on servers before Redis 7."""
        port = free_port()
        rights = "vorrang on >pw ~vorrang:* &vorrang:* +@all -fcall -function"
        with RedisServer("--port", str(port), "--user", *rights.split()) as server:
            self.check(f"redis_host: localhost\n  redis_port: {port}\n  redis_username: vorrang\n  redis_password: pw")
            calls, failed = self.calls_of(server, "evalsha")
            self.assertGreater(calls, 1)
            self.assertEqual(failed, 1, "only the first, which did not know the script")
            self.assertEqual(self.calls_of(server, "eval"), (1, 0))

    def test_tls(self):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(folder)
            certificate, key = authority.server_files()
            with RedisServer("--tls-port", str(port), "--tls-cert-file", certificate, "--tls-key-file", key,
                             "--tls-ca-cert-file", authority.certificate, "--tls-auth-clients", "no"):  # fmt: skip
                self.check(f'redis_url: "rediss://127.0.0.1:{port}"', environment={"SSL_CERT_FILE": authority.certificate})


class Circle(unittest.TestCase):
    """Servers that disagree: each says that another has the key."""

    def serve(self, listener, port, calls):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self.answer, args=(connection, port, calls), daemon=True).start()

    def answer(self, connection, port, calls):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            while head := lines.readline():
                words = []
                for _ in range(int(head[1:])):
                    length = int(lines.readline()[1:])
                    words.append(lines.read(length + 2)[:-2])
                if words[0] == b"FCALL":
                    calls.append(words)
                    connection.sendall(b"-MOVED 1 127.0.0.1:%d\r\n" % port)
                elif words[0] != b"SUBSCRIBE":
                    connection.sendall(b"+PONG\r\n")

    def test_a_call_that_is_sent_in_a_circle_fails(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port, calls = listener.getsockname()[1], []
            threading.Thread(target=self.serve, args=(listener, port, calls), daemon=True).start()
            text = CONFIG.format(base="http://127.0.0.1:9", redis="", limits="rpm: 5", settings="strict: false")
            text = text.replace('redis_url: "unix://"', f"redis_host: 127.0.0.1\n  redis_port: {port}")
            with Gateway(text) as gateway:
                wait_until(lambda: gateway.admin_get("/health/readiness").json["queue"] == "local")
                wait_until(lambda: "is not shared (MOVED 1 127.0.0.1:" in gateway.output)
                # A try each 200 ms, of six calls; without an end there were thousands.
                self.assertLess(len(calls), 400)
            listener.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    unittest.main()
