"""Streams: what a client sees while it waits, what passes, what usage is asked for, how they break.

And the fields of answers, on every kind of them.
"""

import json
import re
import select
import socket
import threading
import time
import unittest

import client
from gateway import Gateway, wait_until
from provider import Provider, Reply, completion, error, shapes
from test_apis import comments, events, named_events, wait_for_tokens

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: {model}
      api_base: "{base}"
      api_key: sk-upstream
      {params}
    model_info: {{id: first}}
router_settings:
  timeout: 20
  num_retries: 0
{rest}
"""

CHUNK = {"id": "x", "object": "chat.completion.chunk", "model": "up", "choices": [{"index": 0, "delta": {"content": "Ha"}}]}
USAGE = {**CHUNK, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
GOOD = events(CHUNK, USAGE, done=True)
ASKED = {"include_usage": True}


def config(base, model="openai/up", params="", rest=""):
    return CONFIG.format(base=base, model=model, params=params, rest=rest)


class Paced:
    """An upstream that answers one request with pieces of a stream, each when it is told to."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        return self

    def __exit__(self, *_exception):
        self.listener.close()

    def accept(self):
        self.listener.settimeout(client.DEFAULT_TIMEOUT_S)
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(client.DEFAULT_TIMEOUT_S)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.peer.recv(65536)
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    def send(self, data):
        self.peer.sendall(data)

    def has_been_closed(self):
        try:
            return self.peer.recv(65536) == b""
        except ConnectionResetError:
            return True


