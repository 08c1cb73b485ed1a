"""rpm, deadlines, the full queue: who is refused, when, and with what words."""

import os
import time
import unittest

import client
from gateway import Gateway
from provider import Provider, Reply

POLLING_TIMEOUT = "Request timed out while polling queue"


def config(base, limits="", router="", vorrang=""):
    return f"""
model_list:
  - model_name: m
    litellm_params:
      model: openai/upstream-model
      api_base: {base}
      api_key: sk-upstream
      {limits}
router_settings:
  num_retries: 0
  {router}
vorrang_settings:
  drain_timeout: 5
  {vorrang}
"""


class Deadlines(unittest.TestCase):
    def one_of(self, count):
        with Provider() as provider:
            with Gateway(config(provider.base, "rpm: 1", "timeout: 2")) as gateway:
                connections = [gateway.connect() for _ in range(count)]
                for number, connection in enumerate(connections):
                    connection.chat(client.chat_body(f"{number}", priority=number % 4))
                responses = client.gather(connections, 10)
                statuses = sorted(r.status for r in responses)
                self.assertEqual(statuses, [200] + [408] * (count - 1))
                self.assertEqual(len(provider.calls), 1)
                latest = 0.0
                for connection, response in zip(connections, responses):
                    if response.status == 200:
                        continue
                    took = response.received_at - connection.sent_at
                    latest = max(latest, took)
                    self.assertGreater(took, 1.9)
                    self.assertLess(took, 2.1)
                    self.assertEqual(response.error["message"], POLLING_TIMEOUT)
                    self.assertEqual(response.error["type"], "timeout_error")
                    self.assertEqual(response.error["code"], "408")
                    self.assertIn("param", response.error)
                    self.assertEqual(response.header("x-should-retry"), "false")
                    self.assertIsNotNone(response.header("x-vorrang-request-id"))
                print(f"[{count} requests, latest 408 after {latest:.3f} s] ", end="", flush=True)
                gateway.wait_until_waiting(0)

    def test_rpm_1_answers_one_of_four(self):
        self.one_of(4)

    def test_rpm_1_answers_one_of_twenty(self):
        self.one_of(20)

    def test_one_call_with_rpm_1_answers_at_once(self):
        with Provider() as provider:
            with Gateway(config(provider.base, "rpm: 1", "timeout: 2")) as gateway:
                before = time.monotonic()
                self.assertEqual(gateway.chat(priority=0).status, 200)
                self.assertLess(time.monotonic() - before, 0.5)

    def test_rpm_0_takes_nothing(self):
        with Provider() as provider:
            with Gateway(config(provider.base, "rpm: 0", "timeout: 0.3")) as gateway:
                response = gateway.chat()
                self.assertEqual((response.status, response.error["message"]), (408, POLLING_TIMEOUT))
                self.assertEqual(provider.calls, [])

    @unittest.skipUnless(os.environ.get("VORRANG_SLOW_TESTS"), "60 s: set VORRANG_SLOW_TESTS=1")
    def test_the_window_slides(self):
        with Provider() as provider:
            with Gateway(config(provider.base, "rpm: 2", "timeout: 100")) as gateway:
                connections = [gateway.send_chat("0"), gateway.send_chat("1")]
                provider.wait_for_calls(2)
                connections += [gateway.send_chat("worse", priority=9), gateway.send_chat("better", priority=1)]
                self.assertEqual({r.status for r in client.gather(connections, 90)}, {200})
                self.assertEqual([c.prompt for c in provider.calls[2:]], ["better", "worse"])
                first, third = provider.calls[0].arrived_at, provider.calls[2].arrived_at
                self.assertTrue(59.9 < third - first < 60.5, third - first)

    def test_deadline_during_the_call(self):
        with Provider(Reply(then="hang")) as provider:
            with Gateway(config(provider.base, "", "timeout: 0.5")) as gateway:
                connection = gateway.send_chat()
                response = connection.read_response()
                self.assertAlmostEqual(response.received_at - connection.sent_at, 0.5, delta=0.1)
                self.assertEqual((response.status, response.error["message"]), (408, "Request timed out"))
                self.assertEqual(response.error["type"], "timeout_error")
                self.assertEqual(response.header("x-should-retry"), "false")
                call = provider.calls[0]
                provider.wait_until(lambda: call.closed_at is not None, what="upstream call closed")

    def test_a_request_shortens_its_deadline_and_never_lengthens_it(self):
        with Provider(Reply(then="hang")) as provider:
            with Gateway(config(provider.base, "", "timeout: 1.5")) as gateway:
                cases = [
                    ({"x-litellm-timeout": "0.4"}, {}, 0.4),
                    ({}, {"timeout": 0.4}, 0.4),
                    ({"x-litellm-timeout": "60"}, {}, 1.5),
                    ({}, {"timeout": 60}, 1.5),
                    ({"x-stainless-read-timeout": "1.6"}, {}, 0.6),
                    ({"x-stainless-timeout": "1.6"}, {}, 0.6),
                    ({"x-stainless-timeout": "600"}, {}, 1.5),
                ]
                connections = [gateway.send_chat(headers=h, **f) for h, f, _ in cases]
                responses = client.gather(connections, 10)
                for (headers, fields, expected), connection, response in zip(cases, connections, responses):
                    with self.subTest(headers=headers, fields=fields):
                        self.assertEqual(response.status, 408)
                        took = response.received_at - connection.sent_at
                        self.assertAlmostEqual(took, expected, delta=0.12)

    def test_request_timeout_is_the_deadline_without_a_router_timeout(self):
        text = config("http://127.0.0.1:1/v1", "rpm: 0") + "litellm_settings:\n  request_timeout: 0.4\n"
        with Gateway(text) as gateway:
            connection = gateway.send_chat()
            response = connection.read_response(5)
            self.assertEqual(response.status, 408)
            self.assertAlmostEqual(response.received_at - connection.sent_at, 0.4, delta=0.1)

    def test_an_attempts_timeout_is_a_504(self):
        with Provider(Reply(then="hang")) as provider:
            with Gateway(config(provider.base, "timeout: 0.3", "timeout: 10")) as gateway:
                connection = gateway.send_chat()
                response = connection.read_response()
                self.assertEqual((response.status, response.error["type"]), (504, "server_error"))
                self.assertEqual(response.error["code"], "504")
                self.assertAlmostEqual(response.received_at - connection.sent_at, 0.3, delta=0.12)


