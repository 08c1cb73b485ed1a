"""What streams cost that run at once, with the upstream's connection in plain and over TLS, and how fast
everything is free when all clients vanish."""
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from harness import report
from harness.processes import free_ports, server
from harness.crowd import descriptors, queue_of, raise_file_limit, resident_kb, until

provider = Path(__file__).resolve().parent.parent.parent / "tests" / "provider"
stream_kb_max = 64
tls_kb_max = 40
freed_seconds_max = 1
events_a_stream = 40  # a second between two: all have begun before the first ends
opening = 64  # connections that are being made at once

config = """
model_list:
  - model_name: plain
    litellm_params: {model: openai/up, api_base: "http://127.0.0.1:%(plain)d/v1", api_key: k}
  - model_name: tls
    litellm_params: {model: openai/up, api_base: "https://127.0.0.1:%(tls)d/v1", api_key: k, ssl_verify: %(ca)s}
vorrang_settings:
  admin_port: %(admin)d
"""


def chunk(text, finish=None):
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


script = {"answer": {"interval_s": 1, "events": [
    *[chunk("word " * 10)] * (events_a_stream - 2), chunk("", "stop"), "[DONE]"]}}


def request(model):
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "x" * 500}]})
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Crowd:
    """Clients that each read one stream."""

    def __init__(self, port, model, count):
        self.port, self.model, self.count = port, model, count
        self.begun = self.whole = self.failed = 0
        self.writers = []
        self.door = asyncio.Semaphore(opening)
        self.tasks = [asyncio.ensure_future(self.read_one()) for _ in range(count)]

    async def read_one(self):
        async with self.door:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writers.append(writer)
            writer.write(request(self.model))
            data = b""
            while b"data: " not in data:
                more = await reader.read(4096)
                if not more:
                    self.failed += 1
                    return
                data += more
        self.begun += 1
        with contextlib.suppress(ConnectionError):
            while more := await reader.read(4096):
                data = data[-20:] + more
                if b"data: [DONE]" in data:
                    self.whole += 1
                    return
        self.failed += 1

    async def until_begun(self):
        end = time.monotonic() + 120
        while self.begun + self.failed < self.count:
            if time.monotonic() > end:
                raise RuntimeError(f"of {self.count} streams {self.begun} have begun, {self.failed} failed")
            await asyncio.sleep(0.01)

    def vanish(self):
        for task in self.tasks:
            task.cancel()
        for writer in self.writers:
            writer.transport.abort()


def in_flight(admin, model):
    return sum(each["in_flight"] for each in queue_of(admin, model)["deployments"])


async def measure(pid, port, admin, model, count):
    warm = Crowd(port, model, 50)
    await warm.until_begun()
    warm.vanish()
    await asyncio.to_thread(until, lambda: in_flight(admin, model) == 0, 20, "the first fifty are gone")
    files_before, memory_before = descriptors(pid), resident_kb(pid)

    crowd = Crowd(port, model, count)
    await crowd.until_begun()
    await asyncio.sleep(1)  # each has had another event
    memory = resident_kb(pid)
    running = await asyncio.to_thread(in_flight, admin, model)

    begun = time.monotonic()
    crowd.vanish()
    closed_after = time.monotonic() - begun
    await asyncio.to_thread(until, lambda: in_flight(admin, model) == 0, 60, "no call runs")
    slots_after = time.monotonic() - begun
    await asyncio.to_thread(until, lambda: descriptors(pid) <= files_before, 60, "every connection is closed")
    freed_after = time.monotonic() - begun

    whole = Crowd(port, model, count)
    await asyncio.gather(*whole.tasks)
    for writer in whole.writers:
        writer.close()
    return {
        "streams": count,
        "running": running,
        "resident_kb_each": (memory - memory_before) / count,
        "clients_took_to_close_s": closed_after,
        "no_call_runs_after_s": slots_after,
        "all_freed_after_s": freed_after,
        "whole": whole.whole,
        "failed": crowd.failed + whole.failed,
    }


async def both(gateway, port, admin, count):
    return {model: await measure(gateway.pid, port, admin, model, count) for model in ("plain", "tls")}


def run(options):
    facts = report.circumstances(options.gateway.parent)
    report.print_circumstances("streams", facts, "./dev bench streams")
    raise_file_limit(options.streams * 4 + 1000)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vorrang-bench-")))
        ports = dict(zip(("plain", "tls", "port", "admin"), free_ports(4)))
        answers = folder / "script.json"
        answers.write_text(json.dumps(script))
        for name in ("plain", "tls"):
            command = [sys.executable, str(provider), "--port", str(ports[name]), "--script", str(answers)]
            if name == "tls":
                command += ["--tls", str(folder / "tls")]
                (folder / "tls").mkdir()
            stack.enter_context(server(command, [ports[name]], folder / f"{name}.log"))
        file = folder / "streams.yaml"
        file.write_text(config % {**ports, "ca": folder / "tls" / "ca.pem"})
        command = [str(options.gateway), "--config", str(file), "--port", str(ports["port"]),
                   "--log-level", "warning"]
        gateway = stack.enter_context(server(command, [ports["port"], ports["admin"]], folder / "gateway.log"))
        results = asyncio.run(both(gateway, ports["port"], ports["admin"], options.streams))

    plain, tls = results["plain"], results["tls"]
    more = tls["resident_kb_each"] - plain["resident_kb_each"]
    count = f"{options.streams:,}"
    rows = [
        [f"resident memory, each of {count}", f"{plain['resident_kb_each']:.1f} KB", f"≤ {stream_kb_max} KB",
         report.reached(plain["resident_kb_each"], stream_kb_max, at_least=False)],
        ["more where the upstream speaks TLS", f"{more:.1f} KB", f"≤ {tls_kb_max} KB",
         report.reached(more, tls_kb_max, at_least=False)],
    ]
    for name, result in results.items():
        freed = max(result["all_freed_after_s"], result["no_call_runs_after_s"])
        rows += [
            [f"{name}: ran at once", str(result["running"]), count,
             "reached" if result["running"] == options.streams else "missed"],
            [f"{name}: all clients gone, everything is free after",
             f"{freed:.2f} s (closing took {result['clients_took_to_close_s']:.2f} s)",
             f"≤ {freed_seconds_max} s", report.reached(freed, freed_seconds_max, at_least=False)],
            [f"{name}: streams read to their end; failed", f"{result['whole']}; {result['failed']}",
             f"{count}; 0", "reached" if result["whole"] == options.streams and not result["failed"] else "missed"],
        ]
    report.print_table(["streams at once, an event a second each", "reached", "aim", ""], rows)
    report.save(options.results, "streams", facts, results)
