"""What every client library is asked to do, and what it has to see. The test_*_client.py files say
which library, by which ways, and where it differs."""

import contextlib
import functools

import client
from gateway import Gateway
from library import Driver, Tap
from provider import Provider, Reply, faults

KEY = "sk-1234"

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: {upstream}
      api_base: "{base}"
      api_key: k
      max_parallel_requests: 1
  - model_name: mock
    litellm_params: {{model: {upstream}, mock_response: "Hello wörld"}}
general_settings:
  master_key: sk-1234
router_settings:
  timeout: {timeout}
  num_retries: 0
  disable_cooldowns: true
vorrang_settings:
  stream_keepalive: {keepalive}
  max_queue_size: {queue}
"""


class Scene:
    """Provider, gateway, tap and library, ready to talk."""

    def __init__(self, path, driver, provider, gateway, tap):
        self.path = path
        self.driver = driver
        self.provider = provider
        self.gateway = gateway
        self.tap = tap
        self._occupying = None

    def send(self, way, prompt="hi", stream=False, priority=7, key=KEY, model="m", timeout_s=60):
        self.driver.send(
            base=self.tap.base,
            way=way,
            prompt=prompt,
            stream=stream,
            priority=priority,
            key=key,
            model=model,
            timeout_s=timeout_s,
        )

    def ask(self, way, **more):
        self.send(way, **more)
        return self.driver.result()

    def occupy(self):
        """Takes the deployment's only slot until `free`. By a stream, so that no deadline ends it."""
        self.provider.script.insert(0, Reply(text="and so on " * 100, interval_s=0.1))
        self._occupying = self.send_own("occupies", stream=True)
        while b"data: " not in self._occupying.buffer:
            assert self._occupying.receive_more()

    def free(self):
        if self._occupying is not None:
            self._occupying.close()
            self._occupying = None

    def send_own(self, prompt, **fields):
        """A request past library and tap."""
        connection = self.gateway.connect()
        body = client.chat_body(prompt, max_tokens=1, **fields)
        connection.request("POST", self.path, body, {"Authorization": f"Bearer {KEY}"})
        return connection

    def other_calls(self):
        """Of the provider, those that the library caused."""
        return [call for call in self.provider.calls if b"occupies" not in call.body]


def each_way(of="ways"):
    """Runs the test once for each way in which the library can be called."""

    def decorated(test):
        @functools.wraps(test)
        def run(self):
            for way in getattr(self, of):
                with self.subTest(way):
                    test(self, way)

        return run

    return decorated


