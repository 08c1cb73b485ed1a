"""Cost against work: what a grant and a request cost as one thing grows and all else stays; docs/scale.svg."""
import contextlib
import json
import tempfile
from pathlib import Path

from harness import google, installed, proxies, report
from harness.processes import ask, free_ports, server

engine_axes = {"waiting": "waiting tickets", "groups": "groups", "deployments": "deployments of the group"}
slots = 64
# (connections, bytes of the body, threads of the gateway)
http_axes = {
    "connections": [(each, 200, 1) for each in (1, 16, 64, 512, 4_000, 15_000)],
    "bytes of the body": [(8, each, 1) for each in (1_000, 10_000, 100_000, 1_000_000, 10_000_000)],
    "cores": [(64, 200, each) for each in (1, 2)],
}
config = """
model_list:
  - model_name: small-chat
    litellm_params:
      model: openai/small-chat
      api_base: http://127.0.0.1:%d/v1
      api_key: sk-bench
      max_parallel_requests: %d
vorrang_settings:
  max_queue_size: 20000
  admin_port: 0
"""


def grants(options):
    """{axis: [(value, ns, spread)]}"""
    found = {axis: [] for axis in engine_axes}
    gathered = google.measure(options.engine_bench, min(options.rounds, 5), "^scale/")
    for name, figures in gathered.items():
        values = {key: int(value) for key, _, value in (each.partition(":") for each in name.split("/")) if value}
        for axis, least in (("waiting", 0), ("groups", 1), ("deployments", 1)):
            others = {"waiting": 0, "groups": 1, "deployments": 1}
            del others[axis]
            if all(values[other] == value for other, value in others.items()) and (values[axis] > least or axis != "waiting"):
                found[axis].append((values[axis], *google.nanoseconds(figures)))
    return {axis: sorted(each) for axis, each in found.items()}


def body_of(size):
    text = json.loads(proxies.question)
    text["messages"][1]["content"] = "x" * max(size - len(proxies.question), 1)
    return json.dumps(text)


class Stand:
    """One upstream, and a gateway for each number of threads."""

    def __init__(self, stack, folder, options):
        self.folder = folder
        upstream, *self.ports = free_ports(3)
        inside = "client_max_body_size 0; client_body_buffer_size 11m;" + proxies.upstream_inside % (upstream, proxies.answer)
        stack.enter_context(server(proxies.nginx(folder, "upstream", 1, inside), [upstream], folder / "upstream.log"))
        file = folder / "scale.yaml"
        file.write_text(config % (upstream, slots))
        for threads, port in enumerate(self.ports, 1):
            command = [str(options.gateway), "--config", str(file), "--port", str(port), "--threads", str(threads),
                       "--log-level", "warning"]  # fmt: skip
            stack.enter_context(server(command, [port], folder / f"vorrang-{threads}.log"))
            status, answer = ask(port, "POST", proxies.path, proxies.question)
            if status != 200:
                raise RuntimeError(f"the gateway answers {status}: {answer[:200]!r}")

    def load(self, connections, size, threads, seconds):
        script = self.folder / f"{size}.lua"
        if not script.exists():
            script.write_text(proxies.lua % body_of(size))
        counted = proxies.wrk(script, self.ports[threads - 1], 1, connections, seconds)
        if counted["errors"]:
            raise RuntimeError(f"{connections} connections, {size} bytes: {counted['errors']} of "
                               f"{counted['requests']} requests failed")  # fmt: skip
        return counted


def requests(options):
    """{axis: [(value, requests/s, spread, p50 µs, p99 µs)]}, rounds in turns."""
    rounds = min(options.rounds, 3)
    found = {}
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name, contextlib.ExitStack() as stack:
        stand = Stand(stack, Path(name), options)
        points = [(axis, point) for axis, each in http_axes.items() for point in each]
        results = {}
        for _ in range(rounds):
            for axis, point in points:
                results.setdefault((axis, point), []).append(stand.load(*point, options.seconds))
        for axis, point in points:
            value = point[list(http_axes).index(axis)]
            counted = results[axis, point]
            rate, spread = report.median_and_mad([each["per_second"] for each in counted])
            found.setdefault(axis, []).append(
                (value, rate, spread, *(report.median_and_mad([each[key] for each in counted])[0]
                                        for key in ("p50_us", "p99_us"))))  # fmt: skip
    return found


def run(options):
    facts = report.circumstances(options.gateway.parent)
    facts["load"] = (f"engine: up to 5 interleaved rounds on one core; http: wrk, up to 3 rounds of {options.seconds:g} s in "
                     f"turns, {slots} slots, 64 connections and 200 bytes where that is not what grows")  # fmt: skip
    facts["command"] = "./dev bench scale"
    report.print_circumstances("scale", facts, facts["command"])
    by_engine, by_http = grants(options), requests(options)
    rows = []
    for axis, points in by_engine.items():
        for value, time, spread in points:
            rows.append([f"{value:,} {engine_axes[axis]}", google.shown(time), google.shown(spread),
                         f"{time / points[0][1]:.2f}"])  # fmt: skip
    report.print_table(["one grant, one core", "median", "MAD", "times the first"], rows)
    print()
    rows = []
    for axis, points in by_http.items():
        for value, rate, spread, p50, p99 in points:
            size = f", {rate * value / 1e6:,.0f} MB/s" if axis.startswith("bytes") else ""
            rows.append([f"{value:,} {axis}", f"{rate:,.0f}{size}", f"{spread:,.0f}", f"{p50 / 1000:.2f} ms",
                         f"{p99 / 1000:.2f} ms"])  # fmt: skip
    report.print_table(["through the gateway", "requests/s", "MAD", "p50", "p99"], rows)
    report.save(options.results, "scale", facts, {"grants": by_engine, "requests": by_http})
    installed.draw("scale", options.results / "scale.json")
