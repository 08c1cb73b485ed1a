"""The tests' own upstream does what it is told: otherwise nothing that it records proves anything."""

import gzip
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import client
from provider import Provider, Reply, completion, faults, http_date_in
from provider.certificates import Authority
from provider.script import ScriptError, read_script

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "provider"
MESSAGES = [{"role": "user", "content": "x"}]


class ProviderItself(unittest.TestCase):
    def ask(self, connection, prompt="hello"):
        connection.chat(client.chat_body(prompt))

    def test_it_answers_and_records(self):
        with Provider() as provider, client.Connection(provider.port) as connection:
            for number in range(3):
                self.ask(connection, f"number {number}")
                self.assertEqual(connection.read_response().text, "hello")
            self.assertEqual([c.prompt for c in provider.calls], ["number 0", "number 1", "number 2"])
            self.assertEqual(provider.connections_total, 1)
            self.assertEqual(provider.calls[0].header("content-type"), "application/json")

    def test_scripted_answers_come_first(self):
        with Provider(Reply(status=201)) as provider, client.Connection(provider.port) as connection:
            provider.script = [Reply(429, {"error": {}}, {"Retry-After": "3"})]
            self.ask(connection)
            first = connection.read_response()
            self.ask(connection)
            self.assertEqual((first.status, first.header("retry-after")), (429, "3"))
            self.assertEqual(connection.read_response().status, 201)

    def test_it_holds_until_released_and_counts_what_runs(self):
        with Provider(Reply(hold=True)) as provider:
            with client.Connection(provider.port) as a, client.Connection(provider.port) as b:
                self.ask(a)
                self.ask(b)
                provider.wait_for_calls(2)
                self.assertEqual((provider.running, provider.running_max), (2, 2))
                provider.release()
                self.assertEqual([r.status for r in client.gather([a, b])], [200, 200])
                provider.wait_until(lambda: provider._running == 0)

    def test_it_sees_who_hangs_up(self):
        for end in ("close", "reset"):
            with Provider(Reply(hold=True)) as provider:
                connection = client.Connection(provider.port)
                self.ask(connection)
                call = provider.wait_for_calls(1)
                before = time.monotonic()
                getattr(connection, end)()
                provider.wait_until(lambda call=call: call.closed_at is not None)
                self.assertGreaterEqual(call.closed_at, before)
                self.assertIsNone(call.finished_at)

    def test_it_breaks_off(self):
        for then in ("reset", "close", "cut", "half-close", "head-reset", "head-close"):
            with Provider(Reply(then=then)) as provider, client.Connection(provider.port) as connection:
                self.ask(connection)
                with self.assertRaises(client.ConnectionEnded):
                    connection.read_response()

    def test_how_far_it_comes_before_it_breaks_off(self):
        whole = len(json.dumps(completion()))
        for then, wanted in (("close", None), ("head-close", 0), ("half-close", whole // 2)):
            with self.subTest(then), Provider(Reply(then=then)) as provider:
                with client.Connection(provider.port) as connection:
                    self.ask(connection)
                    head, separator, body = connection.read_to_end().partition(b"\r\n\r\n")
                    self.assertEqual(len(body) if separator else None, wanted, head)

    def test_it_stalls(self):
        for then in ("hang", "head-hang", "half-hang"):
            with self.subTest(then), Provider(Reply(then=then)) as provider:
                with client.Connection(provider.port) as connection:
                    self.ask(connection)
                    call = provider.wait_for_calls(1)
                    with self.assertRaises(AssertionError):
                        connection.read_response(timeout_s=0.15)
                    self.assertTrue(call.running)
                    self.assertEqual(b"HTTP/1.1 200" in connection.buffer, then != "hang")
                provider.wait_until(lambda call=call: call.closed_at is not None)

    def test_it_does_not_end(self):
        for then in ("endless-head", "endless-line", "endless-body"):
            with self.subTest(then), Provider(Reply(then=then)) as provider:
                with client.Connection(provider.port) as connection:
                    self.ask(connection)
                    while len(connection.buffer) < 1_000_000:
                        self.assertTrue(connection.receive_more())
                    self.assertEqual(b"\r\n\r\n" in connection.buffer, then == "endless-body")
                provider.wait_until(lambda provider=provider: provider.running == 0)

    def test_lengths_are_sent_as_they_are_given(self):
        for name, lengths in (("length-too-long", 1), ("length-too-short", 1), ("two-lengths", 2)):
            with self.subTest(name), Provider(faults.named(name)) as provider:
                with client.Connection(provider.port) as connection:
                    self.ask(connection)
                    connection.socket.settimeout(5)
                    while b"total_tokens" not in connection.buffer:
                        self.assertTrue(connection.receive_more())
                    head, _, body = connection.buffer.partition(b"\r\n\r\n")
                    said = [int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
                    self.assertEqual(len(said), lengths)
                    self.assertNotEqual(said[-1], len(body))

    def test_gzip(self):
        with Provider(Reply(gzip=True)) as provider, client.Connection(provider.port) as connection:
            self.ask(connection)
            response = connection.read_response()
            self.assertEqual(response.header("content-encoding"), "gzip")
            self.assertEqual(json.loads(gzip.decompress(response.body)), completion())

    def test_dates_are_made_when_they_are_sent(self):
        with Provider(Reply(429, headers={"Retry-After": http_date_in(0)})) as provider:
            with client.Connection(provider.port) as connection:
                self.ask(connection)
                first = connection.read_response().header("retry-after")
                time.sleep(1.05)  # dates have whole seconds
                self.ask(connection)
                self.assertNotEqual(connection.read_response().header("retry-after"), first)

    def test_streams_come_event_by_event(self):
        reply = Reply(events=["a", {"b": 1}, ("named", {"c": 2}), b": comment\n\n"], interval_s=0.1)
        with Provider(reply) as provider, client.Connection(provider.port) as connection:
            self.ask(connection)
            times = {}
            while b"comment" not in connection.buffer:
                self.assertTrue(connection.receive_more())
                times.setdefault(connection.buffer.count(b"\n\n"), time.monotonic())
            response = connection.read_response()
            self.assertEqual(response.header("content-type"), "text/event-stream")
            self.assertEqual(
                response.body, b'data: a\n\ndata: {"b": 1}\n\nevent: named\ndata: {"c": 2}\n\n: comment\n\n'
            )
            self.assertGreater(times[4] - times[1], 0.25)

    def test_half_a_stream(self):
        events = ["first", "second", "third", "fourth"]
        with Provider(Reply(events=events, then="half-end")) as provider:
            with client.Connection(provider.port) as connection:
                self.ask(connection)
                self.assertEqual(connection.read_response().body, b"data: first\n\ndata: second\n\ndata: ")

    def test_it_answers_in_the_shape_that_was_asked_for(self):
        chat = {"model": "x", "messages": MESSAGES}
        shapes = {
            "/v1/chat/completions": (chat, "chat.completion", '"delta"'),
            "/v1/completions": ({"model": "x", "prompt": "x"}, "text_completion", '"text"'),
            "/v1/responses": ({"model": "x", "input": "x"}, "response", "response.completed"),
            "/v1/messages": ({**chat, "max_tokens": 1}, None, "message_stop"),
            "/v1/embeddings": ({"model": "x", "input": "x"}, "list", None),
        }
        with Provider() as provider:
            for path, (body, kind, sign) in shapes.items():
                with self.subTest(path):
                    whole = client.call(provider.port, "POST", path, body).json
                    self.assertEqual(whole.get("object"), kind)
                    self.assertIn("usage", whole)
                    if sign is None:
                        continue
                    streamed = client.call(provider.port, "POST", path, {**body, "stream": True})
                    self.assertIn(sign, streamed.body.decode())
                    self.assertEqual(streamed.events[-1] == "[DONE]", "completions" in path)

    def test_usage_in_a_stream_only_if_asked_for(self):
        with Provider() as provider:
            for options, wanted in (({}, False), ({"stream_options": {"include_usage": True}}, True)):
                body = client.chat_body(stream=True, **options)
                streamed = client.call(provider.port, "POST", "/v1/chat/completions", body)
                usages = [json.loads(event).get("usage") for event in streamed.events[:-1]]
                self.assertEqual(any(usages), wanted)

    def test_who_came_on_which_connection_and_how_many_at_once(self):
        with Provider(Reply(hold=True)) as provider:
            with client.Connection(provider.port) as a, client.Connection(provider.port) as b:
                for number, connection in enumerate((a, b)):
                    self.ask(connection)
                    provider.wait_for_calls(number + 1)
                provider.release()
                client.gather([a, b])
                self.ask(a)
                provider.wait_for_calls(3)
                provider.release()
                a.read_response()
            self.assertEqual([call.connection_id for call in provider.calls], [1, 2, 1])
            self.assertEqual([call.at_once for call in provider.calls], [1, 2, 1])

    def test_mistakes_of_a_test_are_raised(self):
        with self.assertRaises(ZeroDivisionError):
            with Provider(Reply(headers={"X": lambda: 1 / 0})) as provider:
                with client.Connection(provider.port) as connection:
                    self.ask(connection)
                    connection.read_to_end()
        with self.assertRaises(ValueError):
            Reply(then="explode")

    def test_what_is_no_http_is_raised(self):
        with self.assertRaisesRegex(ValueError, "no HTTP"):
            with Provider() as provider, client.Connection(provider.port) as connection:
                connection.send(b"POST /v1/x HTTP/1.1\r\nContent-Length: much\r\n\r\n")
                connection.read_to_end()

    def test_a_long_body_in_small_pieces(self):
        body = os.urandom(3_000_000)
        head = b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"".join(b"3e8\r\n%s\r\n" % body[at : at + 1000] for at in range(0, len(body), 1000))
        with Provider() as provider, client.Connection(provider.port) as connection:
            before = time.monotonic()
            connection.send(head + chunks + b"0\r\n\r\n")
            self.assertEqual(connection.read_response().status, 200)
            self.assertEqual(provider.calls[0].body, body)
            self.assertLess(time.monotonic() - before, 10)

    def test_chunked_both_ways(self):
        reply = Reply(headers={"Transfer-Encoding": "chunked"})
        with Provider(reply) as provider, client.Connection(provider.port) as connection:
            connection.send(
                b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"
            )
            self.assertEqual(connection.read_response().text, "hello")
            self.assertEqual(provider.calls[0].body, b"abcd")


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="vorrang-certificates-")
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(folder.name)
        cls.trusting = cls.authority.client_context()

    def ask(self, context, trusting, name="localhost"):
        """Status of one call over TLS."""
        with Provider(tls=context, host=name) as provider:
            self.assertEqual(provider.base, f"https://{name}:{provider.port}/v1")
            with socket.create_connection(("127.0.0.1", provider.port), 5) as raw:
                with trusting.wrap_socket(raw, server_hostname=name) as wrapped:
                    wrapped.sendall(client.build_request("POST", "/v1/chat/completions", client.chat_body()))
                    answer = b""
                    while b"total_tokens" not in answer:
                        answer += wrapped.recv(65536)
            self.assertEqual(len(provider.calls), 1)
            return int(answer.split()[1])

    def test_a_good_one(self):
        for name in ("localhost", "127.0.0.1"):
            self.assertEqual(self.ask(self.authority.server(), self.trusting, name), 200)

    def assert_refused(self, context, trusting, reason):
        with self.assertRaises(ssl.SSLCertVerificationError) as refused:
            self.ask(context, trusting)
        self.assertIn(reason, str(refused.exception))

    def test_an_expired_one(self):
        self.assert_refused(self.authority.expired(), self.trusting, "has expired")

    def test_one_of_another_host(self):
        self.assert_refused(self.authority.foreign(), self.trusting, "Hostname mismatch")

    def test_an_authority_that_nobody_knows(self):
        self.assert_refused(self.authority.server(), ssl.create_default_context(), "unable to get local issuer")

    def test_it_breaks_off_over_tls_too(self):
        for then in ("reset", "close", "cut"):
            with self.subTest(then), self.assertRaises((OSError, IndexError, AssertionError)):
                with Provider(Reply(then=then), tls=self.authority.server()) as provider:
                    with socket.create_connection(("127.0.0.1", provider.port), 5) as raw:
                        with self.trusting.wrap_socket(raw, server_hostname="localhost") as wrapped:
                            wrapped.sendall(client.build_request("POST", "/v1/x", {}))
                            answer = b""
                            while piece := wrapped.recv(65536):
                                answer += piece
                            self.assertIn(b"total_tokens", answer)


class Scripts(unittest.TestCase):
    def test_a_script(self):
        script, answer = read_script(
            """{"answer": {"text": "at last"}, "script": [
                {"status": 429, "headers": {"retry-after": {"date_in_s": 2}}, "repeat": 2},
                {"fault": "503", "delay_s": 0.5},
                {"status": 200, "headers": [["Content-Length", "1"], ["Content-Length", "2"]], "body": "x"}]}"""
        )
        self.assertEqual([reply.status for reply in script], [429, 429, 503, 200])
        self.assertTrue(callable(script[0].headers[0][1]))
        self.assertEqual((script[2].delay_s, script[2].headers), (0.5, [("Retry-After", "1")]))
        self.assertEqual((script[3].body, len(script[3].headers)), (b"x", 2))
        self.assertEqual(answer.text, "at last")

    def test_mistakes_in_scripts_say_where(self):
        for text, where in (
            ("{", "no JSON"),
            ("[]", "object"),
            ('{"more": 1}', "nothing else"),
            ('{"script": {}}', "script: must be a list"),
            ('{"script": [1]}', r"script\[0\]: must be an object"),
            ('{"script": [{}, {"stat": 1}]}', r"script\[1\]: unknown stat"),
            ('{"script": [{"repeat": 0}]}', r"script\[0\].repeat"),
            ('{"answer": {"fault": "none"}}', "answer.fault"),
            ('{"answer": {"then": "none"}}', "answer: then"),
            ('{"answer": {"headers": {"a": 1}}}', r"answer.headers.a"),
            ('{"answer": {"hold": true}}', "unknown hold"),
        ):
            with self.subTest(text), self.assertRaisesRegex(ScriptError, where):
                read_script(text)

    def test_every_fault_can_be_played(self):
        # Each on a connection of its own, until it ends or stalls.
        for name in faults.NAMES:
            with self.subTest(name), Provider(faults.named(name)) as provider:
                with client.Connection(provider.port) as connection:
                    self.ask_streamed(connection)
                    provider.wait_for_calls(1)
                    connection.socket.settimeout(0.15)
                    try:
                        while len(connection.buffer) < 200_000 and connection.receive_more():
                            pass
                    except TimeoutError:
                        pass
                    silent = name in ("hang", "close-before-head", "reset-before-head")
                    self.assertEqual(connection.buffer == b"", silent)

    @staticmethod
    def ask_streamed(connection):
        connection.chat(client.chat_body(stream=True))

    def test_the_command(self):
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder, "script.json")
            script.write_text('{"script": [{"status": 418}]}', encoding="ascii")
            with subprocess.Popen(
                [sys.executable, str(PROGRAM), "--script", str(script), "--tls", folder],
                stdout=subprocess.PIPE,
                text=True,
            ) as program:
                try:
                    authority = program.stdout.readline().split()
                    port = int(program.stdout.readline().rpartition(":")[2])
                    trusting = ssl.create_default_context(cafile=authority[1])
                    with socket.create_connection(("127.0.0.1", port), 5) as raw:
                        with trusting.wrap_socket(raw, server_hostname="localhost") as wrapped:
                            wrapped.sendall(client.build_request("POST", "/v1/chat/completions", client.chat_body()))
                            self.assertTrue(wrapped.recv(65536).startswith(b"HTTP/1.1 418 "))
                    record = json.loads(program.stdout.readline())
                    self.assertEqual((record["call"], record["connection"], record["at_once"]), (0, 1, 1))
                    self.assertEqual(json.loads(record["body"]), client.chat_body())
                    self.assertGreaterEqual(record["finished_s"], record["arrived_s"])
                finally:
                    program.send_signal(signal.SIGTERM)
                    self.assertEqual(program.wait(10), 0)

    def test_the_command_refuses_a_wrong_script(self):
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder, "script.json")
            script.write_text('{"script": [{"statu": 418}]}', encoding="ascii")
            done = subprocess.run(
                [sys.executable, str(PROGRAM), "--script", str(script)], capture_output=True, text=True, timeout=10
            )
            self.assertEqual(done.returncode, 2)
            self.assertIn("script[0]: unknown statu", done.stderr)


if __name__ == "__main__":
    unittest.main()
