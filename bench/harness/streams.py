"""What streams cost that run at once, with the upstream's connection in plain and over TLS, and how fast
everything is free when all clients vanish. Then how late events are of streams that have many; docs/streams.svg."""
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from harness import installed, paced, proxies, report, streams_tables
from harness.crowd import descriptors, queue_of, raise_file_limit, resident_kb, until
from harness.processes import free_ports, server

provider = Path(__file__).resolve().parent.parent.parent / "tests" / "provider"
events_a_stream = 40  # a second between two: all have begun before the first ends
opening = 64  # connections that are being made at once
all_seconds_max = 220  # what is left of them is for the paced streams,
paced_seconds_min = 60  # but enough for a round

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


def nginx_version():
    try:
        return report.output_of(proxies.tool("nginx"), "-v")
    except RuntimeError as error:
        return str(error)


def crowds(options, folder):
    """What streams of an event a second cost, by how their upstream is reached."""
    with contextlib.ExitStack() as stack:
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
        return asyncio.run(both(gateway, ports["port"], ports["admin"], options.streams))


def run(options):
    facts = report.circumstances(options.gateway.parent)
    facts["nginx"] = nginx_version()
    facts["load"] = (f"events: {min(options.rounds, paced.rounds_max)} rounds of {paced.seconds:g} s in turns, "
                     f"{options.threads} thread(s) for each proxy, one for the upstream and one for the clients")  # fmt: skip
    facts["command"] = "./dev bench streams"
    report.print_circumstances("streams", facts, facts["command"])
    raise_file_limit(options.streams * 4 + 1000)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name:
        folder = Path(name)
        found = report.tried(lambda: crowds(options, folder))
        results = {each: found if "not_measured" in found else found[each] for each in ("plain", "tls")}
        report.print_table(["streams at once, an event a second each", "reached", "aim", ""],
                           streams_tables.crowd_rows(results, options.streams))  # fmt: skip
        left = all_seconds_max - (time.monotonic() - begun)
        results["paced"] = paced.measure(options, folder, max(left, paced_seconds_min))
    print()
    report.print_table([f"streams at once, {paced.rate} events a second each", "reached", "aim", ""],
                       streams_tables.paced_rows(results["paced"]))  # fmt: skip
    print()
    report.print_table(streams_tables.paced_head, streams_tables.paced_table(results["paced"]))
    report.save(options.results, "streams", facts, results)
    installed.draw("streams", options.results / "streams.json")
    report.complain({**{name: results[name] for name in ("plain", "tls")},
                     **{f"{name}, {count} streams": each for name, by_count in results["paced"].items()
                        for count, each in by_count.items()}})  # fmt: skip
