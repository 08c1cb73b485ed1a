"""What upstreams have been seen to do wrong, by name: for tests that go through all of them."""

from provider import shapes
from provider.reply import Reply, http_date_in

_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Welcome back!</body></html>\n"
_BUSY = shapes.error("Rate limit reached", "rate_limit_exceeded", "rate_limit_error")
_JSON = {"Content-Type": "application/json"}
_WHOLE = shapes.body_bytes(shapes.completion())
_LATE_EVENTS = [shapes.event_bytes(event) for event in shapes.chat_events("one two three four")]

_FAULTS = {
    # No answer, or none that can be used.
    "reset-before-head": dict(then="reset"),
    "close-before-head": dict(then="close"),
    "hang": dict(then="hang"),
    "reset-after-head": dict(then="head-reset"),
    "close-after-head": dict(then="head-close"),
    "hang-after-head": dict(then="head-hang"),
    "reset-mid-body": dict(then="cut"),
    "close-mid-body": dict(then="half-close"),
    "hang-mid-body": dict(then="half-hang"),
    "no-http": dict(then="raw", body=b"220 mail.example ESMTP\r\n\r\n"),
    "half-head": dict(then="raw", body=b"HTTP/1.1 200 OK\r\nContent-Le"),
    "endless-head": dict(then="endless-head"),
    "endless-line": dict(then="endless-line"),
    # Wrong lengths.
    "length-too-long": dict(body=_WHOLE, headers={"Content-Length": str(len(_WHOLE) + 1), "Connection": "close"}),
    "length-too-short": dict(body=_WHOLE, headers={"Content-Length": str(len(_WHOLE) - 1)}),
    "two-lengths": dict(
        body=_WHOLE, headers=[("Content-Length", str(len(_WHOLE))), ("Content-Length", str(len(_WHOLE) - 1))]
    ),
    "length-and-chunked": dict(
        body=_WHOLE, headers=[("Content-Length", str(len(_WHOLE))), ("Transfer-Encoding", "chunked")]
    ),
    "bad-length": dict(body=_WHOLE, headers={"Content-Length": "-5"}),
    "bad-chunk": dict(
        then="raw", body=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"
    ),
    # Whole, and not what was asked for.
    "html-page": dict(body=_PAGE, headers={"Content-Type": "text/html; charset=utf-8"}),
    "broken-json": dict(body=_WHOLE[: len(_WHOLE) // 2], headers=_JSON),
    "empty-body": dict(body=b"", headers=_JSON),
    "json-that-is-no-object": dict(body=b'"hello"', headers=_JSON),
    "gzip": dict(gzip=True),
    "redirect": dict(status=302, body=b"", headers={"Location": "/login"}),
    # Streams that break.
    "stream-without-events": dict(events=[]),
    "stream-half-event": dict(events=_LATE_EVENTS, then="half-end"),
    "stream-half-event-close": dict(events=_LATE_EVENTS, then="half-close"),
    "stream-reset": dict(events=_LATE_EVENTS, then="cut"),
    "stream-hang": dict(events=_LATE_EVENTS, then="half-hang"),
    "stream-endless-event": dict(then="endless-body"),
    "stream-broken-json": dict(events=[b"data: {\"id\": 1, \n\n", *_LATE_EVENTS]),
    # Errors as they should be.
    "400": dict(status=400, body=shapes.error("wrong input", "invalid_value", "invalid_request_error", "n")),
    "401": dict(status=401, body=shapes.error("Incorrect API key", "invalid_api_key", "invalid_request_error")),
    "404": dict(status=404, body=shapes.error("no such model", "model_not_found", "invalid_request_error", "model")),
    "408": dict(status=408, body=shapes.error("slow", kind="timeout_error")),
    "429": dict(status=429, body=_BUSY),
    "429-seconds": dict(status=429, body=_BUSY, headers={"Retry-After": "1"}),
    "429-ms": dict(status=429, body=_BUSY, headers={"retry-after-ms": "200"}),
    "429-date": dict(status=429, body=_BUSY, headers={"Retry-After": http_date_in(2)}),
    "429-quota": dict(status=429, body=shapes.error("no money", "insufficient_quota", "insufficient_quota")),
    "500": dict(status=500, body=shapes.error()),
    "500-page": dict(status=500, body=_PAGE, headers={"Content-Type": "text/html"}),
    "502": dict(status=502, body=b"Bad Gateway", headers={"Content-Type": "text/plain"}),
    "503": dict(status=503, body=shapes.error("overloaded"), headers={"Retry-After": "1"}),
    "529": dict(status=529, body=shapes.anthropic_error("Overloaded", "overloaded_error")),
}

NAMES = tuple(_FAULTS)


def named(name, **more):
    """A fresh Reply with this fault; `more` are arguments of Reply that replace those of the fault."""
    return Reply(**{**_FAULTS[name], **more})
