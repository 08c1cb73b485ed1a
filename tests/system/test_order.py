"""The main promise: one slot, hundreds of requests, and the order is exact."""

import random
import time
import unittest

import client
from gateway import Gateway
from provider import Provider, Reply

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/upstream-model
      api_base: {base}
      api_key: sk-upstream
      max_parallel_requests: 1
router_settings:
  timeout: 120
"""

PRIORITIES = [-5, 0, 1, 7, 7, 100, 255, 2000, None]  # None: no priority, which counts as 255


def inversions(order):
    """Pairs (priority, arrival) of which the worse one went first."""
    return sum(
        1 for index, first in enumerate(order) for later in order[index + 1 :] if later < first
    )


class Order(unittest.TestCase):
    def run_500(self, gateway, provider, group_size):
        """Blocks the only slot, fires 500 requests in groups of `group_size` that are each confirmed
        to wait before the next begins, lets go, and returns what went in and what came out."""
        provider.script = [Reply(hold=True)]
        blocker = gateway.send_chat("blocker")
        provider.wait_for_calls(1)
        generator = random.Random(20240607)
        sent, connections = {}, []
        while len(connections) < 500:
            group = len(connections) // group_size
            for _ in range(group_size):
                number = len(connections)
                priority = generator.choice(PRIORITIES)
                fields = {} if priority is None else {"priority": priority}
                connections.append(gateway.send_chat(f"request {number}", **fields))
                sent[f"request {number}"] = (255 if priority is None else priority, group)
            gateway.wait_until_waiting(len(connections))
        self.assertEqual(len(provider.calls), 1, "a request passed the only slot")
        provider.release()
        self.assertEqual(blocker.read_response().status, 200)
        responses = client.gather(connections, 100)
        arrived = [call.prompt for call in provider.calls[1:]]
        return sent, responses, arrived

    def check(self, group_size, arguments=()):
        with Provider(Reply(delay_s=0.01)) as provider:
            with Gateway(CONFIG.format(base=provider.base), arguments) as gateway:
                sent, responses, arrived = self.run_500(gateway, provider, group_size)
                self.assertEqual([r.status for r in responses], [200] * 500)
                self.assertEqual(sorted(arrived), sorted(sent), "each is sent upstream exactly once")
                order = [sent[prompt] for prompt in arrived]
                self.assertEqual(inversions(order), 0)
                self.assertEqual(provider.running_max, 1)
                for number, response in enumerate(responses):
                    priority = sent[f"request {number}"][0]
                    self.assertEqual(response.header("x-vorrang-priority"), str(priority))
                    self.assertEqual(response.header("x-vorrang-granted-by"), "healthy-deployment")
                    self.assertEqual(response.header("x-vorrang-attempts"), "1")
                # Each waited through all that went before it: 10 ms each at least.
                by_prompt = {f"request {n}": r for n, r in enumerate(responses)}
                for place, prompt in enumerate(arrived):
                    waited = float(by_prompt[prompt].header("x-vorrang-wait-ms"))
                    self.assertGreaterEqual(waited, place * 10 * 0.9, f"place {place}")
                gateway.wait_until_waiting(0)

    def test_500_requests_one_by_one_in_exact_order(self):
        """Each is confirmed to wait before the next is sent: the order is known for every one."""
        self.check(1)

    def test_500_requests_in_concurrent_groups(self):
        """50 at once on 50 connections; within a group equal priorities may go in any order."""
        self.check(50)

    def test_500_requests_all_at_once(self):
        self.check(500, ["--threads", "4"])

    def test_waiting_costs_nothing(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(CONFIG.format(base=provider.base)) as gateway:
                connections = [gateway.send_chat(f"{n}", priority=n % 9) for n in range(501)]
                provider.wait_for_calls(1)
                gateway.wait_until_waiting(500)
                before, start = gateway.cpu_seconds(), time.monotonic()
                time.sleep(3)
                used = (gateway.cpu_seconds() - before) / (time.monotonic() - start)
                print(f"[500 waiting: {used * 100:.1f} % of a core] ", end="", flush=True)
                self.assertLess(used, 0.03)
                for connection in connections:
                    connection.close()
                gateway.wait_until_waiting(0)

    def test_a_better_one_that_comes_later_goes_first(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(CONFIG.format(base=provider.base)) as gateway:
                connections = [gateway.send_chat("blocker")]
                provider.wait_for_calls(1)
                for number, (prompt, priority) in enumerate((("low", 10), ("high", 0), ("higher", -1))):
                    connections.append(gateway.send_chat(prompt, priority=priority))
                    gateway.wait_until_waiting(number + 1)
                for number, prompt in enumerate(("blocker", "higher", "high", "low")):
                    call = provider.wait_for_calls(number + 1)
                    self.assertEqual(call.prompt, prompt)
                    provider.release(call)
                self.assertEqual([c.read_response().status for c in connections], [200] * 4)

    def test_nobody_waits_while_there_is_room(self):
        config = CONFIG.replace("max_parallel_requests: 1", "max_parallel_requests: 3")
        with Provider(Reply(hold=True)) as provider:
            with Gateway(config.format(base=provider.base)) as gateway:
                connections = [gateway.send_chat(f"{n}", priority=9 - n) for n in range(5)]
                provider.wait_for_calls(3)
                gateway.wait_until_waiting(2)
                provider.release(provider.calls[1])
                provider.wait_for_calls(4)
                gateway.wait_until_waiting(1)
                provider.release()
                last = provider.wait_for_calls(5)
                provider.release(last)
                self.assertEqual([c.read_response().status for c in connections], [200] * 5)
                self.assertEqual(provider.running_max, 3)

    def test_without_limits_all_go_at_once(self):
        config = CONFIG.replace("      max_parallel_requests: 1\n", "")
        with Provider(Reply(hold=True)) as provider:
            with Gateway(config.format(base=provider.base)) as gateway:
                connections = [gateway.send_chat(f"{n}", priority=n) for n in range(40)]
                provider.wait_for_calls(40)
                provider.release()
                self.assertEqual([c.read_response().status for c in connections], [200] * 40)

    def test_a_blocked_group_does_not_delay_another(self):
        config = CONFIG.replace(
            "router_settings:",
            """  - model_name: other
    litellm_params: {{model: openai/other-upstream, api_base: "{base}", api_key: k, max_parallel_requests: 1}}
