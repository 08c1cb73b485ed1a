"""A small upstream that speaks OpenAI's HTTP API and does what a test tells it.

It runs on its own thread and event loop, on a free port of 127.0.0.1. Tests script what it answers
(`script`, `answer`), hold answers back (`hold`, `release`) and read afterwards what arrived: time,
order, headers, bytes, and when the other side closed. Times are `time.monotonic()` seconds.
"""

import asyncio
import json
import socket
import struct
import threading
import time

DEFAULT_TIMEOUT_S = 20.0
TCP_ESTABLISHED = 1


class Reply:
    """What to do with one call.

    status, headers, body  the answer; a dict becomes JSON, None a plain chat completion
    delay_s                seconds between the request's last byte and the answer's first
    hold                   wait for `Provider.release` before answering
    then                   "answer", "reset" (RST instead of an answer), "close" (FIN instead),
                           "hang" (never answers), "raw" (`body` is sent as it is, then a FIN),
                           "cut" (half of the body, then RST)
    """

    def __init__(self, status=200, body=None, headers=(), delay_s=0.0, hold=False, then="answer"):
        self.status = status
        self.body = body
        self.headers = list(headers.items()) if isinstance(headers, dict) else list(headers)
        self.delay_s = delay_s
        self.hold = hold
        self.then = then


class Call:
    """One request as it arrived."""

    def __init__(self, index, connection_id, method, target, headers, body):
        self.index = index
        self.connection_id = connection_id
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.arrived_at = time.monotonic()
        self.finished_at = None  # the answer was handed to the kernel
        self.closed_at = None  # the other side closed before that
        self.reply = None
        self.release_event = None

    def header(self, name):
        """The only value of a header, None if absent; two of them are an error of the test."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"header {name} arrived {len(values)} times"
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def running(self):
        return self.finished_at is None and self.closed_at is None

    @property
    def prompt(self):
        """Text of the last message, by which tests recognise a request."""
        return self.json["messages"][-1]["content"]


def completion(text="hello", model="upstream-model"):
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 1700000000,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }


def error(message="upstream says no", code=None, kind="server_error", param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class _Connection(asyncio.Protocol):
    def __init__(self, provider):
        self.provider = provider
        self.buffer = b""
        self.call = None
        self.task = None
        self.transport = None
        self.connection_id = None

    def connection_made(self, transport):
        self.transport = transport
        self.connection_id = self.provider._connection_opened(self)

    def data_received(self, data):
        self.buffer += data
        self._take_next()

    def eof_received(self):
        self._other_side_closed()
        return False

    def connection_lost(self, _exception):
        self._other_side_closed()
        self.provider._connection_closed(self)

    def _other_side_closed(self):
        if self.call is not None and self.call.running:
            self.provider._closed(self.call)
        if self.task is not None:
            self.task.cancel()

    def _take_next(self):
        if self.call is not None and self.call.running:
            return
        request = parse_request(self.buffer)
        if request is None:
            return
        method, target, headers, body, used = request
        self.buffer = self.buffer[used:]
        self.call = self.provider._arrived(self, method, target, headers, body)
        if self.call.running:
            self.task = asyncio.ensure_future(self._answer(self.call))

    def has_ended(self):
        """Whether the other side has closed or reset, as the kernel sees it now."""
        raw = self.transport.get_extra_info("socket")
        try:
            return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0] != TCP_ESTABLISHED
        except OSError:
            return True

    async def _answer(self, call):
        reply = call.reply
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.hold:
            await call.release_event.wait()
        if reply.then == "hang":
            await asyncio.Event().wait()
        if reply.then == "reset":
            self._reset(call)
            return
        if reply.then == "close":
            self.provider._finished(call)
            self.transport.close()
            return
        if reply.then == "raw":
            self.transport.write(reply.body)
            self.provider._finished(call)
            self.transport.close()
            return
        body = reply.body if reply.body is not None else completion()
        content_type = "application/json"
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        head = [f"HTTP/1.1 {reply.status} Scripted"]
        names = {name.lower() for name, _ in reply.headers}
        if "content-type" not in names:
            head.append(f"Content-Type: {content_type}")
        if "content-length" not in names and "transfer-encoding" not in names:
            head.append(f"Content-Length: {len(body)}")
        head += [f"{name}: {value}" for name, value in reply.headers]
        message = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"
        if reply.then == "cut":
            self.transport.write(message + body[: len(body) // 2])
            await asyncio.sleep(0.05)
            self._reset(call)
            return
        if "transfer-encoding" in names:
            middle = len(body) // 2
            body = b"".join(
                b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:middle], body[middle:]) if piece
            )
            body += b"0\r\n\r\n"
        self.transport.write(message + body)
        self.provider._finished(call)
        if any(n.lower() == "connection" and "close" in v.lower() for n, v in reply.headers):
            self.transport.close()
            return
        self._take_next()

    def _reset(self, call):
        self.provider._finished(call)
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def parse_request(data):
    """(method, target, headers, body, bytes used), or None while the request is not whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ", 2)
    headers = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    start = end + 4
    lower = {name.lower(): value for name, value in headers}
    if lower.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while True:
            line_end = data.find(b"\r\n", start)
            if line_end < 0:
                return None
            size = int(data[start:line_end].split(b";")[0], 16)
            start = line_end + 2
            if len(data) < start + size + 2:
                return None
            body += data[start : start + size]
            start += size + 2
            if size == 0:
                return method, target, headers, body, start
    length = int(lower.get("content-length", "0"))
    if len(data) < start + length:
        return None
    return method, target, headers, data[start : start + length], start + length


