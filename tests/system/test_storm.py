"""A storm: random priorities, deadlines, hang-ups and upstream failures, all at once, from a seed.

Afterwards nothing may be left over, and at no moment may a limit have been broken.
"""

import os
import random
import selectors
import time
import unittest

import client
from gateway import Gateway, wait_until
from provider import Provider, Reply, error

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{first}", api_key: k, max_parallel_requests: 3}}
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{second}", api_key: k, max_parallel_requests: 2}}
  - model_name: other
    litellm_params: {{model: openai/other, api_base: "{third}", api_key: k, max_parallel_requests: 4, rpm: 100000}}
  - model_name: mock
    litellm_params: {{model: openai/x, mock_response: "a mocked answer", mock_delay: 0.003, max_parallel_requests: 2}}
router_settings:
  timeout: 4
  cooldown_time: 0.2
  allowed_fails: 20
  fallbacks: [{{other: [m]}}]
vorrang_settings:
  max_queue_size: 60
"""
ALLOWED = {200, 400, 408, 429, 500, 502, 503}


class Storm(unittest.TestCase):
    def answers(self, generator):
        def answer(_call):
            roll = generator.random()
            delay = generator.random() * 0.02
            if roll < 0.80:
                return Reply(delay_s=delay)
            if roll < 0.85:
                return Reply(500, error(), delay_s=delay)
            if roll < 0.88:
                return Reply(429, error(), {"retry-after-ms": "60"}, delay_s=delay)
            if roll < 0.92:
                return Reply(then=generator.choice(["reset", "close", "cut"]), delay_s=delay)
            if roll < 0.94:
                return Reply(then="hang")
            if roll < 0.97:
                return Reply(headers={"Connection": "close"}, delay_s=delay)
            return Reply(400, error("wrong"), delay_s=delay)

        return answer

    def test_storm(self):
        seed = int(os.environ.get("VORRANG_SEED") or random.SystemRandom().randrange(10**9))
        seconds = float(os.environ.get("VORRANG_STORM_S") or 8)
        print(f"[VORRANG_SEED={seed}] ", end="", flush=True)
        generator = random.Random(seed)
        with (
            Provider(self.answers(random.Random(seed + 1))) as first,
            Provider(self.answers(random.Random(seed + 2))) as second,
            Provider(self.answers(random.Random(seed + 3))) as third,
        ):
            text = CONFIG.format(first=first.base, second=second.base, third=third.base)
            with Gateway(text, ["--threads", "3"]) as gateway:
                before = gateway.descriptor_count()
                statuses, left, broken_off = self.blow(gateway, generator, seconds)
                print(f"[{dict(sorted(statuses.items()))}, {left} left, {broken_off} broken off] ", end="", flush=True)
                self.assertLessEqual(set(statuses), ALLOWED)
                self.assertGreater(statuses[200], 100)
                self.assertLessEqual(first.running_max, 3)
                self.assertLessEqual(second.running_max, 2)
                self.assertLessEqual(third.running_max, 4)
                for model in ("m", "other", "mock"):
                    gateway.wait_until_waiting(0, model)
                for provider in (first, second, third):
                    provider.wait_until(lambda p=provider: p._running == 0, what="calls of nobody ended")
                    provider.answer = Reply()
                # Every slot is free again: as many as the limits allow run at once.
                time.sleep(0.5)  # cooldowns of 0.2 s run out
                for provider in (first, second, third):
                    provider.answer = Reply(hold=True)
                    provider.running_max = 0
                self.all_slots_are_free(gateway, first, second, third)
                for provider in (first, second, third):
                    provider.drop_idle_connections()
                wait_until(
                    lambda: gateway.descriptor_count() <= before + 2,
                    what=lambda: f"{gateway.descriptor_count()} descriptors, {before} before",
                )

    def all_slots_are_free(self, gateway, first, second, third):
        """Releases whoever runs until re-opening has let as many in as the limits allow."""
        connections = [gateway.send_chat("after", model=model) for model in ["m"] * 30 + ["other"] * 30]
        for provider, limit in ((first, 3), (second, 2), (third, 4)):
            end = time.monotonic() + 3.5
            while provider.running < limit:
                self.assertLess(time.monotonic(), end, f"{provider.running} of {limit} slots came back")
                provider.release()
                time.sleep(0.02)
        for connection in connections:
            connection.close()
        for provider in (first, second, third):
            provider.wait_until(lambda p=provider: p._running == 0, what="calls of nobody ended")
        for model in ("m", "other"):
            gateway.wait_until_waiting(0, model)

    def blow(self, gateway, generator, seconds):
        """120 clients for some seconds: how many answers of each status, how many hung up on purpose,
        how many connections the gateway ended in the middle of an answer (an upstream that broke)."""
        statuses, left, broken_off = {}, 0, 0
        end = time.monotonic() + seconds
        selector = selectors.DefaultSelector()
        leaving = {}  # connection: when it hangs up

        def start(connection=None):
            connection = connection or gateway.connect()
            model = generator.choice(["m", "m", "m", "other", "mock"])
            fields = {"priority": generator.randint(-3, 3)}
            if generator.random() < 0.1:
                fields["timeout"] = generator.choice([0.01, 0.05, 0.2])
            if model == "mock" and generator.random() < 0.5:
                fields["stream"] = True
            try:
                connection.chat(client.chat_body("x" * generator.choice([5, 5, 5000]), model, **fields))
            except OSError:
                connection.close()
                return start()
            connection.socket.setblocking(False)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            if generator.random() < 0.15:
                leaving[connection] = time.monotonic() + generator.random() * 0.05
            return None

        for _ in range(120):
            start()
        while selector.get_map():
            self.assertIsNone(gateway.process.poll(), "the gateway died")
            self.assertLess(time.monotonic(), end + 15, f"{len(selector.get_map())} answers never came")
            now = time.monotonic()
            for connection in [c for c, at in leaving.items() if at <= now]:
                del leaving[connection]
                selector.unregister(connection.socket)
                generator.choice([connection.close, connection.reset])()
                left += 1
                if now < end:
                    start()
            for key, _ in selector.select(0.01):
                connection = key.data
                try:
                    connection.receive_more()
                except BlockingIOError:
                    continue
                response = connection.take_response()
                if response is None and not connection.eof:
                    continue
                selector.unregister(connection.socket)
                leaving.pop(connection, None)
                if response is None:
                    broken_off += 1
                    connection.close()
                else:
                    statuses[response.status] = statuses.get(response.status, 0) + 1
                    connection.socket.setblocking(True)
                    if now < end and generator.random() < 0.7:
                        start(connection)
                        continue
                    connection.close()
                if now < end:
                    start()
        selector.close()
        return statuses, left, broken_off


if __name__ == "__main__":
    unittest.main()
