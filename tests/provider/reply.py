"""What to do with one call, and the bytes of it."""

import email.utils
import gzip
import time

from provider import shapes

ENDINGS = {
    "answer",  # the answer, whole
    "reset",  # RST instead of an answer
    "close",  # FIN instead of an answer
    "hang",  # never answers
    "raw",  # `body` is sent as it is, then a FIN
    "head-reset",  # the head, then RST
    "head-close",  # the head, then FIN
    "head-hang",  # the head, then nothing more
    "cut",  # half of the body (of a stream: half of the events and half of the next), then RST
    "half-close",  # the same, then FIN
    "half-hang",  # the same, then nothing more
    "half-end",  # the same, and it is ended as if it were all
    "endless-head",  # header lines until the other side has enough
    "endless-line",  # one header line, likewise
    "endless-body",  # a chunk that never ends, likewise
}


def http_date_in(seconds):
    """A header's value that is the date so long after the answer is sent."""
    return lambda: email.utils.formatdate(time.time() + seconds, usegmt=True)


class Reply:
    """What to do with one call.

    status, headers, body  the answer; a dict becomes JSON; None: what the API that was called
                           answers, streamed if it was asked so (shapes.answer_to)
    text                   the words of that answer
    events                 a stream of server-sent events instead of a body: text is data, a dict is
                           data as JSON, a pair has the event's name before it, bytes stand for
                           themselves
    interval_s             pause between two events
    delay_s                seconds between the request's last byte and the answer's first
    hold                   wait for `Provider.release` before answering
    gzip                   compress the body, whether the client can read that or not
    then                   one of ENDINGS
    """

    def __init__(
        self,
        status=200,
        body=None,
        headers=(),
        delay_s=0.0,
        hold=False,
        then="answer",
        text=shapes.TEXT,
        events=None,
        interval_s=0.0,
        gzip=False,
    ):
        if then not in ENDINGS:
            raise ValueError(f"then: {then!r} is none of {sorted(ENDINGS)}")
        self.status = status
        self.body = body
        self.headers = list(headers.items()) if isinstance(headers, dict) else list(headers)
        self.delay_s = delay_s
        self.hold = hold
        self.then = then
        self.text = text
        self.events = events
        self.interval_s = interval_s
        self.gzip = gzip

    def render(self, call):
        """Only what was not given is added: a wrong length is sent as it is."""
        body, events = self.body, self.events
        if body is None and events is None:
            body, events = shapes.answer_to(call, self.text)
        if events is not None:
            pieces, content_type = [shapes.event_bytes(event) for event in events], "text/event-stream"
        else:
            pieces, content_type = [shapes.body_bytes(body)], "application/json"
        given = [(name, value() if callable(value) else value) for name, value in self.headers]
        names = {name.lower() for name, _ in given}
        added = []
        if "content-type" not in names:
            added.append(("Content-Type", content_type))
        if self.gzip:
            pieces = [gzip.compress(b"".join(pieces), mtime=0)]
            added.append(("Content-Encoding", "gzip"))
        is_chunked = "transfer-encoding" in names
        if not is_chunked and "content-length" not in names:
            if events is not None:
                is_chunked = True
                added.append(("Transfer-Encoding", "chunked"))
            else:
                added.append(("Content-Length", str(sum(map(len, pieces)))))
        lines = [f"HTTP/1.1 {self.status} Scripted"]
        lines += [f"{name}: {value}" for name, value in added + given]
        if is_chunked and events is None and not self.gzip:
            pieces = [pieces[0][: len(pieces[0]) // 2], pieces[0][len(pieces[0]) // 2 :]]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        closes = any(n.lower() == "connection" and "close" in v.lower() for n, v in given)
        return Rendered(head, pieces, is_chunked, closes)


class Rendered:
    """The bytes of an answer: a head, and the pieces of a body between which there is a pause."""

    def __init__(self, head, pieces, is_chunked, closes):
        self.head = head
        self.is_chunked = is_chunked
        self.closes = closes
        self._pieces = pieces

    @property
    def pieces(self):
        return [self._framed(piece) for piece in self._pieces]

    @property
    def half(self):
        """Half of the pieces, and half of the next one."""
        middle = len(self._pieces) // 2
        broken = self._pieces[middle] if self._pieces else b""
        return [self._framed(piece) for piece in [*self._pieces[:middle], broken[: len(broken) // 2]]]

    @property
    def end(self):
        return b"0\r\n\r\n" if self.is_chunked else b""

    def _framed(self, piece):
        if not self.is_chunked:
            return piece
        return b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