class ClientCases:
    """A mixin; the library's own file sets these, and what it does differently."""

    ways = ("sync", "async")
    ways_that_leave = ("async",)
    ways_for_errors = ("async",)
    ways_for_retries = ("async",)
    ways_that_tell_their_timeout = ("async",)
    upstream = "openai/upstream-model"
    path = "/v1/chat/completions"
    usage_of_streams = 7
    # How many requests of one call reach the gateway: one, if the library does not send it again.
    # Our 408 asks them not to; they have an answer after one 429 or 503.
    requests_for = {408: 1, 429: 2, 503: 2}
    ways_that_ask_again_after_the_headers = ()

    @classmethod
    def setUpClass(cls):
        cls.driver = Driver(cls.command())
        cls.addClassCleanup(cls.driver.close)

    @contextlib.contextmanager
    def scene(self, reply=None, timeout=20, keepalive=15, queue=100):
        with Provider(reply) as provider:
            text = CONFIG.format(
                upstream=self.upstream, base=provider.base, timeout=timeout, keepalive=keepalive, queue=queue
            )
            with Gateway(text) as gateway, Tap(gateway.port) as tap:
                scene = Scene(self.path, self.driver, provider, gateway, tap)
                yield scene
                scene.free()

    # 200 --------------------------------------------------------------------------------------

    @each_way()
    def test_200(self, way):
        with self.scene(Reply(text="hello from afar")) as scene:
            result = scene.ask(way)
            self.assertEqual(result.get("text"), "hello from afar", result)
            self.assertEqual((result["model"], result["usage"]), ("m", 7))
            self.assertEqual((len(scene.tap.arrivals), len(scene.provider.calls)), (1, 1))
            call = scene.provider.calls[0]
            self.assertNotIn("priority", call.json)
            # Nothing of the library's own goes upstream.
            self.assertFalse([n for n, _ in call.headers if n.lower().startswith("x-stainless")])

    @each_way()
    def test_200_streamed(self, way):
        with self.scene(Reply(text="hello from afar", interval_s=0.01)) as scene:
            result = scene.ask(way, stream=True)
            self.assertEqual(result.get("text"), "hello from afar", result)
            self.assertEqual((result["model"], result["usage"]), ("m", self.usage_of_streams))
            self.assertEqual((len(scene.tap.arrivals), len(scene.provider.calls)), (1, 1))

    @each_way()
    def test_mocks(self, way):
        """What we make ourselves has the API's shape as much as what passes through."""
        with self.scene() as scene:
            for stream, usage in ((False, 30), (True, self.usage_of_streams and 30)):
                result = scene.ask(way, model="mock", stream=stream)
                self.assertEqual(result.get("text"), "Hello wörld", result)
                self.assertEqual((result["model"], result["usage"]), ("mock", usage))

    @each_way()
    def test_a_stream_with_comments_before_it(self, way):
        """Keep-alive texts while it waits: whoever asked must see none of them."""
        with self.scene(keepalive=0.1) as scene:
            scene.occupy()
            scene.send(way, stream=True)
            scene.gateway.wait_until_waiting(1)
            scene.tap.wait_until_answered(b"waiting position=1", 3, b"event: ping")
            scene.free()
            result = scene.driver.result()
            self.assertEqual(result.get("text"), "hello", result)
            self.assertEqual(len(scene.tap.arrivals), 1)

    @each_way()
    def test_priorities_reach_the_queue(self, way):
        with self.scene() as scene:
            scene.occupy()
            scene.send(way, priority=3)
            scene.gateway.wait_until_waiting(1)
            self.assertEqual([ticket["priority"] for ticket in scene.gateway.queue().tickets], [3])
            scene.free()
            self.assertEqual(scene.driver.result().get("text"), "hello")

    # 4xx, 503 ---------------------------------------------------------------------------------

    def assert_failed(self, result, status, sentence, scene, arrivals=1):
        self.assertEqual(result.get("status"), status, result)
        self.assertIn(sentence, result["message"])
        self.assertEqual(len(scene.tap.arrivals), arrivals, "requests that arrived")

    @each_way()
    def test_400(self, way):
        with self.scene() as scene:
            result = scene.ask(way, model="unknown")
            self.assert_failed(result, 400, "Invalid model name passed in model=unknown", scene)
            self.assertEqual(scene.provider.calls, [])

    @each_way()
    def test_400_of_the_upstream(self, way):
        with self.scene(faults.named("400")) as scene:
            self.assert_failed(scene.ask(way), 400, "wrong input", scene)
            self.assertEqual(len(scene.provider.calls), 1)

    @each_way()
    def test_401(self, way):
        with self.scene() as scene:
            self.assert_failed(scene.ask(way, key="sk-wrong"), 401, "The API key is not known", scene)
            self.assertEqual(scene.provider.calls, [])

    @each_way("ways_for_retries")
    def test_408(self, way):
        for stream in (False, True):
            with self.subTest(stream=stream), self.scene(timeout=0.5) as scene:
                scene.occupy()
                result = scene.ask(way, stream=stream)
                sentence = "Request timed out while polling queue"
                self.assert_failed(result, 408, sentence, scene, self.requests_for[408])
                self.assertEqual(scene.other_calls(), [])

    @each_way("ways_for_retries")
    def test_429_and_its_retry_after(self, way):
        """No queue, and no room: the library comes back after Retry-After, and is let in."""
        with self.scene(queue=0) as scene:
            scene.occupy()
            scene.send(way)
            scene.tap.wait_until_answered(b"HTTP/1.1 429")
            scene.free()
            self.assert_after_a_refusal(scene.driver.result(), 429, scene)

    @each_way("ways_for_retries")
    def test_503_and_its_retry_after(self, way):
        """Cancelled by the operator."""
        with self.scene() as scene:
            scene.occupy()
            scene.send(way)
            scene.gateway.wait_until_waiting(1)
            ticket = scene.gateway.queue().tickets[0]["id"]
            headers = {"Content-Type": "application/json"}
            ended = client.call(scene.gateway.admin_port, "DELETE", f"/queue/m/{ticket}", headers=headers)
            self.assertIn(ended.status, (200, 204), ended)
            scene.tap.wait_until_answered(b"HTTP/1.1 503")
            scene.free()
            self.assert_after_a_refusal(scene.driver.result(), 503, scene)

    def assert_after_a_refusal(self, result, status, scene):
        """It comes again when Retry-After says, and has its answer."""
        wanted = self.requests_for[status]
        self.assertEqual(len(scene.tap.arrivals), wanted, result)
        if wanted > 1:
            self.assertEqual(result.get("text"), "hello", result)
            # Their own back-off would be about half a second or two (AI SDK), the next one more.
            late = scene.tap.pauses[0] - scene.tap.retry_after_s
            self.assertTrue(-0.02 < late < 0.7, (scene.tap.pauses, scene.tap.retry_after_s))
        else:
            self.assertEqual(result.get("status"), status, result)
        self.assertEqual(len(scene.other_calls()), wanted - 1)

    # How long the library waits ---------------------------------------------------------------

    @each_way("ways_that_tell_their_timeout")
    def test_it_is_answered_before_it_gives_up(self, way):
        """Else it would hang up and ask again: two requests, and none of them answered."""
        with self.scene() as scene:
            scene.occupy()
            result = scene.ask(way, timeout_s=2)
            self.assert_failed(result, 408, "Request timed out while polling queue", scene)
            self.assertTrue(0.9 < result["seconds"] < 1.8, result)

    @each_way("ways_that_tell_their_timeout")
    def test_a_stream_is_kept_alive_before_it_gives_up(self, way):
        with self.scene(keepalive=15) as scene:
            scene.occupy()
            scene.send(way, stream=True, timeout_s=1)
            scene.gateway.wait_until_waiting(1)
            scene.tap.wait_until_answered(b"waiting position=1", 3, b"event: ping")
            scene.free()
            self.assertEqual(scene.driver.result().get("text"), "hello")
            self.assertEqual(len(scene.tap.arrivals), 1)

    # What breaks off --------------------------------------------------------------------------

    @each_way("ways_for_errors")
    def test_an_error_after_the_headers(self, way):
        """Comments went out, then the deadline passes: the status is 200, and yet it must be seen."""
        with self.scene(timeout=0.5, keepalive=0.15) as scene:
            scene.occupy()
            result = scene.ask(way, stream=True)
            self.assert_understood(result)
            self.assertIn("Request timed out while polling queue", result["message"])
            again = way in self.ways_that_ask_again_after_the_headers
            self.assertEqual(len(scene.tap.arrivals), 2 if again else 1)

    @each_way("ways_for_errors")
    def test_a_stream_that_breaks_off(self, way):
        with self.scene(Reply(text="one two three four five six", then="cut")) as scene:
            result = scene.ask(way, stream=True)
            self.assert_understood(result)
            self.assertIn("stream broke off", result["message"])
            self.assertEqual(len(scene.tap.arrivals), 1)

    def assert_understood(self, result):
        """It failed with the error that we sent, not because it could not read it."""
        self.assertIn("error", result)
        self.assertNotIn("alidation", result["message"])

    @each_way("ways_that_leave")
    def test_leaving_while_it_waits(self, way):
        for stream in (False, True):
            with self.subTest(stream=stream), self.scene() as scene:
                scene.occupy()
                scene.send(way, stream=stream)
                scene.gateway.wait_until_waiting(1)
                scene.driver.leave()
                self.assertEqual(scene.driver.result().get("left"), True)
                scene.gateway.wait_until_waiting(0, timeout_s=2)
                scene.free()
                self.assertEqual(scene.other_calls(), [], "somebody who left was granted")
                self.assert_free(scene)
                self.assertEqual(len(scene.tap.arrivals), 1)

    @each_way("ways_that_leave")
    def test_leaving_during_the_call(self, way):
        for stream in (False, True):
            with self.subTest(stream=stream), self.scene() as scene:
                scene.provider.script = [Reply(hold=True)]
                scene.send(way, stream=stream)
                call = scene.provider.wait_for_calls(1)
                scene.driver.leave()
                self.assertEqual(scene.driver.result().get("left"), True)
                scene.provider.wait_until(lambda: call.closed_at is not None, 2, "the upstream's end")
                self.assert_free(scene)
                self.assertEqual(len(scene.tap.arrivals), 1)

    def assert_free(self, scene):
        """The only slot is free: a call of ours is answered at once."""
        connection = scene.send_own("occupies")
        self.assertEqual(connection.read_response(timeout_s=2).status, 200)
        connection.close()