router_settings:""",
        )
        with Provider(lambda call: Reply(hold=call.json["model"] == "upstream-model")) as provider:
            with Gateway(config.format(base=provider.base)) as gateway:
                held = [gateway.send_chat(f"{n}") for n in range(20)]
                provider.wait_for_calls(1)
                gateway.wait_until_waiting(19)
                for _ in range(5):
                    self.assertEqual(gateway.chat(model="other").status, 200)
                for connection in held:
                    connection.close()
                gateway.wait_until_waiting(0)

    def test_admin_lists_the_waiting_in_their_order(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(CONFIG.format(base=provider.base)) as gateway:
                connections = [gateway.send_chat("blocker")]
                provider.wait_for_calls(1)
                for number, priority in enumerate((5, 3, 5, -2)):
                    connections.append(gateway.send_chat("x", priority=priority))
                    gateway.wait_until_waiting(number + 1)
                tickets = gateway.queue().tickets
                self.assertEqual([ticket["priority"] for ticket in tickets], [-2, 3, 5, 5])
                self.assertEqual([ticket["position"] for ticket in tickets], [1, 2, 3, 4])
                self.assertEqual(len({ticket["id"] for ticket in tickets}), 4)
                everything = gateway.admin_get("/queue")
                self.assertEqual(everything.status, 200)
                self.assertIn('"m"', everything.body.decode())
                self.assertEqual(gateway.admin_get("/queue/unknown").status, 404)
                for connection in connections:
                    connection.close()
                gateway.wait_until_waiting(0)


if __name__ == "__main__":
    unittest.main()
