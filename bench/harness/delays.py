"""How late things are: a stream's events on their way through, and small requests while big bodies pass.

One thread here plays client and upstream of the stream, so that nothing but the gateway and the kernel
lies between its two clock readings."""
import base64
import contextlib
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from harness import report
from harness.processes import free_ports, server

event_ms_max = 1
body_ms_max = 5
big_bytes = 20 * 1024 * 1024
events_each = 2000
small_each = 3000
rounds = 3

config = """
model_list:
  - model_name: streamed
    litellm_params: {model: openai/up, api_base: "http://127.0.0.1:%(upstream)d/v1", api_key: k}
  - model_name: small
    litellm_params: {model: openai/up, mock_response: hello}
  - model_name: big
    litellm_params: {model: openai/up, api_base: "http://127.0.0.1:%(sink)d/v1", api_key: k, tpm: 1000000000}
vorrang_settings:
  admin_port: %(admin)d
"""

event = b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
                                "choices": [{"index": 0, "delta": {"content": "word"}}]}).encode() + b"\n\n"

# A process of its own: what it costs to send and take 20 MB must not delay the clock readings here.
sink = """
import socket, sys, threading

def take(peer):
    head, left = b"", 0
    buffer = bytearray(1 << 20)
    while count := peer.recv_into(buffer):
        piece = bytes(buffer[:count])
        if left == 0:
            head += piece
            if b"\\r\\n\\r\\n" not in head:
                continue
            first, _, body = head.partition(b"\\r\\n\\r\\n")
            length = [line for line in first.lower().split(b"\\r\\n") if line.startswith(b"content-length")][0]
            left, head = int(length.split(b":")[1]) - len(body), b""
        else:
            left -= count
        if left == 0:
            peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}")

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=take, args=listener.accept()[:1], daemon=True).start()
"""

sender = """
import socket, sys
request = open(sys.argv[2], "rb").read()
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    peer.sendall(request)
    answer = peer.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        sys.exit("a big body was answered: %r" % answer[:200])
    print("sent", flush=True)
"""


def http(path, body, host="127.0.0.1"):
    return (f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def chat(model, **more):
    return http("/v1/chat/completions", json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}).encode())


def take_until(peer, end, data=b""):
    while end not in data:
        more = peer.recv(65536)
        if not more:
            raise RuntimeError(f"the connection ended behind {data[-200:]!r}")
        data += more
    return data


def event_delays(client, upstream, count):
    """Seconds from before an event is written upstream until the client has it."""
    delays = []
    for _ in range(count):
        time.sleep(0.001)  # the gateway sleeps, as it does between two events of a model
        begun = time.perf_counter()
        upstream.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        take_until(client, b"\n\n")
        delays.append(time.perf_counter() - begun)
    return delays


def measure_events(listener, port):
    """(direct, through): the same two sockets with nothing between them, and with the gateway."""
    direct_client = socket.create_connection(listener.getsockname())
    direct_upstream, _ = listener.accept()
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(chat("streamed", stream=True))
    upstream, _ = listener.accept()
    take_until(upstream, b'"stream": true')
    upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for peer in (direct_client, direct_upstream, client, upstream):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    event_delays(client, upstream, 100)
    direct, through = [], []
    for _ in range(10):  # in turns
        direct += event_delays(direct_client, direct_upstream, events_each // 10)
        through += event_delays(client, upstream, events_each // 10)
    return direct, through


def small_delays(client, count):
    delays = []
    small = chat("small")
    for _ in range(count):
        time.sleep(0.001)
        begun = time.perf_counter()
        client.sendall(small)
        answer = take_until(client, b"}}")
        delays.append(time.perf_counter() - begun)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a small request was answered: {answer[:200]!r}")
    return delays


def big_request(folder):
    """A chat with an image of 20 MB."""
    image = base64.b64encode(os.urandom(big_bytes * 3 // 4)).decode()
    body = json.dumps({"model": "big", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + image}}]}]}).encode()
    path = folder / "big.http"
    path.write_bytes(http("/v1/chat/completions", body))
    return path