class Provider:
    """Use as a context manager: `with Provider() as provider`."""

    def __init__(self, answer=None):
        """answer: a Reply for every call, or a function of the Call that returns one."""
        self.answer = answer if answer is not None else Reply()
        self.script = []  # replies used up first, one for each call
        self.calls = []
        self.running_max = 0
        self.connections_total = 0
        self.port = None
        self._running = 0
        self._open = set()
        self._changed = threading.Condition()  # reentrant
        self._loop = None
        self._thread = None

    # For tests ------------------------------------------------------------------------------

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def running(self):
        with self._changed:
            return self._running

    @property
    def connections_open(self):
        with self._changed:
            return len(self._open)

    def wait_until(self, condition, timeout_s=DEFAULT_TIMEOUT_S, what="the provider's condition"):
        """Waits until `condition()` holds; it is looked at after every event here."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise AssertionError(
                    f"{what} did not come true within {timeout_s} s; "
                    f"{len(self.calls)} calls, {self._running} running"
                )

    def wait_for_calls(self, count, timeout_s=DEFAULT_TIMEOUT_S):
        self.wait_until(lambda: len(self.calls) >= count, timeout_s, f"call number {count}")
        return self.calls[count - 1]

    def release(self, call=None):
        """Lets one held call answer, or all of them."""
        for held in [call] if call is not None else list(self.calls):
            self._loop.call_soon_threadsafe(held.release_event.set)

    def drop_idle_connections(self):
        """Closes the connections that no call uses, as a server does after its keep-alive time."""

        def drop():
            for connection in list(self._open):
                if connection.call is None or not connection.call.running:
                    connection.transport.close()

        self._loop.call_soon_threadsafe(drop)
        self.wait_until(lambda: len(self._open) == self._running, what="closing idle connections")

    def __enter__(self):
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(DEFAULT_TIMEOUT_S):
            raise AssertionError("the provider did not start")
        return self

    def __exit__(self, *_exception):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEFAULT_TIMEOUT_S)

    # On the loop's thread -------------------------------------------------------------------

    def _run(self, started):
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = listener.getsockname()[1]
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), sock=listener)
        )
        started.set()
        self._loop.run_forever()
        server.close()
        for connection in list(self._open):
            if connection.task is not None:
                connection.task.cancel()
            connection.transport.abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _connection_opened(self, connection):
        with self._changed:
            self.connections_total += 1
            self._open.add(connection)
            self._changed.notify_all()
            return self.connections_total

    def _connection_closed(self, connection):
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def _note_silent_ends(self):
        """The kernel may know of an end that the loop has not reported yet. Who hung up before the
        call that just arrived was sent does not count as running beside it."""
        for connection in self._open:
            if connection.call is not None and connection.call.running and connection.has_ended():
                self._closed(connection.call)

    def _arrived(self, connection, method, target, headers, body):
        with self._changed:
            self._note_silent_ends()
            call = Call(len(self.calls), connection.connection_id, method, target, headers, body)
            call.release_event = asyncio.Event()
            if self.script:
                call.reply = self.script.pop(0)
            else:
                call.reply = self.answer(call) if callable(self.answer) else self.answer
            self.calls.append(call)
            if connection.has_ended():  # sent and given up before it was read here
                call.closed_at = time.monotonic()
            else:
                self._running += 1
                self.running_max = max(self.running_max, self._running)
            self._changed.notify_all()
            return call

    def _finished(self, call):
        with self._changed:
            if call.running:
                call.finished_at = time.monotonic()
                self._running -= 1
            self._changed.notify_all()

    def _closed(self, call):
        with self._changed:
            if call.running:
                call.closed_at = time.monotonic()
                self._running -= 1
            self._changed.notify_all()
