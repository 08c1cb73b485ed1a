"""What requests cost that wait: memory, processor time, and how fast they go when nobody wants them.
Then as many are let through, one by one: none fails, and they go in the order of their priorities."""
import asyncio
import contextlib
import json
import os
import random
import re
import resource
import socket
import tempfile
import time
from pathlib import Path

from harness import report
from harness.processes import ask, free_ports, server

core_share_max = 0.01
resident_kb_max = 8
freed_seconds_max = 1
watch_seconds = 10

config = """
model_list:
  - model_name: slow
    litellm_params:
      model: openai/slow
      api_base: http://127.0.0.1:%d/v1
      api_key: sk-bench
      max_parallel_requests: 1
router_settings:
  timeout: 3600
vorrang_settings:
  admin_port: %d
  max_queue_size: %d
"""

answer = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'


def request(priority=None):
    """Bytes of a request of 0.6 KB. Its priority also stands where the upstream can read it."""
    body = {"model": "slow", "messages": [{"role": "user", "content": "x" * 500}], "seed": priority}
    if priority is not None:
        body["priority"] = priority
    text = json.dumps(body)
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}"
    ).encode()


def raise_file_limit(wanted):
    """For our own side; the gateway raises its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = wanted
    elif hard < wanted and os.geteuid() == 0:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < wanted:
        raise RuntimeError(f"the limit on files is {hard}, {wanted} are needed: raise it with ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, resource.getrlimit(
        resource.RLIMIT_NOFILE)[0]), hard))


def resident_kb(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("the gateway is gone")


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def queue_of(admin, model):
    status, text = ask(admin, "GET", f"/queue/{model}?limit=1")
    if status != 200:
        raise RuntimeError(f"the admin port answers {status}")
    return json.loads(text)


def waiting_now(admin):
    return queue_of(admin, "slow")["waiting"]


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.002)


class Upstream:
    """Takes requests, and answers none until it is opened."""

    def __init__(self):
        self.is_open = asyncio.Event()
        self.seen = []  # the priorities, in the order in which they came since it was opened
        self.loop = asyncio.get_running_loop()

    def open(self):
        """From another thread."""
        self.loop.call_soon_threadsafe(self.is_open.set)

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
                sent = json.loads(await reader.readexactly(length))
                gone = asyncio.ensure_future(reader.read(1))  # an end, since nothing else comes
                opened = asyncio.ensure_future(self.is_open.wait())
                await asyncio.wait([gone, opened], return_when=asyncio.FIRST_COMPLETED)
                opened.cancel()
                if gone.done():
                    break
                gone.cancel()
                await asyncio.gather(gone, opened, return_exceptions=True)
                self.seen.append(sent.get("seed"))
                writer.write(answer)
        writer.close()


def clients(port, requests):
    """Connections that have each sent one request."""
    made = []
    for each in requests:
        one = socket.create_connection(("127.0.0.1", port), timeout=20)
        one.sendall(each)
        made.append(one)
    return made


def let_through(upstream, port, admin, count):
    """(seconds, failed ones, whether the order was that of the priorities)."""
    priorities = random.sample(range(-count, count), count)
    crowd = clients(port, [request(each) for each in priorities])
    until(lambda: waiting_now(admin) == count, 120, f"{count} waiting")
    begun = time.monotonic()
    upstream.open()
    failed = 0
    for each in crowd:
        each.settimeout(120)
        failed += not each.recv(4096).startswith(b"HTTP/1.1 200 ")
    took = time.monotonic() - begun
    for each in crowd:
        each.close()
    return took, failed, [each for each in upstream.seen if each is not None] == sorted(priorities)


def measure(gateway, upstream, port, admin, count):
    """Blocks; runs beside the upstream's loop."""
    pid = gateway.pid
    first = clients(port, [request()])  # holds the only slot
    warm = clients(port, [request()] * 50)
    until(lambda: waiting_now(admin) == 50, 20, "50 waiting")
    for each in warm:
        each.close()
    until(lambda: waiting_now(admin) == 0, 20, "none waiting")
    files_before, memory_before = descriptors(pid), resident_kb(pid)

    begun = time.monotonic()
    crowd = clients(port, [request()] * count)
    until(lambda: waiting_now(admin) == count, 120, f"{count} waiting")
    parked_after = time.monotonic() - begun
    time.sleep(1)  # what arrived last settles; not waited for by any check
    memory = resident_kb(pid)

    used = processor_seconds(pid)
    begun = time.monotonic()
    time.sleep(watch_seconds)
    share = (processor_seconds(pid) - used) / (time.monotonic() - begun)

    begun = time.monotonic()
    for each in crowd:
        each.close()
    closed_after = time.monotonic() - begun
    until(lambda: waiting_now(admin) == 0, 60, "the line is empty")
    line_empty_after = time.monotonic() - begun
    until(lambda: descriptors(pid) <= files_before, 60, "every connection is closed")
    freed_after = time.monotonic() - begun
    memory_after = resident_kb(pid)
    took, failed, is_in_order = let_through(upstream, port, admin, count)
    for each in first:
        each.close()
    return {
        "waiting": count,
        "parked_after_s": parked_after,
        "resident_kb_each": (memory - memory_before) / count,
        "core_share": share,
        "clients_took_to_close_s": closed_after,
        "line_empty_after_s": line_empty_after,
        "all_freed_after_s": freed_after,
        "resident_mb_before": memory_before / 1024,
        "resident_mb_waiting": memory / 1024,
        "resident_mb_after": memory_after / 1024,
        "let_through_s": took,
        "failed": failed,
        "in_order": is_in_order,
    }


