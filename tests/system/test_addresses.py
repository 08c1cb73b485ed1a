"""Where upstreams are: names that move, names with several addresses, IPv6."""

import os
import socket
import tempfile
import threading
import unittest

from failing_socket import library_path, runtimes
from gateway import Gateway
from provider import Provider

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "http://{host}:{port}/v1", api_key: k}}
router_settings: {{timeout: 10, num_retries: 0, disable_cooldowns: true}}
"""
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\nConnection: close\r\n\r\n"
    b'{"choices":[],"object":"from there"}'
)


class Upstream:
    """Answers at one address, each request on a connection of its own."""

    def __init__(self, address, port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family)
        self.port = self.listener.getsockname()[1]
        self.answered = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.end()

    def end(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.thread.join(10)

    def _serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            data = b""
            while b"\r\n\r\n" not in data:
                data += peer.recv(65536)
            self.answered += 1
            peer.sendall(ANSWER)
            peer.close()


class Names:
    """Names of the test's own; see named_hosts.cpp."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vorrang-names-")
        self.path = os.path.join(self.folder.name, "names")
        self.environment = {"LD_PRELOAD": " ".join([*runtimes(), library_path()]), "VORRANG_TEST_NAMES": self.path}

    def set(self, name, address):
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(f"{name} {address}\n")
        os.replace(self.path + ".new", self.path)

    @property
    def asked(self):
        try:
            with open(self.path + ".asked", encoding="ascii") as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.folder.cleanup()


class Addresses(unittest.TestCase):
    def test_a_name_that_moves(self):
        with Names() as names, Upstream("127.0.0.2") as first:
            text = CONFIG.format(host="moves.example", port=first.port)
            names.set("moves.example", "127.0.0.2")
            with Gateway(text, ["--threads", "1"], environment=names.environment) as gateway:
                for _ in range(3):
                    self.assertEqual(gateway.chat().status, 200)
                self.assertEqual((first.answered, names.asked), (3, ["moves.example"]), "one look-up serves a while")
                first.end()
                self.assertEqual(gateway.chat().status, 502)
                # It has moved; nobody waits for the name's time to be over.
                names.set("moves.example", "127.0.0.3")
                with Upstream("127.0.0.3", first.port) as second:
                    self.assertEqual(gateway.chat().status, 200)
                    self.assertEqual(second.answered, 1)


    def test_a_name_that_nobody_knows(self):
        with Gateway(CONFIG.format(host="nobody.invalid", port=80)) as gateway:
            response = gateway.chat()
            self.assertEqual((response.status, response.error["type"]), (502, "server_error"))

    def test_a_name_with_several_addresses(self):
        """localhost is ::1 too where there is IPv6; nothing listens there."""
        with Provider(host="localhost") as provider:
            with Gateway(CONFIG.format(host="localhost", port=provider.port)) as gateway:
                self.assertEqual(gateway.chat().text, "hello")

    def test_ipv6(self):
        try:
            upstream = Upstream("::1")
        except OSError as reason:
            self.skipTest(f"no IPv6 here: {reason}")
        with upstream, Gateway(CONFIG.format(host="[::1]", port=upstream.port)) as gateway:
            self.assertEqual(gateway.chat().json["object"], "from there")

    def test_ipv6_by_name(self):
        try:
            upstream = Upstream("::1")
        except OSError as reason:
            self.skipTest(f"no IPv6 here: {reason}")
        with Names() as names, upstream:
            names.set("six.example", "::1")
            text = CONFIG.format(host="six.example", port=upstream.port)
            with Gateway(text, environment=names.environment) as gateway:
                self.assertEqual(gateway.chat().json["object"], "from there")


if __name__ == "__main__":
    unittest.main()
