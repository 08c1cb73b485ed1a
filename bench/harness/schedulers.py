"""LiteLLM's scheduler beside the shared queue: the same Redis, the same machine, in turns."""
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from harness import installed, report, shared

sys.path[:0] = [str(report.root / "tests" / name) for name in (".", "system", "compare")]
import sides  # noqa: E402
from client import gather  # noqa: E402
from gateway import Gateway, wait_until  # noqa: E402
from provider import Provider, Reply  # noqa: E402
from shared.redis_server import RedisServer  # noqa: E402

rounds = 3
seconds = 2
instances_max = 4
at_once = 64
between_ms = 20
requests = 100
priorities = range(1, 10)  # LiteLLM's Router takes 0 for none
arrive_ms = 5
call_seconds = 0.02
answer_seconds_max = 90

config = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/small
      api_base: {base}
      api_key: sk-bench
      max_parallel_requests: 1
    model_info: {{id: d1}}
router_settings:
  timeout: 40
  redis_url: "{redis}"
"""


class Process:
    """A program that is told what to do in lines, and answers in lines of JSON."""

    def __init__(self, command, **more):
        self._errors = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._errors, text=True, **more)  # fmt: skip

    def say(self, line=""):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self):
        timer = threading.Timer(answer_seconds_max, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"an instance ended with {status} before its answer: {self._process.args[:2]}\n"
                               + self._errors.read()[-2000:])
        return json.loads(line) if line != "ready\n" else "ready"

    def stop(self):
        self._process.terminate()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()


class LiteLLM:
    """Instances that have imported litellm, and the slot that they share. Use as a context manager."""

    def __enter__(self):
        python = installed.litellm()
        self.version = installed.version_of(python, "litellm")
        self._slot = os.pipe()
        os.set_blocking(self._slot[0], False)
        environment = {**os.environ, **sides.LITELLM_VARIABLES}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once
        program = report.root / "bench" / "harness" / "litellm_instance.py"
        self.processes = [Process([python, program, *self._slot], pass_fds=self._slot, env=environment)
                          for _ in range(instances_max)]  # fmt: skip
        for each in self.processes:
            each.hear()
        return self

    def __exit__(self, *_exception):
        for each in self.processes:
            each.stop()
        for end in self._slot:
            os.close(end)

    def free_slot(self):
        os.write(self._slot[1], b".")

    def take_slot(self):
        with contextlib.suppress(BlockingIOError):
            while os.read(self._slot[0], 1):
                pass


def usage(server):
    """Redis' processor time in seconds, and how often each command ran; those within scripts count too."""
    used = re.findall(r"used_cpu_(?:user|sys):([\d.]+)", server.call("INFO", "cpu"))
    ran = re.findall(r"cmdstat_([^:]+):calls=(\d+)", server.call("INFO", "commandstats"))
    return sum(map(float, used)), {name: int(count) for name, count in ran}


from_clients = re.compile(r"eval|script|fcall|function|subscribe|hello|ping|client|auth|select")


def cost(before, after, grants):
    """Of one grant: Redis' µs, calls that clients made, and commands that ran, within scripts too."""
    ran = {name: count - before[1].get(name, 0) for name, count in after[1].items() if name != "info"}
    has_scripts = any(name.startswith(("eval", "fcall")) and count for name, count in ran.items())
    calls = sum(count for name, count in ran.items() if not has_scripts or from_clients.match(name))
    grants = max(grants, 1)
    return {"redis_us": (after[0] - before[0]) * 1e6 / grants, "calls": calls / grants,
            "commands": sum(ran.values()) / grants}  # fmt: skip


# Load with room for all -----------------------------------------------------------------------


def load(running, server):
    """Begins all instances together."""
    for each in running:
        each.hear()
    before = usage(server)
    for each in running:
        each.say()
    told = [each.hear() for each in running]
    grants = sum(each["grants"] for each in told)
    return {"rate": grants / seconds, "p50_ms": reached(told, 0.5), "p99_ms": reached(told, 0.99),
            **cost(before, usage(server), grants)}  # fmt: skip


def reached(told, share):
    """In ms: what `share` of all grants took at most. LiteLLM's instances tell p50 and p99 alone: the longest of them."""
    if "quantiles" in told[0]:
        return shared.reached_by(shared.waits_of(told), share) / 1000
    return max(each[f"p{share * 100:.0f}"] for each in told) / 1000