class Waiting(unittest.TestCase):
    """One slot, held by a request; what the next one sees until it is granted."""

    def behind(self, settings, answer, body=None, headers=None, until=None, after=0, own=""):
        """The answer to a streaming request that had to wait until `until(bytes so far)` was true."""
        with Provider(Reply(hold=True)) as provider:
            text = config(provider.base, params="max_parallel_requests: 1" + own, rest=settings)
            with Gateway(text) as gateway:
                running = gateway.send_chat("running")
                call = provider.wait_for_calls(1)
                provider.answer = answer
                with gateway.connect() as connection:
                    started = time.monotonic()
                    connection.chat(client.chat_body("waits", stream=True, **(body or {})), headers)
                    if until is None:
                        gateway.wait_until_waiting(1)
                        wait_until(lambda: gateway.queue().tickets[0]["waited_ms"] >= after * 1000)
                        self.assertFalse(connection.buffer)
                    while until is not None and not until(connection.buffer):
                        self.assertTrue(connection.receive_more())
                    self.waited_s = time.monotonic() - started
                    provider.release(call)
                    response = connection.read_response()
                self.assertEqual(running.read_response().status, 200)
                return response

    @staticmethod
    def has(count):
        return lambda data: data.count(b": waiting position=1\n\n") >= count

    def test_comments_each_interval_then_the_facts(self):
        response = self.behind("vorrang_settings:\n  stream_keepalive: 0.2\n", GOOD, until=self.has(3))
        self.assertTrue(0.55 < self.waited_s < 1.2, self.waited_s)
        told = comments(response)
        self.assertEqual(set(told[:-1]), {": waiting position=1"})
        self.assertRegex(told[-1], r"^: granted-by=healthy-deployment wait-ms=\d+ attempts=1 model-id=first$")
        wait_ms = int(re.search(r"wait-ms=(\d+)", told[-1]).group(1))
        self.assertAlmostEqual(wait_ms / 1000, self.waited_s, delta=0.25)
        self.assertLess(response.body.index(b"granted-by"), response.body.index(b"data:"))
        self.assertEqual([json.loads(e) for e in response.events[:-1]], [{**CHUNK, "model": "m"}])
        # The head went out before anybody knew these.
        self.assertIsNone(response.header("x-vorrang-granted-by"))
        self.assertIsNone(response.header("x-litellm-model-id"))
        self.assertIsNotNone(response.header("x-vorrang-request-id"))
        self.assertEqual(response.header("content-type"), "text/event-stream")

    def test_where_the_interval_comes_from(self):
        lite = "litellm_settings: {sse_keepalive_ping_interval_seconds: 0.2}\n"
        for settings, body, headers in (
            (lite, {}, {}),
            ("of the deployment", {}, {}),
            ("", {"keepalive_seconds": 0.2}, {}),
            ("", {}, {"x-stainless-read-timeout": "0.4"}),
            ("", {}, {"x-stainless-timeout": "0.4"}),
        ):
            with self.subTest(settings=settings, body=body, headers=headers):
                own = "\n      keepalive_seconds: 0.2" if settings == "of the deployment" else ""
                self.behind("" if own else settings, GOOD, body, headers, until=self.has(2), own=own)
                self.assertTrue(0.35 < self.waited_s < 1, self.waited_s)

    def test_zero_is_off_and_the_head_waits_for_the_grant(self):
        response = self.behind("vorrang_settings:\n  stream_keepalive: 0.1\n", GOOD, {"keepalive_seconds": 0}, after=0.4)
        self.assertEqual(comments(response), [])
        self.assertEqual(response.header("x-vorrang-granted-by"), "healthy-deployment")
        self.assertGreaterEqual(int(response.header("x-vorrang-wait-ms")), 400)
        response = self.behind("vorrang_settings:\n  stream_keepalive: 0\n", GOOD, after=0.2)
        self.assertEqual(comments(response), [])

    def test_an_error_before_the_headers_keeps_its_status(self):
        response = self.behind("", Reply(400, error("wrong", "c", "invalid_request_error")))
        self.assertEqual((response.status, response.error["code"]), (400, "c"))
        response = self.behind("", Reply(503, error("busy")))
        self.assertEqual(response.status, 503)
        with Provider() as provider, Gateway(config(provider.base, params="rpm: 0")) as gateway:
            response = gateway.chat(stream=True, timeout=0.3)
            self.assertEqual((response.status, response.header("x-should-retry")), (408, "false"))
            self.assertEqual(response.error["type"], "timeout_error")

    def test_an_error_after_the_headers_is_an_event(self):
        settings = "vorrang_settings:\n  stream_keepalive: 0.1\n"
        answer = Reply(400, error("wrong", "c", "invalid_request_error", "p"))
        response = self.behind(settings, answer, until=self.has(1))
        self.assertEqual(response.status, 200)
        ((kind, data),) = named_events(response)
        self.assertIsNone(kind)
        self.assertEqual(json.loads(data)["error"], {"message": "wrong", "type": "invalid_request_error", "param": "p", "code": "c"})
        self.assertFalse(any("granted-by" in line for line in comments(response)))

    def test_a_deadline_after_the_headers_is_an_event_too(self):
        with Provider() as provider:
            text = config(provider.base, params="rpm: 0", rest="vorrang_settings:\n  stream_keepalive: 0.1\n")
            with Gateway(text) as gateway:
                response = gateway.chat(stream=True, timeout=0.35)
                self.assertEqual(response.status, 200)
                (data,) = response.events
                self.assertEqual(json.loads(data)["error"]["code"], "408")

    def test_a_whole_answer_after_the_headers_is_one_event(self):
        settings = "vorrang_settings:\n  stream_keepalive: 0.1\n"
        response = self.behind(settings, Reply(body=completion()), until=self.has(1))
        self.assertEqual(json.loads(response.events[0])["choices"][0]["message"]["content"], "hello")
        self.assertEqual(response.events[1:], ["[DONE]"])

    def test_who_is_not_streamed_sees_nothing(self):
        with Provider(Reply(delay_s=0.5)) as provider:
            text = config(provider.base, rest="vorrang_settings:\n  stream_keepalive: 0.1\n")
            with Gateway(text) as gateway:
                response = gateway.chat()
                self.assertEqual(response.text, "hello")
                self.assertIsNotNone(response.header("x-vorrang-wait-ms"))


