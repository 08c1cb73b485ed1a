"""Every fault of tests/provider/faults.py, seen through the gateway: what the client gets, for a whole
answer and for a stream, and that nothing stays behind."""

import json
import unittest

from gateway import Gateway
from provider import Provider, faults

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/upstream-model
      api_base: "{base}"
      api_key: k
      max_parallel_requests: 1
      timeout: 0.3
      stream_timeout: 0.3
router_settings:
  timeout: 20
  num_retries: 0
  disable_cooldowns: true
"""

UNUSABLE = (502, "No usable answer: ")  # test_lies.py looks at what is told of each
SLOW = (504, "The upstream did not answer in time")
REDIRECT = (502, "The upstream answered with status 302; an API does not redirect")
GOOD = (200, "hello")  # 429: after the second attempt
# A stream that has begun cannot have another status: its last event tells.
BROKEN_STREAM = (200, "The upstream's stream broke off")

# What is seen: for a whole answer, and for a stream where that differs.
EXPECTED = {
    "reset-before-head": [UNUSABLE],
    "close-before-head": [UNUSABLE],
    "hang": [SLOW],
    "reset-after-head": [UNUSABLE],
    "close-after-head": [UNUSABLE],
    "hang-after-head": [SLOW],
    "reset-mid-body": [UNUSABLE, BROKEN_STREAM],
    "close-mid-body": [UNUSABLE, BROKEN_STREAM],
    "hang-mid-body": [SLOW, BROKEN_STREAM],
    "no-http": [UNUSABLE],
    "half-head": [UNUSABLE],
    "endless-head": [UNUSABLE],
    "endless-line": [UNUSABLE],
    "length-too-long": [UNUSABLE],
    "length-too-short": [UNUSABLE],
    "two-lengths": [UNUSABLE],
    "length-and-chunked": [UNUSABLE],
    "bad-length": [UNUSABLE],
    "bad-chunk": [UNUSABLE],
    "html-page": [UNUSABLE],
    "broken-json": [UNUSABLE],
    "empty-body": [UNUSABLE],
    "json-that-is-no-object": [UNUSABLE],
    "gzip": [UNUSABLE],
    "redirect": [REDIRECT],
    "stream-without-events": [UNUSABLE],
    "stream-half-event": [UNUSABLE, BROKEN_STREAM],
    "stream-half-event-close": [UNUSABLE, BROKEN_STREAM],
    "stream-reset": [UNUSABLE, BROKEN_STREAM],
    "stream-hang": [SLOW, BROKEN_STREAM],
    "stream-endless-event": [UNUSABLE],
    "stream-broken-json": [UNUSABLE],
    "400": [(400, "wrong input")],
    "401": [(401, "the upstream refused the gateway's credentials for group m")],
    "404": [(404, "no such model")],
    "408": [(408, "slow")],
    "429": [GOOD],
    "429-seconds": [GOOD],
    "429-ms": [GOOD],
    "429-date": [GOOD],
    "429-quota": [(429, "no money")],
    "500": [(500, "upstream says no")],
    "500-page": [(500, "Welcome back!")],
    "502": [(502, "Bad Gateway")],
    "503": [(503, "overloaded")],
    "529": [(529, "Overloaded")],
}


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.provider = cls.enterClassContext(Provider())
        cls.gateway = cls.enterClassContext(Gateway(CONFIG.format(base=cls.provider.base)))

    def test_all_are_known_here(self):
        self.assertEqual(set(EXPECTED), set(faults.NAMES))

    def test_whole_answers(self):
        for name, expected in EXPECTED.items():
            with self.subTest(name):
                self.play(name, expected[0], stream=False)

    def test_streams(self):
        for name, expected in EXPECTED.items():
            with self.subTest(name):
                self.play(name, expected[-1], stream=True)

    def play(self, name, expected, stream):
        self.provider.drop_idle_connections()  # what dies there is no failure
        self.provider.script = [faults.named(name)]
        response = self.gateway.chat(stream=stream)
        self.assertEqual((response.status, self.words_of(response)), (expected[0], expected[1]), response)
        # The only slot is free, and the connection to the upstream, if it was kept, is in order.
        self.provider.script = []
        following = self.gateway.chat(timeout_s=2)
        self.assertEqual((following.status, following.text), (200, "hello"))
        self.assertEqual(self.gateway.waiting_count(), 0)

    @staticmethod
    def words_of(response):
        """The answer's text, or the error's message up to what differs between faults."""
        if response.header("content-type") != "text/event-stream":
            documents = [json.loads(response.body)]
        else:
            documents = [json.loads(event) for event in response.events if event != "[DONE]"]
        text = ""
        for document in documents:
            if "error" in document:
                message = document["error"]["message"]
                known = {words for rows in EXPECTED.values() for _, words in rows}
                return next((words for words in known if words in message), message)
            for choice in document["choices"]:
                text += choice.get("delta", choice.get("message", {})).get("content", "")
        return text


if __name__ == "__main__":
    unittest.main()