def load_vorrang(program, count, pause_ms):
    with RedisServer() as server, contextlib.ExitStack() as stack:
        command = [program, server.path, 1, at_once, pause_ms, seconds]
        running = [Process(command) for _ in range(count)]
        for each in running:
            stack.callback(each.stop)
        return load(running, server)


def load_litellm(litellm, what, count, pause_ms):
    with RedisServer() as server:
        for each in litellm.processes[:count]:
            each.say(json.dumps({"do": "load", "what": what, "redis": f"unix://{server.path}", "seconds": seconds,
                                 "at_once": 1 if pause_ms else at_once, "pause_ms": pause_ms}))  # fmt: skip
        return load(litellm.processes[:count], server)


# One slot -------------------------------------------------------------------------------------


def wrong_pairs(order):
    """The share of those pairs whose later one had the lower number."""
    pairs = [(first, second) for number, first in enumerate(order) for second in order[number + 1 :] if first != second]
    return sum(first > second for first, second in pairs) / max(len(pairs), 1)


def drawn():
    generator = random.Random(11)
    return [generator.choice(priorities) for _ in range(requests)]


def outcome(order, spans, failed, costs, in_list=None):
    """`spans`: (begin, end) of each call in the order of `order`. The first held the slot until all had asked."""
    latest, beside, gaps = 0, 0, []
    for begin, end in spans:
        if begin < latest:
            beside += 1
        elif latest:
            gaps.append(begin - latest)
        latest = max(latest, end)
    return {"answered": len(order), "failed": failed, "wrong": wrong_pairs(order[1:]), "beside": beside,
            "gap_ms": 1000 * statistics.median(gaps) if gaps else None, "in_list": in_list, **costs}  # fmt: skip


def outcome_at(provider, failed, costs):
    calls = sorted((call for call in provider.calls if call.method == "POST"), key=lambda call: call.arrived_at)
    spans = [(call.arrived_at, call.finished_at) for call in calls]
    return outcome([int(call.prompt) for call in calls], spans, failed, costs)


def slow_provider():
    provider = Provider(Reply(delay_s=call_seconds))
    provider.script = [Reply(hold=True)]
    return provider


def burst_vorrang(count):
    with RedisServer() as server, slow_provider() as provider, contextlib.ExitStack() as stack:
        text = config.format(base=provider.base, redis=f"unix://{server.path}")
        gateways = [stack.enter_context(Gateway(text)) for _ in range(count)]
        for each in gateways:
            wait_until(lambda: each.admin_get("/health/readiness").json["queue"] == "shared")
        before = usage(server)
        connections = []
        for number, priority in enumerate(drawn()):
            connections.append(gateways[number % count].send_chat(f"{priority}", priority=priority))
            time.sleep(arrive_ms / 1000)
        line = "vorrang:{m}:line:waiting"
        wait_until(lambda: server.call("ZCARD", line) >= requests - 1, what="they do not all stand in line")
        listed = server.call("ZCARD", line) + 1  # with the one that has the slot
        provider.release()
        answered = [each.status == 200 for each in gather(connections, answer_seconds_max)]
        costs = cost(before, usage(server), sum(answered))
        return {**outcome_at(provider, answered.count(False), costs), "in_list": listed}


def ask_litellm(litellm, server, count, **more):
    """Tells each instance its share, until all have asked."""
    drawn_priorities = drawn()
    running = litellm.processes[:count]
    for number, each in enumerate(running):
        each.say(json.dumps({"do": "burst", "redis": f"unix://{server.path}", "priorities": drawn_priorities[number::count],
                             "pause_ms": arrive_ms * count, "call_seconds": call_seconds, **more}))  # fmt: skip
    for each in running:
        each.hear()
    return running


def burst_router(litellm, count):
    with RedisServer() as server, slow_provider() as provider:
        before = usage(server)
        running = ask_litellm(litellm, server, count, what="router", api_base=provider.base)
        provider.release()
        told = [word for each in running for word in each.hear()]
        answered = told.count("answered")
        return outcome_at(provider, len(told) - answered, cost(before, usage(server), answered))


