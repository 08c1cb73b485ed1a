"""What arrived: one request, and the reader that takes requests off a connection."""

import json
import time


class Call:
    """One request as it arrived. Times are `time.monotonic()` seconds."""

    def __init__(self, index, connection_id, method, target, headers, body):
        self.index = index
        self.connection_id = connection_id
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.arrived_at = time.monotonic()
        self.at_once = 0  # calls that ran when this one arrived, itself included
        self.last_write_at = None  # right before the last bytes so far went to the kernel
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
    def path(self):
        return self.target.partition("?")[0]

    @property
    def running(self):
        return self.finished_at is None and self.closed_at is None

    @property
    def prompt(self):
        """Text of the last message, by which tests recognise a request."""
        return self.json["messages"][-1]["content"]

    @property
    def fields(self):
        """The body as an object; an empty one if it is none."""
        try:
            document = self.json
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def record(self, start):
        """What is told of it in one line of JSON; times in seconds since `start`."""

        def since(moment):
            return None if moment is None else round(moment - start, 6)

        return {
            "call": self.index,
            "connection": self.connection_id,
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "body": self.body.decode("utf-8", "replace"),
            "at_once": self.at_once,
            "arrived_s": since(self.arrived_at),
            "finished_s": since(self.finished_at),
            "closed_s": since(self.closed_at),
        }


class RequestReader:
    """Takes requests off a stream of bytes; each byte of a long body is looked at once.

    on_head  called with (method, target, headers) as soon as these are there
    """

    def __init__(self, on_head=None):
        self._on_head = on_head
        self._buffer = bytearray()
        self._head = None  # method, target, headers
        self._length = None  # of the body; None while it is chunked
        self._body = bytearray()
        self._scanned = 0

    def feed(self, data):
        self._buffer += data

    def take(self):
        """(method, target, headers, body) of the next whole request, or None."""
        if self._head is None and not self._take_head():
            return None
        if not (self._take_chunks() if self._length is None else self._take_length()):
            return None
        request = (*self._head, bytes(self._body))
        self._head, self._body = None, bytearray()
        return request

    def _take_head(self):
        end = self._buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(self._buffer)
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        self._scanned = 0
        method, target, _version = lines[0].split(" ", 2)
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        lower = {name.lower(): value for name, value in headers}
        is_chunked = lower.get("transfer-encoding", "").lower() == "chunked"
        self._length = None if is_chunked else int(lower.get("content-length", "0"))
        self._head = (method, target, headers)
        if self._on_head is not None:
            self._on_head(*self._head)
        return True

    def _take_length(self):
        if len(self._buffer) < self._length:
            return False
        self._body = self._buffer[: self._length]
        del self._buffer[: self._length]
        return True

    def _take_chunks(self):
        while True:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                return False
            size = int(self._buffer[:line_end].split(b";")[0], 16)
            start = line_end + 2
            if len(self._buffer) < start + size + 2:
                return False
            self._body += self._buffer[start : start + size]
            del self._buffer[: start + size + 2]
            if size == 0:
                return True