class Passing(unittest.TestCase):
    def test_every_byte_but_the_model(self):
        text = (
            ': comment of theirs\n\nid: 1\nevent: odd\ndata: {"model":"up", "x":1.50,\ndata: "y" : "\\u00e9"}\n\n'
            'retry: 3000\n\ndata: {"id":"x","model" : "up-2024","choices":[]}\r\n\r\ndata: [DONE]\n\n'
        )
        reply = Reply(body=text.encode(), headers={"Content-Type": "text/event-stream; charset=utf-8"})
        with Provider(reply) as provider, Gateway(config(provider.base)) as gateway:
            response = gateway.chat(stream=True)
            expected = text.replace('"up"', '"m"').replace('"up-2024"', '"m"')
            self.assertEqual(response.body.decode(), expected)
            self.assertEqual(response.header("content-type"), "text/event-stream; charset=utf-8")
            self.assertIsNone(response.header("content-length"))

    def test_a_stream_that_breaks_ends_with_an_error(self):
        body = b"".join(b"data: %s\n\n" % json.dumps({**CHUNK, "n": n}).encode() for n in range(50))
        with Provider(Reply(body=body, headers={"Content-Type": "text/event-stream"}, then="cut")) as provider:
            with Gateway(config(provider.base).replace("num_retries: 0", "num_retries: 2")) as gateway:
                response = gateway.chat(stream=True)
                self.assertEqual(response.status, 200)
                told = json.loads(response.events[-1])["error"]
                self.assertEqual((told["type"], told["code"]), ("server_error", "502"))
                self.assertIn("The upstream's stream broke off", told["message"])
                self.assertEqual(json.loads(response.events[0]), {**CHUNK, "n": 0, "model": "m"})
                self.assertEqual(len(provider.calls), 1, "what has begun is not tried again")

    def test_each_api(self):
        asked = {
            "/v1/chat/completions": client.chat_body(),
            "/v1/completions": {"model": "m", "prompt": "hello"},
            "/v1/responses": {"model": "m", "input": "hello"},
            "/v1/messages": client.chat_body(max_tokens=9),
        }
        for path, body in asked.items():
            model = "anthropic/upstream-model" if path == "/v1/messages" else "openai/upstream-model"
            with self.subTest(path), Provider(Reply(text="one two three")) as provider:
                with Gateway(config(provider.base, model)) as gateway:
                    response = gateway.call("POST", path, {**body, "stream": True})
                    # What the upstream sent, with the client's name for the model.
                    _, sent = shapes.answer_to(provider.calls[0], "one two three")
                    if "completions" in path:  # the client asked for no usage
                        sent = [event for event in sent if not (isinstance(event, dict) and "usage" in event)]
                    expected = b"".join(map(shapes.event_bytes, sent)).replace(b"upstream-model", b"m")
                    self.assertEqual(response.body, expected)

    def test_in_pieces_that_end_anywhere(self):
        text = ': theirs\n\nevent: ä\r\ndata: {"model": "up"}\r\n\r\ndata:[DONE]\n\n'.encode()
        pieces = [text[at : at + 1] for at in range(len(text))]
        with Provider(Reply(events=pieces, interval_s=0.001)) as provider, Gateway(config(provider.base)) as gateway:
            self.assertEqual(gateway.chat(stream=True).body, text.replace(b'"up"', b'"m"'))

    def test_half_of_a_character(self):
        """Models that cut a text between two tokens send the halves of a pair in two events."""
        halves = [b'data: {"model": "up", "choices": [{"delta": {"content": "\\ud83d"}}]}\n\n',
                  b'data: {"model": "up", "choices": [{"delta": {"content": "\\ude00"}}]}\n\n',
                  b"data: [DONE]\n\n"]
        with Provider(Reply(events=halves)) as provider, Gateway(config(provider.base)) as gateway:
            self.assertEqual(gateway.chat(stream=True).body, b"".join(halves).replace(b'"up"', b'"m"'))
            body = b'{"model": "m", "messages": [{"role": "user", "content": "\\ud83d"}]}'
            provider.answer = Reply()
            self.assertEqual(gateway.call("POST", "/v1/chat/completions", body).status, 200)
            self.assertEqual(provider.calls[-1].body, body.replace(b'"m"', b'"up"'))

    def test_http_1_0(self):
        with Provider() as provider, Gateway(config(provider.base)) as gateway, gateway.connect() as connection:
            connection.request("POST", "/v1/chat/completions", client.chat_body(stream=True), version="HTTP/1.0")
            response = connection.read_response()
            self.assertEqual(response.events[-1], "[DONE]")
            self.assertIsNone(response.header("transfer-encoding"))

    def test_no_deadline_once_it_has_begun(self):
        with Provider(Reply(text="a b c d e f g h", interval_s=0.15)) as provider:
            with Gateway(config(provider.base)) as gateway:
                self.assertEqual(gateway.chat(stream=True, timeout=0.5).events[-1], "[DONE]")

    def test_event_by_event(self):
        with Paced() as upstream, Gateway(config(upstream.base)) as gateway:
            with gateway.connect() as connection:
                connection.chat(client.chat_body(stream=True))
                upstream.accept()
                for n in range(3):
                    upstream.send(b'data: {"n": %d' % n)
                    upstream.send(b', "model": "up"}\n\ndata: {"half":')
                    expected = b'data: {"n": %d, "model": "m"}\n\n' % n
                    while expected not in connection.buffer:
                        self.assertTrue(connection.receive_more())
                    self.assertNotIn(b'{"half":\r\n', connection.buffer, "half an event was passed on")
                    upstream.send(b" 1}\n\n")
                upstream.send(b"data: [DONE]\n\n")
                upstream.peer.close()
                self.assertEqual(connection.read_response().events[-1], "[DONE]")

    def test_silence_between_two_chunks_is_bounded(self):
        with Paced() as upstream:
            params = "stream_timeout: 0.4\n      timeout: 5"
            with Gateway(config(upstream.base, params=params)) as gateway, gateway.connect() as connection:
                connection.chat(client.chat_body(stream=True))
                upstream.accept()
                # Before the first byte only the attempt's own time counts.
                self.assertFalse(select.select([connection.socket], [], [], 0.6)[0])
                upstream.send(b"data: %s\n\n" % json.dumps(CHUNK).encode())
                sent_at = time.monotonic()
                response = connection.read_response()
                self.assertAlmostEqual(response.received_at - sent_at, 0.4, delta=0.2)
                self.assertEqual(json.loads(response.events[0]), {**CHUNK, "model": "m"})
                told = json.loads(response.events[1])["error"]
                self.assertEqual((told["type"], told["code"]), ("server_error", "504"))
                self.assertTrue(upstream.has_been_closed())

    def test_who_hangs_up_within_a_stream_closes_the_call(self):
        with Paced() as upstream:
            text = config(upstream.base, params="max_parallel_requests: 1")
            with Gateway(text) as gateway:
                with gateway.connect() as connection:
                    connection.chat(client.chat_body(stream=True))
                    upstream.accept()
                    upstream.send(b"data: {}\n\n")
                    while b"data: {}" not in connection.buffer:
                        self.assertTrue(connection.receive_more())
                self.assertTrue(upstream.has_been_closed())
                in_flight = lambda: gateway.admin_get("/queue/m").json["deployments"][0]["in_flight"]
                wait_until(lambda: in_flight() == 0)


