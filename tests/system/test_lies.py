"""Providers that lie: what came is told in a 502, retried like a broken answer, and never passed on."""

import gzip
import json
import unittest

import client
from gateway import Gateway, wait_until
from provider import Provider, Reply, completion, error

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/upstream-model, api_base: "{base}", api_key: k}}
    model_info: {{id: first}}
router_settings:
  timeout: 20
  num_retries: {retries}
  allowed_fails: 1
  cooldown_time: 30
"""

OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
STREAM = OK + b"Content-Type: text/event-stream\r\n"
GOOD = json.dumps(completion()).encode()
EXPECTED = " where a JSON object is expected"
CHUNK = b'data: {"id":"x","model":"up","choices":[{"index":0,"delta":{"content":"Ha"}}]}\n\n'


def config(base, retries=0):
    return CONFIG.format(base=base, retries=retries)


def raw(data):
    return Reply(then="raw", body=data)


def lengths(first, second):
    return raw(JSON + b"Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (first, second) + GOOD)


LIES = {
    "an HTML page": (
        Reply(body=b"<!DOCTYPE html><title>Sign in</title>", headers={"Content-Type": "text/html"}),
        "the upstream answered with status 200 and a page of HTML or XML" + EXPECTED,
    ),
    "broken JSON": (Reply(body=GOOD[:-1]), "the upstream answered with status 200 and broken JSON" + EXPECTED),
    "JSON and more": (Reply(body=GOOD + b"}"), "the upstream answered with status 200 and broken JSON" + EXPECTED),
    "a bare text": (Reply(body=b'"hello"'), "the upstream answered with status 200 and text that is none" + EXPECTED),
    "nothing": (Reply(body=b""), "the upstream answered with status 200 and an empty body" + EXPECTED),
    "an event stream": (Reply(body=CHUNK), "the upstream answered with status 200 and an event stream" + EXPECTED),
    "gzip": (
        Reply(body=gzip.compress(GOOD), headers={"Content-Encoding": "gzip"}),
        "the upstream sent a body in Content-Encoding gzip, which nobody asked for",
    ),
    "a coding of its own": (
        Reply(body=GOOD, headers={"Content-Encoding": "identity, x-mine"}),
        "the upstream sent a body in Content-Encoding identity, x-mine, which nobody asked for",
    ),
    "two lengths": (lengths(len(GOOD), len(GOOD) - 1), "the upstream's answer has more than one Content-Length field"),
    "an endless head": (raw(OK + b"X-More: 1\r\n" * 10000), "the upstream's head has more than 200 fields"),
    "an endless line of the head": (raw(OK + b"X-More: " + b"1" * 100_000), "the upstream's head is larger than 64 KiB"),
    "an endless chunk size": (
        raw(JSON + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 100_000),
        "the upstream's chunks are malformed",
    ),
    "half a body": (raw(JSON + b"Content-Length: 9999\r\n\r\n" + GOOD), "the upstream's answer broke off"),
    "half a head": (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "the upstream's answer broke off"),
    "a FIN": (Reply(then="close"), "the upstream closed the connection without an answer"),
    "another protocol": (raw(b"220 mail.example ESMTP\r\n\r\n"), "the upstream's answer is not HTTP"),
}

STREAM_LIES = {
    "an HTML page": LIES["an HTML page"],
    "gzip": (
        Reply(body=gzip.compress(CHUNK), headers={"Content-Encoding": "gzip", "Content-Type": "text/event-stream"}),
        LIES["gzip"][1],
    ),
    "a page called a stream": (
        Reply(body=b"<html>\n\n</html>\n\n", headers={"Content-Type": "text/event-stream"}),
        "the upstream sent text that is no event stream",
    ),
    "broken JSON": (
        Reply(body=b'data: {"choices":[\n\n', headers={"Content-Type": "text/event-stream"}),
        "the upstream sent an event whose JSON is broken",
    ),
    "an endless line": (
        raw(STREAM + b"\r\ndata: " + b"x" * (17 << 20)),
        "the upstream sent an event of more than 16 MiB",
    ),
    "no event": (
        Reply(body=b"", headers={"Content-Type": "text/event-stream"}),
        "the upstream sent a stream without any event",
    ),
    "a reset": (Reply(then="cut", body=CHUNK * 100, headers={"Content-Type": "application/json"}), "the upstream's answer broke off"),
}


class Lies(unittest.TestCase):
    def check(self, lies, **fields):
        for name, (reply, sentence) in lies.items():
            with self.subTest(name), Provider(reply) as provider:
                with Gateway(config(provider.base)) as gateway:
                    response = gateway.chat(**fields)
                    self.assertEqual((response.status, response.error["type"]), (502, "server_error"), response)
                    self.assertEqual(response.error["code"], "502")
                    self.assertIn("No usable answer: " + sentence, response.error["message"])
                    self.assertIsNone(response.header("content-encoding"))
                    self.assertEqual(response.header("x-litellm-attempted-retries"), "0")
                    self.assertFalse(self.deployment(gateway)["cooling"])
                    gateway.chat(**fields)  # more failures than are allowed
                    self.assertTrue(self.deployment(gateway)["cooling"], "it was no failure of the deployment")

    def deployment(self, gateway):
        return gateway.admin_get("/queue/m").json["deployments"][0]

    def test_whole_answers(self):
        self.check(LIES)

    def test_streams(self):
        self.check(STREAM_LIES, stream=True)

    def test_they_are_retried(self):
        for name in ("an HTML page", "gzip", "two lengths", "an endless head"):
            with self.subTest(name), Provider() as provider, Gateway(config(provider.base, 1)) as gateway:
                provider.script = [LIES[name][0]]
                response = gateway.chat()
                self.assertEqual((response.status, response.text), (200, "hello"))
                self.assertEqual(response.header("x-litellm-attempted-retries"), "1")
                self.assertEqual(response.header("x-vorrang-attempts"), "2")

    def test_a_stream_that_is_none_is_retried_and_the_good_one_ends_well(self):
        good = Reply(body=CHUNK + b"data: [DONE]\n\n", headers={"Content-Type": "text/event-stream"})
        for name, (reply, _) in STREAM_LIES.items():
            with self.subTest(name), Provider(good) as provider, Gateway(config(provider.base, 1)) as gateway:
                provider.script = [reply]
                response = gateway.chat(stream=True)
                self.assertEqual(response.status, 200, response)
                self.assertEqual(len(response.events), 2)
                self.assertEqual(response.events[-1], "[DONE]")
                self.assertNotIn(b"error", response.body)
                self.assertEqual(response.header("x-vorrang-attempts"), "2")

    def test_the_status_of_a_coded_error_stands(self):
        coded = {"Content-Encoding": "gzip"}
        with Provider(Reply(500, gzip.compress(b"{}"), coded)) as provider:
            with Gateway(config(provider.base)) as gateway:
                response = gateway.chat()
                self.assertEqual(response.status, 500)
                self.assertIn("a body in Content-Encoding gzip", response.error["message"])
                provider.answer = Reply(429, gzip.compress(b"{}"), {**coded, "Retry-After": "30"})
                self.assertEqual(gateway.chat().status, 429)
                self.assertEqual(gateway.chat().status, 429)
                self.assertEqual(len(provider.calls), 2, "a deployment under Retry-After was asked")

    def test_broken_json_within_a_stream(self):
        body = CHUNK + b'data: {"choices":[\n\n' + CHUNK + b"data: [DONE]\n\n"
        with Provider(Reply(body=body, headers={"Content-Type": "text/event-stream"})) as provider:
            with Gateway(config(provider.base)) as gateway:
                response = gateway.chat(stream=True)
                self.assertEqual(response.status, 200)
                self.assertEqual(len(response.events), 2)
                told = json.loads(response.events[1])["error"]
                self.assertEqual((told["type"], told["code"]), ("server_error", "502"))
                self.assertIn("an event whose JSON is broken", told["message"])

    def test_in_the_form_of_each_api(self):
        page = LIES["an HTML page"][0]
        with Provider(page) as provider:
            text = config(provider.base).replace("openai/upstream-model", "anthropic/claude")
            with Gateway(text) as gateway:
                body = client.chat_body(max_tokens=1)
                response = gateway.post(body, path="/v1/messages")
                self.assertEqual((response.status, response.json["type"]), (502, "error"))
                self.assertEqual(response.error["type"], "api_error")
                self.assertIn("HTML", response.error["message"])
                response = gateway.post(body, path="/v1/messages/count_tokens")
                self.assertEqual((response.status, response.json["type"]), (502, "error"))

    def test_it_lives_on(self):
        with Provider() as provider, Gateway(config(provider.base).replace("cooldown_time: 30", "cooldown_time: 0")) as gateway:
            for reply, _ in LIES.values():
                provider.script = [reply]
                self.assertEqual(gateway.chat().status, 502)
                self.assertEqual(gateway.chat().text, "hello")
            wait_until(lambda: provider.running == 0)

    def test_an_upstreams_own_5xx_outranks_a_lie(self):
        with Provider(LIES["broken JSON"][0]) as provider, Gateway(config(provider.base, 1)) as gateway:
            provider.script = [Reply(500, error("first words"))]
            response = gateway.chat()
            self.assertEqual((response.status, response.error["message"]), (500, "first words"))


if __name__ == "__main__":
    unittest.main()
