"""What a queue costs that several instances share in one Redis: engines in processes of their own, and gateways."""
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import proxies, report
from harness.processes import ask, free_ports, server

sys.path.insert(0, str(report.root / "tests"))
from shared.redis_server import RedisServer  # noqa: E402

grants_min = 20_000
added_ms_max = 0.3
bytes_max = 400
waiting_many = 100_000
seconds = 4
rounds = 3


def cpu_of(server):
    told = server.call("INFO", "cpu")
    return sum(float(part) for part in re.findall(r"used_cpu_(?:user|sys):([\d.]+)", told))


def memory_of(server):
    return int(re.search(r"used_memory:(\d+)", server.call("INFO", "memory")).group(1))


spin = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while True:
    pass
"""


@contextlib.contextmanager
def cores_awake():
    """Something that runs on each core while nobody else wants it: a core that sleeps, of a virtual machine above all,
    takes long to wake up, and at moderate load that is all that is left of it."""
    running = [subprocess.Popen([sys.executable, "-c", spin]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def load(program, server, instances, groups, at_once, pause_ms, waiting=0):
    """(grants, p50 and p99 in ms, Redis' seconds) of all instances together."""
    where = server.path if server else "-"
    running = [
        subprocess.Popen([str(program), where, str(groups), str(at_once), str(pause_ms), str(seconds),
                          str(waiting if number == 0 else 0)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(instances)
    ]  # fmt: skip
    try:
        for each in running:
            if each.stdout.readline() != "ready\n":
                raise RuntimeError("an instance did not start")
        before = cpu_of(server) if server else 0
        for each in running:
            each.stdin.write("\n")
            each.stdin.flush()
        told = [json.loads(each.stdout.readline()) for each in running]
        used = cpu_of(server) - before if server else 0
    finally:
        for each in running:
            each.terminate()
            each.communicate()
    grants = sum(each["grants"] for each in told)
    waits = waits_of(told)
    return {"grants": grants, "p50_ms": reached_by(waits, 0.5) / 1000, "p99_ms": reached_by(waits, 0.99) / 1000,
            "redis_us": used * 1e6 / max(grants, 1)}  # fmt: skip


def waits_of(told):
    """(µs, weight) of all grants: each instance says as many of its values as every other, so they weigh what it has
    granted."""
    return sorted((value, each["grants"]) for each in told for value in each["quantiles"])


def reached_by(waits, share):
    """The value that `share` of the (value, weight)s do not exceed."""
    left = share * sum(weight for _, weight in waits)
    for value, weight in waits:
        left -= weight
        if left <= 0:
            return value
    return waits[-1][0]


gateway_text = """
model_list:
  - model_name: small-chat
    litellm_params:
      model: openai/small-chat
      api_base: http://127.0.0.1:%(upstream)d/v1
      api_key: sk-bench
      max_parallel_requests: 1000
vorrang_settings:
  admin_port: 0
router_settings:
  num_retries: 0
  %(redis)s
"""
awake = ", cores kept awake"
requests_a_second = 1000  # of all gateways together


def gateways(options, instances, shares, seed):
    """p50 and p99 in ms of requests through so many gateways, from when each was due to its answer."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vorrang-bench-")))
        redis = stack.enter_context(RedisServer()) if shares else None
        upstream, *ports = free_ports(1 + instances)
        stack.enter_context(server(proxies.nginx(folder, "upstream", 1, proxies.upstream_inside % (upstream, proxies.answer)),
                                   [upstream], folder / "upstream.log"))  # fmt: skip
        config, body = folder / "vorrang.yaml", folder / "body.json"
        config.write_text(gateway_text % {"upstream": upstream,
                                          "redis": f'redis_url: "unix://{redis.path}"' if redis else ""})  # fmt: skip
        question = json.loads(proxies.question)
        del question["priority"]  # the load puts one in
        body.write_text(json.dumps(question))
        for port in ports:
            stack.enter_context(server([str(options.gateway), "--config", str(config), "--port", str(port), "--threads", "1",
                                        "--log-level", "warning"], [port], folder / f"{port}.log"))  # fmt: skip
        for port in ports:
            status, told = ask(port, "POST", proxies.path, proxies.question)
            if status != 200:
                raise RuntimeError(f"a gateway answers {status}: {told[:200]!r}")
        if redis and len(redis.call("KEYS", "vorrang:*:grants:*")) != instances:
            raise RuntimeError("the gateways do not share a line")
        loads = [subprocess.Popen([str(options.open_bench), str(port), proxies.path, str(body),
                                   f"{requests_a_second / instances:.0f}", str(seconds), "64", str(seed + i)],
                                  stdout=subprocess.PIPE, text=True) for i, port in enumerate(ports)]  # fmt: skip
        told = [json.loads(each.communicate()[0]) for each in loads]
    failed = sum(each["failed"] for each in told)
    if failed:
        raise RuntimeError(f"{failed} requests failed")
    # All have the same load, so their middles weigh the same.
    return {f"{which}_ms": statistics.median(each["all"][which] for each in told) / 1000 for which in ("p50", "p99")}


def through_gateways(options):
    cases = {"1 gateway, alone": (1, False), "1 gateway, with Redis": (1, True),
             "4 gateways, each alone": (4, False), "4 gateways, with Redis": (4, True)}  # fmt: skip
    cases |= {f"{name}{awake}": how for name, how in cases.items()}
    results = {name: [] for name in cases}
    for turn in range(rounds):
        for name, (instances, shares) in cases.items():
            with cores_awake() if name.endswith(awake) else contextlib.nullcontext():
                results[name].append(gateways(options, instances, shares, options.seed + 10 * turn))
    rows = []
    names = list(cases)
    for name, found in results.items():
        p50 = median_of(found, "p50_ms")
        row = [name, f"{p50:.2f} ms", f"{median_of(found, 'p99_ms'):.2f} ms"]
        if cases[name][1]:
            added = p50 - median_of(results[names[names.index(name) - 1]], "p50_ms")
            row += [f"{added:.2f} ms", f"≤ {added_ms_max} ms", report.reached(added, added_ms_max, at_least=False)]
        rows.append(row + [""] * (6 - len(row)))
    print(f"\nThrough gateways, {requests_a_second:,} requests/s in all, each timed from when it was due:\n")
    report.print_table(["from request to answer", "p50", "p99", "p50 later than alone", "aim", ""], rows)
    return results


def memory_a_ticket(program):
    """Redis' bytes for each of 100 000 tickets that wait."""
    with RedisServer() as server:
        before = memory_of(server)
        process = subprocess.Popen([str(program), server.path, "1", "1", "0", "1", str(waiting_many)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("an instance did not start")
            end = time.monotonic() + 60
            while server.call("ZCARD", "vorrang:{g0}:line:waiting") < waiting_many:
                if time.monotonic() > end:
                    raise RuntimeError("they do not all stand in line")
                time.sleep(0.05)
            return (memory_of(server) - before) / waiting_many
        finally:
            process.kill()
            process.wait()


def median_of(results, field):
    return statistics.median(each[field] for each in results)


def run(options):
    program = options.gateway.parent / "bench" / "vorrang_bench_shared"
    facts = report.circumstances(options.gateway.parent)
    facts["redis"] = report.output_of("redis-cli", "--version")
    facts["load"] = f"{rounds} rounds of {seconds} s in turns; Redis and all instances on this machine"
    report.print_circumstances("shared", facts, "./dev bench shared")
    slow = {
        "alone, 1 ms between": (None, 1, 1, 1, 1),
        "four alone, 4 ms between": (None, 4, 1, 1, 4),
        "1 instance, 1 ms between": (True, 1, 1, 1, 1),
        "4 instances, 4 ms between": (True, 4, 1, 1, 4),
    }
    cases = {
        **slow,
        **{f"{name}{awake}": how for name, how in slow.items()},
        "1 instance, 256 at once": (True, 1, 1, 256, 0),
        "4 instances, 64 at once each": (True, 4, 1, 64, 0),
        "4 instances, 64 at once each, 8 groups": (True, 4, 8, 64, 0),
        "4 instances, 64 at once each, 100,000 wait": (True, 4, 1, 64, 0, waiting_many),
    }
    # What the same processes with the same load need without a line in common; one that has slept longer is slower.
    unshared = {"1 instance, 1 ms between": "alone, 1 ms between", "4 instances, 4 ms between": "four alone, 4 ms between"}
    results = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (shares, *how) in cases.items():
            with contextlib.ExitStack() as stack:
                if name.endswith(awake):
                    stack.enter_context(cores_awake())
                redis = stack.enter_context(RedisServer()) if shares else None
                results[name].append(load(program, redis, *how))
    ticket = memory_a_ticket(program)
    rows = []
    for name, found in results.items():
        rate = median_of(found, "grants") / seconds
        p50 = median_of(found, "p50_ms")
        aim = verdict = ""
        kind = name.removesuffix(awake)
        if kind in unshared:
            added = p50 - median_of(results[unshared[kind] + name[len(kind):]], "p50_ms")
            aim = f"{added:.2f} ms more than alone; ≤ {added_ms_max}"
            verdict = report.reached(added, added_ms_max, at_least=False)
        elif name == "4 instances, 64 at once each":
            aim, verdict = f"≥ {grants_min:,}/s", report.reached(rate, grants_min)
        rows.append([name, f"{rate:,.0f}", f"{p50:.2f} ms", f"{median_of(found, 'p99_ms'):.2f} ms",
                     f"{median_of(found, 'redis_us'):.0f} µs", aim, verdict])  # fmt: skip
    report.print_table(["from ticket to grant", "grants/s", "p50", "p99", "Redis for a grant", "aim", ""], rows)
    print(f"\nRedis' memory for a waiting ticket, of {waiting_many:,}: {ticket:.0f} bytes "
          f"(≤ {bytes_max}: {report.reached(ticket, bytes_max, at_least=False)}).")  # fmt: skip
    report.save(options.results, "shared", facts,
                {"cases": results, "bytes_a_ticket": ticket, "gateways": through_gateways(options)})  # fmt: skip