class SlowReaders(unittest.TestCase):
    """Who does not read slows its own upstream down: nothing piles up, and nobody else waits."""

    READERS = 6
    EVENT = b"data: %s\n\n" % json.dumps({**CHUNK, "padding": "x" * 2000}).encode()
    EVENTS = 20_000  # 40 MB: more than the buffers of the kernel hold

    def flood(self, listener, sent):
        """Sends each caller its stream as fast as it is taken."""

        def serve(peer, number):
            while b"\r\n\r\n" not in peer.recv(65536):
                pass
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            try:
                for _ in range(self.EVENTS // 100):
                    peer.sendall(self.EVENT * 100)
                    sent[number] += 100
                peer.sendall(b"data: [DONE]\n\n")
            except OSError:
                pass  # the reader has left
            peer.close()

        for number in range(self.READERS):
            peer, _ = listener.accept()
            threading.Thread(target=serve, args=(peer, number), daemon=True).start()

    @staticmethod
    def count_events(reader):
        """Of one whole stream. (A response object is made for smaller ones.)"""
        count, tail, mark, last = 0, b"", b'"padding"', b"data: [DONE]"
        while True:
            came = reader.recv(1 << 20)
            if not came:
                raise AssertionError(f"the stream ended after {count} events")
            piece = tail + came
            tail = piece[-len(last) :]
            count += piece.count(mark) - tail.count(mark)
            if last in piece:  # whatever came behind it in the same read
                return count + tail.count(mark)

    @staticmethod
    def stands_still(sent):
        """A condition: nothing was taken for a while."""
        last = [list(sent), time.monotonic()]

        def is_still():
            if last[0] != list(sent):
                last[:] = [list(sent), time.monotonic()]
            return time.monotonic() - last[1] > 0.5

        return is_still

    def test_memory_is_bounded_and_nothing_is_lost(self):
        sent = [0] * self.READERS
        with socket.create_server(("127.0.0.1", 0)) as listener, Provider() as provider:
            threading.Thread(target=self.flood, args=(listener, sent), daemon=True).start()
            base = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            other = f'\n  - model_name: other\n    litellm_params: {{model: openai/x, api_base: "{provider.base}", api_key: k}}'
            text = config(base).replace("\nrouter_settings:", other + "\nrouter_settings:", 1)
            with Gateway(text, ["--threads", "1"]) as gateway:
                self.assertEqual(gateway.chat(model="other").status, 200)
                before = gateway.resident_bytes()
                readers = [gateway.send_chat(stream=True) for _ in range(self.READERS)]
                wait_until(lambda: all(sent), what="not all streams have begun")
                wait_until(self.stands_still(sent), what="the upstream was not slowed down")
                self.assertLess(max(sent), self.EVENTS, "the upstream was not slowed down")
                grown = gateway.resident_bytes() - before
                self.assertLess(grown, self.READERS * 256 * 1024, "it piles up")
                used = gateway.cpu_seconds()
                begun = time.monotonic()
                self.assertEqual(gateway.chat(model="other", stream=True).events[-1], "[DONE]")
                self.assertLess(gateway.cpu_seconds() - used, 0.1 + time.monotonic() - begun, "it spins")
                for reader in readers[1:]:
                    reader.close()
                self.assertEqual(self.count_events(readers[0].socket), self.EVENTS)
                in_flight = lambda: gateway.admin_get("/queue/m").json["deployments"][0]["in_flight"]
                wait_until(lambda: in_flight() == 0)


class Usage(unittest.TestCase):
    def test_who_is_asked_for_usage(self):
        asked = "openai azure hosted_vllm groq together_ai deepseek openrouter xai fireworks_ai".split()
        others = "anthropic mistral gemini ollama perplexity nvidia_nim cerebras deepinfra lm_studio litellm_proxy custom_openai".split()
        for name in asked + others:
            with self.subTest(name), Provider(GOOD) as provider, Gateway(config(provider.base, f"{name}/up")) as gateway:
                response = gateway.chat(stream=True)
                sent = provider.calls[0].json
                withheld = [{**CHUNK, "model": "m"}]
                if name in asked:
                    self.assertEqual(sent["stream_options"], ASKED)
                    self.assertEqual([json.loads(e) for e in response.events[:-1]], withheld)
                else:
                    self.assertNotIn("stream_options", sent)
                    self.assertEqual(len(response.events), 3, "nobody asked for it, so nothing is withheld")

    def test_what_the_client_asks_for(self):
        with Provider(GOOD) as provider, Gateway(config(provider.base, params="tpm: 100000")) as gateway:
            for options, sent, is_seen in (
                (ASKED, ASKED, True),
                ({"include_usage": False}, ASKED, False),
                ({"include_usage": False, "other": [1]}, {"other": [1], **ASKED}, False),
                (None, ASKED, False),
            ):
                with self.subTest(options):
                    response = gateway.chat(stream=True, stream_options=options)
                    self.assertEqual(provider.calls[-1].json["stream_options"], sent)
                    self.assertEqual(len(response.events), 3 if is_seen else 2)
            wait_for_tokens(gateway, 4 * 7)
            provider.answer = Reply()
            self.assertEqual(gateway.chat().status, 200)
            self.assertNotIn("stream_options", provider.calls[-1].json)

    def test_it_can_be_turned_off(self):
        rest = "general_settings: {always_include_stream_usage: false}\n"
        with Provider(GOOD) as provider, Gateway(config(provider.base, rest=rest)) as gateway:
            response = gateway.chat(stream=True)
            self.assertNotIn("stream_options", provider.calls[0].json)
            self.assertEqual(len(response.events), 3)

    def test_a_usage_with_choices_is_not_withheld(self):
        both = {**CHUNK, "usage": {"total_tokens": 7}}
        with Provider(events(CHUNK, both, done=True)) as provider, Gateway(config(provider.base)) as gateway:
            self.assertEqual(len(gateway.chat(stream=True).events), 3)

    def test_without_usage_the_deltas_are_counted(self):
        empty = {**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
        with Provider(events(empty, CHUNK, CHUNK, CHUNK, done=True)) as provider:
            with Gateway(config(provider.base, params="tpm: 100000")) as gateway:
                self.assertEqual(gateway.chat("x" * 400, stream=True).status, 200)
                wait_for_tokens(gateway, 100 + 3)


class Fields(unittest.TestCase):
    """What answers tell, by their fields."""

    ALWAYS = ("x-vorrang-request-id", "x-litellm-call-id")
    OF_CALLS = ALWAYS + (
        "x-vorrang-priority",
        "x-vorrang-wait-ms",
        "x-vorrang-granted-by",
        "x-vorrang-attempts",
        "x-litellm-model-id",
        "x-litellm-model-group",
        "x-litellm-attempted-retries",
        "x-litellm-attempted-fallbacks",
    )

    def test_on_every_kind_of_answer(self):
        upstream = {"x-ratelimit-limit-tokens": "5", "x-request-id": "r", "Server": "theirs", "Date": "Sun, 06 Nov 1994 08:49:37 GMT", "x-own": "o"}
        with Provider() as provider, Gateway(config(provider.base)) as gateway:
            for name, reply, fields in (
                ("whole", Reply(headers=upstream), {}),
                ("streamed", Reply(body=GOOD.body, headers={**upstream, "Content-Type": "text/event-stream"}), {"stream": True}),
                ("a 400", Reply(400, error(), upstream), {}),
            ):
                with self.subTest(name):
                    provider.answer = reply
                    response = gateway.chat(priority=3, headers={"x-litellm-call-id": "mine"}, **fields)
                    for field in self.OF_CALLS:
                        self.assertIsNotNone(response.header(field), field)
                    self.assertEqual(response.header("x-vorrang-request-id"), "mine")
                    self.assertEqual(response.header("x-litellm-request-prioritization-used"), "True")
                    self.assertEqual(response.header("x-ratelimit-limit-tokens"), "5")
                    self.assertEqual(response.header("x-request-id"), "r")
                    self.assertEqual(response.header("llm_provider-server"), "theirs")
                    self.assertEqual(response.header("llm_provider-date"), upstream["Date"])
                    self.assertEqual(response.header("llm_provider-x-own"), "o")
                    self.assertIsNone(response.header("server"))
                    self.assertNotEqual(response.header("date"), upstream["Date"])
            response = gateway.chat(model="none")
            for field in self.ALWAYS:
                self.assertIsNotNone(response.header(field), field)

    def test_an_upstreams_own_names_are_told_apart(self):
        theirs = {
            "x-litellm-model-id": "theirs",
            "x-vorrang-priority": "-9",
            "access-control-allow-origin": "https://evil.example",
            "x-should-retry": "true",
            "www-authenticate": "Basic",
        }
        with Provider(Reply(headers=theirs)) as provider, Gateway(config(provider.base)) as gateway:
            response = gateway.chat(priority=1)
            self.assertEqual(response.header("x-litellm-model-id"), "first")
            self.assertEqual(response.header("x-vorrang-priority"), "1")
            for name, value in theirs.items():
                self.assertEqual(response.header(f"llm_provider-{name}"), value)
            for name in ("access-control-allow-origin", "x-should-retry", "www-authenticate"):
                self.assertIsNone(response.header(name), name)

    def test_a_ticket_that_the_operator_moved(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(config(provider.base, params="max_parallel_requests: 1")) as gateway:
                connections = [gateway.send_chat("running", priority=1)]
                call = provider.wait_for_calls(1)
                connections.append(gateway.send_chat("moved", priority=9))
                gateway.wait_until_waiting(1)
                connections.append(gateway.send_chat("moved too", priority=9, timeout=1))
                gateway.wait_until_waiting(2)
                for ticket, priority in zip(gateway.queue().tickets, (-3, 12)):
                    answer = client.call(
                        gateway.admin_port, "PATCH", f"/queue/m/{ticket['id']}", {"priority": priority}
                    )
                    self.assertEqual(answer.status, 200, answer)
                late = connections[2].read_response()
                self.assertEqual((late.status, late.header("x-vorrang-priority")), (408, "12"))
                provider.release(call)
                provider.release(provider.wait_for_calls(2))
                self.assertEqual(connections[0].read_response().header("x-vorrang-priority"), "1")
                self.assertEqual(connections[1].read_response().header("x-vorrang-priority"), "-3")

    def test_only_retries_that_were_made_are_counted(self):
        with Provider(Reply(500, error())) as provider:
            text = config(provider.base).replace("num_retries: 0", "num_retries: 5")
            with Gateway(text) as gateway:
                response = gateway.chat(timeout=0.25)  # the back-off is about half a second
                self.assertEqual(response.status, 408)
                self.assertEqual(response.header("x-vorrang-attempts"), "1")
                self.assertEqual(response.header("x-litellm-attempted-retries"), "0")

    def test_headers_of_a_deployment(self):
        with Provider() as provider:
            params = 'headers: {x-own: "1", authorization: "Basic mine"}\n      organization: org'
            with Gateway(config(provider.base, params=params)) as gateway:
                gateway.chat(headers={"content-type": "application/json; charset=utf-8"})
                call = provider.calls[0]
                self.assertEqual(call.header("x-own"), "1")
                self.assertEqual(call.header("authorization"), "Basic mine")
                self.assertEqual(call.header("openai-organization"), "org")
                self.assertEqual(call.header("content-type"), "application/json")

    def test_the_clients_library_waits_so_long(self):
        with Provider() as provider, Gateway(config(provider.base, params="rpm: 0")) as gateway:
            for name in ("x-stainless-read-timeout", "x-stainless-timeout"):
                connection = gateway.send_chat(headers={name: "1.5"})
                response = connection.read_response()
                self.assertEqual(response.status, 408)
                self.assertAlmostEqual(response.received_at - connection.sent_at, 0.5, delta=0.15)
            for wrong in ("0", "-1", "soon", "nan"):
                connection = gateway.send_chat(headers={"x-stainless-read-timeout": wrong}, timeout=0.3)
                self.assertEqual(connection.read_response().status, 408)


if __name__ == "__main__":
    unittest.main()
