"""What is counted, and how: requests one after the other through a real gateway with one loop, between
a client and a provider that move in step with it.

Both are played by this thread, and neither goes on before the loop is asleep again. So what comes
never meets a gateway that is about to look for it, and the calls it makes are the same each time.
What it does by the clock (a look at its connections every 100 ms, say) happens in some rounds and not
in others: the median of the rounds is what belongs to a request.
"""

import json
import resource
import socket
import statistics
import unittest

import client
from counting import Counting
from gateway import Gateway
from provider import completion
from provider.call import RequestReader

# What is shown and held, with its name in counting.py.
SHOWN = {
    "system calls": "system_calls",
    "… reads": "reads",
    "… of them that find nothing": "reads_empty",
    "… writes": "writes",
    "… epoll_wait": "polls",
    "context switches (waits for what comes)": "switches",
    "messages to actors": "messages",
    "pieces of memory": "allocations",
    "bytes of them": "bytes",
    "copies by memcpy, memmove": "copies",
    "bytes copied by them": "bytes_copied",
    "mutexes locked": "locks",
    "readings of the clock": "clocks",
}

ROUNDS = 20
STEPS = 100  # of a round
WARM_STEPS = 300
WAITING = 1000
FIRST_DEADLINE_S, SECOND_DEADLINE_S = 1, 3

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "http://127.0.0.1:{port}/v1", api_key: k, max_parallel_requests: 1}}
router_settings:
  timeout: 600
"""


class Upstream:
    """A provider that does nothing by itself, on one connection that is kept."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(client.DEFAULT_TIMEOUT_S)
        self.port = self._listener.getsockname()[1]
        self._connection = None
        self._reader = RequestReader()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        for each in (self._connection, self._listener):
            if each is not None:
                each.close()

    def take(self):
        """Waits for the next request."""
        if self._connection is None:
            self._connection, _ = self._listener.accept()
            self._connection.settimeout(client.DEFAULT_TIMEOUT_S)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (request := self._reader.take()) is None:
            data = self._connection.recv(65536)
            assert data, "the gateway has closed the connection that is kept for it"
            self._reader.feed(data)
        return request

    def send(self, data):
        self._connection.sendall(data)


def whole_answer():
    body = json.dumps(completion("four small words here")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = chunk(
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"x",'
    b'"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
)
STREAM_END = chunk(b"data: [DONE]\n\n") + chunk(b"")


class Stage:
    """Gateway, upstream and counts. Use as a context manager."""

    def __init__(self, more_arguments=()):
        arguments = ["--threads", "1", "--log-level", "warning", *more_arguments]
        self.counting = Counting()
        self.upstream = Upstream()
        self.gateway = Gateway(
            CONFIG.format(port=self.upstream.port), arguments, environment=self.counting.environment()
        )
        self._clients = []

    def __enter__(self):
        self.counting.__enter__()
        self.upstream.__enter__()
        self.gateway.__enter__()
        self.counting.attach(self.gateway)
        return self

    def __exit__(self, *exception):
        for each in self._clients:
            each.close()
        # First the upstream: what still runs ends, and the gateway with it.
        self.upstream.__exit__(*exception)
        self.gateway.__exit__(*exception)
        self.counting.__exit__(*exception)

    def client(self):
        self._clients.append(self.gateway.connect())
        return self._clients[-1]

    def asleep(self):
        self.counting.wait_until_asleep()

    def join_line(self, asks, **fields):
        """A request that finds the slot taken; returns when it waits."""
        messages = self.counting.now("messages")
        asks.chat(client.chat_body("hello", **fields))
        self.counting.wait_until_asleep(also=lambda: self.counting.now("messages") > messages)

    def medians(self, step, rounds=ROUNDS, steps=STEPS):
        """What one step costs, of each count."""
        differences = []
        for _ in range(rounds):
            before = self.counting.take()
            for _ in range(steps):
                step()
            differences.append(self.counting.take() - before)
        return {name: statistics.median(each[name] for each in differences) / steps for name in differences[0]}


def raise_file_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise unittest.SkipTest(f"the limit on files is {hard}, {wanted} are needed")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def good(response):
    assert response.status == 200, response
    return response


def a_request(more_arguments=()):
    """A small chat request, granted at once, over connections that are kept."""
    answer = whole_answer()
    with Stage(more_arguments) as stage:
        asks = stage.client()

        def step():
            asks.chat(client.chat_body("hello"))
            stage.upstream.take()
            stage.asleep()
            stage.upstream.send(answer)
            good(asks.read_response())
            stage.asleep()

        for _ in range(WARM_STEPS):
            step()
        return stage.medians(step)


def a_request_that_waits():
    """The same, but another one has the slot when it comes."""
    answer = whole_answer()
    with Stage() as stage:
        runs, waits = stage.client(), stage.client()
        runs.chat(client.chat_body("hello"))
        stage.upstream.take()
        stage.asleep()

        def step():
            nonlocal runs, waits
            stage.join_line(waits)
            stage.upstream.send(answer)
            good(runs.read_response())
            stage.upstream.take()
            stage.asleep()
            runs, waits = waits, runs

        for _ in range(WARM_STEPS):
            step()
        counts = stage.medians(step)
        stage.upstream.send(answer)
        good(runs.read_response())
        return counts


def an_event():
    """One event of a stream, in a chunk of its own."""
    with Stage() as stage:
        asks = stage.client()
        asks.chat(client.chat_body("hello", stream=True))
        stage.upstream.take()
        stage.asleep()
        stage.upstream.send(STREAM_HEAD)
        seen = 0

        def step():
            nonlocal seen
            stage.upstream.send(EVENT)
            seen += 1
            while asks.buffer.count(b"data: ") < seen:
                assert asks.receive_more(), "the stream has ended"
            if seen == STEPS:
                asks.buffer, seen = b"", 0
            stage.asleep()

        for _ in range(WARM_STEPS):
            step()
        counts = stage.medians(step)
        stage.upstream.send(STREAM_END)
        while not asks.buffer.endswith(b"0\r\n\r\n"):
            assert asks.receive_more(), "the stream has ended early"
        assert b"data: [DONE]\n\n" in asks.buffer, asks.buffer[-200:]
        return counts


def two_idle_seconds():
    """A thousand requests wait, and nothing happens but the end of one: that of a deadline two seconds
    after the one before is how it is known that they have gone by."""
    raise_file_limit(2 * WAITING)  # the gateway has the same, and keeps a part of it for upstreams
    with Stage() as stage:
        holds = stage.client()
        holds.chat(client.chat_body("hello"))
        stage.upstream.take()
        for _ in range(WAITING - 2):
            stage.client().chat(client.chat_body("hello"))
        ends = [stage.client() for _ in range(2)]
        for each, deadline_s in zip(ends, (FIRST_DEADLINE_S, SECOND_DEADLINE_S)):
            each.chat(client.chat_body("hello", timeout=deadline_s), {"Connection": "close"})
        stage.gateway.wait_until_waiting(WAITING)
        counts = []
        for each in ends:
            response = each.read_response()
            assert response.status == 408, response
            each.read_to_end()
            stage.asleep()
            counts.append(stage.counting.take())
        return counts[1] - counts[0]


CASES = {
    "a request": a_request,
    "a request that waits": a_request_that_waits,
    "an event of a stream": an_event,
    "1000 wait for 2 s": two_idle_seconds,
}
