"""The door: what a hostile or broken client sends gets the table's answer, and nobody else notices.

Every attack runs on a connection of its own beside a second connection that was open before; after
each, that one and a fresh one still work, and the process is the same.
"""

import os
import select
import socket
import time
import unittest

import client
from gateway import Gateway, wait_until
from provider import Provider, Reply, completion

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi}
  - model_name: waits
    litellm_params: {model: openai/x, mock_response: hi, rpm: 0}
general_settings:
  max_request_size_mb: 1
"""

SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
TYPE = b"Content-Type: application/json\r\n"


def post(fields, body=BODY, target=b"/v1/chat/completions", version=b"HTTP/1.1", host=b"Host: localhost\r\n"):
    return b"POST " + target + b" " + version + b"\r\n" + host + TYPE + fields + b"\r\n" + body


def with_length(fields, **kinds):
    return post(b"Content-Length: %d\r\n" % len(BODY) + fields, **kinds)


def chunked(body=BODY):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


LENGTH = b"Content-Length: %d\r\n" % len(BODY)

# Name: bytes that must be answered 400, once, and the connection closed.
REFUSED = {
    "transfer-encoding identity": post(b"Transfer-Encoding: identity\r\n", SMUGGLED),
    "transfer-encoding xchunked": post(b"Transfer-Encoding: xchunked\r\n", chunked()),
    "transfer-encoding gzip": post(b"Transfer-Encoding: gzip\r\n", SMUGGLED),
    "transfer-encoding empty": post(b"Transfer-Encoding: \r\n", SMUGGLED),
    "transfer-encoding quoted": post(b'Transfer-Encoding: "chunked"\r\n', chunked()),
    "transfer-encoding chunked, identity": post(b"Transfer-Encoding: chunked, identity\r\n", chunked()),
    "transfer-encoding chunked, chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", chunked()),
    "transfer-encoding gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", chunked()),
    "two transfer-encodings": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked()),
    "two transfer-encodings, the second identity": post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunked()
    ),
    "transfer-encoding with a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", chunked()),
    "transfer-encoding before content-length": post(
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunked() + SMUGGLED
    ),
    "content-length before transfer-encoding": post(
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunked() + SMUGGLED
    ),
    "transfer-encoding on HTTP/1.0": post(b"Transfer-Encoding: chunked\r\n", chunked(), version=b"HTTP/1.0"),
    "content-length 3, 3": post(b"Content-Length: 3, 3\r\n", b"abc" + SMUGGLED),
    "two equal content-lengths": post(LENGTH + LENGTH),
    "two different content-lengths": post(LENGTH + b"Content-Length: 5\r\n"),
    "content-length +": post(b"Content-Length: +%d\r\n" % len(BODY)),
    "content-length negative": post(b"Content-Length: -3\r\n"),
    "content-length hexadecimal": post(b"Content-Length: 0x3\r\n"),
    "content-length empty": post(b"Content-Length: \r\n"),
    "content-length with a space inside": post(b"Content-Length: 5 7\r\n"),
    "content-length over 64 bits": post(b"Content-Length: 99999999999999999999999\r\n"),
    "content-length 2^64 + 57": post(b"Content-Length: %d\r\n" % (2**64 + len(BODY))),
    "obsolete folding": with_length(b"X-Folded: one\r\n two\r\n"),
    "obsolete folding with a tab": with_length(b"X-Folded: one\r\n\ttwo\r\n"),
    "folding before the first field": b"GET /v1/models HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "no host": with_length(b"", host=b""),
    "two hosts": with_length(b"Host: localhost\r\n"),
    "two equal hosts on a GET": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "absolute target elsewhere": with_length(b"", target=b"http://example.com/v1/chat/completions"),
    "authority target": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    "authority target with GET": b"GET example.com:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "high bytes in the target": with_length(b"", target=b"/v1/chat/\xc3\xa4"),
    "control character in the target": b"GET /v1/\x01models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bare LF between fields": b"GET /v1/models HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare LF as the end of a field": b"GET /v1/models HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n",
    "bare LF at the end": b"GET /v1/models HTTP/1.1\r\nHost: localhost\n\n\r\n\r\n",
    "bare CR in a value": with_length(b"X-A: b\rX-B: c\r\n"),
    "bare CR in the request line": b"GET /v1/models\r HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL in a value": with_length(b"X-A: b\x00c\r\n"),
    "space before the colon": post(b"Content-Length : %d\r\n" % len(BODY)),
    "space before the colon of transfer-encoding": post(b"Transfer-Encoding : chunked\r\n", chunked()),
    "field without a colon": with_length(b"nonsense\r\n"),
    "field without a name": with_length(b": value\r\n"),
    "control character in a name": with_length(b"X\x01A: b\r\n"),
    "no version": b"GET /v1/models\r\nHost: localhost\r\n\r\n",
    "version 2.0": b"GET /v1/models HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "version lower case": b"GET /v1/models http/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces in the request line": b"GET  /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
    "chunk size not hexadecimal": post(b"Transfer-Encoding: chunked\r\n", b"zz\r\nabc\r\n0\r\n\r\n"),
    "chunk size negative": post(b"Transfer-Encoding: chunked\r\n", b"-3\r\nabc\r\n0\r\n\r\n"),
    "chunk size 0x": post(b"Transfer-Encoding: chunked\r\n", b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk data longer than its size": post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabcdef\r\n0\r\n\r\n"),
    "chunk ended by a bare LF": post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\n0\r\n\r\n"),
}


class Door(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(CONFIG).start()
        cls.neighbour = cls.gateway.connect()

    @classmethod
    def tearDownClass(cls):
        cls.neighbour.close()
        cls.gateway.__exit__(None, None, None)

    def tearDown(self):
        """Somebody else's connection, open since before the attack, and a new one both work."""
        self.assertIsNone(self.gateway.process.poll(), f"the gateway died:\n{self.gateway.output[-3000:]}")
        type(self).neighbour = self.others_work()

    def others_work(self):
        try:
            self.neighbour.request("GET", "/v1/models")
            self.assertEqual(self.neighbour.read_response(5).status, 200)
            self.assertEqual(self.gateway.chat(timeout_s=5).status, 200)
            return self.neighbour
        except client.ConnectionEnded as ended:
            type(self).neighbour = self.gateway.connect()
            self.fail(f"a neighbour's connection: {ended}")

    def attack(self, data, timeout_s=5):
        """All answers to these bytes; the connection must have been closed by the gateway."""
        with self.gateway.connect() as connection:
            try:
                connection.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it answered before it had read everything
            return connection.read_all_responses(timeout_s)

    def assert_error(self, response, status, kind="invalid_request_error"):
        self.assertEqual(response.status, status, response)
        self.assertEqual(response.error["type"], kind)
        self.assertEqual(response.error["code"], str(status))
        self.assertTrue(response.error["message"])
        self.assertIn("param", response.error)

    def test_refused(self):
        for name, data in REFUSED.items():
            with self.subTest(name):
                responses = self.attack(data)
                self.assertEqual(len(responses), 1, f"answers: {responses}")
                self.assert_error(responses[0], 400)
                self.others_work()

    def test_refused_in_pieces(self):
        """The same, a few bytes at a time: a rule must not depend on what one read brings."""
        for name in ("content-length before transfer-encoding", "two hosts", "obsolete folding", "bare CR in a value"):
            with self.subTest(name), self.gateway.connect() as connection:
                data = REFUSED[name]
                try:
                    for start in range(0, len(data), 7):
                        connection.send(data[start : start + 7])
                        time.sleep(0.0005)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                responses = connection.read_all_responses(5)
                self.assertEqual([r.status for r in responses], [400])

    def test_refused_behind_a_good_request(self):
        for name in ("content-length before transfer-encoding", "two hosts", "bare LF between fields"):
            with self.subTest(name):
                responses = self.attack(with_length(b"") + REFUSED[name])
                self.assertEqual([r.status for r in responses], [200, 400])

    # Sizes ----------------------------------------------------------------------------------

    def head_of(self, size):
        start = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        fill = size - len(start) - 2
        lines = b""
        while fill > 0:  # fields of at most 4000 bytes
            length = min(4000, fill)
            if 0 < fill - length < 10:
                length -= 10
            name = b"X%d: " % len(lines)
            lines += name + b"v" * (length - len(name) - 2) + b"\r\n"
            fill = size - len(start) - 2 - len(lines)
        head = start + lines + b"\r\n"
        assert len(head) == size, (len(head), size)
        return head

    def test_head_of_32_kib_passes_and_more_does_not(self):
        self.assertEqual([r.status for r in self.attack(self.head_of(32768 - 64))], [200])
        responses = self.attack(self.head_of(32768 + 64))
        self.assertEqual(len(responses), 1)
        self.assert_error(responses[0], 431)

    def test_one_field_of_40_kb(self):
        responses = self.attack(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"v" * 40000 + b"\r\n\r\n")
        self.assert_error(responses[0], 431)

    def flood(self, first, piece, bytes_max=20_000_000):
        """Sends `piece` again and again until an answer comes: what it was, None if the connection was
        ended without one. Fails if the gateway took `bytes_max` bytes without a word."""
        with self.gateway.connect(5) as connection:
            sent = 0
            try:
                connection.send(first)
                while not select.select([connection.socket], [], [], 0)[0]:
                    self.assertLess(sent, bytes_max, "swallowed without a word")
                    connection.socket.settimeout(5)
                    connection.send(piece)
                    sent += len(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                return connection.read_response(5)
            except client.ConnectionEnded:
                return None

    def test_a_head_that_never_ends(self):
        first = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
        response = self.flood(first, b"X-Field: " + b"v" * 8000 + b"\r\n")
        if response is not None:
            self.assert_error(response, 431)

    def test_a_field_that_never_ends(self):
        response = self.flood(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"v" * 8000)
        if response is not None:
            self.assert_error(response, 431)

    def test_target_of_40_kb(self):
        responses = self.attack(b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(len(responses), 1)
        self.assert_error(responses[0], 431)

    def test_100_fields_pass_and_101_do_not(self):
        def fields(count):
            return b"".join(b"X-%d: v\r\n" % number for number in range(count))

        start = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        self.assertEqual([r.status for r in self.attack(start + fields(98) + b"\r\n")], [200])
        responses = self.attack(start + fields(99) + b"\r\n")
        self.assertEqual(len(responses), 1)
        self.assert_error(responses[0], 431)
        self.assert_error(self.attack(start + fields(5000)[:32000] + b"\r\n\r\n")[0], 431)

    def test_body_over_the_limit_is_refused_before_it_is_read(self):
        with self.gateway.connect() as connection:
            connection.send(post(b"Content-Length: %d\r\n" % (1024 * 1024 + 1), b""))
            self.assert_error(connection.read_response(5), 413)
            self.assertEqual(connection.read_to_end(5), b"")

    def test_body_over_the_limit_sent_whole_gets_its_answer(self):
        """The client must see the 413 and not a reset, although it is still sending."""
        body = b'{"model":"m","x":"' + b"x" * (3 * 1024 * 1024) + b'"}'
        with self.gateway.connect() as connection:
            try:
                connection.send(post(b"Content-Length: %d\r\n" % len(body), body))
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assert_error(connection.read_response(5), 413)

    def test_body_at_the_limit_passes(self):
        start = b'{"model":"m","messages":[{"role":"user","content":"'
        body = start + b"x" * (1024 * 1024 - len(start) - 4) + b'"}]}'
        self.assertEqual(len(body), 1024 * 1024)
        self.assertEqual(self.gateway.post(body).status, 200)

    def test_chunked_body_over_the_limit(self):
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        with self.gateway.connect() as connection:
            try:
                connection.send(post(b"Transfer-Encoding: chunked\r\n", b""))
                for _ in range(17):
                    connection.send(chunk)
                connection.send(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assert_error(connection.read_response(5), 413)

    def test_chunk_size_that_overflows(self):
        for size in (b"FFFFFFFFFFFFFFFF", b"FFFFFFFFFFFFFFFFF", b"7FFFFFFFFFFFFFFF", b"1" + b"0" * 40):
            with self.subTest(size):
                responses = self.attack(post(b"Transfer-Encoding: chunked\r\n", size + b"\r\nabc\r\n0\r\n\r\n"))
                self.assertEqual(len(responses), 1)
                self.assertIn(responses[0].status, (400, 413))

    def test_chunk_extensions_are_bounded(self):
        first = post(b"Transfer-Encoding: chunked\r\n", b"")
        response = self.flood(first, b"1;" + b"e" * 8000 + b"\r\n \r\n")
        if response is not None:
            self.assertIn(response.status, (400, 413))

    def test_one_endless_chunk_extension(self):
        response = self.flood(post(b"Transfer-Encoding: chunked\r\n", b"1;"), b"e" * 8000)
        if response is not None:
            self.assertIn(response.status, (400, 413))

    def test_tiny_chunks_without_end(self):
        """Framing around the body is bounded too, not only what is left of it."""
        response = self.flood(post(b"Transfer-Encoding: chunked\r\n", b""), b"1\r\n \r\n" * 2000)
        if response is not None:
            self.assertIn(response.status, (400, 413))

    def test_trailers_without_end(self):
        response = self.flood(post(b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n"), b"X-T: " + b"t" * 8000 + b"\r\n")
        if response is not None:
            self.assertIn(response.status, (400, 413, 431))

    def test_trailers_are_dropped(self):
        data = post(
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n",
            b"%x\r\n%s\r\n0\r\nX-Vorrang-Priority: 3\r\nX-T: v\r\n\r\n" % (len(BODY), BODY),
        )
        responses = self.attack(data)
        self.assertEqual([r.status for r in responses], [200])
        self.assertEqual(responses[0].header("x-vorrang-priority"), "255")

    def test_trailers_of_100_kb(self):
        data = post(
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n",
            b"%x\r\n%s\r\n0\r\nX-T: " % (len(BODY), BODY) + b"t" * 100_000 + b"\r\n\r\n",
        )
        with self.gateway.connect() as connection:
            try:
                connection.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            rest = connection.read_to_end(5)
            self.assertNotIn(b"HTTP/1.1 5", rest)

    # Content --------------------------------------------------------------------------------

    def test_content_encoding(self):
        for encoding in ("gzip", "deflate", "br", "identity, gzip"):
            response = self.gateway.post(BODY, {"Content-Encoding": encoding})
            self.assert_error(response, 415)
        self.assertEqual(self.gateway.post(BODY, {"Content-Encoding": "identity"}).status, 200)

    def test_without_a_key_only_json_is_read(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", None):
            with self.subTest(kind):
                self.assert_error(self.gateway.post(BODY, {"Content-Type": kind}), 415)
        for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
            with self.subTest(kind):
                self.assertEqual(self.gateway.post(BODY, {"Content-Type": kind}).status, 200)

    # Manners --------------------------------------------------------------------------------

    def test_keep_alive(self):
        with self.gateway.connect() as connection:
            for _ in range(20):
                connection.chat(client.chat_body())
                self.assertEqual(connection.read_response().status, 200)
            connection.request("POST", "/v1/chat/completions", {"model": "unknown", "messages": []})
            self.assertEqual(connection.read_response().status, 400)  # an error of ours is no reason to close
            connection.request("GET", "/v1/models")
            self.assertEqual(connection.read_response().status, 200)

    def test_connection_close(self):
        with self.gateway.connect() as connection:
            connection.chat(client.chat_body(), {"Connection": "close"})
            response = connection.read_response()
            self.assertEqual(response.status, 200)
            self.assertEqual((response.header("connection") or "").lower(), "close")
            self.assertEqual(connection.read_to_end(5), b"")

    def test_pipelining(self):
        with self.gateway.connect() as connection:
            data = b"".join(
                client.build_request("POST", "/v1/chat/completions", client.chat_body(priority=n), host="localhost")
                for n in range(50)
            )
            connection.send(data + client.build_request("GET", "/v1/models", host="localhost"))
            for number in range(50):
                self.assertEqual(connection.read_response().header("x-vorrang-priority"), str(number))
            self.assertEqual(connection.read_response().json["object"], "list")

    def test_pipelining_byte_by_byte(self):
        # Many times: the first is answered while bytes of the second come, at another byte each time.
        for _ in range(200):
            with self.gateway.connect() as connection:
                for byte in with_length(b"") + SMUGGLED:
                    connection.send(bytes([byte]))
                self.assertEqual(connection.read_response().status, 200)
                self.assertEqual(connection.read_response().json["object"], "list")

    def test_blank_lines_before_a_request(self):
        with self.gateway.connect() as connection:
            connection.send(b"\r\n" + SMUGGLED)
            self.assertIn(connection.read_response().status, (200, 400))

    def test_http_1_0(self):
        for fields in ({}, {"Connection": "keep-alive"}):
            with self.gateway.connect() as connection:
                connection.request("POST", "/v1/chat/completions", client.chat_body(), fields, version="HTTP/1.0")
                response = connection.read_response()
                self.assertEqual(response.status, 200)
                self.assertIsNone(response.header("transfer-encoding"))
                self.assertEqual(connection.read_to_end(5), b"")

    def test_http_1_0_streamed(self):
        with self.gateway.connect() as connection:
            connection.request(
                "POST", "/v1/chat/completions", client.chat_body(stream=True), version="HTTP/1.0"
            )
            responses = connection.read_all_responses(5)
            self.assertEqual(len(responses), 1)
            self.assertIsNone(responses[0].header("transfer-encoding"))
            self.assertEqual(responses[0].events[-1], "[DONE]")

    def test_expect_100_continue(self):
        with self.gateway.connect() as connection:
            connection.send(post(LENGTH + b"Expect: 100-continue\r\n", b""))
            self.assertEqual(connection.read_response(5).status, 100)
            connection.send(BODY)
            self.assertEqual(connection.read_response(5).status, 200)
            connection.request("GET", "/v1/models")
            self.assertEqual(connection.read_response(5).status, 200)

    def test_expect_100_continue_with_too_much(self):
        with self.gateway.connect() as connection:
            connection.send(post(b"Content-Length: 9999999\r\nExpect: 100-continue\r\n", b""))
            self.assert_error(connection.read_response(5), 413)

    def test_expect_100_continue_with_the_body_at_once(self):
        with self.gateway.connect() as connection:
            connection.send(post(LENGTH + b"Expect: 100-continue\r\n"))
            response = connection.read_response(5)
            if response.status == 100:
                response = connection.read_response(5)
            self.assertEqual(response.status, 200)

    def test_chunked_body(self):
        pieces = [b"%x;ext=1\r\n%s\r\n" % (len(BODY[n : n + 5]), BODY[n : n + 5]) for n in range(0, len(BODY), 5)]
        with self.gateway.connect() as connection:
            for _ in range(2):
                connection.send(post(b"Transfer-Encoding: chunked\r\n", b""))
                for piece in pieces:
                    connection.send(piece)
                connection.send(b"0\r\n\r\n")
                self.assertEqual(connection.read_response(5).text, "hi")
            connection.send(post(b"Transfer-Encoding: Chunked\r\n", chunked()))
            self.assertEqual(connection.read_response(5).text, "hi")

    def test_head_is_get_without_body(self):
        for path in ("/v1/models", "/", "/health/readiness"):
            with self.subTest(path), self.gateway.connect() as connection:
                connection.request("HEAD", path)
                response = connection.read_response(5, head_only=True)
                self.assertEqual(response.status, 200)
                connection.request("GET", "/v1/models")
                self.assertEqual(connection.read_response(5).json["object"], "list")

    def test_slashes_and_queries(self):
        for path in ("/v1/models/", "/v1//models", "//v1/models", "/v1/models?x=1", "/models?api-version=3"):
            with self.subTest(path):
                self.assertEqual(self.gateway.call("GET", path).status, 200)
        for path in ("/v1/chat/completions/", "/v1/chat//completions", "/v1/chat/completions?api-version=1"):
            with self.subTest(path):
                self.assertEqual(self.gateway.post(BODY, path=path).status, 200)

    def test_unknown_path_and_wrong_method(self):
        for method, path, status in (
            ("GET", "/nonsense", 404),
            ("POST", "/v1/nonsense", 404),
            ("GET", "/v1/chat/completions", 405),
            ("DELETE", "/v1/models", 405),
            ("PUT", "/v1/embeddings", 405),
            ("POST", "/health/readiness", 405),
        ):
            with self.subTest(f"{method} {path}"):
                self.assert_error(self.gateway.call(method, path, {} if method != "GET" else None), status)

    def test_noise(self):
        """Random bytes of many lengths: an answer or a closed connection, never an exit."""
        for number in range(200):
            with self.gateway.connect() as connection:
                try:
                    connection.send(os.urandom(1 + number * 7))
                    connection.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    continue
                connection.read_to_end(5)

    def test_connections_that_say_nothing(self):
        silent = [self.gateway.connect() for _ in range(300)]
        self.assertEqual(self.gateway.chat().status, 200)
        for connection in silent:
            connection.close()


class SlowClients(unittest.TestCase):
    def test_silence(self):
        """Half a head, a head in drops, and half a body: closed at 10, 10 and 30 s. All at once."""
        with Gateway(CONFIG) as gateway:
            start = time.monotonic()
            half_head = gateway.connect()
            half_head.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: local")
            drops = gateway.connect()
            half_body = gateway.connect()
            half_body.send(post(LENGTH, BODY[:10]))
            moving_body = gateway.connect()
            body = BODY + b" " * 100
            moving_body.send(post(b"Content-Length: %d\r\n" % len(body), b""))
            idle = gateway.connect()
            idle.request("GET", "/v1/models")
            idle.read_response()
            ended = {}
            watched = {"half head": half_head, "drops": drops, "half body": half_body}
            head = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 100
            tick = 0
            while len(ended) < 3 and time.monotonic() - start < 36:
                for name, connection in watched.items():
                    if name in ended:
                        continue
                    connection.socket.setblocking(False)
                    try:
                        connection.receive_more()
                    except BlockingIOError:
                        continue
                    if connection.eof:
                        ended[name] = time.monotonic() - start
                try:
                    if "drops" not in ended:
                        drops.send(head[tick : tick + 1])
                except OSError:
                    ended["drops"] = time.monotonic() - start
                tick += 1
                if tick % 4 == 0:
                    moving_body.send(body[tick // 4 - 1 : tick // 4])
                time.sleep(0.25)
            print(f"[closed after {({k: round(v, 1) for k, v in ended.items()})} s] ", end="", flush=True)
            self.assertEqual(set(ended), set(watched), "not closed in 36 s")
            self.assertTrue(9.5 <= ended["half head"] <= 11.5, ended)
            self.assertTrue(9.5 <= ended["drops"] <= 11.5, ended)
            self.assertTrue(29 <= ended["half body"] <= 32.5, ended)
            for connection in (half_head, drops, half_body):
                if connection.buffer:
                    response = connection.take_response()
                    self.assertIn(response.status, (400, 408))
            # Slow but moving: still welcome after more than 30 s. And the idle one stays, up to 75 s.
            moving_body.send(body[tick // 4 :])
            self.assertEqual(moving_body.read_response(5).status, 200)
            idle.request("GET", "/v1/models")
            self.assertEqual(idle.read_response(5).status, 200)

    @unittest.skipUnless(os.environ.get("VORRANG_SLOW_TESTS"), "75 s: set VORRANG_SLOW_TESTS=1")
    def test_idle(self):
        with Gateway(CONFIG) as gateway, gateway.connect() as connection:
            connection.request("GET", "/v1/models")
            connection.read_response()
            start = time.monotonic()
            self.assertEqual(connection.read_to_end(90), b"")
            self.assertTrue(74 <= time.monotonic() - start <= 78)


    @unittest.skipUnless(os.environ.get("VORRANG_SLOW_TESTS"), "65 s: set VORRANG_SLOW_TESTS=1")
    def test_who_takes_no_byte(self):
        """30 MB of answer and nobody who reads: fine for 45 s, disconnected after 60."""
        text = """
            model_list:
              - model_name: m
                litellm_params: {{model: openai/x, api_base: "{base}", api_key: k}}
        """
        with Provider(Reply(body=completion("x" * 30_000_000))) as provider:
            with Gateway(text.format(base=provider.base)) as gateway:
                patient, late = gateway.send_chat(), gateway.send_chat()
                time.sleep(45)
                self.assertEqual(len(patient.read_response().text), 30_000_000)
                time.sleep(20)
                with self.assertRaises(client.ConnectionEnded):
                    late.read_response()


class FileLimit(unittest.TestCase):
    def test_at_the_file_limit_it_answers_503_does_not_spin_and_recovers(self):
        with Gateway(CONFIG, file_limit=64) as gateway:
            self.assertEqual(gateway.chat().status, 200)
            opened, statuses, refused = [], [], 0
            for _ in range(200):
                try:
                    opened.append(gateway.connect(2))
                except OSError:
                    refused += 1
            before = gateway.cpu_seconds()
            start = time.monotonic()
            for connection in opened:
                try:
                    connection.request("GET", "/v1/models")
                except OSError:
                    refused += 1
            time.sleep(2)
            used = (gateway.cpu_seconds() - before) / (time.monotonic() - start)
            for connection in opened:
                connection.socket.setblocking(False)
                try:
                    while connection.receive_more():
                        pass
                except BlockingIOError:
                    pass
                response = connection.take_response()
                if response is None:
                    refused += 1
                    continue
                statuses.append(response.status)
                if response.status == 503:
                    self.assertEqual(response.error["type"], "server_error")
                    self.assertTrue(1 <= int(response.header("retry-after")) <= 60)
            print(
                f"[{statuses.count(200)} served, {statuses.count(503)} got 503, {refused} refused or closed, "
                f"{used * 100:.0f} % of a core] ",
                end="",
                flush=True,
            )
            self.assertEqual(set(statuses) - {200, 503}, set())
            self.assertGreater(statuses.count(200), 10)
            self.assertGreater(statuses.count(503), 0)
            self.assertLess(used, 0.25, "it spins")
            # Those who are in are still served, those who leave make room.
            for connection in opened:
                connection.close()
            wait_until(lambda: self.works(gateway), 10, "not usable again")

    def test_room_is_kept_for_upstream_calls(self):
        """Clients at the limit must not take the descriptors that their own calls need."""
        text = """
            model_list:
              - model_name: m
                litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, max_parallel_requests: 8}}
            router_settings: {{timeout: 15}}
        """
        with Provider(Reply(delay_s=0.01)) as provider:
            with Gateway(text.format(base=provider.base), file_limit=64) as gateway:
                opened = []
                for _ in range(150):
                    try:
                        opened.append(gateway.connect(2))
                    except OSError:
                        pass
                statuses = []
                for connection in opened:
                    try:
                        connection.chat(client.chat_body())
                    except OSError:
                        pass
                for connection in opened:
                    try:
                        statuses.append(connection.read_response(15).status)
                    except client.ConnectionEnded:
                        pass
                    connection.close()
                self.assertEqual(set(statuses) - {200, 503}, set())
                self.assertGreater(statuses.count(200), 10)
                wait_until(lambda: self.works(gateway), 10, "not usable again")

    def test_calls_wait_for_a_descriptor_and_fail_nobody(self):
        """No descriptor left for an upstream's connection is no failure of the upstream: one
        failure would cool the deployment down, and a kept connection gives way."""
        text = """
            model_list:
              - model_name: other
                litellm_params: {{model: openai/x, api_base: "{base}", api_key: k}}
              - model_name: m
                litellm_params: {{model: openai/x, api_base: "{base}", api_key: k}}
            router_settings: {{timeout: 20, allowed_fails: 0, num_retries: 0, cooldown_time: 60}}
        """
        with Provider(Reply(delay_s=0.3)) as provider:
            with Gateway(text.format(base=provider.base), file_limit=64) as gateway:
                opened = [gateway.connect(2) for _ in range(30)]
                for model in ("other", "m"):
                    for connection in opened:
                        connection.chat(client.chat_body(model=model))
                    self.assertEqual([connection.read_response(20).status for connection in opened], [200] * 30)
                self.assertIn("no file descriptor left for a connection to", gateway.output)
                for connection in opened:
                    connection.close()

    @staticmethod
    def works(gateway):
        try:
            return gateway.chat(timeout_s=2).status == 200
        except (OSError, AssertionError):
            return False


if __name__ == "__main__":
    unittest.main()
