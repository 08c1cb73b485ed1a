"""What a request may say of its own treatment: retries, fallbacks, silence within a stream."""

import json
import time
import unittest

from gateway import Gateway
from provider import Provider, Reply, shapes

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/up, api_base: "{base}", api_key: k}}
  - model_name: b
    litellm_params: {{model: openai/up-b, api_base: "{base}", api_key: k}}
  - model_name: "wild/*"
    litellm_params: {{model: "openai/*", api_base: "{base}", api_key: k}}
  - model_name: default
    litellm_params: {{model: openai/up-default, api_base: "{base}", api_key: k}}
router_settings:
  timeout: 20
  num_retries: 1
  disable_cooldowns: true
  default_fallbacks: [default]
{more}
"""
KEYS = """
vorrang_settings:
  keys:
    - {key: sk-narrow, models: [m]}
"""


def failing():
    return Reply(500, shapes.error("broken"), headers={"retry-after-ms": "1"})


class RequestSettings(unittest.TestCase):
    def setUp(self):
        self.provider = self.enterContext(Provider())
        self.gateway = self.enterContext(Gateway(CONFIG.format(base=self.provider.base, more="")))

    def asked(self):
        """The models that were asked upstream, in order."""
        return [call.json["model"] for call in self.provider.calls]

    def test_retries(self):
        cases = (
            ({"num_retries": 0}, None, 1),
            ({"num_retries": 3}, None, 4),
            ({}, {"x-litellm-num-retries": "0"}, 1),
            ({"num_retries": 2}, {"x-litellm-num-retries": "0"}, 3),
            ({"num_retries": None}, None, 2),
            ({}, None, 2),
        )
        self.provider.answer = failing()
        for fields, headers, attempts in cases:
            with self.subTest(fields, headers=headers):
                self.provider.calls.clear()
                response = self.gateway.chat(headers=headers, disable_fallbacks=True, **fields)
                self.assertEqual(response.status, 500)
                self.assertEqual(len(self.provider.calls), attempts)
                self.assertNotIn("num_retries", self.provider.calls[0].json)

    def test_fallbacks(self):
        cases = (
            (["b"], "up-b"),
            ([{"model": "b"}], "up-b"),
            ([{"m": ["b"]}], "up-b"),
            ([{"*": ["b"]}], "up-b"),
            ([{"other": ["b"]}], "up-default"),
            (["wild/x-9"], "x-9"),
            ([], "up-default"),
            (None, "up-default"),
        )
        for fallbacks, then in cases:
            with self.subTest(fallbacks):
                self.provider.calls.clear()
                self.provider.script = [failing(), failing()]
                response = self.gateway.chat(fallbacks=fallbacks)
                self.assertEqual((response.status, response.text), (200, "hello"))
                self.assertEqual(self.asked(), ["up", "up", then])
                self.assertEqual(response.header("x-litellm-attempted-fallbacks"), "1")
                self.assertNotIn("fallbacks", self.provider.calls[-1].json)

    def test_a_chain_in_its_order_each_with_its_retries(self):
        self.provider.script = [failing() for _ in range(4)]
        self.assertEqual(self.gateway.chat(fallbacks=["b", "m", "b", "default"]).status, 200)
        self.assertEqual(self.asked(), ["up", "up", "up-b", "up-b", "up-default"])

    def test_none_if_that_is_wanted(self):
        self.provider.answer = failing()
        self.assertEqual(self.gateway.chat(fallbacks=["b"], disable_fallbacks=True).status, 500)
        self.assertEqual(self.asked(), ["up", "up"])

    def test_silence_within_a_stream(self):
        for fields, headers in (({"stream_timeout": 0.3}, None), ({}, {"x-litellm-stream-timeout": "0.3"})):
            with self.subTest(fields, headers=headers):
                self.provider.script = [Reply(text="one two three four", then="half-hang")]
                begun = time.monotonic()
                response = self.gateway.chat(stream=True, headers=headers, **fields)
                self.assertLess(time.monotonic() - begun, 5)
                self.assertEqual(json.loads(response.events[-1])["error"]["code"], "504")
                self.assertNotIn("stream_timeout", self.provider.calls[-1].json)

    def test_silence_before_a_stream(self):
        """A failure of the attempt like any other: it is tried again."""
        self.provider.script = [Reply(then="hang")]
        response = self.gateway.chat(stream=True, stream_timeout=0.3)
        self.assertEqual((response.status, response.events[-1]), (200, "[DONE]"))
        self.provider.script = [Reply(delay_s=0.6)]
        self.assertEqual(self.gateway.chat(stream_timeout=0.3).text, "hello", "it is about streams")

    def test_what_is_no_such_thing(self):
        bad = (
            ("num_retries", -1), ("num_retries", "2"), ("num_retries", 1.5), ("num_retries", True),
            ("stream_timeout", 0), ("stream_timeout", "5"), ("stream_timeout", -1),
            ("fallbacks", "b"), ("fallbacks", [5]), ("fallbacks", [{"model": 5}]), ("fallbacks", ["b"] * 21),
            ("fallbacks", [{"model": "b", "messages": [{"role": "user"}]}]), ("fallbacks", ["not there"]),
        )  # fmt: skip
        for name, value in bad:
            with self.subTest(name, value=value):
                response = self.gateway.chat(**{name: value})
                self.assertEqual((response.status, response.error["param"]), (400, name), response)
        for name, header in (("num_retries", "x-litellm-num-retries"), ("stream_timeout", "x-litellm-stream-timeout")):
            with self.subTest(header):
                response = self.gateway.chat(headers={header: "many"})
                self.assertEqual((response.status, response.error["param"]), (400, name))
        self.assertEqual(self.provider.calls, [])


class WithKeys(unittest.TestCase):
    def test_a_fallback_that_the_key_may_not_use(self):
        with Provider() as provider, Gateway(CONFIG.format(base=provider.base, more=KEYS)) as gateway:
            headers = {"Authorization": "Bearer sk-narrow"}
            response = gateway.chat(headers=headers, fallbacks=["b"])
            self.assertEqual((response.status, response.error["param"]), (403, "fallbacks"))
            self.assertEqual(gateway.chat(headers=headers).status, 200)


class ErrorsThatSayTheyAreGood(unittest.TestCase):
    """Status 200, and nothing but an error inside."""

    def setUp(self):
        self.provider = self.enterContext(Provider())
        self.gateway = self.enterContext(Gateway(CONFIG.format(base=self.provider.base, more="")))

    def test_whole(self):
        for code, status, attempts in ((502, 502, 2), (400, 400, 1), ("server_error", 502, 2), (None, 502, 2)):
            with self.subTest(code):
                self.provider.calls.clear()
                self.provider.answer = Reply(body={"error": {"message": "no luck", "code": code}})
                response = self.gateway.chat(disable_fallbacks=True)
                self.assertEqual(response.status, status)
                self.assertIn("no luck", response.error["message"])
                self.assertEqual(len(self.provider.calls), attempts)

    def test_a_rate_limit_is_one(self):
        busy = {"error": {"message": "slow down", "code": 429}}
        self.provider.script = [Reply(body=busy, headers={"retry-after-ms": "1"}) for _ in range(2)]
        response = self.gateway.chat(num_retries=0)
        self.assertEqual((response.status, response.text), (200, "hello"))
        self.assertEqual(len(self.provider.calls), 3)

    def test_a_stream_that_begins_with_one(self):
        error = {"error": {"message": "no luck", "code": 502}}
        self.provider.script = [Reply(events=[error, "[DONE]"])]
        response = self.gateway.chat(stream=True)
        self.assertEqual((response.status, response.events[-1], len(self.provider.calls)), (200, "[DONE]", 2))
        cases = (
            (error, 502, 2),
            ({"error": {"message": "no luck", "code": 400}}, 400, 1),
            ({"error": {"message": "no luck", "type": "BadRequestError"}}, 400, 1),
            ({"error": {"message": "no luck", "type": "invalid_request_error"}}, 400, 1),
            ({"type": "error", "error": {"type": "overloaded_error", "message": "no luck"}}, 529, 2),
            (("error", {"type": "error", "code": "server_error", "message": "no luck"}), 502, 2),
        )
        for event, status, attempts in cases:
            with self.subTest(event):
                self.provider.calls.clear()
                self.provider.answer = Reply(events=[event])
                response = self.gateway.chat(stream=True, disable_fallbacks=True)
                self.assertEqual(response.status, status)
                self.assertIn("no luck", response.error["message"])
                self.assertEqual(len(self.provider.calls), attempts)
        # A rate limit is one here too: it is waited for, and costs no retry.
        self.provider.answer = Reply()
        self.provider.script = [Reply(events=[{"error": {"message": "slow down", "code": 429}}])]
        self.assertEqual(self.gateway.chat(stream=True, num_retries=0).status, 200)

    def test_one_within_a_stream_passes(self):
        events = [shapes.chat_events("one")[0], {"error": {"message": "no luck", "code": 502}}]
        self.provider.answer = Reply(events=events)
        response = self.gateway.chat(stream=True)
        self.assertEqual(response.status, 200)
        self.assertEqual(json.loads(response.events[-1])["error"]["message"], "no luck")


if __name__ == "__main__":
    unittest.main()
