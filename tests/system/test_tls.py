"""Upstreams over TLS: whose certificate is believed, and that everything works as without."""

import socket
import tempfile
import unittest

from gateway import Gateway
from provider import Provider, Reply
from provider.certificates import Authority

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/upstream-model
      api_base: "{base}"
      api_key: k
      max_parallel_requests: 1
      {params}
router_settings:
  timeout: 20
  num_retries: 0
"""


class Upstreams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="vorrang-certificates-"))
        cls.authority = Authority(folder)
        cls.other = Authority(folder, "other")
        cls.trusting = f"ssl_verify: {cls.authority.certificate}"

    def assert_refused(self, context, params, host="localhost"):
        with Provider(tls=context, host=host) as provider:
            with Gateway(CONFIG.format(base=provider.base, params=params)) as gateway:
                response = gateway.chat()
                self.assertEqual((response.status, response.error["type"]), (502, "server_error"), response)
                self.assertEqual(provider.calls, [], "the request, and with it the key, went to a stranger")

    def assert_answered(self, context, params, host="localhost", environment=None):
        with Provider(tls=context, host=host) as provider:
            text = CONFIG.format(base=provider.base, params=params)
            with Gateway(text, environment=environment) as gateway:
                self.assertEqual(gateway.chat().text, "hello")
                self.assertEqual(gateway.chat(stream=True).events[-1], "[DONE]")
                self.assertEqual(provider.calls[0].header("authorization"), "Bearer k")
                self.assertEqual(provider.calls[0].header("host"), f"{host}:{provider.port}")

    def test_a_good_one(self):
        for host in ("localhost", "127.0.0.1"):
            with self.subTest(host):
                self.assert_answered(self.authority.server(), self.trusting, host)

    def test_one_of_the_systems_store(self):
        """Which OpenSSL finds by this variable, where it is set."""
        environment = {"SSL_CERT_FILE": self.authority.certificate}
        self.assert_answered(self.authority.server(), "", environment=environment)

    def test_an_expired_one(self):
        self.assert_refused(self.authority.expired(), self.trusting)

    def test_one_of_another_host(self):
        self.assert_refused(self.authority.foreign(), self.trusting)

    def test_an_authority_that_nobody_knows(self):
        self.assert_refused(self.authority.server(), "")
        self.assert_refused(self.other.server(), self.trusting)

    def test_whatever_comes_if_that_is_wanted(self):
        for context in (self.authority.server(), self.authority.expired(), self.authority.foreign()):
            self.assert_answered(context, "ssl_verify: false")

    def test_plain_http_on_the_other_side(self):
        with Provider() as provider:
            base = provider.base.replace("http:", "https:")
            # What comes is no HTTP for the provider either: it says so when it is left.
            provider.failures = Ignored()
            with Gateway(CONFIG.format(base=base, params="timeout: 2")) as gateway:
                self.assertIn(gateway.chat().status, (502, 504))

    def test_connections_are_kept(self):
        with Provider(tls=self.authority.server(), host="localhost") as provider:
            text = CONFIG.format(base=provider.base, params=self.trusting)
            with Gateway(text, ["--threads", "1"]) as gateway:
                for _ in range(10):
                    self.assertEqual(gateway.chat().status, 200)
                self.assertEqual(provider.connections_total, 1)

    def test_a_large_body_and_a_large_answer(self):
        text = "x" * (5 * 1024 * 1024)
        with Provider(Reply(text=text), tls=self.authority.server(), host="localhost") as provider:
            with Gateway(CONFIG.format(base=provider.base, params=self.trusting)) as gateway:
                self.assertEqual(len(gateway.chat(text).text), len(text))
                self.assertEqual(len(provider.calls[0].prompt), len(text))

    def test_what_breaks_off(self):
        for then in ("reset", "close", "cut", "half-close"):
            with self.subTest(then), Provider(tls=self.authority.server(), host="localhost") as provider:
                with Gateway(CONFIG.format(base=provider.base, params=self.trusting)) as gateway:
                    provider.script = [Reply(then=then)]
                    self.assertEqual(gateway.chat().status, 502)
                    self.assertEqual(gateway.chat().text, "hello")

    def test_who_hangs_up_closes_the_call(self):
        with Provider(Reply(hold=True), tls=self.authority.server(), host="localhost") as provider:
            with Gateway(CONFIG.format(base=provider.base, params=self.trusting)) as gateway:
                connection = gateway.send_chat("first")
                call = provider.wait_for_calls(1)
                waiting = gateway.send_chat("second")
                gateway.wait_until_waiting(1)
                connection.close()
                provider.wait_until(lambda: call.closed_at is not None, 2, "the upstream's end")
                provider.release(provider.wait_for_calls(2))
                self.assertEqual(waiting.read_response().text, "hello")

    def test_one_that_never_shakes_hands(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            base = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
            with Gateway(CONFIG.format(base=base, params="timeout: 0.4")) as gateway:
                connection = gateway.send_chat()
                response = connection.read_response()
                self.assertIn(response.status, (502, 504))
                self.assertAlmostEqual(response.received_at - connection.sent_at, 0.4, delta=0.2)


class Ignored(list):
    def append(self, _failure):
        pass


if __name__ == "__main__":
    unittest.main()