async def with_upstream(options, folder):
    upstream = Upstream()
    listener = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream_port = listener.sockets[0].getsockname()[1]
    port, admin = free_ports(2)
    file = folder / "waiting.yaml"
    file.write_text(config % (upstream_port, admin, options.waiting + 100))
    command = [str(options.gateway), "--config", str(file), "--port", str(port), "--log-level", "warning"]

    def drive():
        with server(command, [port, admin], folder / "gateway.log") as gateway:
            return measure(gateway, upstream, port, admin, options.waiting)

    try:
        return await asyncio.to_thread(drive)
    finally:
        listener.close()


def run(options):
    facts = report.circumstances(options.gateway.parent)
    report.print_circumstances("waiting", facts, "./dev bench waiting")
    # The gateway is a process of its own with the same limit, of which it keeps a quarter for
    # upstreams and files.
    raise_file_limit(options.waiting * 4 // 3 + 1000)
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name:
        result = asyncio.run(with_upstream(options, Path(name)))
    share = result["core_share"]
    count = f"{options.waiting:,}"
    report.print_table(["waiting requests", "reached", "aim", ""], [
        [f"resident memory, each of {count} (600 B of body)", f"{result['resident_kb_each']:.2f} KB",
         f"≤ {resident_kb_max} KB", report.reached(result["resident_kb_each"], resident_kb_max, at_least=False)],
        [f"processor, {watch_seconds} s", f"{share:.2%} of a core", f"< {core_share_max:.0%}",
         report.reached(share, core_share_max, at_least=False)],
        ["all have their place after", f"{result['parked_after_s']:.2f} s", "", ""],
        ["all clients gone: the line is empty after", f"{result['line_empty_after_s']:.2f} s "
         f"(closing took {result['clients_took_to_close_s']:.2f} s)", "", ""],
        ["… and every descriptor is back after", f"{result['all_freed_after_s']:.2f} s",
         f"≤ {freed_seconds_max} s", report.reached(result["all_freed_after_s"], freed_seconds_max, at_least=False)],
        [f"then {count} with a priority each, one slot: all answered after", f"{result['let_through_s']:.2f} s",
         "", ""],
        ["of them failed; in the order of their priorities",
         f"{result['failed']}; {'yes' if result['in_order'] else 'NO'}", "0; yes",
         "reached" if result["in_order"] and not result["failed"] else "missed"],
        ["resident memory before, with them, after", "%.1f, %.1f, %.1f MB" % (
            result["resident_mb_before"], result["resident_mb_waiting"], result["resident_mb_after"]), "", ""],
    ])
    report.save(options.results, "waiting", facts, result)