@contextlib.contextmanager
def big_bodies(port, request, log):
    """Sends bodies of 20 MB one after the other while the block runs; yields how many have passed."""
    with server([sys.executable, "-c", sender, str(port), str(request)], [], log) as process:
        def passed():
            if process.poll() is not None:
                raise RuntimeError("no big body passes: " + log.read_text()[-500:])
            return log.read_text().count("sent")
        deadline = time.monotonic() + 20
        while not passed():
            if time.monotonic() > deadline:
                raise RuntimeError("no big body passes")
            time.sleep(0.01)
        yield passed


def measure_bodies(folder, port, other_port):
    """Small requests: alone; while bodies of 20 MB pass through another gateway, which takes as much of
    the machine but not of this loop; while they pass through this one. And the bodies a second."""
    client = socket.create_connection(("127.0.0.1", port))
    request = big_request(folder)
    small_delays(client, 100)
    alone, elsewhere, beside, bodies, seconds = [], [], [], 0, 0.0
    for _ in range(rounds):  # in turns
        alone += small_delays(client, small_each // rounds)
        with big_bodies(other_port, request, folder / "sender.log"):
            elsewhere += small_delays(client, small_each // rounds)
        with big_bodies(port, request, folder / "sender.log") as passed:
            begun, before = time.monotonic(), passed()
            beside += small_delays(client, small_each // rounds)
            bodies += passed() - before
            seconds += time.monotonic() - begun
    return alone, elsewhere, beside, bodies / seconds


def ms(delays, share):
    return statistics.quantiles(delays, n=1000)[round(share * 1000) - 1] * 1000


def run(options):
    facts = report.circumstances(options.gateway.parent)
    report.print_circumstances("delays", facts, "./dev bench delays")
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name, contextlib.ExitStack() as running:
        folder = Path(name)
        listener = socket.create_server(("127.0.0.1", 0))
        sink_port, *ports = free_ports(5)
        running.enter_context(server([sys.executable, "-c", sink, str(sink_port)], [], folder / "sink.log"))

        def start_gateway(port, admin):
            file = folder / f"{port}.yaml"
            file.write_text(config % {"upstream": listener.getsockname()[1], "sink": sink_port, "admin": admin})
            # One loop: whatever holds it up holds up everybody.
            running.enter_context(server(
                [str(options.gateway), "--config", str(file), "--port", str(port), "--threads", "1",
                 "--log-level", "warning"], [port, admin], folder / f"{port}.log"))
            return port

        port, other_port = start_gateway(*ports[:2]), start_gateway(*ports[2:])
        direct, through = measure_events(listener, port)
        alone, elsewhere, beside, bodies = measure_bodies(folder, port, other_port)

    def row(what, share, before, after, limit):
        first, second = ms(before, share), ms(after, share)
        return [what, f"{first:.2f} ms", f"{second:.2f} ms", f"{second - first:.2f} ms", f"≤ {limit} ms",
                report.reached(second - first, limit, at_least=False)]

    report.print_table(["an event of a stream", "without gateway", "through it", "later by", "aim", ""], [
        row("median", 0.5, direct, through, event_ms_max),
        row("p99", 0.99, direct, through, event_ms_max),
    ])
    print()
    report.print_table(["a small request on the same loop", "alone", "beside 20 MB bodies", "later by", "aim", ""], [
        row("median", 0.5, alone, beside, body_ms_max),
        row("p99", 0.99, alone, beside, body_ms_max),
    ])
    print(f"\n{bodies:.1f} bodies of 20 MB passed in each second of that. While they passed through another gateway, "
          f"it took {ms(elsewhere, 0.5):.2f} ms (p99 {ms(elsewhere, 0.99):.2f} ms): the machine's share.")

    def figures(delays):
        return {"p50": ms(delays, 0.5), "p99": ms(delays, 0.99), "max": max(delays) * 1000}

    report.save(options.results, "delays", facts, {
        "event_direct_ms": figures(direct),
        "event_through_ms": figures(through),
        "small_alone_ms": figures(alone),
        "small_beside_other_gateway_ms": figures(elsewhere),
        "small_beside_ms": figures(beside),
        "big_bodies_a_second": bodies,
    })
