"""Upstreams over TLS: whose certificate is believed, and that everything works as without."""

import http.client
import json
import socket
import ssl
import tempfile
import textwrap
import unittest

import client
from gateway import Gateway, free_port, run_binary, wait_until
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


class Clients(unittest.TestCase):
    """The gateway's own port over TLS."""

    CONFIG = """
    model_list:
      - model_name: m
        litellm_params: {model: openai/x, mock_response: hello}
      - model_name: slow
        litellm_params: {model: openai/x, mock_response: hello, mock_delay: 5, max_parallel_requests: 1}
    """

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="vorrang-certificates-"))
        cls.authority = Authority(folder)
        cls.certificate, cls.key = cls.authority.server_files()

    def setUp(self):
        flags = ["--ssl_certfile_path", self.certificate, "--ssl_keyfile_path", self.key]
        self.gateway = self.enterContext(Gateway(self.CONFIG, flags))

    def connect(self):
        made = http.client.HTTPSConnection("localhost", self.gateway.port, timeout=20,
                                           context=self.authority.client_context())  # fmt: skip
        self.addCleanup(made.close)
        return made

    def ask(self, connection, **fields):
        body = client.chat_body(fields.pop("prompt", "hello"), **fields)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})

    def test_answers_streams_and_large_bodies_on_one_connection(self):
        connection = self.connect()
        for fields in ({}, {"stream": True}, {"prompt": "x" * 5_000_000}, {}):
            self.ask(connection, **fields)
            answer = connection.getresponse()
            text = answer.read()
            self.assertEqual(answer.status, 200, text[:200])
            self.assertIn(b"[DONE]" if "stream" in fields else b'"hello"', text)
        self.assertEqual(connection.sock.selected_alpn_protocol(), None)

    def test_a_client_that_hangs_up_leaves_the_line(self):
        running, waits = self.connect(), self.connect()
        self.ask(running, model="slow")
        wait_until(lambda: self.gateway.queue("slow").document["deployments"][0]["in_flight"] == 1)
        self.ask(waits, model="slow")
        self.gateway.wait_until_waiting(1, "slow")
        waits.close()
        self.gateway.wait_until_waiting(0, "slow")
        running.close()
        wait_until(lambda: self.gateway.queue("slow").document["deployments"][0]["in_flight"] == 0)

    def test_who_does_not_speak_it_is_let_go(self):
        with self.gateway.connect() as plain:
            plain.request("GET", "/v1/models")
            self.assertNotIn(b"HTTP/1.1 200", plain.read_to_end())
        stranger = http.client.HTTPSConnection("localhost", self.gateway.port, timeout=20)
        with self.assertRaises(ssl.SSLError):
            stranger.request("GET", "/v1/models")
        connection = self.connect()
        self.ask(connection)
        self.assertEqual(connection.getresponse().status, 200)

    def test_files_that_cannot_be_used(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
            config.write(textwrap.dedent(self.CONFIG))
            config.flush()
            for flags, word in (
                (["--ssl_certfile_path", self.certificate], "belong together"),
                (["--ssl_certfile_path", "/nowhere.pem", "--ssl_keyfile_path", self.key], "/nowhere.pem"),
                (["--ssl_certfile_path", self.certificate, "--ssl_keyfile_path", self.certificate], "cannot use the key"),
            ):
                status, _, errors = run_binary("--config", config.name, "--port", str(free_port()), *flags)
                self.assertEqual(status, 1, errors)
                self.assertIn(word, errors)


if __name__ == "__main__":
    unittest.main()