class FullQueue(unittest.TestCase):
    def assert_refused(self, response):
        self.assertEqual((response.status, response.error["type"]), (429, "rate_limit_error"))
        self.assertEqual(response.error["code"], "429")
        self.assertRegex(response.header("retry-after"), r"^\d+$")
        self.assertTrue(1 <= int(response.header("retry-after")) <= 60, response.header("retry-after"))

    def test_the_worst_gives_way_to_a_better_one(self):
        with Provider(Reply(hold=True)) as provider:
            text = config(provider.base, "max_parallel_requests: 1", vorrang="max_queue_size: 2")
            with Gateway(text) as gateway:
                running = gateway.send_chat("running")
                provider.wait_for_calls(1)
                first = gateway.send_chat("first", priority=5)
                gateway.wait_until_waiting(1)
                second = gateway.send_chat("second", priority=5)
                gateway.wait_until_waiting(2)
                self.assert_refused(gateway.chat("equal", priority=5))
                self.assert_refused(gateway.chat("worse", priority=6))
                better = gateway.send_chat("better", priority=1)
                self.assert_refused(second.read_response())
                gateway.wait_until_waiting(2)
                best = gateway.send_chat("best", priority=0)
                self.assert_refused(first.read_response())
                self.assert_refused(gateway.chat("late", priority=1))
                for number, prompt in enumerate(("running", "best", "better")):
                    call = provider.wait_for_calls(number + 1)
                    self.assertEqual(call.prompt, prompt)
                    provider.release(call)
                self.assertEqual([c.read_response().status for c in (running, best, better)], [200] * 3)
                self.assertEqual(len(provider.calls), 3)

    def test_queue_size_0_is_now_or_429(self):
        with Provider(Reply(hold=True)) as provider:
            text = config(provider.base, "max_parallel_requests: 1", vorrang="max_queue_size: 0")
            with Gateway(text) as gateway:
                running = gateway.send_chat("running", priority=9)
                call = provider.wait_for_calls(1)
                self.assert_refused(gateway.chat("urgent", priority=-1))
                provider.release(call)
                self.assertEqual(running.read_response().status, 200)
                # Who has its answer has given its slot back: one after the other nobody is refused.
                provider.answer = Reply()
                statuses = [gateway.chat("again").status for _ in range(100)]
                self.assertEqual(statuses.count(200), 100, f"{statuses.count(429)} of 100 got 429")

    def test_queue_size_0_and_who_has_its_answer_finds_the_slot_free(self):
        text = """
            model_list:
              - model_name: m
                litellm_params: {model: openai/x, api_base: "BASE", api_key: k, max_parallel_requests: 1}
              - model_name: mock
                litellm_params: {model: openai/x, mock_response: hello, max_parallel_requests: 1}
            vorrang_settings:
              max_queue_size: 0
        """
        chunk = b'data: {"choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'
        streams = Reply(body=chunk + b"data: [DONE]\n\n", headers={"Content-Type": "text/event-stream"})
        answer = lambda call: streams if call.json.get("stream") else Reply()
        with Provider(answer) as provider:
            with Gateway(text.replace("BASE", provider.base), ["--threads", "4"]) as gateway:
                for model in ("m", "mock"):
                    for stream in (False, True):
                        # Each on a connection, and so on a loop, of its own; the end of a stream is
                        # the event that says so, not the last chunk behind it.
                        refused = 0
                        for _ in range(150):
                            with gateway.connect() as connection:
                                connection.chat(client.chat_body(model=model, stream=stream))
                                while not (b"[DONE]" if stream else b"hello") in connection.buffer:
                                    if b" 429 " in connection.buffer or not connection.receive_more():
                                        refused += 1
                                        break
                        self.assertEqual(refused, 0, f"{refused} of 150 refused: {model}, stream {stream}")

    def test_queue_bytes_are_bounded(self):
        with Provider(Reply(hold=True)) as provider:
            text = config(provider.base, "max_parallel_requests: 1", vorrang="max_queue_bytes: 200000")
            with Gateway(text) as gateway:
                running = gateway.send_chat("running")
                call = provider.wait_for_calls(1)
                waiting = gateway.send_chat("x" * 120000)
                gateway.wait_until_waiting(1)
                self.assert_refused(gateway.chat("y" * 120000))
                small = gateway.send_chat("small")
                gateway.wait_until_waiting(2)
                provider.release(call)
                for number in (2, 3):
                    provider.release(provider.wait_for_calls(number))
                self.assertEqual([r.status for r in client.gather([running, waiting, small])], [200] * 3)

    def test_the_door_stays_usable_when_the_queue_is_full(self):
        with Provider(Reply(hold=True)) as provider:
            text = config(provider.base, "max_parallel_requests: 1", vorrang="max_queue_size: 1")
            with Gateway(text) as gateway:
                connections = [gateway.send_chat("running")]
                provider.wait_for_calls(1)
                connections.append(gateway.send_chat("waiting"))
                gateway.wait_until_waiting(1)
                with gateway.connect() as connection:
                    for _ in range(20):  # a refused request does not cost its connection
                        connection.chat(client.chat_body("more"))
                        self.assert_refused(connection.read_response())
                self.assertEqual(gateway.call("GET", "/health/readiness").status, 200)
                for connection in connections:
                    connection.close()
                gateway.wait_until_waiting(0)


class TokenLimit(unittest.TestCase):
    def test_tpm_keeps_the_second_waiting(self):
        # 400 bytes of text are 100 tokens, and max_tokens 100: 200 of 300 a minute.
        with Provider() as provider:
            with Gateway(config(provider.base, "tpm: 300", "timeout: 10")) as gateway:
                held = Reply(hold=True)
                provider.script = [held]
                first = gateway.send_chat("x" * 400, max_tokens=100)
                call = provider.wait_for_calls(1)
                second = gateway.send_chat("y" * 400, max_tokens=100)
                gateway.wait_until_waiting(1)
                # The answer reports 7 tokens, which makes room for the second.
                provider.release(call)
                self.assertEqual(first.read_response().status, 200)
                self.assertEqual(second.read_response().status, 200)


if __name__ == "__main__":
    unittest.main()
