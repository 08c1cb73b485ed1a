"""Random schedules of a provider's failures, against a model of the contract (spec, section 3).

One client asks again and again; each call of the provider takes the next failure of a schedule. The
model below knows only the rules, and says which calls there must be, where, and what the client gets.
Cooldowns are off and back-offs are the provider's own, of a millisecond: how long they are is the
engine's tests' matter, which need no real time.

VORRANG_TEST_SEED sets the seed, VORRANG_TEST_SCHEDULES the number of requests (300).
"""

import json
import os
import random
import unittest

from gateway import Gateway, wait_until
from provider import Provider, Reply, shapes

SEED = int(os.environ.get("VORRANG_TEST_SEED", "20240611"))
REQUESTS = int(os.environ.get("VORRANG_TEST_SCHEDULES", "300"))
SOON = {"retry-after-ms": "1"}

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/up-a, api_base: "{a}", api_key: k, order: 1}}
  - model_name: m
    litellm_params: {{model: openai/up-b, api_base: "{b}", api_key: k, order: 2}}
  - model_name: other
    litellm_params: {{model: openai/up-c, api_base: "{c}", api_key: k}}
router_settings:
  timeout: 30
  num_retries: {retries}
  disable_cooldowns: true
  {fallbacks}
"""


def failing(status, **more):
    return lambda: Reply(status, shapes.error(f"failure {status}"), **more)


# What a provider may do, by the contract's kinds. Each tells its status, 0 if there is no answer.
KINDS = {
    "good": [(200, Reply)],
    "rate limited": [(429, failing(429, headers=SOON))],
    "failed": [
        *[(status, failing(status, headers=SOON)) for status in (408, 409, 500, 502, 529)],
        (0, lambda: Reply(then="head-reset")),
        (0, lambda: Reply(body=b"<html>", headers={"Content-Type": "text/html"})),
    ],
    "cut": [(0, lambda: Reply(then="cut")), (0, lambda: Reply(then="half-close"))],
    "silent": [(0, lambda: Reply(then="reset")), (0, lambda: Reply(then="close"))],
    "refused": [(status, failing(status)) for status in (401, 403, 404)],
    "rejected": [(status, failing(status)) for status in (400, 413, 422)],
}
WEIGHTS = {"good": 4, "rate limited": 3, "failed": 4, "cut": 1, "silent": 2, "refused": 1, "rejected": 1}


class Schedule:
    """A provider's next answers, made as they are needed."""

    def __init__(self, letter, random_numbers, streams, played):
        self.letter = letter
        self.random = random_numbers
        self.streams = streams
        self.played = played  # (letter, kind, status) of all providers, in order
        self.connections = set()

    def __call__(self, call):
        kind = self.random.choices(list(WEIGHTS), WEIGHTS.values())[0]
        status, make = self.random.choice(KINDS[kind])
        if kind == "silent" and call.connection_id in self.connections:
            kind = "stale"  # for the gateway it may as well have been closed before
        elif kind == "cut":
            kind = "broken off" if self.streams else "failed"
        self.connections.add(call.connection_id)
        self.played.append((self.letter, kind, status))
        return make()


class Broken(AssertionError):
    """A rule was."""


class Model:
    """What must have happened, by the calls in the order in which they came. `status` is what the
    client must get; 502 stands for no HTTP answer at all."""

    def __init__(self, played, retries, falls_back):
        self.left = list(played)
        self.last = None  # the last HTTP answer
        self.status = None
        if not self.group({"a", "b"}, retries) and falls_back:
            self.group({"c"}, retries)
        if self.status is None:
            self.status = self.last if self.last is not None else 502
        if self.left:
            raise Broken(f"calls that may not be: {self.left}")

    def group(self, letters, retries):
        """True once there is an answer that ends the request."""
        open_to, untried, used = set(letters), set(letters), 0
        while open_to:
            letter, kind, status = self.next_call()
            if letter not in open_to:
                raise Broken(f"{letter} was asked, {open_to} may be")
            if untried and letter not in untried:
                raise Broken(f"{letter} was asked again before {untried}")
            untried.discard(letter)
            if kind == "stale":  # goes out once more on a fresh connection, as the same attempt
                again, kind, status = self.next_call()
                if again != letter:
                    raise Broken(f"a kept connection of {letter} had ended, and {again} was asked")
            self.last = status or self.last
            if kind in ("good", "broken off"):  # behind its first byte there is no way back
                self.status = kind
                return True
            if kind == "refused":
                open_to.discard(letter)
            elif kind == "rejected" or (kind != "rate limited" and used == retries):
                return False
            elif kind != "rate limited":
                used += 1
        return False

    def next_call(self):
        if not self.left:
            raise Broken("a call is missing")
        return self.left.pop(0)


class RandomFailures(unittest.TestCase):
    def run_schedules(self, retries, falls_back, streams):
        numbers = random.Random(f"{SEED} {retries} {falls_back} {streams}")
        seen = set()
        with Provider() as a, Provider() as b, Provider() as c:
            providers = {"a": a, "b": b, "c": c}
            played = []
            for letter, each in providers.items():
                each.answer = Schedule(letter, numbers, streams, played)
            text = CONFIG.format(a=a.base, b=b.base, c=c.base, retries=retries,
                                 fallbacks="fallbacks: [{m: [other]}]" if falls_back else "")
            with Gateway(text) as gateway:
                for number in range(REQUESTS // 4):
                    played.clear()
                    response = gateway.chat(stream=streams)
                    with self.subTest(number=number, seed=SEED, played=played):
                        expected = Model(played, retries, falls_back).status
                        self.check_answer(response, expected, streams)
                        seen.add(expected)
                # The actors hear of the last settle while the client already reads.
                wait_until(lambda: self.is_at_rest(gateway), what="a ticket or a slot is left over")
        return seen

    @staticmethod
    def is_at_rest(gateway):
        report = gateway.queue()
        return report.waiting_count == 0 and all(each["in_flight"] == 0 for each in report.document["deployments"])

    def check_answer(self, response, status, streams):
        if status == "good" and streams:
            self.assertEqual(response.status, 200)
            self.assertEqual(response.events[-1], "[DONE]")
        elif status == "broken off":
            self.assertEqual(response.status, 200)
            self.assertIn("error", json.loads(response.events[-1]))
        elif status == "good":
            self.assertEqual((response.status, response.text), (200, "hello"))
        else:
            self.assertEqual(response.status, status)
            self.assertEqual(set(response.error), {"message", "type", "param", "code"})

    def test_without_retries(self):
        seen = self.run_schedules(retries=0, falls_back=False, streams=False)
        self.assertLessEqual({"good", 502}, seen, "the schedules are too tame")

    def test_with_retries(self):
        seen = self.run_schedules(retries=2, falls_back=False, streams=False)
        self.assertLessEqual({"good", 502}, seen, "the schedules are too tame")

    def test_with_a_fallback(self):
        seen = self.run_schedules(retries=1, falls_back=True, streams=False)
        self.assertGreater(len(seen), 3, "the schedules are too tame")

    def test_streams(self):
        seen = self.run_schedules(retries=2, falls_back=True, streams=True)
        self.assertLessEqual({"good", "broken off"}, seen, "the schedules are too tame")


if __name__ == "__main__":
    unittest.main()
