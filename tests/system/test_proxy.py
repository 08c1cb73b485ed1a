"""Upstreams that are reached through a proxy: HTTPS_PROXY and NO_PROXY."""

import socket
import tempfile
import threading
import unittest

from gateway import Gateway, wait_until
from provider import Provider, Reply
from provider.certificates import Authority

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, ssl_verify: {trusted}}}
router_settings: {{timeout: 10, num_retries: 0}}
"""


class TunnelProxy:
    """Makes tunnels, as HTTP proxies do for https; its answer to CONNECT can be replaced."""

    def __init__(self, answer=b"HTTP/1.1 200 Connection established\r\n\r\n"):
        self.answer = answer
        self.heads = []

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception):
        for each in [self.listener, *self.open]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended already
            each.close()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = peer.recv(4096)
            if not piece:
                return
            head += piece
        self.heads.append(head.decode("latin-1"))
        peer.sendall(self.answer)
        if not self.answer.startswith(b"HTTP/1.1 200"):
            peer.close()
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        upstream = socket.create_connection((host, int(port)))
        self.open.append(upstream)
        threading.Thread(target=self._carry, args=(upstream, peer), daemon=True).start()
        self._carry(peer, upstream)

    @staticmethod
    def _carry(from_, to):
        try:
            while piece := from_.recv(65536):
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one side has ended


class ThroughAProxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="vorrang-certificates-"))
        cls.authority = Authority(folder)

    def provider(self, **more):
        return Provider(tls=self.authority.server(), host="localhost", **more)

    def gateway(self, provider, base=None, **environment):
        text = CONFIG.format(base=base or provider.base, trusted=self.authority.certificate)
        return Gateway(text, ["--threads", "1"], environment=environment)

    def test_https_goes_through_a_tunnel_that_is_kept(self):
        for name in ("HTTPS_PROXY", "https_proxy"):
            with self.subTest(name), TunnelProxy() as proxy, self.provider() as provider:
                with self.gateway(provider, **{name: f"http://{proxy.address}"}) as gateway:
                    self.assertEqual(gateway.chat().text, "hello")
                    self.assertEqual(gateway.chat(stream=True).events[-1], "[DONE]")
                self.assertEqual(len(proxy.heads), 1)
                first = proxy.heads[0].split("\r\n")[0]
                self.assertEqual(first, f"CONNECT localhost:{provider.port} HTTP/1.1")
                self.assertNotIn("uthorization", proxy.heads[0], "the upstream's key is not the proxy's")
                self.assertEqual(provider.calls[0].header("authorization"), "Bearer k")

    def test_who_asks_the_proxy(self):
        with TunnelProxy() as proxy, self.provider() as provider:
            with self.gateway(provider, HTTPS_PROXY=f"http://us%40er:pass@{proxy.address}") as gateway:
                self.assertEqual(gateway.chat().text, "hello")
            self.assertIn("Proxy-Authorization: Basic dXNAZXI6cGFzcw==\r\n", proxy.heads[0])

    def test_hosts_that_are_asked_directly(self):
        for names in ("localhost", "*", "elsewhere.example, localhost", "LOCALHOST:{port}"):
            with self.subTest(names), TunnelProxy() as proxy, self.provider() as provider:
                names = names.format(port=provider.port)
                with self.gateway(provider, HTTPS_PROXY=f"http://{proxy.address}", NO_PROXY=names) as gateway:
                    self.assertEqual(gateway.chat().text, "hello")
                self.assertEqual(proxy.heads, [])
        for names in ("elsewhere.example", "ocalhost", "localhost:1"):
            with self.subTest(names), TunnelProxy() as proxy, self.provider() as provider:
                with self.gateway(provider, HTTPS_PROXY=f"http://{proxy.address}", NO_PROXY=names) as gateway:
                    self.assertEqual(gateway.chat().text, "hello")
                self.assertEqual(len(proxy.heads), 1)

    def test_plain_http_does_not(self):
        with TunnelProxy() as proxy, Provider(host="localhost") as provider:
            with self.gateway(provider, HTTPS_PROXY=f"http://{proxy.address}") as gateway:
                self.assertEqual(gateway.chat().text, "hello")
            self.assertEqual(proxy.heads, [])

    def test_the_certificate_is_the_upstreams(self):
        with TunnelProxy() as proxy, Provider(tls=self.authority.foreign(), host="localhost") as provider:
            with self.gateway(provider, HTTPS_PROXY=f"http://{proxy.address}") as gateway:
                self.assertEqual(gateway.chat().status, 502)
            self.assertEqual((len(proxy.heads), provider.calls), (1, []))

    def test_a_proxy_that_makes_no_tunnel(self):
        refusals = {
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n": "status 407",
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno no": "status 403",
            b"220 mail.example ESMTP\r\n\r\n": "no tunnel",
            b"HTTP/1.1 200 OK\r\n\r\nand more": "no tunnel",
        }
        for answer, said in refusals.items():
            with self.subTest(answer), TunnelProxy(answer) as proxy, self.provider() as provider:
                with self.gateway(provider, HTTPS_PROXY=f"http://{proxy.address}") as gateway:
                    response = gateway.chat()
                    self.assertEqual((response.status, response.error["type"]), (502, "server_error"))
                    wait_until(lambda: said in gateway.output, what=f"the log does not say: {said}")
                self.assertEqual(provider.calls, [])

    def test_a_proxy_that_is_not_there(self):
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
        with self.provider() as provider, self.gateway(provider, HTTPS_PROXY=f"http://127.0.0.1:{port}") as gateway:
            self.assertEqual(gateway.chat().status, 502)
            self.assertEqual(provider.calls, [])

    def test_who_hangs_up_ends_the_tunnel(self):
        with TunnelProxy() as proxy, self.provider(answer=Reply(hold=True)) as provider:
            with self.gateway(provider, HTTPS_PROXY=f"http://{proxy.address}") as gateway:
                connection = gateway.send_chat()
                call = provider.wait_for_calls(1)
                connection.close()
                provider.wait_until(lambda: call.closed_at is not None, 5, "the upstream's end")


if __name__ == "__main__":
    unittest.main()