def burst_queue(litellm, count):
    litellm.take_slot()
    with RedisServer() as server:
        before = usage(server)
        running = ask_litellm(litellm, server, count, what="queue")
        listed = len(json.loads(server.call("GET", "scheduler:queue:m") or "[]"))
        litellm.free_slot()
        told = [each for process in running for each in process.hear()]
        ran = sorted((each for each in told if "began" in each), key=lambda each: each["began"])
        costs = cost(before, usage(server), len(ran))
        found = outcome([each["priority"] for each in ran], [(each["began"], each["ended"]) for each in ran],
                        len(told) - len(ran), costs, listed)
        return {**found, "beside": sum(each["beside"] for each in ran)}


# Together -------------------------------------------------------------------------------------


def in_turns(cases):
    results = {name: [] for name in cases}
    names = list(cases)
    for turn in range(rounds):
        for number in range(len(names)):
            name = names[(turn + number) % len(names)]
            results[name].append(cases[name]())
    return results


def middle(found, field, form="{:,.0f}", factor=1):
    values = [each[field] * factor for each in found if each.get(field) is not None]
    return form.format(statistics.median(values)) if values else "–"


def measure(options, litellm):
    program = options.gateway.parent / "bench" / "vorrang_bench_shared"
    os.environ["VORRANG_BINARY"] = str(options.gateway.resolve())
    loads, slots = {}, {}
    for pause_ms in (0, between_ms):
        for count in (1, instances_max):
            def case(function, *how, count=count, pause_ms=pause_ms):
                return lambda: function(*how, count, pause_ms)

            loads["Vorrang, its engine", count, pause_ms] = case(load_vorrang, program)
            loads["LiteLLM, its scheduler alone", count, pause_ms] = case(load_litellm, litellm, "queue")
            loads["LiteLLM, its Router with a mock", count, pause_ms] = case(load_litellm, litellm, "router")
    for count in (1, instances_max):
        slots["Vorrang, the gateway", count] = lambda count=count: burst_vorrang(count)
        slots["LiteLLM, its Router", count] = lambda count=count: burst_router(litellm, count)
        slots["LiteLLM, its queue alone", count] = lambda count=count: burst_queue(litellm, count)
    return in_turns(loads), in_turns(slots)


def run(options):
    facts = report.circumstances(options.gateway.parent)
    with LiteLLM() as litellm:
        facts["litellm"] = f"{litellm.version}, " + report.output_of(sys.executable, "--version")
        facts["redis"] = report.output_of("redis-cli", "--version")
        facts["load"] = f"{rounds} rounds in turns; Redis and all instances on this machine"
        report.print_circumstances("schedulers", facts, "./dev bench schedulers")
        loads, slots = measure(options, litellm)
    print_loads(loads)
    print_slots(slots)
    results = {what: {" ".join(map(str, name)): found for name, found in each.items()}
               for what, each in (("loads", loads), ("one_slot", slots))}  # fmt: skip
    report.save(options.results, "schedulers", facts, results)


def print_loads(results):
    """Under full load the time to a grant is the number of those that ask, divided by the rate: not shown."""
    tables = {0: [], between_ms: []}
    for (name, count, pause_ms), found in results.items():
        rate, spread = report.median_and_mad([each["rate"] for each in found])
        figures = [f"{rate:,.0f}", f"{spread:,.0f}"]
        if pause_ms:
            figures = [middle(found, "p50_ms", "{:.2f} ms"), middle(found, "p99_ms", "{:.2f} ms")]
        tables[pause_ms].append([name, count, *figures, middle(found, "redis_us", "{:,.0f} µs"),
                                 middle(found, "calls", "{:.2f}"), middle(found, "commands", "{:.1f}")])  # fmt: skip
    rest = ["Redis for a grant", "calls", "commands"]
    report.print_table([f"{at_once} at once, each", "instances", "grants/s", "MAD", *rest], tables[0])
    print()
    report.print_table([f"one in {between_ms} ms, each", "instances", "p50", "p99", *rest], tables[between_ms])
    print()


def print_slots(results):
    rows = []
    for (name, count), found in results.items():
        rows.append([name, count, middle(found, "answered"), middle(found, "failed"), middle(found, "wrong", "{:.1%}"),
                     middle(found, "beside"), middle(found, "gap_ms", "{:.1f} ms"), middle(found, "in_list"),
                     middle(found, "redis_us", "{:,.0f} µs"), middle(found, "commands", "{:.1f}")])  # fmt: skip
    report.print_table([f"one slot, {requests} requests", "instances", "answered", "failed", "pairs in the wrong order",
                        "began beside another", "slot empty for", "in Redis' list", "Redis for an answer", "commands"],
                       rows)  # fmt: skip
