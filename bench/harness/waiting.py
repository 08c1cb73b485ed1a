"""What requests cost that wait, in plain and over TLS: memory, processor time, and how fast they go when nobody
wants them. Then as many are let through, one by one: none fails, and they go in the order of their priorities.
Last, how soon a slot that gets free has its next request; docs/waiting.svg."""
import asyncio
import contextlib
import copy
import json
import random
import re
import ssl
import sys
import tempfile
import time
from pathlib import Path

from harness import handover, installed, report, waiting_tables
from harness.crowd import (
    clients,
    config,
    descriptors,
    processor_seconds,
    raise_file_limit_for,
    request,
    resident_kb,
    until,
    vanish,
    waiting_now,
)
from harness.processes import free_ports, server

sys.path.append(str(report.root / "tests"))
from provider.certificates import Authority  # noqa: E402

watch_seconds = 10

answer = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'


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


def let_through(upstream, port, admin, count):
    """As many again, with a priority each: in how many seconds, how many failed, and whether the order was theirs."""
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
    in_order = [each for each in upstream.seen if each is not None] == sorted(priorities)
    return {"let_through_s": took, "failed": failed, "in_order": in_order}


def measure(pid, upstream, port, admin, count, tls=None):
    """Blocks; runs beside the upstream's loop."""
    first = clients(port, [request()], tls)  # holds the only slot
    warm = clients(port, [request()] * 50, tls)
    until(lambda: waiting_now(admin) == 50, 20, "50 waiting")
    for each in warm:
        each.close()
    until(lambda: waiting_now(admin) == 0, 20, "none waiting")
    files_before, memory_before = descriptors(pid), resident_kb(pid)

    begun = time.monotonic()
    crowd = clients(port, [request()] * count, tls)
    until(lambda: waiting_now(admin) == count, 120, f"{count} waiting")
    parked_after = time.monotonic() - begun
    time.sleep(1)  # what arrived last settles; not waited for by any check
    memory = resident_kb(pid)

    used = processor_seconds(pid)
    begun = time.monotonic()
    time.sleep(watch_seconds)
    share = (processor_seconds(pid) - used) / (time.monotonic() - begun)

    begun = time.monotonic()
    vanish(crowd)
    closed_after = time.monotonic() - begun
    until(lambda: waiting_now(admin) == 0, 60, "the line is empty")
    line_empty_after = time.monotonic() - begun
    until(lambda: descriptors(pid) <= files_before, 60, "every connection is closed")
    freed_after = time.monotonic() - begun
    memory_after = resident_kb(pid)
    let = let_through(upstream, port, admin, count) if not tls else {}
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
        **let,
    }


async def with_upstream(options, folder, tls_files=None):
    """{what: found} of one gateway, in plain or with (certificate, key, the clients' context)."""
    upstream = Upstream()
    listener = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream_port = listener.sockets[0].getsockname()[1]
    port, admin = free_ports(2)
    file = folder / f"waiting-{port}.yaml"
    file.write_text(config % (upstream_port, admin, options.waiting + 100))
    command = [str(options.gateway), "--config", str(file), "--port", str(port), "--log-level", "warning"]
    context = None
    if tls_files:
        certificate, key, context = tls_files
        command += ["--ssl_certfile_path", certificate, "--ssl_keyfile_path", key]

    def drive():
        with server(command, [port, admin], folder / f"gateway-{port}.log") as gateway:
            return measure(gateway.pid, upstream, port, admin, options.waiting, context)

    try:
        return await asyncio.to_thread(drive)
    finally:
        listener.close()


def over_tls(options, folder):
    (folder / "tls").mkdir()
    authority = Authority(folder / "tls")
    context = ssl.create_default_context(cafile=authority.certificate)
    return asyncio.run(with_upstream(options, folder, (*authority.server_files(), context)))


def run(options):
    facts = report.circumstances(options.gateway.parent)
    facts["command"] = "./dev bench waiting"
    wanted = max(options.waiting, handover.crowd_of(options))
    possible = raise_file_limit_for(wanted)
    if possible < wanted:
        facts["files"] = f"NOT {wanted:,} at once: the limit on files lets {possible:,} wait beside the one that has the slot"
        options = copy.copy(options)
        options.waiting = min(options.waiting, possible)
    report.print_circumstances("waiting", facts, facts["command"])
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name:
        folder = Path(name)
        results = {
            "plain": report.tried(lambda: asyncio.run(with_upstream(options, folder))),
            "tls": report.tried(lambda: over_tls(options, folder)),
            "handover": report.tried(lambda: handover.measure(options, folder)),
        }
    report.print_table(["waiting requests", "reached", "aim", ""], waiting_tables.rows(results, options.waiting))
    report.save(options.results, "waiting", facts, results)
    if "not_measured" not in results["handover"]:
        installed.draw("waiting", options.results / "waiting.json")
    report.complain(results)
