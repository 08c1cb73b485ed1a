"""HTTP by hand: raw sockets, one strict reader of answers, no retries, nothing hidden.

The tests need to send what a polite client library refuses to send, and to see every byte that comes
back, so they use none.
"""

import json
import selectors
import socket
import struct
import time

DEFAULT_TIMEOUT_S = 20.0


class ConnectionEnded(AssertionError):
    """The other side closed or reset before a whole answer had come."""


class Response:
    def __init__(self, status, reason, version, headers, body, received_at):
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers
        self.body = body
        self.received_at = received_at  # time.monotonic() of the last byte

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"header {name} came {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def names(self):
        return {name.lower() for name, _ in self.headers}

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    @property
    def text(self):
        """Content of the first choice of a chat completion."""
        return self.json["choices"][0]["message"]["content"]

    @property
    def events(self):
        """Data of every server-sent event, comments left out."""
        return [
            line[len(b"data:") :].strip().decode()
            for event in self.body.split(b"\n\n")
            for line in event.split(b"\n")
            if line.startswith(b"data:")
        ]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


def parse_response(data, eof, head_only=False):
    """(Response, bytes used), or None while the answer is not whole. Raises on broken framing."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
    assert version in ("HTTP/1.1", "HTTP/1.0"), lines[0]
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        assert colon and name == name.strip() and name, f"malformed header line {line!r}"
        headers.append((name, value.strip()))
    status = int(status)
    start = end + 4

    def answer(body, used):
        return Response(status, reason, version, headers, body, time.monotonic()), used

    lower = [(name.lower(), value) for name, value in headers]
    lengths = [value for name, value in lower if name == "content-length"]
    codings = [value for name, value in lower if name == "transfer-encoding"]
    assert len(lengths) + len(codings) <= 1, f"ambiguous framing of an answer: {headers}"
    if head_only or status < 200 or status in (204, 304):
        return answer(b"", start)
    if codings:
        assert codings[0].lower() == "chunked", codings
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
            assert data[start + size : start + size + 2] == b"\r\n", "broken chunk"
            start += size + 2
            if size == 0:
                return answer(body, start)
    if lengths:
        length = int(lengths[0])
        if len(data) < start + length:
            return None
        return answer(data[start : start + length], start + length)
    if eof:
        return answer(data[start:], len(data))
    return None


class Connection:
    """One TCP connection. Closed by `close` (FIN) or `reset` (RST), or as a context manager."""

    def __init__(self, port, timeout_s=DEFAULT_TIMEOUT_S, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = f"{host}:{port}"
        self.buffer = b""
        self.eof = False
        self.sent_at = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def send(self, data):
        self.socket.sendall(data)
        self.sent_at = time.monotonic()

    def request(self, method, path, body=None, headers=None, version="HTTP/1.1"):
        """Sends one request; a dict or list becomes JSON. A header whose value is None is left out."""
        self.send(build_request(method, path, body, headers, self.host, version))

    def chat(self, body, headers=None, path="/v1/chat/completions"):
        self.request("POST", path, body, headers)

    def receive_more(self):
        """Reads once. False once the other side has ended."""
        try:
            piece = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            piece = b""
        if not piece:
            self.eof = True
            return False
        self.buffer += piece
        return True

    def take_response(self, head_only=False):
        """A whole answer out of what has been read, or None."""
        parsed = parse_response(self.buffer, self.eof, head_only)
        if parsed is None:
            return None
        response, used = parsed
        self.buffer = self.buffer[used:]
        return response

    def read_response(self, timeout_s=DEFAULT_TIMEOUT_S, head_only=False):
        end = time.monotonic() + timeout_s
        while True:
            response = self.take_response(head_only)
            if response is not None:
                return response
            if self.eof:
                raise ConnectionEnded(f"connection ended after {self.buffer[:200]!r}")
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                self.receive_more()
            except TimeoutError:
                raise AssertionError(
                    f"no whole answer within {timeout_s} s, only {self.buffer[:200]!r}"
                ) from None

    def read_to_end(self, timeout_s=DEFAULT_TIMEOUT_S):
        """All bytes until the other side ends; fails if it does not."""
        end = time.monotonic() + timeout_s
        while not self.eof:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                self.receive_more()
            except TimeoutError:
                raise AssertionError(
                    f"still open after {timeout_s} s, got {self.buffer[:200]!r}"
                ) from None
        rest, self.buffer = self.buffer, b""
        return rest

    def read_all_responses(self, timeout_s=DEFAULT_TIMEOUT_S):
        """Every answer until the other side ends."""
        data = self.read_to_end(timeout_s)
        responses = []
        while data:
            parsed = parse_response(data, True)
            assert parsed is not None, f"half an answer: {data[:200]!r}"
            responses.append(parsed[0])
            data = data[parsed[1] :]
        return responses

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def build_request(method, path, body=None, headers=None, host="127.0.0.1", version="HTTP/1.1"):
    fields = {"Host": host}
    if body is not None:
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        fields["Content-Type"] = "application/json"
        fields["Content-Length"] = str(len(body))
    for name, value in (headers or {}).items():
        for existing in [key for key in fields if key.lower() == name.lower()]:
            del fields[existing]
        if value is not None:
            fields[name] = value
    lines = [f"{method} {path} {version}"] + [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + (body or b"")


def call(port, method, path, body=None, headers=None, timeout_s=DEFAULT_TIMEOUT_S):
    """One request on a connection of its own."""
    with Connection(port, timeout_s) as connection:
        connection.request(method, path, body, headers)
        return connection.read_response(timeout_s, head_only=method == "HEAD")


def chat_body(prompt="hello", model="m", **fields):
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


def gather(connections, timeout_s=DEFAULT_TIMEOUT_S):
    """One answer from each connection, in their order, each stamped with the time it came."""
    responses = [connection.take_response() for connection in connections]
    end = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        open_count = 0
        for index, connection in enumerate(connections):
            if responses[index] is None:
                connection.socket.setblocking(False)
                selector.register(connection.socket, selectors.EVENT_READ, index)
                open_count += 1
        while open_count:
            ready = selector.select(max(0.001, end - time.monotonic()))
            for key, _ in ready:
                connection = connections[key.data]
                connection.receive_more()
                responses[key.data] = connection.take_response()
                if responses[key.data] is None and connection.eof:
                    raise ConnectionEnded(
                        f"connection {key.data} ended after {connection.buffer[:200]!r}"
                    )
                if responses[key.data] is not None:
                    selector.unregister(connection.socket)
                    open_count -= 1
            if not ready and time.monotonic() >= end:
                raise AssertionError(f"{open_count} answers missing after {timeout_s} s")
    for connection in connections:
        connection.socket.setblocking(True)
    return responses
